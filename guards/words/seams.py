"""A prompt without some of its words: the seams mended, so that what is left is a prompt again.

Small words without their noun go, doubled commas, and prompt syntax that is left empty: ``((cat))``, ``{cat|dog}``,
``[cat:dog:0.5]``, BREAK.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from .forms import VOWELS

# Names of files in a prompt: a word in one cannot be replaced, for no such file need exist.
FILE = re.compile(r"<\s*(?:lora|lyco|lycoris|hypernet|locon)\s*:[^<>\n]*>|\bembedding\s*:\s*[^\s,;|:()\[\]{}<>]+", re.I)
_BESIDE = r"(?:in\s+front\s+of|on\s+top\s+of|next\s+to|close\s+to|beside|besides|behind|under|over|above|below|beneath|near|against|inside)"
_LINK = rf"(?:{_BESIDE}|of|with|holding|wearing|carrying|in|on|at|by|to|for|from|without|around|into|onto)"
_COUNT = r"(?:two|three|four|five|six|several|many|some|few|another|each|every|no|not|any|all|\d+(?!-))"
_ABROAD = r"(?:и|или|с|со|на|в|без|und|oder|mit|ein|eine|einem|einen|einer|et|avec|une|con|y|una)"
_SMALL = rf"(?:a|an|the|and|or|his|her|their|its|my|your|our|{_LINK}|{_COUNT}|{_ABROAD})"
_DET = (
    r"(?:an?|the|his|her|their|its|my|your|our|this|that|these|those|some|any|every|each|another|"
    r"one|two|three|four|five|six|several|many|\d+)"
)
_VERB = (  # of a clause whose subject is gone
    r"(?:(?:is|are|was|were|has|have|had|could|would)(?:\s+(?:been|be|being))?(?:\s+\w+(?:ing|ed|en)\b)?|lies?|lay|sits?|sat|stands|stood|"
    r"hangs?|hung|rests|rested|falls?|fell|floats?|floated|fl(?:ies|ew)|leans|leaned|appears?|appeared|glows?|glowed|burns?|burned|burnt|"
    r"shines|shone|gleams|points|fires|fired|drops|dropped|remains|goes|went|comes|came|runs|ran|jumps|jumped|"
    r"(?:lying|sitting|standing|hanging|resting|floating|falling|leaning|pointing|aimed|hidden|left|sleeping|walking|stuck|drawn|held|thrown|\w+ed)"
    r"(?=\s+(?:in|on|at|by|next|beside|behind|under|over|above|below|near|against|inside|between)\b))"
)
# What stands between an article and its noun, and cannot stay without it.
_MODIFIER = (
    r"(?:very|really|extremely|rather|quite|so|too|big|bigger|huge|tiny|small|little|large|giant|massive|old|older|new|young|black|white|red|blue|"
    r"green|yellow|brown|pink|purple|orange|gr[ae]y|golden|gold|silver|bronze|wooden|metal|metallic|steel|plastic|rusty|dark|bright|shiny|"
    r"sharp|blunt|heavy|light|long|short|loaded|smoking|broken|burning|bloody|dirty|clean|bare|real|fake|single|beautiful|pretty|ugly|lovely|"
    r"dangerous|deadly|scary|strange|cute|fluffy|fat|thin|slim|tall|ancient|modern|antique|vintage|futuristic|colou?rful|"
    r"glowing|cold|hot|warm|fresh|cool|wet|dry|cheap|expensive|delicious|tasty|frosty|iced|\w+-\w+ed)"
)
_ADVERB = (
    r"(?:completely|fully|almost|nearly|partially|partly|totally|entirely|very|really|extremely|quite|rather|so|too|barely|mostly|slightly|"
    r"utterly|absolutely|incredibly|somewhat|half|semi|visibly|clearly|stark|terribly|horribly|obviously|highly)"
)
_SHUTS = r"(?=\s*(?:$|[,.;!?)\]}|\n]|BREAK\b))"
_PRONOUN = r"(?:i|you|he|she|it|we|they|there|this|that|these|those|who|which)"
_WORN = (  # where a thing that is gone was held
    r"(?:\s+(?:in|on|at|to|from|against|between|around)\s+(?:his|her|its|their|my|one|each|both|the)(?:\s+(?:left|right|other|own|bare|two))?"
    r"\s+(?:hands?|heads?|mouths?|lips|belts?|holsters?|hips?|fists?|grip|pockets?|arms?|face|faces|necks?|foreheads?|temples?|fingers|teeth|throat)\b"
    r"|\s+(?:in|at)\s+(?:hand|hands|mouth)\b)"
)
_CLAUSE = re.compile(
    rf"(^|[,.;\n][ \t]*|\b(?:and|but|while|as)\s+)(?:{_DET}\s+)?(?:\w+['’]s\s+)?(?:(?:{_MODIFIER}|\w{{3,}}ing)\s+)*\0\s+{_VERB}\b"
    r"([^,.;\n|()\[\]{}]*)",
    re.I,
)
_NEXT_CLAUSE = re.compile(r"(.*?)(?:(\s+(?:and|but|while|as)\s)(.*))?$", re.I | re.S)
_LOST = [  # (what a seam takes along, what is left)
    (
        re.compile(
            r"(?:\s*\b(?:(?:that|which)\s+)?(?:says?|saying|reads?|reading|labell?ed|titled|(?:with\s+)?the\s+words?)[\s:,]*)?"
            r"(?:\"\s*\0\s*\"|'\s*\0\s*'(?!\w)|[“„«‘]\s*\0\s*[”“»’](?!\w))",
            re.I,
        ),
        "\0",
    ),
    (re.compile(r"\0\s*:\s*-?(?:\d*\.?\d+(?=\s*(?:$|[,;|\n]))|\d*\.\d+(?=\s+\w))"), "\0"),  # gun:1.3
    (re.compile(r"\0\s*,\s*(?:which|who|whose)\s[^,.;\n|()\[\]{}]*", re.I), "\0"),
    (re.compile(rf"\s+whose\s+(?:{_MODIFIER}\s+)*\0\s+{_VERB}\b[^,.;\n|()\[\]{{}}]*", re.I), "\0"),
    (
        re.compile(
            rf"\bthere(?:['’]s|\s+(?:is|are|was|were))\s+(?:{_DET}\s+)?(?:{_MODIFIER}\s+)*\0(?=\s+{_LINK}\b)", re.I
        ),
        "\0",
    ),
    (
        re.compile(
            rf"\s+and\s+(?:{_DET}\s+)?(?:{_MODIFIER}\s+)*\0(?=\s+(?:sleep|play|run|sit|walk|stand|lie|fight|dance|eat|look)\b)",
            re.I,
        ),
        "",
    ),
    (
        re.compile(
            r"\s*\b(?:covered|stained|soaked|dripping|drenched|spattered|splattered|smeared|armed|filled|surrounded)\s+(?:in|with|by)\s+"
            rf"(?:{_DET}\s+)?(?:{_MODIFIER}\s+)*\0(?!\w)",
            re.I,
        ),
        " \0",
    ),
    (re.compile(rf"\b({_MODIFIER})\s+(?:and|or|but)\s+\0(?!\w)", re.I), r"\1"),  # blue and red
    (re.compile(rf"\b({_DET})\s+\0\s+(?:and|or|but)\s+(?={_MODIFIER}\s+\w)", re.I), "\\1 \0 "),  # a red and blue flag
    (re.compile(r"\b(is|are|was|were)\s+\0\s+(?:and|or|but)\s+", re.I), r"\1 "),
    (re.compile(rf"(?:\s+(?:who|which|that))?\s+look(?:s|ed|ing)?\s+(?:like|at)\s+(?:{_DET}\s+)?\0(?!\w)", re.I), "\0"),
    (re.compile(rf"\s+(?:who|which|that)\s+\0{_SHUTS}", re.I), "\0"),
    (re.compile(rf"(^|[,.;\n][ \t]*){_PRONOUN}\s+\0(?:\s+(?:and|but|while)\s+|{_SHUTS})", re.I), r"\1"),
    (re.compile(rf"(?:\s+{_LINK}\s+)?(?:\b{_DET}\s+)?\b\w+['’]s\s+(?:{_MODIFIER}\s+)*\0{_SHUTS}", re.I), "\0"),
    (
        re.compile(rf"\b(?!{_SMALL}\b)(\w+)\s+\0\s+(?=(?:an?|his|her|their|its)\s)", re.I),
        r"\1 with ",
    ),  # smoking a cigar
    (re.compile(rf"\bneither\s+(?:{_DET}\s+)?\0\s*nor\s+(?:(?:an?|the|any)\s+)?", re.I), "no "),
    (re.compile(rf"\bneither\s+(?:(?:an?|the|any)\s+)?([^,.;\0]+?)\s+nor\s+(?:{_DET}\s+)?\0", re.I), r"no \1"),
    (re.compile(rf"\b(?:either|both)\s+(?:{_DET}\s+)?\0\s*(?:or|and)\b\s*", re.I), ""),
    (re.compile(rf"\b(?:either|both)\s+([^,.;\0]+?)\s+(?:or|and)\s+(?:{_DET}\s+)?\0", re.I), r"\1"),
    (  # a gun held by a man; a gun that glows
        re.compile(
            rf"(^|[,.;\n][ \t]*)(?:{_DET}\s+)?(?:{_MODIFIER}\s+)*\0\s+(?:being\s+)?(?:\w+ed|held|worn|drawn|shown|thrown)\s+by\s+",
            re.I,
        ),
        r"\1",
    ),
    (
        re.compile(
            rf"(^|[,.;\n][ \t]*)(?:{_DET}\s+)?(?:{_MODIFIER}\s+)*\0\s+(?:that|which)\s[^,.;\n|()\[\]{{}}]*", re.I
        ),
        "\\1\0",
    ),
    (re.compile(rf"\b(?:{_ADVERB}[\s-]+)*{_ADVERB}[\s-]*\0", re.I), "\0"),  # completely naked
    (
        re.compile(
            rf"(?<!\w)(?:{_LINK}\s+(?:{_DET}\s+)?|{_DET}\s+)(?:(?:{_MODIFIER}|\w{{3,}}ing)\s+)+\0(?:{_SHUTS}|(?=\s+{_LINK}\b))",
            re.I,
        ),
        "\0",
    ),
    (re.compile(rf"(?:(?<=^)|(?<=[,;(|]\s)|(?<=[,;(|]))(?:{_MODIFIER}\s+)+\0{_SHUTS}", re.I), "\0"),  # big black guns
    (re.compile(rf"\0{_WORN}", re.I), "\0"),
    (
        re.compile(
            rf"(^|[,.;\n][ \t]*){_PRONOUN}(?:\s+(?:is|are|was|were|looks?|has|have|had)|['’](?:s|re|m))\s+\0{_SHUTS}",
            re.I,
        ),
        "\\1\0",
    ),
    (re.compile(rf"\s+(?:who\s+|which\s+|that\s+)?(?:is|are|was|were|being|looks?)\s+\0{_SHUTS}", re.I), "\0"),
    (
        re.compile(rf"\b({_DET}\s+(?:{_MODIFIER}|\w+(?:ful|ous|ive|less|able|ible|ish)))\s*,\s*\0\s+(?=\w)", re.I),
        r"\1 ",
    ),
]
_MARKS = re.compile(r"(^|[,;:.!?|/\n(\[{，、；。])([ \t]*)\0[ \t]*([,;:.!?|/，、；]+)(?!\d)")
_COUNTED = re.compile("[一两二三四五六七八九十几这那数]?[只把个条头匹张支根名位辆群]\0(?=\\s*(?:$|[，、；。,.;]))")
_LAST_MARK = re.compile(r"[ \t]*[,;:|/][ \t]*\0[ \t]*(?=$|[\n)\]}])")
_ARTICLE = re.compile(r"\b(a)(n?)(\s+)\0\s*(?=[\"“‘(\[{]*(\w[^\s,.;:!?()\[\]{}|]*))", re.I)
_SPOKEN_CONSONANT = re.compile(
    r"uni(?!n|m|dent|ll)|unanim|us[aeiu]|ut[eio]|eu|ewe|one\b|once\b|uk[reu]|ur[aio]n|ugand|ubiq|ufos?\b|ouij|uvul",
    re.I,
)
_FIRST = re.compile(
    rf"\b({_LINK})\s+(?:(?:a|an|the|his|her|their|some)\s+)?\0\s*(?:and|or)\s+(?=\w)", re.I
)  # with a cat and a dog
_SUBJECT = re.compile(rf"(^|[.;\n]\s*)\0\s*{_BESIDE}\s+", re.I)  # a cat beside a dog
_BEFORE = re.compile(
    rf"(?:(?<=[\s(\[{{|:,;/])|^){_SMALL}\s*\0(?=\s*(?:$|[,.;:!?)\]}}|/]|[-–—]\s|BREAK\b|{_SMALL}\b|(?:but|nor|that|which|who|while)\b))",
    re.I,
)
_GROUP = re.compile(r"[{\[][^{}\[\]]*\0[^{}\[\]]*[}\]]")
_SHUT = re.compile(r"[\s,]*(?::\s*-?[\d.]*\s*|\\)?([)\]}])")
_NUMBER = re.compile(r"\s*-?\d*\.?\d+\s*")
MOST_ROUNDS = 12  # small words that a seam takes along, one after another
_PAIRS = {")": "(", "]": "[", "}": "{"}


def vowel(new: str) -> bool:
    """Whether a text begins with a vowel as it is spoken: an hour, an X-ray, an SUV, an 8; a unicorn, a UFO."""
    first = re.split(r"[\W_]", re.sub(r"^[\W_]+", "", new), maxsplit=1)[0]
    if re.fullmatch(r"[A-Z]{1,5}s?", first) and not (len(first) > 3 and set("AEIOU") & set(first)):
        return first[0] in "AEFHILMNORSX"
    if number := re.match(r"\d+", first):
        return number[0][0] == "8" or bool(re.fullmatch(r"1[18](?:\d\d\d?)?", number[0]))
    first = "".join(char for char in unicodedata.normalize("NFD", first) if not unicodedata.combining(char))
    silent = re.match(r"(?:hour|honest|hono[u]?r|heir|herbs?$)", first, re.I)
    return bool(silent) or first[:1].lower() in VOWELS and not _SPOKEN_CONSONANT.match(first)


def article(before: str, new: str) -> str:
    """The text before a word that takes another's place: a or an as that word needs it, no article before one that brings its own."""
    match = re.search(r"\b(?:(a)(n?)|the)(\s+(?:\\?[(\[{\"“‘'`])*)$", before[-24:], re.I)
    if match and re.match(r"[\W_]*(?:an?|the)\s", new, re.I):
        return before[: len(before) - len(match[0])] + match[3].lstrip()
    if not match or not match[1]:
        return before
    n = match[2] or "n"
    return before[: len(before) - len(match[0])] + match[1] + (n if vowel(new) else "") + match[3]


def without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """``text``, taken in Unicode form NFC, without what stands at ``spans`` (start, end; apart). Empty where no word is left."""
    text = unicodedata.normalize("NFC", text)
    paired = not _unpaired(text)
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + "\0" + text[end:]
    if paired:  # c(a)t took a bracket along
        for place in reversed(_unpaired(text)):
            text = text[:place] + text[place + 1 :]
    return _close(text)


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
        if mark not in inside:
            continue
        count = re.match(r"\s*\d*(?:-\d*)?\$\$(?:[^$|]*\$\$)?", inside) if mark == "|" else None  # {2$$cat|dog}
        inside = inside[count.end() :] if count else inside
        options = [option.strip() for option in inside.split(mark)]
        left = [option for option in options if option.strip("\0 ")]
        if mark == "|":
            if len(left) < 2:
                return left[0] if left else "\0"
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
    place = re.search(rf"^\s*{_DET}\s.*|\b{_BESIDE}\b.*|\b(?:in|on|at|by)\b.*", rest, re.I | re.S)
    left = place[0].strip() if place and not re.match(_WORN, " " + place[0], re.I) else ""
    left = re.sub(r"^(?:at|by)\s+", "", left) or "\0"
    return match[1] + left + (joint + behind if joint else "")


def _close(text: str) -> str:
    """Close the seams (NUL) that removed words leave."""
    text = re.sub(r"(?:\s{0,2}\n){9,}", "\n" * 8, re.sub(r"[ \t]{2,}", " ", text))
    text = re.sub(r"\0['’]s\b", "\0", text)
    for pattern, left in _LOST[:1]:
        text = pattern.sub(left, text)
    text = re.sub(r"\0['’](?=\s|$)", "\0", text)
    text = re.sub(
        r"\0-\w+(?:ed|ing)\b|\0[-_](?:like|shaped|themed|styled?|inspired|print(?:ed)?)\b|#\0|[-_]+\0[-_]*|\0[-_]+",
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
        text = _FIRST.sub(r"\1 ", re.sub(r"\0(?:[\s,]*\0)+", "\0", text))
        text = _GROUP.sub(_group, _bare(_BEFORE.sub("\0", text)))
    text = _SUBJECT.sub(
        r"\1", re.sub(r"(^|[,.;:(\[{|])\s*\0\s*(?:and|or|but|nor|и|или|und|oder|et)\b", r"\1\0", text, flags=re.I)
    )
    text = re.sub(r"\bBREAK[\s,]*\0[\s,]*(?=BREAK\b|$)|^[\s,]*\0[\s,]*BREAK\b", "\0", text)
    text = re.sub(
        r"(\s[-–—])\s*\0\s*[-–—]\s", r"\1 ", re.sub(r"^\s*\0[\s,]*(?:and|or|but|nor|then)\b", "\0", text, flags=re.I)
    )
    text = _LAST_MARK.sub("\0", _MARKS.sub(_stronger, _MARKS.sub(_stronger, text)))
    text = _ARTICLE.sub(lambda match: match[1] + (match[2] or "n" if vowel(match[4]) else "") + match[3], text)
    text = re.sub(r"(^|\n)[ \t]*(?:\d+[.)]|[-*•])[ \t]*\0[ \t]*(?=\n|$)", "\\1\0", text)
    text = re.sub(r"\n[ \t]*\0[ \t]*(?=\n|$)", "", text)
    text = re.sub("(?<=[\u3040-\u9fff，、；。])\0|\0(?=[\u3040-\u9fff，、；。])", "", text).replace("\0", " ")
    text = re.sub(r"[ \t]+([,.;:!?)\]}|])", r"\1", re.sub(r"[ \t]{2,}", " ", text))
    text = re.sub(r"(?:,\s*){2,}", ", ", text)
    text = re.sub(r",\s*([)\]}]|:\s*-?[\d.]+\s*\))", r"\1", re.sub(r"([(\[{|])[\s,]+", r"\1", text))
    text = re.sub(r"^[\s,;:|/，、；]+|[\s,;:|/，、；]+$", "", text)
    return text if any(char.isalnum() or char > "\u2600" for char in text) else ""
