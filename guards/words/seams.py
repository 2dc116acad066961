"""A prompt without some of its words: the seams mended, so that what is left is a prompt again.

Small words without their noun go, doubled commas, and prompt syntax that is left empty: ``((cat))``, ``{cat|dog}``,
``[cat:dog:0.5]``, BREAK.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from .forms import VOWELS
from .losing import BESIDE, DET, LINK, MODIFIER, WORN, lost
from .patterns import Pattern

# Names of files in a prompt: a word in one cannot be replaced, for no such file need exist.
FILE = Pattern(
    r"<\s*(?:lora|lyco|lycoris|hypernet|locon|embed|embedding|wildcard)\s*:[^<>\n]*>|(?<!\w)__(?!_)[\w./*-]*[^\W_]__(?!\w)|"
    r"\bembedding\s*:\s*[^\s,;|:()\[\]{}<>]+",
    re.I,
)
_COUNT = r"(?:two|three|four|five|six|several|many|some|few|another|each|every|no|not|any|all|\d+(?!-))"
_AND_ABROAD = r"(?:и|или|und|oder|et|ou|y|o|e|og|och)"
_ABROAD = (
    rf"(?:с|со|на|в|без|mit|ein|eine|einem|einen|einer|avec|une?|con|una|uno|um|uma|com|een|met|le|la|les|el|los|las|il|lo|gli|du|des|del|"
    rf"au|aux|al|das|dem|im|am|auf|unter|neben|vor|hinter|dans|sur|sous|en|sobre|por|nel|nella|sul|sulla|{_AND_ABROAD})"
)
_SMALL = rf"(?:w/o?|a|an|the|and|or|vs\.?|versus|plus|his|her|their|its|my|your|our|{LINK}|{_COUNT}|{_ABROAD})"
_VERB = (  # of a clause whose subject is gone
    r"(?:(?:is|are|was|were|has|have|had|could|would)(?:\s+(?:been|be|being))?(?:\s+\w+(?:ing|ed|en)\b)?|lies?|lay|sits?|sat|stands|stood|"
    r"hangs?|hung|rests|rested|falls?|fell|floats?|floated|fl(?:ies|ew)|leans|leaned|appears?|appeared|glows?|glowed|burns?|burned|burnt|"
    r"shines|shone|gleams|points|fires|fired|drops|dropped|remains|goes|went|comes|came|runs|ran|jumps|jumped|"
    r"(?:lying|sitting|standing|hanging|resting|floating|falling|leaning|pointing|aimed|hidden|left|sleeping|walking|stuck|drawn|held|thrown|\w+ed)"
    r"(?=\s+(?:in|on|at|by|next|beside|behind|under|over|above|below|near|against|inside|between)\b))"
)
_ADVERB = (
    r"(?:completely|fully|almost|nearly|partially|partly|totally|entirely|very|really|extremely|quite|rather|so|too|barely|mostly|slightly|"
    r"utterly|absolutely|incredibly|somewhat|half|semi|visibly|clearly|stark|terribly|horribly|obviously|highly)"
)
_SHUTS = r"(?=\s*(?:$|[,.;:!?)\]}|\n]|(?-i:BREAK|AND)\b))"
_PRONOUN = r"(?:i|you|he|she|it|we|they|there|this|that|these|those|who|which)"
_WORN = rf"(?:{WORN}|\s+(?:drawn|raised|lowered|cocked){_SHUTS})"
_ARTICLED = rf"(?:{DET}\s+)?(?:{MODIFIER}\s+)*"
_CLAUSE = Pattern(
    rf"(^|[,.;\n][ \t]*|\b(?:and|but|while|as)\s+)(?:{DET}\s+)?(?:\w+['’]s\s+)?(?:(?:{MODIFIER}|\w{{3,}}ing)\s+)*\0\s+{_VERB}\b"
    r"([^,.;\n|()\[\]{}]*)",
    re.I,
)
_NEXT_CLAUSE = Pattern(r"(.*?)(?:(\s+(?:and|but|while|as)\s)(.*))?$", re.I | re.S)
_LOST = [  # (what a seam takes along, what is left)
    (
        Pattern(
            r"(?:\s*\b(?:(?:that|which)\s+)?(?:says?|saying|reads?|reading|labell?ed|titled|named|called|(?:with\s+)?the\s+words?)[\s:,]*)?"
            rf"(?:\"\s*{_ARTICLED}\0\s*\"|'\s*{_ARTICLED}\0\s*'(?!\w)|[“„«‘]\s*{_ARTICLED}\0\s*[”“»’](?!\w))",
            re.I,
        ),
        "\0",
    ),
    (Pattern(r"\0\s*(?:::?|=)\s*-?(?:\d*\.?\d+(?=\s*(?:$|[,;|\n]))|\d*\.\d+(?=\s+\w))"), "\0"),  # gun:1.3
    (Pattern(r"\0\s*,\s*(?:which|who|whose)\s[^,.;\n|()\[\]{}]*", re.I), "\0"),
    (Pattern(rf"\s+whose\s+(?:{MODIFIER}\s+)*\0\s+{_VERB}\b[^,.;\n|()\[\]{{}}]*", re.I), "\0"),
    (
        Pattern(rf"\bthere(?:['’]s|\s+(?:is|are|was|were))\s+(?:{DET}\s+)?(?:{MODIFIER}\s+)*\0(?=\s+{LINK}\b)", re.I),
        "\0",
    ),
    (
        Pattern(
            rf"\s+and\s+(?:{DET}\s+)?(?:{MODIFIER}\s+)*\0(?=\s+(?:sleep|play|run|sit|walk|stand|lie|fight|dance|eat|look)\b)",
            re.I,
        ),
        "",
    ),
    (
        Pattern(
            r"\s*\b(?:covered|stained|soaked|dripping|drenched|spattered|splattered|smeared|armed|filled|surrounded)\s+(?:in|with|by)\s+"
            rf"(?:{DET}\s+)?(?:{MODIFIER}\s+)*\0(?!\w)",
            re.I,
        ),
        " \0",
    ),
    (Pattern(rf"\b({MODIFIER})\s+(?:and|or|but)\s+\0(?!\w)", re.I), r"\1"),  # blue and red
    (Pattern(rf"\b({DET})\s+\0\s+(?:and|or|but)\s+(?={MODIFIER}\s+\w)", re.I), "\\1 \0 "),  # a red and blue flag
    (Pattern(r"\b(is|are|was|were)\s+\0\s+(?:and|or|but)\s+", re.I), r"\1 "),
    (Pattern(rf"(?:\s+(?:who|which|that))?\s+look(?:s|ed|ing)?\s+(?:like|at)\s+(?:{DET}\s+)?\0(?!\w)", re.I), "\0"),
    (Pattern(rf"\s+(?:who|which|that)\s+\0(?:{_SHUTS}|(?=\s+{LINK}\b))", re.I), "\0"),
    (Pattern(rf"(^|[,.;\n][ \t]*){_PRONOUN}\s+\0(?:\s+(?:and|but|while)\s+|{_SHUTS})", re.I), r"\1"),
    (Pattern(rf"(?:\s+{LINK}\s+)?(?:\b{DET}\s+)?\b\w+['’]s\s+(?:{MODIFIER}\s+)*\0{_SHUTS}", re.I), "\0"),
    (Pattern(rf"\b(?!{_SMALL}\b)(\w+)\s+\0\s+(?=(?:an?|his|her|their|its)\s)", re.I), r"\1 with "),  # smoking a cigar
    (Pattern(rf"\bneither\s+(?:{DET}\s+)?\0\s*nor\s+(?:(?:an?|the|any)\s+)?", re.I), "no "),
    (Pattern(rf"\bneither\s+(?:(?:an?|the|any)\s+)?([^,.;\0]+?)\s+nor\s+(?:{DET}\s+)?\0", re.I), r"no \1"),
    (Pattern(rf"\b(?:either|both)\s+(?:{DET}\s+)?\0\s*(?:or|and)\b\s*", re.I), ""),
    (Pattern(rf"\b(?:either|both)\s+([^,.;\0]+?)\s+(?:or|and)\s+(?:{DET}\s+)?\0", re.I), r"\1"),
    (Pattern(rf"\b(?:{_ADVERB}[\s-]+)*{_ADVERB}[\s-]*\0", re.I), "\0"),  # completely naked
    (Pattern(rf"(?:(?<=^)|(?<=[,;(|]\s)|(?<=[,;(|]))(?:{MODIFIER}\s+)+\0{_SHUTS}", re.I), "\0"),  # big black guns
    (Pattern(rf"\0{_WORN}", re.I), "\0"),
    (
        Pattern(
            rf"(^|[,.;\n][ \t]*){_PRONOUN}(?:\s+(?:is|are|was|were|looks?|has|have|had)|['’](?:s|re|m))\s+\0{_SHUTS}",
            re.I,
        ),
        "\\1\0",
    ),
    (Pattern(rf"\s+(?:who\s+|which\s+|that\s+)?(?:is|are|was|were|being|looks?)\s+\0{_SHUTS}", re.I), "\0"),
    (Pattern(rf"\b({DET}\s+(?:{MODIFIER}|\w+(?:ful|ous|ive|less|able|ible|ish)))\s*,\s*\0\s+(?=\w)", re.I), r"\1 "),
]
_ONCE = [  # the same, before the seam has taken anything along
    (Pattern(r",\s*\"[^\"\n]{1,40}\"\s*:\s*\0(?=\s*\})|\"[^\"\n]{1,40}\"\s*:\s*\0\s*,\s*"), ""),  # a field of JSON
    (
        Pattern(
            rf"(^|\n)[ \t]*(?:[-*] )?\w+(?: \w+)?:[ \t]*{_ARTICLED}\0[ \t.,;]*(?=\n)|(\n)[ \t]*\w+(?: \w+)?:[ \t]*\0$"
        ),
        r"\1\2\0",
    ),
    (Pattern(rf"\s+(?:who|that|which)\s+(?:have|held|wore|bore|\w{{2,}}(?:s|ed))\s+{_ARTICLED}\0(?!\w)", re.I), " \0"),
    (
        Pattern(rf"\b(?!(?:{_SMALL}|{MODIFIER})\b)(\w+)\s+\0\s+and\s+(?=\w{{2,}}ing\b(?:{_SHUTS}|\s+{LINK}\b))", re.I),
        r"\1 ",
    ),
    (Pattern(rf"\s+(?:instead\s+of|rather\s+than)\s+{_ARTICLED}\0", re.I), "\0"),
    (Pattern(rf"(?:(?<=\w)\s+|^)\w{{2,}}ing\s+{DET}\s+(?:{MODIFIER}\s+)*\0{_SHUTS}", re.I), "\0"),  # petting a cat
    (
        Pattern("(?:手?[拿抱握持举戴穿带牵端叼背]着?|抱えた|持つ|持った)(?:[一两二三几]?[只把个条头匹张支根件])?\0的?"),
        "\0",
    ),
]
_OPERATOR = r"(?:[&+＋＝=]|→|[-=]*>+)"
_MARKED = Pattern(  # **gun**, <b>gun</b>, /* gun */, #gun
    rf"(?<![\w*_~`$])([*_~`$]{{1,3}}){_ARTICLED}\0\1(?![\w*_~`$])|<(\w+)(?:\s[^<>\n]*)?>\s*\0\s*</\2>|/\*\s*\0\s*\*/|<\0>|[#@]\0|(?<!\w)\w+=\0{_SHUTS}"
    rf"|(?<![\w.])-?\d*\.?\d+::\s*\0(?:\s*::|{_SHUTS})",
    re.I,
)
_MARKS = Pattern(r"(^|[,;:.!?|\n(\[{，、；。]|/{1,2})([ \t]*)\0[ \t]*([,;:.!?|/，、；]+)(?!\d)")
_COUNTED = Pattern(
    "[一两二三四五六七八九十几这那数]?[只把个条头匹张支根名位辆群]\0(?=\\s*(?:$|[，、；。,.;和与與跟及或在的]))"
)
_AND_HAN = Pattern(
    "(^|[，、；。,.;])\0(?:以及|或者|[和与與跟及或とや])|(?:以及|或者|[和与與跟及或のとや的])\0(?=$|[，、；。,.;\n])"
)
_LAST_MARK = Pattern(r"[ \t]*(?:[,;:|]|/{1,2})[ \t]*\0[ \t]*(?=$|[\n)\]}])")
_ARTICLE = Pattern(r"\b(a)(n?)(\s+)\0\s*(?=[\"“‘(\[{]*(\w[^\s,.;:!?()\[\]{}|]*))", re.I)
_SPOKEN_CONSONANT = Pattern(
    r"uni(?!n|m|dent|ll)|unanim|us[aeiu]|ut[eio]|eu|ewe|one\b|once\b|uk[reu]|ur[aio]n|ugand|ubiq|ufos?\b|ouij|uvul",
    re.I,
)
_SPOKEN = frozenset("RAM RAW ROM SIM HUD LAN SAM RIP".split())  # letters that are read as a word
_FIRST = Pattern(
    rf"\b({LINK}|con|mit|avec|com|с|со)\s+(?:(?:a|an|the|his|her|their|some|ein\w*|une?|una|uma?)\s+)?\0\s*(?:and|or|{_AND_ABROAD})\s+(?=[(\[]*\w)",
    re.I,
)  # with a cat and a dog
_SUBJECT = Pattern(rf"(^|[.;\n]\s*)\0\s*{BESIDE}\s+", re.I)  # a cat beside a dog
_BEFORE = Pattern(
    rf"(?:(?<=[\s(\[{{|:,;/\"“$])|^){_SMALL}\s*\0(?=\s*(?:$|[,.;:!?\n)\]}}|/&+=→>]|[-–—]\s|(?-i:BREAK)\b|--|{_SMALL}\b|(?:but|nor|that|which|who|while)\b))",
    re.I,
)
_GROUP = Pattern(r"[{\[][^{}\[\]]*\0[^{}\[\]]*[}\]]")
_DONE_BY = Pattern(rf"\b(?!(?:{_SMALL}|is|are|was|were|be|been)\b)[a-z]\w+\s+$", re.I)  # children smoking
_DONE_TO = Pattern(rf"\s+(?!{_SMALL}\b)\w+s{_SHUTS}|\s+(?!{_SMALL}\b)\w+s(?=\s+{LINK}\b)", re.I)  # cigars
_SHUT = Pattern(r"[\s,]*(?::\s*-?[\d.]*\s*|\\)?([)\]}])")
_WEIGHT = Pattern(r"[+-]+(?=[\s,.)]|$)|\d*\.\d+")  # behind a bracket, or a word
_NUMBER = Pattern(r"\s*-?\d*\.?\d+\s*")
MOST_ROUNDS = 12  # small words that a seam takes along, one after another
_PAIRS = {")": "(", "]": "[", "}": "{"}


def vowel(new: str) -> bool:
    """Whether a text begins with a vowel as it is spoken: an hour, an X-ray, an SUV, an 8; a unicorn, a UFO."""
    first = re.split(r"[\W_]", re.sub(r"^[\W_]+", "", new), maxsplit=1)[0]
    letters = re.fullmatch(r"([A-Z]{1,5})s?(?:\d+[A-Z]*)?", first)  # an SUV, an R2-D2; but a NASA rocket, a RAM
    if letters and not (len(letters[1]) > 3 and set("AEIOU") & set(first)) and first not in _SPOKEN:
        return first[0] in "AEFHILMNORSX"
    if number := re.match(r"\d+", first):
        return number[0][0] == "8" or bool(re.fullmatch(r"1[18](?:\d\d\d?)?", number[0]))
    first = "".join(char for char in unicodedata.normalize("NFD", first) if not unicodedata.combining(char))
    silent = re.match(r"(?:hour|honest|hono[u]?r|heir|herbs?$)", first, re.I)
    silent = silent or re.match(r"x[b-df-hj-np-tv-xz]", first, re.I)  # an Xbox
    return bool(silent) or first[:1].lower() in VOWELS and not _SPOKEN_CONSONANT.match(first)


def without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """``text``, taken in Unicode form NFC, without what stands at ``spans`` (start, end; apart). Empty where no word is left."""
    text = unicodedata.normalize("NFC", text)
    paired = not _unpaired(text)
    sentence = text[:1].isupper() and text.rstrip()[-1:] in (".", "!", "?")
    for start, end in sorted(spans, reverse=True):
        done = text[start:end].lower().endswith("ing") and _DONE_BY.search(text[max(0, start - 40) : start])
        text = text[:start] + ("with" if done and _DONE_TO.match(text, end) else "\0") + text[end:]
    if paired:  # c(a)t took a bracket along
        for place in reversed(_unpaired(text)):
            text = text[:place] + text[place + 1 :]
    text = _close(text)
    return text[:1].upper() + text[1:] if sentence else text


def _unpaired(text: str) -> list[int]:
    """Where brackets stand that have no partner, in order."""
    opened, alone = [], []
    for place, letter in enumerate(text):
        if letter in "([{" and text[place - 1 : place] != "\\":
            opened.append(place)
        elif letter in ")]}" and text[place - 1 : place] != "\\":
            if opened and text[opened[-1]] == _PAIRS[letter]:
                opened.pop()
            else:
                alone.append(place)
    return sorted(opened + alone)


def _group(match: re.Match) -> str:
    """A bracket without what was taken out of it: one alternative less, a change to or from nothing, or nothing at all."""
    inside = match[0][1:-1]
    for mark in "|:":
        if mark not in inside or mark == ":" and match[0][0] == "{":
            continue
        count = re.match(r"\s*\d*(?:-\d*)?\$\$(?:[^$|]*\$\$)?", inside) if mark == "|" else None  # {2$$cat|dog}
        inside = inside[count.end() :] if count else inside
        options = [option.strip() for option in inside.split(mark)]
        left = [option for option in options if re.sub(r"^[\d.]+::", "", option).strip("\0 ")]
        if mark == "|":
            if len(left) < 2:
                return re.sub(r"^[\d.]+::", "", left[0]) if left else "\0"
            return match[0][0] + (count[0] if count else "") + mark.join(left) + match[0][-1]
        if not [option for option in left if not _NUMBER.fullmatch(option)]:
            return "\0"
        options = ["" if option == "\0" else option for option in options]
        return "[" + ":".join(options[1:] if not options[0] else options) + "]"
    return match[0] if inside.strip("\0 ,") else "\0"


def _bare(text: str) -> str:
    """Without the brackets, however deep, that hold nothing but a seam."""
    place = text.rfind("\0")
    while place >= 0:
        left, right = place, place + 1
        while shut := _SHUT.match(text, right):
            before = len(text[max(0, left - 20) : left].rstrip(" ,")) + max(0, left - 20)
            if not before or text[before - 1] != _PAIRS[shut[1]]:
                break
            left, right = before - 1 - (text[before - 2 : before - 1] == "\\"), shut.end()
            right = weight.end() if (weight := _WEIGHT.match(text, right)) else right
        text = text[:left] + "\0" + text[right:]
        place = text.rfind("\0", 0, left) if left else -1
    return text


def _stronger(match: re.Match) -> str:
    """One of the two marks around a seam: the one that ends more; none where nothing stands before."""
    left, space, right = match.groups()
    if left in ("", "\n", "(", "[", "{"):
        return left + space + "\0"
    return right if left in ",;:|/" and right[0] in ".!?" or left == "," and right[0] == ";" else left + "\0"


def _clause(match: re.Match) -> str:
    """A clause without its subject: what it did goes; where it was, or to what (on the table), is left."""
    parts = _NEXT_CLAUSE.match(match[2])
    assert parts is not None  # it matches any text
    rest, joint, behind = parts.groups()
    place = re.search(rf"^\s*{DET}\s.*|\b{BESIDE}\b.*|\b(?:in|on|at|by)\b.*", rest, re.I | re.S)
    left = place[0].strip() if place and not re.match(_WORN, " " + place[0], re.I) else ""
    left = re.sub(r"^(?:at|by)\s+", "", left) or "\0"
    return match[1] + left + (joint + behind if joint else "")


def _close(text: str) -> str:
    """Close the seams (NUL) that removed words leave."""
    text = re.sub(r"(?:\s{0,2}\n){9,}", "\n" * 8, re.sub(r"[ \t]{2,}", " ", text))
    text = re.sub(r"\s--no\s+\0[\s,]*(?=--|$)", " ", re.sub(r"(\s--no)\s+\0\s*,", r"\1", text))
    text = re.sub(r"\bno\s+\0\s+(?:allowed|permitted)\b|\bno-\0|\0['’]s\b", "\0", text)
    text = re.sub(rf"\s+(?:where|because|until|when)\s+{_ARTICLED}\0\s+{_VERB}[^,.;\n|()\[\]{{}}]*", "\0", text)
    for _ in range(3):
        text = _MARKED.sub("\0", text)
    for pattern, left in _LOST[:1]:
        text = pattern.sub(left, text)
    text = re.sub(r"\0(?:['’](?=\s|$)|[+-]+(?=[\s,.)]|$)|\.\d+(?=[\s,)]|$))", "\0", text)
    text = lost(re.sub(r"\0(?:[\s,]*\0)+", "\0", text))
    for pattern, left in _ONCE:
        text = pattern.sub(left, text)
    text = re.sub(
        r"\0-(?:\w+(?:ed|ing)|clad|torn|worn|free|born|bound|ridden|lit|made|drawn)\b|"
        r"\0[-_ ](?:like|shaped|themed|styled?|inspired|aesthetic|print(?:ed)?)\b|#\0|\0-(?:and|or)-|[-_]+\0[-_]*|\0[-_]+",
        "\0",
        text,
    )
    text = _COUNTED.sub("\0", _CLAUSE.sub(_clause, text))
    before = None
    for _ in range(MOST_ROUNDS):
        if before == text:
            break
        before = text
        for pattern, left in _LOST[1:]:
            text = pattern.sub(left, text)
        text = _FIRST.sub(r"\1 ", _bare(re.sub(r"\0(?:[\s,]*\0)+", "\0", text)))
        text = _GROUP.sub(_group, _BEFORE.sub("\0", text))
    text = re.sub(rf"({_OPERATOR})\s*\0\s*{_OPERATOR}\s*", r"\1 ", _AND_HAN.sub("\\1\0", text))
    text = re.sub(rf"\s*{_OPERATOR}\s*\0{_SHUTS}|(?:^|(?<=[,.;:(\n|]))[ \t]*\0\s*{_OPERATOR}\s*", "\0", text)
    text = _SUBJECT.sub(
        r"\1",
        re.sub(rf"(^|[,.;:(\[{{|])\s*\0\s*(?:and|or|but|nor|vs\.?|versus|{_AND_ABROAD})\b", r"\1\0", text, flags=re.I),
    )
    text = re.sub(
        r"[\s,]*\bBREAK[\s,]*\0[\s,]*(?=BREAK\b|$)|^(?:[\s,]*\0[\s,]*BREAK\b)+|,[ \t]*\0[\s,]*(?=BREAK\b)", "\0 ", text
    )
    text = re.sub(r"\b(BREAK|COUPLE|ADD[A-Z]{3,4})[ \t]*\0[ \t,]*(?=\w|[(\[{<])", r"\1 ", text)
    text = re.sub(r"^[\s,\0]*(?:BREAK|COUPLE|ADD[A-Z]{3,4})\b|[\s,]*\b(?:COUPLE|ADD[A-Z]{3,4})[\s,\0]*$", "\0", text)
    text = re.sub(
        r"(\s[-–—])\s*\0\s*[-–—]\s", r"\1 ", re.sub(r"^\s*\0[\s,]*(?:and|or|but|nor|then)\b", "\0", text, flags=re.I)
    )
    text = _LAST_MARK.sub("\0", _MARKS.sub(_stronger, _MARKS.sub(_stronger, text)))
    text = _ARTICLE.sub(lambda match: match[1] + (match[2] or "n" if vowel(match[4]) else "") + match[3], text)
    text = re.sub(r"(^|\n)[ \t]*(?:\d+[.)]|[-*•])[ \t]*\0[ \t]*(?=\n|$)", "\\1\0", text)
    text = re.sub(r"\n[ \t]*\0[ \t]*(?=\n|$)", "", text)
    text = re.sub("(?<=[\u3040-\u9fff，、；。])\0|\0(?=[\u3040-\u9fff，、；。])", "", text).replace("\0", " ")
    text = re.sub(r"[ \t]+([,.;!?)\]}\n]|:-?[\d.]+\))", r"\1", re.sub(r"[ \t]{2,}", " ", text))
    text = re.sub(r"(?:,\s*){2,}", ", ", text)
    text = re.sub(r"((?:^|[\s:,\[{(])\")[ \t]+(?=\w)", r"\1", text)
    text = re.sub(r",\s*([)\]}]|:\s*-?[\d.]+\s*\))", r"\1", re.sub(r"([(\[{])[\s,]+", r"\1", text))
    text = re.sub(r"^[\s,;:|/，、；]+|[\s,;:|/，、；]+$", "", text)
    return text if any(char.isalnum() or char > "\u2600" for char in text) else ""
