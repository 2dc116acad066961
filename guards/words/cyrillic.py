"""The forms of a Russian word, made from its dictionary form by its ending: cases, plurals, the past of verbs; without a dictionary.

Some forms are made that are no words: they meet no text. Words are folded (see `letters.fold`): lower case, ё as е.
"""

from __future__ import annotations

from functools import lru_cache

_ADJECTIVE = "ый ий ой ая яя ое ее ые ие ого его ому ему ым им ом ем ых их ыми ими ую юю ой ей ою ею".split()
_VERB = {"ать": "а", "ять": "я", "еть": "е", "ить": "и", "уть": "у", "ыть": "ы"}
_CONSONANTS = frozenset("бвгджзйклмнпрстфхцчшщ")
_HUSHED = frozenset("жчшщ")
_PLURAL = "ам ами ах".split()
_SOFT_PLURAL = "ям ями ях".split()
# Words whose forms have another stem than their first one.
_IRREGULAR = """мать матери матерью матерей матерям матерями матерях
дочь дочери дочерью дочерей дочерям дочерями дочерьми дочерях
человек люди людей людям людьми людях
ребенок дети детей детям детьми детях детский детская детское детские
лев льва льву львом льве львы львов львам львами львах
пес пса псу псом псе псы псов псам псами псах
заяц зайца зайцу зайцем зайце зайцы зайцев зайцам зайцами зайцах
рот рта рту ртом рте рты ртов ртам ртами ртах
лоб лба лбу лбом лбе лбы лбов лбам лбами лбах
лед льда льду льдом льде льды льдов
день дня дню днем дне дни дней дням днями днях
пень пня пню пнем пне пни пней пням пнями пнях
сон сна сну сном сне сны снов снам снами снах
ложь лжи ложью
рожь ржи рожью
вошь вши вошью вшей вшам вшами вшах
любовь любви любовью
церковь церкви церковью церквей церквам церквами церквах
друг друзья друзей друзьям друзьями друзьях
муж мужья мужей мужьям мужьями мужьях
сын сыновья сыновей сыновьям сыновьями сыновьях
брат братья братьев братьям братьями братьях
стул стулья стульев стульям стульями стульях
лист листья листьев листьям листьями листьях
прут прутья прутьев прутьям прутьями прутьях
кол колья кольев кольям кольями кольях
дерево деревья деревьев деревьям деревьями деревьях
крыло крылья крыльев крыльям крыльями крыльях
перо перья перьев перьям перьями перьях
ухо уши ушей ушам ушами ушах
плечо плечи плеч плечей
колено колени коленей коленям коленями коленях
яйцо яиц
небо небеса небес небесам небесами небесах
черт черти чертей чертям чертями чертях
сосед соседи соседей соседям соседями соседях
цветок цветы цветов цветам цветами цветах
курица куры кур курам курами курах
лошадь лошадьми
плеть плетьми
кость костьми
драться дерусь дерешься дерется деремся деретесь дерутся дерущиеся дерущийся
пить пью пьет пьют пьем пьешь пьющий пьющая пили
умереть умер умерла умерли умрет умерший умершая умершие
резать режу режет режут режущий
бежать бегу бежит бегут бегущий бегущая бегущие
бить бью бьет бьют бьем бьешь бьющий
убить убью убьет убьют""".splitlines()
# What other words say of the first one's thing: their forms count as its own.
_KIN = {
    row.split()[0]: row.split()[1:]
    for row in """кровь кровавый окровавленный
алкоголь алкогольный
смерть мертвый
насилие насильственный
порнография порно порнографический
эротика эротический
убийство убийца
нагота голый обнаженный
курение курить курящий
наркотик наркотический
наркотики наркотический
терроризм террорист террористический
нацизм нацист нацистский
пьянство пьяный""".splitlines()
}
_OTHER = frozenset("пил банк парк кос пар гол".split())  # what would be a bare stem, and is a frequent other word


@lru_cache(1)
def _irregular() -> dict[str, list[str]]:
    rows: dict[str, list[str]] = {}
    for row in _IRREGULAR:
        words: list[str] = [*row.split()]
        for word in words:
            rows.setdefault(word, words)
    return rows


def _fleeting(stem: str) -> list[str]:
    """Stems with a vowel between their last two consonants, as genitive plurals have it: кошк -> кошек, окн -> окон."""
    if len(stem) < 3 or stem[-1] not in _CONSONANTS or stem[-2] not in _CONSONANTS | {"ь"}:
        return []
    head = stem[:-2] if stem[-2] in "ьй" else stem[:-1]
    return [head + "е" + stem[-1], head + "о" + stem[-1]]


def _without_fleeting(word: str) -> list[str]:
    """Stems that lose a word's last vowel: кусок -> куск, боец -> бойц."""
    if len(word) < 4 or word[-1] not in "кцнлрг" or word[-2] not in "ое":
        return []
    return [word[:-2] + word[-1], word[:-2] + "ь" + word[-1], word[:-2] + "й" + word[-1]]


def _endings(stem: str, endings) -> set[str]:
    return {stem + ending for ending in endings}


def _hard(stem: str) -> set[str]:
    """The cases of a noun that ends in a hard consonant: кот, нож, меч, боец."""
    hushed, last = stem[-1] in _HUSHED, stem[-1]
    found = _endings(stem, ["а", "у", "ом", "е", "ов", *_PLURAL, "и" if hushed or last in "гкх" else "ы"])
    return found | _endings(stem, ["ей", "ем"] if hushed else ["ем", "ев"] if last == "ц" else [])


def _short(stem: str) -> set[str]:
    """The short forms of an adjective: пьян, обнажена."""
    if len(stem) < 4:
        return set()
    stems = [stem, stem[:-1]] if stem.endswith("нн") and len(stem) > 6 else [stem]
    stems += [stem[:-1] + "ен"] if stem[-1] == "н" and stem[-2] in _CONSONANTS else []
    return {one + ending for one in stems for ending in ("", "а", "о", "ы")}


@lru_cache(4096)
def forms(word: str) -> frozenset[str]:
    """Every form of a folded Russian word; the word itself alone where it is short."""
    row = _irregular().get(word, ())
    kin = (form for one in _KIN.get(word, ()) for form in _regular(one))
    return frozenset({*_regular(word), *row, *(_regular(row[0]) if row else ()), *kin})


def _regular(word: str) -> set[str]:
    last, found = word[-1], {word}
    if len(word) < 3:
        return found | _hard(word) if len(word) == 2 and last in _CONSONANTS else found  # яд
    stem = word[:-1]
    if word.endswith("ье"):  # ружье, платье
        soft = word[:-2]
        found |= _endings(soft, "ья ью ьем ьи ьев ьям ьями ьях ей ий".split())
    elif word.endswith("мя"):  # пламя
        found |= _endings(stem + "ен", ["", "и", "ем", "а", *_PLURAL]) | _endings(stem, ["ян"])
    elif word.endswith(("ие", "ия")):  # насилие, полиция; and the plural of adjectives
        found |= _endings(stem, "е я ю ем ей ею и й ям ями ях".split())
    elif last == "а":
        hushed = stem[-1] in _HUSHED or stem[-1] == "ц"
        found |= _endings(stem, ["у", "е", "ой", "ою", *_PLURAL, "ы" if stem[-1] not in "гкхжчшщ" else "и"])
        found |= _endings(stem, ["ей", "ею"] if hushed else [])
        fleeting = _fleeting(stem)
        found |= {*fleeting, *([] if fleeting and stem[-1] == "к" else [stem])}
    elif last == "я":
        found |= _endings(stem, ["ю", "е", "и", "ей", "ею", *_SOFT_PLURAL])
        found |= {stem + ("ь" if stem[-1] in _CONSONANTS else "й")}
        found |= {one + soft for one in _fleeting(stem) for soft in ("", "ь")}
        found |= {stem[:-1] + "ей"} if stem.endswith("ь") else set()  # свинья
    elif last == "о" and word[-2] in _CONSONANTS:
        found |= _endings(stem, ["а", "у", "е", "ом", *_PLURAL, *(["и"] if stem[-1] in "кч" else [])])
        found |= {stem, *_fleeting(stem)}
    elif last == "е" and word[-2] in _CONSONANTS:  # море, солнце, кладбище
        found |= _endings(stem, ["я", "а", "ю", "у", "ем", "ей", *_PLURAL, *_SOFT_PLURAL]) | {stem, *_fleeting(stem)}
    elif last == "ь" and (stem[-1] in _HUSHED or word.endswith(("сть", "знь", "пись", "овь"))):  # мышь, кровь
        found |= _endings(stem, ["и", "ью", "ей", *(_PLURAL if stem[-1] in _HUSHED else _SOFT_PLURAL)])
        found |= _endings(stem, ["я", "ю", "ем", "е"] if word.endswith("сть") and len(word) < 6 else [])  # гость
    elif last == "ь":
        for short in [stem, *_without_fleeting(stem)[:1]]:  # лошадь; огонь
            found |= _endings(short, ["я", "ю", "и", "ью", "е", "ем", "ей", *_SOFT_PLURAL])
    elif last == "й" and word[-2] != "ы":
        found |= _endings(stem, ["я", "ю", "ем", "е", "и", "ей", "ев", *_SOFT_PLURAL])
    elif last in "ыи":  # a plural: whatever its singular may be
        ends = "а у ом е ы и ов ам ами ах ой ою я ю ем ей ев ям ями ях ь о".split()
        found |= _endings(stem, ["", *ends]) | set(_fleeting(stem))
    elif last in _CONSONANTS:
        found |= _hard(word)
        for short in _without_fleeting(word):
            found |= _hard(short) | _endings(short, ["ев"])
        if word.endswith("енок"):  # котенок, котята
            found |= _endings(word[:-4], "ята ят ятам ятами ятах".split())
        if word.endswith(("ин", "ын", "ов", "ев")):  # Путиным
            found.add(word + "ым")
    if len(word) > 4 and word[-2:] in ("ый", "ий", "ой", "ая", "яя", "ое", "ее", "ые", "ие"):
        found |= _endings(word[:-2], _ADJECTIVE)
        found |= _short(word[:-2]) if word[-2:] in ("ый", "ая", "ое", "ые") else set()
    found |= _verb(word)
    return found - (_OTHER - {word})


def _verb(word: str) -> set[str]:
    """The present, the past and the participles of a verb; nothing of other words."""
    found: set[str] = set()
    reflexive = word.endswith("ться")
    verb = word[:-2] if reflexive else word
    vowel = _VERB.get(verb[-3:]) if len(verb) > 4 else None
    if vowel:
        made = _endings(verb[:-2], "л ла ло ли т ют ет ем ешь ете вший вшая вшие ющий ющая ющие".split())
        if not reflexive:  # убитый, связанная
            participle = verb[:-2] + ("нн" if vowel in "ая" else "т")
            made |= _endings(participle, [*_ADJECTIVE, ""]) if vowel in "аяиуы" else set()
        made |= _endings(verb[:-3], "ю у ит им ишь ите ят ат ует уют ующий ящий ящая ящие ащий ащая ащие".split())
        if verb.endswith(("овать", "евать")):  # целовать
            made |= _endings(verb[:-5], "ую уешь ует уем уете уют ующий ующая ующие".split())
        found |= {one + end for one in made for end in ("ся", "сь")} if reflexive else made
    return found
