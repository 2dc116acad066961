"""What people write around the concepts of a list, and does not belong to them: *there must be no visible X*, *any kind of X*, *X etc.*"""

from __future__ import annotations

import html
import re

from .patterns import Pattern

_PLURAL = Pattern(r"(?<=\w{3})(?:\((?:e?s)\)|/e?s\b)")  # weapon(s), weapon/s
# Marks that stand for a comma: of other scripts, or written out.
_MARKS = str.maketrans(dict.fromkeys("\u3000\u06d4\u1802\u1803\ufe50\ufe51\ufe10\u1363\u0df4\u2e41×", ","))
_WRITTEN_OUT = Pattern(r"\\[nrt]|\band\s*/\s*or\b|·{2,}", re.I)
_HIDDEN = Pattern("(?<=[a-zA-Z]{3})[\u200b\u2060\ufeff](?=[a-zA-Z]{3})")  # a space that a page did not show
_FULL_WIDTH = {code + 0xFEE0: code for code in range(0x21, 0x7F)}
_CHECKBOX = Pattern(r"^\s*(?:[-*+•]\s*)?\[\s*[xX✓✔]?\s*\](?=\s*\w)|^\s*\(\w\)(?=\s*\w{2})")
_LABEL = Pattern(
    r"^\s*[\"'{\[]*(?:no\.?\s*\d+|negatives?(?:\s+prompts?)?|banned|(?:not\s+allowed|prohibited|forbidden)(?:\s+(?:contents?|concepts?|words?))?|avoid|"
    r"exclude|block(?:ed|list)?|black\s?list|(?:forbidden\s+)?concepts?|words|list|tags?)[\"']*\s*[:：=]\s*(?=\S)",
    re.I,
)
_GIVEN = Pattern(r"(?<=\w)\s*[\^*=]\s*[-+]?\d*\.?\d+\s*%?(?=\s*(?:[,;)|]|$))")  # weapons=1, weapons*1.2: a weight
_SIGN = "[\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]"
_EMOJI = Pattern(  # flags, and pictures with skin, joined ones too
    rf"[\U0001f1e6-\U0001f1ff]{{2}}|{_SIGN}[\ufe0f\u20e3\U0001f3fb-\U0001f3ff]*(?:\u200d{_SIGN}[\ufe0f\U0001f3fb-\U0001f3ff]*)*"
)
_LIST = Pattern(
    r"(?:^|(?<=\s))(?:\(?\d{1,3}[.)]|[a-z][.)]|[\u2460-\u249b])(?:\s+|(?=[^\W\d]{2}))(?=\S)|^\s*\d{1,3}\s*[:、．-]\s*(?=\D)"
)
_ASSIGNED = Pattern(r"[:：=()\[\]{}]")
_SAID = frozenset("all any yes true on x no".split())  # no concepts, beside one
_CROSSES = frozenset("✗✘❌🚫⛔✓✔☑✅🛑❎⚠☐☒➤►▪◦➜➔➙➛➝➞❯❱★☆✦✧❖✱✳✴☛☞◾")  # beside a concept they say that it is forbidden

_BEFORE = Pattern(
    r"""^(?:(?:[-*+•·–—!~^_>@\s►▸▪■◦●○◆§†‡¿¡=|‹›‚‘’“”«»]|\[[ xX]?\])+(?=\w)
    |[%&$]+\s*(?=[^\W\d])
    |(?:absolutely\s+|please\s+|strictly\s+)?(?:no(?!\s+one\b)|not(?!\s+safe\b)|non|none|never|without|w/o|avoid|exclude|excluding|remove|forbid|forbidden|prohibit|
        prohibited|ban|banned?|reject|disallow|suppress|filter\s+out|delete|omit|censor|ohne|keine?|sans|без|нет|sem|senza|
        (?:do\s+not|don['’]?t|must\s+not|never)
        (?:\s+(?:show|draw|include|want|use|contain|depict|generate|make|have|put))?)\s+(?=\w)
    |(?:free\s+(?:of|from)|zero|either|neither|both|these|those|such|many|several|lots\s+of|a\s+lot\s+of|only|just|mainly|mostly|then|
        no\s?body\s+with|no\s+one\s+with|nothing\s+(?:with|like|about))\s+(?=\w)
    |(?:(?:any|all|every|some|various|other|further)\s+)?(?:kinds?|types?|sorts?|forms?|images?|pictures?|photos?|depictions?)\s+(?:of|showing|with)\s+
    |(?:any|all|every|other|also|and|or|such\s+as|including|especially|particularly|namely|e\.\s?g\.?|i\.\s?e\.?|eg|for\s+example|for\s+instance|
        anything\s+(?:with|like|about|related\s+to)|everything\s+(?:with|about)|anything|everything|
        an?\s+(?:image|picture|photo)\s+(?:of|showing|with)|images?\s+showing)\s+(?=\w)
    |(?:bitte|kein\w*|weder|z\.\s?b\.|aucune?s?|ni|n[ií]ng[uú]n\w*|nessun\w*|niente|proibid\w+|prohibid\w+|interdit\w*|запрещ\w+|никак\w+|ни|geen|
        zonder|inga|ingen|utan|bez|żadn\w+|brak|tanpa|tidak|không|cấm|بدون|لا|ممنوع|बिना|कोई)\s+(?=\w)
    |pas\s+d(?:e\s+|['’])(?=\w)
    |(?:不要|不能|不可|不准|没有|沒有|禁止|严禁|嚴禁|避免|请勿|請勿|不许|不得|拒绝|拒絕)(?:有|出现|出現|显示|包含|含有)?(?=\w)
    |(?:任何|所有|各种|各種|一切|与(?=.*(?:有关|相关))|與(?=.*(?:有關|相關)))(?=\w))""",
    re.I | re.X,
)
_BEHIND = Pattern(
    r"""(?:\s+(?:of|in)\s+(?:any|all|every|whatever)\s+(?:kinds?|sorts?|types?|forms?|shapes?|ways?)
    |\s+(?:whatsoever|at\s+all|please|etc\.?|etcetera|\(any\)|in\s+general|as\s+well|u\.\s?a\.?|usw\.?)
    |\s+(?:and|or|&)\s+(?:so\s+on|so\s+forth|the\s+likes?|more|others?|co|similar(?:\s+\w+)?|such|anything\s+(?:like|similar).*|whatever)
    |[\s-]related(?:\s+(?:contents?|things?|images?|items?|stuff))?
    |(?<=\w)(?:等等?|之类|之類|等内容|等內容|(?:有关|相关|有關|相關)的?(?:内容|內容|东西|图片)?|[はをのが]?(?:なし|無し|禁止|描かない|出さない|使わない)で?|など|関連)
    |(?<=\w\w)(?:类|類)|(?<=\w)\s*(?:금지|없음|없이|제외|관련)|\s+등
    |\s+(?:bitte|verboten|und\s+so\s+weiter|interdit\w*|prohibid\w+|proibid\w+|vietat\w|por\s+favor|запрещ\w+|yok|и\s+т\.?\s?[дп]\.?)
    |(?<=[^\W\d])[%&$]+|(?<=\w{3})[+-]{2,}
    |[\s.!?…*_~^"'`‹›‘’“”«»§†|-]+)$""",
    re.I | re.X,
)
_NEGATIONS = frozenset(
    """no not never without none nothing nobody cannot neither zero 0 don't dont doesn't shouldn't mustn't can't won't isn't
    aren't""".split()
)
_CLAUSE = _NEGATIONS | frozenset(  # words of a sentence that says no
    """i we you please there should must may can could shall will would be is are am make sure ensure that this it they image images picture
    pictures photo photos output outputs result results the a an any in of to do does want wants need like see show shows shown contain
    contains include includes have has allow allowed display depict visible more with from say content one""".split()
)
_STATES = frozenset(  # what is said of a concept behind it
    """not never allowed forbidden banned prohibited disallowed unwanted permitted visible shown appear appears appearing anywhere
    everywhere generally overall mostly too""".split()
)
_TAIL = _STATES | frozenset("is are be must should may can shall will to at all also please ever strictly".split())


def plain(line: str) -> str:
    """A line in plain letters and marks: no entities of HTML, no full-width ones, commas of other scripts as commas."""
    return _HIDDEN.sub(",", html.unescape(line)).translate(_FULL_WIDTH).translate(_MARKS)


def unmarked(line: str) -> str:
    """A line without the marks of a list, labels and weights; commas around emoji, and where a new line is written out."""
    line = _GIVEN.sub(",", _LABEL.sub("", _CHECKBOX.sub("", _PLURAL.sub("", line))))
    return _LIST.sub(",", _EMOJI.sub(r",\g<0>,", _WRITTEN_OUT.sub(",", line)))


def meant(concepts: list[str], line: str) -> list[str]:
    """A line's concepts without the values and crosses beside them: *weapons: yes*."""
    values = _SAID if _ASSIGNED.search(line) else ()
    found = [one for one in concepts if one.casefold() not in values and one.strip("\ufe0f") not in _CROSSES]
    return found if any(letter.isalpha() for one in found for letter in one) else concepts


def trimmed(text: str) -> str:
    """A concept without what stands before and behind it: list marks, negations, *of any kind*."""
    words, before = text.split(), None
    text = " ".join(words[_clause(words) : len(words) - _tail(words)] or words)
    while before != text:
        before = text
        text = _BEHIND.sub("", _BEFORE.sub("", text, count=1), count=1).strip() or text
    return text


def _clause(words: list[str]) -> int:
    """How many of the first words are of a sentence that says no: *make sure there are no*."""
    count = next((at for at, word in enumerate(words) if _plain(word) not in _CLAUSE), 0)
    is_name = _plain(words[count]) == "safe" if words else False  # not safe for work
    return count if _NEGATIONS.intersection(map(_plain, words[:count])) and not is_name else 0


def _tail(words: list[str]) -> int:
    """How many of the last words say what is to become of a concept: *must not appear*. A can of beer stays one."""
    count = next((at for at, word in enumerate(reversed(words)) if _plain(word) not in _TAIL), 0)
    return count if _STATES.intersection(map(_plain, words[len(words) - count :])) else 0


def _plain(word: str) -> str:
    return word.casefold().replace("’", "'").strip(".,!?")
