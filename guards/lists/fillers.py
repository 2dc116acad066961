"""What people write around the concepts of a list, and does not belong to them: *there must be no visible X*, *any kind of X*, *X etc.*"""

from __future__ import annotations

import html
import re
from functools import lru_cache

from ..words.patterns import Pattern
from . import frames, languages

_ABOUT = Pattern(  # what is said of an entry
    r"^\s*(?:see\s+(?:also\s+)?(?:(?:our|the|school|my)\s+)*(?:policy|policies|section|page|rules?|appendix|above|below|notes?"
    r"|handbook)\b"
    r"|(?:added|updated|reviewed|approved|requested|reported)\s+(?:by|on|in|\d))",
    re.I,
)
_PLURAL = Pattern(r"(?<=\w{3})(?:\((?:e?s)\)|/e?s\b)")  # weapon(s), weapon/s
# Marks that stand for a comma: of other scripts, or written out.
_MARKS = str.maketrans(
    dict.fromkeys(map(chr, {*range(32), 0x7F} - {*b"\t\n\r"}), ",")
    | dict.fromkeys("↔⇔⟷՝꓾꛵､￨⎯" + "".join(map(chr, range(0x2500, 0x2580))), ",")
    | dict.fromkeys("\u00ad\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2061\u2066\u2067\u2068\u2069")
    | dict.fromkeys("〔〕〖〗⟨⟩❨❩⦅⦆", ",")
    | dict.fromkeys("´❝❞〝〟", '"')
    | dict.fromkeys("\u3000\u06d4\u1802\u1803\ufe50\ufe51\ufe10\u1363\u0df4\u2e41×❘❙❚", ",")
    | dict.fromkeys(
        map(chr, (*range(0x2776, 0x2794), *range(0x24B6, 0x24EA), *range(0x24F5, 0x24FF), *range(0x2160, 0x2180))), "①"
    )  # numbers of other shapes
)
_KEYCAP = Pattern("\\d\ufe0f?\u20e3|🔟|(?<!\\S)[🄰-🅉🅐-🅩🅰-🆉]\ufe0f?(?=\\s)")
# "weapons" "blood", "weapons" and "blood"
_QUOTED_TWICE = Pattern(
    r"(?<=\w)([\"”“»])\s*(?:(?:and|or|und|oder|&|\+)\s*)?(?=[\"“„«]\w)|(?<=\w)(['’])\s+(?:(?:and|or|&)\s+)?(?=['‘]\w{3})"
    r"|(?<=\w)([」』])(?=[「『]\w)"
)
_WRITTEN_OUT = Pattern(r"\\[nrt]|(?:\band|&)\s*[/\s-]\s*or\b|\bor\s*/\s*and\b|[和与與]/或|·{2,}", re.I)
_HIDDEN = Pattern("(?<=[a-zA-Z]{3})[\u200b\u2060\ufeff](?=[a-zA-Z]{3})")  # a space that a page did not show
_SHORTENED = Pattern(r"(?<!\w)([dfmostuvzит])\.\s+([A-Za-zÄäдп])\.")  # z. B., u. a., и т. д.: no marks of a list
_LIMITED = Pattern(
    r"(?:,?\s*\binclud(?:ing|es?))?,?\s+(?:but\s+)?(?:is\s+|are\s+)?not\s+limited\s+to\b[,:]?|^including\s+but\s+not\s+limited\s+to:?",
    re.I,
)
_SINGLE = Pattern(r"\bnot\s+(?:even\s+)?(?:a|one)\s+single\b", re.I)
_UNSEEN = str.maketrans(dict.fromkeys("\u200b\u2060\ufeff"))
_FULL_WIDTH = {code + 0xFEE0: code for code in range(0x21, 0x7F)}
# 1 cat 2 dog 3 bird; A. cat B. dog
_COUNTED = (
    Pattern(r"^\s*1\s+[^\W\d][^\d]*?\s2\s+[^\W\d][^\d]*?\s3\s+[^\W\d]"),
    Pattern(r"(?:^|(?<=\s))\d{1,2}\s+(?=[^\W\d])"),
)
_LETTERED = Pattern(r"^\s*A[.:]\s.*\sB[.:]\s"), Pattern(r"(?:^|(?<=\s))[A-Z][.:]\s+(?=\w)")
_DOUBLED = Pattern(r"'{2,}")
_CHECKBOX = Pattern(
    r"^\s*(?:[-*+•]\s*)?\[\s*[xX✓✔]?\s*\](?=\s*\w)|(?:^|(?<=\s))(?:\((?:\w|[ivx]{1,4})\)(?=\s*\w{2})|\[\d{1,3}\](?=\s*[^\W\d]))"
)
_LABEL = Pattern(
    r"^\s*[\"'{\[]*(?:(?:very\s+)?(?:high|medium|low|critical|severe|moderate|urgent)(?:[\s-]+(?:priority|risk|severity))?"
    r"|no\.?\s*\d+|negatives?(?:\s+prompts?)?|banned|(?:not\s+allowed|prohibited|forbidden)(?:\s+(?:contents?"
    r"|concepts?|words?))?|avoid|"
    r"exclude|block(?:ed|\s?list)?|black\s?list|(?:forbidden\s+)?concepts?|words|list|tags?|(?:\w+\s+){0,3}(?:do(?:es)?\s+not|don['’]t"
    r"|must\s+not|never)(?:\s+\w+){1,4}|things\s+to\s+avoid"
    r"|(?:(?:my|our|the|these|all|any|of|forbidden|banned|bad|blocked|prohibited|unwanted|disallowed|not|allowed|permitted)\s+){1,4}"
    r"(?:words?|lists?|things?|concepts?|contents?|topics?|terms?|items?|keywords?)"
    r"|zero[\s-]tolerance|(?:not|none|any|each)\s+(?:allowed|permitted|ok|wanted|of\s+(?:the(?:se|m)|those|this))|to\s+avoid"
    r"|note|warning|important|examples?|ex|nb|ps|fyi|reminder|remember|rules?|first\s+rule|new|added|updates?|finally|again"
    r"|wichtig|achtung|hinweis|attention|importante?|atenci[oó]n|aten[cç][aã]o|важно|внимание|注意|주의"
    r"|중요)[\"']*\s*[:：=]\s*(?=\S)(?![\d.]+\s*(?:[,;]|$))"
    r"|^\s*§+\s*\d+[a-z]?[:.)]?\s*(?=\S)|^\s*(?:step|item|rule|point|number|priority|prio|tier|level|risk|stage|phase|entry"
    r"|concept|category|topic|class|group|term|word|tag|section)\s*#?\d{1,3}\s*[:.)–—-]\s*(?=\S)"
    r"|^\s*(?:敏感|违禁|違禁|禁用|屏蔽|禁止|负面|負面|反向|关键|關鍵|黑名单|黑名單|NG|ネガティブ|除外|금지|차단|제외)[\u3040-\u9fff가-힣\s]{0,6}[:：=]\s*(?=\S)"
    r"|(?:^|(?<=[,;\n]))\s*(?:no|nr|№|n°)\.?\s*\d{1,3}[.):]?\s+(?=[^\W\d])",
    re.I,
)
_SIDE = (  # what a word in brackets says of the concept before it
    r"(?:full|partial|total|complete|real|realistic|fake|toy|implied|implicit|explicit|graphic|mild|strong|extreme|visible"
    r"|hidden|cartoon(?:ish)?"
    r"|stylized|simulated|fictional|imaginary|historical|modern|loaded|unloaded|male|female|legal|illegal|verbal|physical"
    r"|suggested|depicted"
    r"|teilweise|vollständig|echte?|partielle?|totale|réelle?s?|fausses|parcial|reales|falsas|parziale|полная|частичная)"
)
_QUALIFIED = Pattern(  # nudity (full or partial); weapons, real or fake
    rf"(?<=\w)\s*(?:[(\[]\s*(?:(?:even|whether|either|both|incl\.|including|auch|même|incluso|anche|даже)\s+)*{_SIDE}"
    rf"(?:(?:\s*,\s*|\s+(?:or|and|and/or|oder|und|ou|et|o|e|y|или|и)\s+|\s*[/&]\s*){_SIDE})*\s*[)\]]"
    rf"|,?\s+(?:(?:even|whether|either|both|also|auch|même|incluso|anche|даже)\s+)*{_SIDE}(?:\s+(?:or|oder|ou|o|или)\s+"
    rf"|\s*/\s*){_SIDE}(?=\s*(?:[,;.]|$))"
    rf"|,\s+(?:auch|même|incluso|anche|даже|even|whether)\s+{_SIDE}(?=\s*(?:[,;.]|$)))",
    re.I,
)
_GIVEN = Pattern(
    r"(?<=\w)\s*[\^*=@]\s*[-+]?\d*\.?\d+\s*%?(?=\s*(?:[,;)|+]|$))|(?<=\w)\s?[\^*][-+]?\d*\.?\d+(?=\s+[^\W\d])|(?<=[^\W\d])::?[-+]?\d*\.?\d+%?(?=\s+[^\W\d])"
)  # weapons=1, weapons*1.2: a weight
_SIGN = "[\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]"
_EMOJI = Pattern(  # flags, and pictures with skin, joined ones too
    rf"[\U0001f1e6-\U0001f1ff]{{2}}|{_SIGN}[\ufe0f\u20e3\U0001f3fb-\U0001f3ff]*(?:\u200d{_SIGN}[\ufe0f\U0001f3fb-\U0001f3ff]*)*"
)
_LIST = Pattern(
    r"(?:^|(?<=[\s,]))(?:\d{1,2}/(?=\s*[^\W\d]{3})|\(?\d{1,3}(?:[.)]|\.?[a-z]\))|\d{1,2}[ºª°](?!\s?[CF]\b)|(?!t\.ex|f\.eks|m\.fl)[a-z][.)]"
    r"|[A-Zа-я가나다라마바사아アイウエオカキク]\)|(?:i{1,3}|i[vx]|vi{0,3}|xi{0,3})[.)])(?:\s+|(?=[^\W\d]{2}"
    r"|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]))(?=\S)|[\u2460-\u249b][.)、]?\s*(?=\S)"
    r"|^\s*(?:\d{1,3}\s*(?:[:、．]\s*|-\s+)(?=\D)|[ivxIVX]{1,5}[.)]\s+(?=\w))"
    r"|(?:^|(?<=[\s,;；，。]))第?[一二三四五六七八九十]{1,3}[、.．,，]\s*(?=\S)|[(（][一二三四五六七八九十]{1,3}[)）](?=\S)"
)
_GRADE = Pattern(
    r"(?:[(\[{]|(?<=\w)\s*[:=|])\s*(?:(?:severity|priority|risk)\s*[=:]?\s*)?(?:very\s+)?(?:high|medium|low|critical|severe"
    r"|strict|blocked"
    r"|block|deny|warning|warn|important|urgent|hoch|mittel|niedrig|высокий|средний|низкий|高|中|低)(?:\s+(?:priority|risk|severity))?\s*"
    r"(?:[)\]}]|(?=[,;])|$)",
    re.I,
)
_ASSIGNED = Pattern(r"[:：=()\[\]{}]")
_SAID = frozenset(
    "false none null all any yes true on x no bad wrong taboo nope never ban block deny forbid".split()
)  # no concepts, beside one
_NUMBER_BESIDE = Pattern(r"\w,\d+\s*$")
_CROSSES = frozenset(
    "➕➖✚✕✖⭕❗‼⁉❕🔴🟠🟡🟢🔵🟣⚫⚪🔸🔹🔶🔷🔺🔻👉👎📌📍▶➡⬛⬜🟥🟧🟨🟩🟦🟪✗✘❌🚫⛔✓✔☑✅🛑❎⚠☐☒➤►▪◦➜➔➙➛➝➞❯❱★☆✦✧❖✱✳✴☛☞◾"
)  # beside a concept they say that it is forbidden

_BEFORE = Pattern(
    r"""^(?:(?:[-*+•·–—!~^_>@/\s►▸▪■◦●○◎◇□△▲▽▼※◆§†‡¿¡=|‹›‚‘’“”«»]|\[[ xX]?\])+(?=\w)
    |[%&$]+\s*(?=[^\W\d])
    |(?:(?:absolutely|please|strictly|definitely|really|certainly|seriously|obviously|naturally|clearly|of\s+course|but|still
        |also|literally|preferably|ideally|again|and|so|just)\s+)*(?:no(?!\s+one\b)|not(?!\s+safe\b)|non|none|never|without|w/o
        |(?:avoid|refrain\s+from|abstain\s+from|steer\s+clear\s+of|stop)(?:\s+(?:show|draw|depict|generat|creat|includ|us|paint|render|portray
        |display|mak|add|mention)ing)+|avoid|refrain\s+from|abstain\s+from|steer\s+clear\s+of|under\s+no\s+circumstances|say\s+no\s+to
        |exclude|excluding|deny
        |remove|forbid|forbidden(?!\s+(?:city|fruits?|planet|palace|kingdom|love|forest)\b)|prohibit|
        prohibited|ban|banned?|reject|disallow|suppress|filter\s+out|delete|omit|censor|ohne|keine?|sans|без|нет|sem|senza|
        (?:do\s+not|don['’]?t|must\s+not|never)
        (?:\s+(?:show|draw|include|want|use|contain|depict|generate|make|have|put))?)\s+(?=\w)
    |(?:(?:also\s+)?known\s+as|(?:zero[\s-])?tolerance\s+(?:for|of|on|towards?)|too\s+(?:much|many)|(?:more\s+than|at\s+least
        |up\s+to)\s+(?:one|two|three|an?|\d+)|a\s+bit\s+of|ever\s+(?:show|draw|include|depict|generate|create|use)|free\s+(?:of
            |from)|zero|either|neither|nor|both|these|those|such|many|few|several|lots\s+of|a\s+lot\s+of|only|just|mainly|mostly|then|
        please|kindly|along\s+with|plus(?!\s+size)|as\s+well\s+as|incl\.?|(?:first|second|third|fourth|last)ly|in\s+particular|among\s+(?:them|others?)|above\s+all|first\s+of\s+all|primarily|with|no\s?body\s+with|no\s+one\s+with|nothing\s+(?:with|like|about))\s+(?=\w)
    |(?:(?:any|all|every|some|various|other|further)\s+)?(?:kinds?|types?|sorts?|forms?|images?|pictures?|photos?
        |depictions?)\s+(?:of|showing|with)\s+
    |(?:any|all|every|other|but\s+also|also|even|and|or|such\s+as|including|especially|particularly|namely|e\.\s?g\.?|i\.\s?e\.?|eg
        |for\s+example|for\s+instance|
        anything\s+(?:with|like|about|related\s+to)|everything\s+(?:with|about)|anything|everything|
        an?\s+(?:image|picture|photo)\s+(?:of|showing|with)|images?\s+showing)\s+(?=\w)
    |(?:bitte|kein\w*|weder|z\.\s?b\.|aucune?s?|ni|n[ií]ng[uú]n\w*|nessun\w*|niente|proibid\w+|prohibid\w+|interdit\w*|запрещ\w+
        |никак\w+|ни|geen|
        zonder|inga|ingen|utan|bez|żadn\w+|brak|tanpa|tidak|không|cấm|بدون|لا|ممنوع|बिना|कोई)\s+(?=\w)
    |(?:no|not)[-_./](?=[^\W\d])(?!safe\b|go\b|fly\b|brainer|show\b|nonsense|frills|man\b|one\b|name|kill|knead|bake|hit\b|score)(?=\w{3})
    |pas\s+d(?:e\s+|['’])(?=\w)
    |(?:不要|不能|不可|不准|没有|沒有|禁止|严禁|嚴禁|避免|请勿|請勿|不许|不得|拒绝|拒絕)(?:有|出现|出現|显示|包含|含有)?(?=\w)
    |(?:任何|所有|各种|各種|一切|与(?=.*(?:有关|相关))|與(?=.*(?:有關|相關)))(?=\w))""",
    re.I | re.X,
)
_BEHIND = Pattern(
    r"""(?:\s+(?:of|in)\s+(?:any|all|every|whatever)\s+(?:(?:of\s+)?(?:its|their)\s+)?(?:\w+\s+)?(?:kinds?|sorts?|types?|forms?
        |shapes?|ways?)
    |\s+(?:whatsoever|at\s+all|please|either|only|obviously|of\s+course|etc\.?|etcetera|\(any\)|in\s+general|as\s+well|u\.\s?a\.?|usw\.?)
    |\s+(?:and|or|&)\s+(?:so\s+on|so\s+forth|the\s+likes?|more|others?|co|something|similar(?:\s+\w+)?|such|anything\s+(?:like
        |similar).*|whatever)
    |\s+(?:esp|incl|ex|eg|like|such\s+as|including|namely)\.?|\s+&\s?c\.?
    |[\s-](?:related|themed)(?:\s+(?:\w+\s+)?(?:contents?|things?|images?|items?|stuff|imagery|pictures?|photos?|material
        |scenes?|themes?|objects?
        |art(?:work)?|topics?|activit(?:y|ies)|words?|prompts?))?
    |-(?:like|type|style)\s+(?:contents?|things?|images?|items?|objects?|stuff)
    |(?<=\w)(?:等等?|之类|之類|等内容|等內容|(?:有关|相关|有關|相關)的?(?:内容|內容|东西|图片)?|[はをのが]?(?:なし|無し|禁止|描かない|出さない|使わない)で?|など|関連)
    |(?<=\w\w)(?:类|類)|(?<=\w)\s*(?:금지|없음|없이|제외|관련)|\s+등
    |\s+(?:bitte|verboten|und\s+so\s+weiter|interdit\w*|prohibid\w+|proibid\w+|vietat\w|por\s+favor|запрещ\w+|yok|и\s+т\.?\s?[дп]\.?)
    |\s+(?:and|or|&|with)|(?<=\w\w)[®™†‡¹²³⁰-⁹]+
    |(?<=[^\W\d])[%&$]+|(?<=\w{3})[+-]{2,}
    |[\s.!?…*_~^"'`‹›‘’“”«»§†|/-]+)$""",
    re.I | re.X,
)
_NEGATIONS = frozenset(
    """no not never without none nothing nobody cannot neither zero 0 don't dont doesn't shouldn't mustn't can't won't isn't
    aren't""".split()
)
_CLAUSE = _NEGATIONS | frozenset(  # words of a sentence that says no
    """i we you please there should must may can could shall will would be is are am make sure ensure that this it they image images
    picture
    pictures photo photos output outputs result results the a an any in of to do does want wants need like see show shows shown contain
    contains include includes have has allow allowed display depict visible more with from say content one ever draw generate create
    produce render""".split()
)
_STATES = frozenset(  # what is said of a concept behind it
    """not never allowed forbidden banned prohibited disallowed unwanted permitted visible shown appear appears appearing anywhere
    everywhere generally overall mostly too welcome""".split()
)
_DONE = frozenset(  # the same, behind are, be, being alone: clothes removed stays one
    """avoided blocked removed filtered excluded hidden ok okay bad wrong depicted displayed used present included generated drawn seen
    tolerated acceptable""".split()
)
_AUXILIARY = frozenset(
    """is are be being been must should may need needs have has isn't aren't can't cannot won't shouldn't mustn't don't doesn't""".split()
)
_TAIL = (
    _STATES | _DONE | _AUXILIARY | frozenset("can shall will to at all also please ever strictly which that".split())
)


def plain(line: str) -> str:
    """A line in plain letters and marks: no entities of HTML, no full-width ones, commas of other scripts as commas."""
    line = _KEYCAP.sub(
        "①", _HIDDEN.sub(",", html.unescape(line)).translate(_UNSEEN).translate(_FULL_WIDTH).translate(_MARKS)
    )
    line = _SINGLE.sub("no", _LIMITED.sub(", ", line))
    return _SHORTENED.sub(r"\1.\2.", _QUOTED_TWICE.sub(lambda match: f"{match[1] or match[2] or match[3]},", line))


def unmarked(line: str) -> str:
    """A line without the marks of a list, labels and weights; commas around emoji, and where a new line is written out."""
    line = _QUALIFIED.sub("", _GRADE.sub(",", _LABEL.sub("", _CHECKBOX.sub(",", _PLURAL.sub("", line)))))
    for first, mark in (_COUNTED, _LETTERED):
        line = mark.sub(",", line) if first.search(line) else line
    line = _GIVEN.sub(",", _DOUBLED.sub('"', line))
    return _LIST.sub(",", _EMOJI.sub(r",\g<0>,", _WRITTEN_OUT.sub(",", line)))


def meant(concepts: list[str], line: str) -> list[str]:
    """A line's concepts without the values and crosses beside them (*weapons: yes*), and without what is left of sentences and numbers."""
    values = _SAID if _ASSIGNED.search(line) else ()
    found = [one for one in concepts if one.casefold() not in values and one.strip("\ufe0f") not in _CROSSES]
    if not any(map(_names, found)):
        return concepts
    rest = languages.labels()["rest"]
    left = [one for one in found if one.casefold() in rest or rest.issuperset(map(_plain, one.split()))]
    if 2 * len(left) > len(found):  # a list of just such words is meant: no, any, not
        left = []
    beside = _NUMBER_BESIDE.search(line)
    kept = [one for one in found if one not in left and not _counts(one, one is found[-1] and bool(beside))]
    return kept if any(map(_names, kept)) else found


def _names(text: str) -> bool:
    """Whether there is a letter or a picture in it."""
    return any(letter.isalpha() or letter >= "\u2600" and letter not in "\ufe0f" for letter in text)


def _counts(text: str, beside: bool) -> bool:
    """Whether a piece is the number or the letter of an entry, or its weight. ``beside``: it stands close behind one."""
    digits = text.rstrip("%").lstrip("x×").replace(".", "", 1)
    if digits.isascii() and digits.isdecimal():
        return beside or len(digits) == 1 or digits != text
    return len(text) == 1 and text.isascii() and text.isalpha()


@lru_cache(2048)
def trimmed(text: str) -> str:
    """A concept without what stands before and behind it: list marks, negations, *of any kind*."""
    before, denied = None, False
    while before != text:
        before, words = text, text.split()
        denied = denied or _clause(words) > 0 or bool(words) and _plain(words[0]) in _NEGATIONS
        words = languages.trimmed(text).split()
        text = " ".join(words[_clause(words) : len(words) - _tail(words)] or words)
        text = frames.trimmed(text, denied)
        text = _BEHIND.sub("", _BEFORE.sub("", text, count=1), count=1).strip() or text
    return text


def hollow(text: str) -> bool:
    """Whether a text names nothing: *do not show*, *see our policy*, *added by Ann*."""
    words = {*map(_plain, text.split())}
    return len(words) > 2 and words <= _CLAUSE and bool(words & _NEGATIONS) or bool(_ABOUT.match(text))


def _clause(words: list[str]) -> int:
    """How many of the first words are of a sentence that says no: *make sure there are no*."""
    count = next((at for at, word in enumerate(words) if _plain(word) not in _CLAUSE), 0)
    is_name = _plain(words[count]) == "safe" if words else False  # not safe for work
    return count if _NEGATIONS.intersection(map(_plain, words[:count])) and not is_name else 0


def _tail(words: list[str]) -> int:
    """How many of the last words say what is to become of a concept: *must not appear*. A can of beer stays one."""
    count = next((at for at, word in enumerate(reversed(words)) if _plain(word) not in _TAIL), 0)
    said = {*map(_plain, words[len(words) - count :])} if count else set()
    return count if said & _STATES or said & _DONE and said & _AUXILIARY else 0


def _plain(word: str) -> str:
    return word.casefold().replace("’", "'").strip(".,!?")
