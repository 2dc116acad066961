"""Which words are forms of one another: the inflections of English, and small rules for other scripts.

Forms are made forwards from a concept's word (cat: cats, catting), never by cutting endings off a text's words: so *caring* is no
form of *car*, *rating* none of *rat*. What is made too much is no word and meets no text. The word lists are this project's own.
"""

from __future__ import annotations

from functools import lru_cache

STOP_WORDS = frozenset(
    """a an the and or but nor so yet if of in on at by to for from with without into onto over under near off out up
    down as is are was were be been being am do does did has have had it its this that these those he she they we you i me him her them us
    his their our my your who whom whose which what when where why how not no yes very too also just than then there here some any all
    each both one two three other another such own same s t""".split()
)
# Inflections that no rule makes. Left out where a form is a frequent other word: saw, felt, rose, left, shot (a wide shot), bit, media.
PLURALS = [
    line.split()
    for line in """
man men|woman women|child children|foot feet|tooth teeth|goose geese|mouse mice|louse lice|ox oxen|penis penes|person people persons
knife knives|wife wives|life lives|leaf leaves|wolf wolves|shelf shelves|half halves|calf calves|loaf loaves|thief thieves|elf elves
scarf scarves|hoof hooves|dwarf dwarves|cactus cacti cactuses|fungus fungi|octopus octopi octopuses|nucleus nuclei|crisis crises|axis axes
oasis oases|phenomenon phenomena|criterion criteria|bacterium bacteria|vertex vertices|larva larvae|alga algae|antenna antennae
nebula nebulae
bureau bureaux|chateau chateaux|hero heroes|potato potatoes|tomato tomatoes|torpedo torpedoes|volcano volcanoes|mosquito mosquitoes
gas gases gasses|bus buses|virus viruses|quiz quizzes|passerby passersby|policeman policemen|gunman gunmen|soldier soldiers
""".strip()
    .replace("\n", "|")
    .split("|")
]
OTHERS = [
    line.split()
    for line in """
run ran|swim swam swum|fight fought|bleed bled|steal stole stolen|eat ate eaten|drink drank drunk|ride rode ridden|fly flew flown
fall fell fallen
burn burnt|wear wore worn|break broke broken|bite bitten|hide hid hidden|beat beaten|hang hung|sleep slept|sit sat|stand stood
throw threw thrown
write wrote written|draw drew drawn|sing sang sung|kneel knelt|weep wept|dig dug|strike struck stricken|slay slew slain|tear tore torn
shake shook shaken|freeze froze frozen|hold held|buy bought|catch caught|teach taught|sell sold|speak spoke spoken|drive drove driven
blow blew blown|grow grew grown|swear swore sworn|sink sank sunk|spit spat
bad worse worst|far farther farthest|large larger|small smaller|tall taller|short shorter|long longer|old older elder|young younger
dark darker|bright brighter|high higher|low lower lowest|big bigger biggest|wide wider|thick thicker|cold colder|warm warmer|rich richer
poor poorer
loud louder|white whiter|black blacker|green greener|blue bluer|pale paler|round rounder|sharp sharper|soft softer|hard harder|weak weaker
strong stronger|nude nuder|cute cuter|fat fatter fattest|thin thinner thinnest|hot hotter hottest|wet wetter wettest|red redder reddest
sad sadder saddest
grey gray greyish grayish|colour color colours colors coloured colored|armour armor armoured armored|tumour tumor tumours tumors
""".strip()
    .replace("\n", "|")
    .split("|")
]
# Word families of what is often forbidden: derived words that no inflection reaches.
FAMILIES = [
    line.split()
    for line in """
blood bloody bloodied bloodstained bloodshed bleed bleeding bled bleeds|nude nudity naked nakedness nudist nudists nudism unclothed|sex
sexual sexually sexy
porn porno pornography pornographic|erotic erotica eroticism|violence violent violently|murder murderer murderers murderous
kill killer killers
torture torturer torturers|rape rapist rapists|terror terrorism terrorist terrorists|racism racist racists
weapon weaponry weaponized weaponised
gore gory|horror horrific horrifying|suicide suicidal|drug druggie druggies|theft thief thieves
vandalism vandal vandals vandalize vandalized vandalizing
cruelty cruel cruelly|brutality brutal brutally|obscenity obscene obscenely|hate hatred hateful
harassment harass harasses harassed harassing
abuse abusive abuser abusers|smoke smoker smokers smoky smoking|cigarette cigarettes cig cigs|gun gunshot gunshots gunman gunmen gunfire
handgun handguns
nazi nazis nazism|satan satanic satanism|death dead deadly die dies died dying|alcohol alcoholic alcoholics alcoholism
""".strip()
    .replace("\n", "|")
    .split("|")
]
# What looks inflected and is not, or means something else than its stem.
NO_BASE = frozenset(
    """news lens series species mathematics physics politics ethics texas paris christmas jesus mars shorts goods evening
    evenings stocking stockings morning ceiling lightning wedding building buildings boxing offspring earring sterling sibling siblings
    being thing king wicked crooked hundred bikini arms glasses customs stairs pajamas pyjamas athletics gymnastics headquarters chess
    always across as is was has his its this us yes gas bus plus virus""".split()
)
VOWELS = frozenset("aeiou")


def _index(rows):
    """word -> the rows that hold it."""
    index = {}
    for row in rows:
        for word in row:
            index.setdefault(word, []).append(row)
    return index


_PLURALS, _IRREGULAR, _FAMILIES = _index(PLURALS), _index(PLURALS + OTHERS), _index(FAMILIES)


def plural(word: str) -> str:
    """The plural of an English noun, lower case."""
    for row in _PLURALS.get(word, ()):
        if row[0] == word:
            return row[1]
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in VOWELS:
        return word[:-1] + "ies"
    return word + "s"


def _doubles(word: str) -> bool:
    """Whether the last letter is doubled before -ing: one vowel between consonants, in a word of one syllable or nearly so."""
    return (
        len(word) >= 3
        and word[-1] not in "aeiouwxy"
        and word[-2] in VOWELS
        and word[-3] not in VOWELS
        and sum(letter in VOWELS for letter in word) == 1
    )


@lru_cache(4096)
def regular(word: str) -> dict:
    """A word's regular inflections as form -> kind ("", "s", "ing", "ed", "est"). English spelling; other words gain harmless non-words."""
    forms = {word: "", plural(word): "s"}
    if word.endswith("ie"):
        stem, ing, past = word, word[:-2] + "ying", word + "d"
    elif word.endswith("e") and not word.endswith(("ee", "oe", "ye")):
        stem, ing, past = word[:-1], word[:-1] + "ing", word + "d"
    elif word.endswith("e"):
        stem, ing, past = word[:-1], word + "ing", word + "d"
    elif word.endswith("y") and word[-2:-1] not in VOWELS:
        stem, ing, past = word[:-1] + "i", word + "ing", word[:-1] + "ied"
        forms[stem + "er"] = "er"
    elif _doubles(word):
        stem = word + word[-1]
        ing, past = stem + "ing", stem + "ed"
    else:
        stem, ing, past = word, word + "ing", word + "ed"
    forms.setdefault(ing, "ing")
    forms.setdefault(past, "ed")
    if len(word) > 3:
        forms.setdefault(stem + "est", "est")
        if (
            word[-1] in "lmprt" and word[-2] in VOWELS and word[-3] not in VOWELS and not _doubles(word)
        ):  # travelling, kidnapped
            forms.setdefault(word + word[-1] + "ing", "ing")
            forms.setdefault(word + word[-1] + "ed", "ed")
    if word.endswith("f"):
        forms.setdefault(word[:-1] + "ves", "s")
    if word.endswith("o"):
        forms.setdefault(word + "es", "s")
    return forms


def bases(word: str) -> list[str]:
    """What a word may be an inflection of, itself first. Only stems from which the rules make that very word."""
    found = [word]
    if word in NO_BASE or len(word) < 4:
        return found
    cut = []
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        cut += [
            word[:-1],
            word[:-2] if word.endswith("es") else "",
            word[:-3] + "y" if word.endswith("ies") else "",
            word[:-3] + "f" if word.endswith("ves") else "",
            word[:-3] + "fe" if word.endswith("ves") else "",
        ]
    for ending in ("ing", "ed"):
        if word.endswith(ending):
            stem = word[: -len(ending)]
            cut += [
                stem,
                stem + "e",
                stem[:-1] if stem[-1:] == stem[-2:-1] else "",
                stem[:-1] + "y" if stem.endswith("i") else "",
            ]
            cut.append(stem[:-1] + "ie" if stem.endswith("y") else "")
    for base in cut:
        if len(base) >= 2 and VOWELS & set(base.replace("y", "i")) and word in regular(base):
            found.append(base)
    return found


_CASES = "а я ы и у ю е о ой ей ом ем ам ям ами ями ах ях ов ев ый ий ая яя ое ее ые ие ого его ому ему ым им ых их ую юю ою ек ок".split()
_PARTICLES = (
    "이 가 은 는 을 를 와 과 의 에 도 들 로 으로 에서 에게 만 께 한테 처럼 보다 까지 부터 랑 이랑 하고 들이 들은 들을 들의 "
    "이다 입니다"
).split()


@lru_cache(4096)
def forms(word: str) -> frozenset:
    """Every form of a folded word (see `concept_text.fold`) that counts as the same word, itself included."""
    first = word[:1]
    if "а" <= first <= "я":
        stem = word.rstrip("аеиоуыэюяьй") if len(word) > 3 else word
        stem = stem if len(stem) >= 3 else word
        return frozenset([word, stem, *(stem + ending for ending in _CASES)])
    if "가" <= first <= "힣":
        return frozenset([word, *(word + particle for particle in _PARTICLES)])
    if "\u0621" <= first <= "\u064a":
        bare = word[2:] if word.startswith("ال") and len(word) > 4 else word
        return frozenset(
            [word, bare, *(article + bare for article in ("ال", "وال", "بال", "كال", "فال")), "لل" + bare, "و" + bare]
        )
    if len(word) < 3 or not word.isascii() or not word.isalpha():
        return frozenset([word, word + "s"]) if word.isalpha() and len(word) > 1 else frozenset([word])
    found = set()
    for base in bases(word):
        found.update(regular(base))
        for row in _IRREGULAR.get(base, ()):
            found.update(row, regular(row[0]))
        for row in _FAMILIES.get(base, ()):
            found.update(row)
    return frozenset(found)
