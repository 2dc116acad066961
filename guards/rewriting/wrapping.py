"""What is around a caption in an answer: chat markup, tags, fences, JSON, labels, quotes. What the query has itself is none of it."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterator

from ..rewriters.thinking import without_thinking
from ..words.patterns import Pattern
from .refusals import units

_ONLY_ANALYSIS = Pattern(r"\A\s*(?:<\|channel\|>\s*)?analysis(?:<\|message\|>|(?=[A-Z])|\s*\n).*\Z", re.S)
_ENVELOPE = Pattern(
    r"<((?:(?:output|final|new|rewritten|revised|safe|image|updated)[_ -]?)*(?:answer|caption|output|result|response|rewritten|rewrite|"
    r"prompt|text|sentence|solution)|final)\b[^<>]*>(.*?)(?:</\1\s*>|\Z)|\A\s*<(\w+)>([^<>]+)</\3>\s*\Z",
    re.S | re.I,
)
_BOXED = Pattern(r"\\boxed\{(?:\\text\{)?([^{}]+)\}?\}|\\text\{([^{}]+)\}")
_TURN = Pattern(
    r"\s*(?:<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|<\|turn>|<\|start\|>|<\|assistant\|>|<bos>|<s>|<\|"
    r"begin_of_text\|>|\[(?:BOS|CLS)\]|"
    r"<\|end_header_id\|>|<\|message\|>|\[INST\].*?\[/INST\]|\[/INST\]|<<SYS>>.*?<</SYS>>|"
    r"(?:assistant|model)\s*(?:\n|<\|end_header_id\|>|(?=:)))+",
    re.S | re.I,
)
_CALL = Pattern(r"<tool_call>\s*(\{.*?)(?:</tool_call>|\Z)", re.S)  # the caption is given to a tool
_END = Pattern(
    r"\s*(?:\[/\w+\]|</[\w ]+>|<?\[/?(?:end(?: of (?:text|turn|answer|caption|output|message))?|eos|done|stop)\]>?|<end>|\bEOS\b|<0x0A>|"
    r"<eos>|\\n|"
    r"\\\\n|#{2,}|"
    r"<br\s*/?>|\(end\)|-{3,}|={3,})+\s*\Z",
    re.I,
)
_TAG = Pattern(
    r"</?(?:br|p|b|i|u|em|strong|span|div|code|pre|html|body|head|title|center|h\d|ul|ol|li|font|hr|blockquote|unused\d+)(?:\s[^<>]*)?/?>"
    r"|\A\s*<?\[begin\]>?|<!--.*?-->",
    re.I | re.S,
)
_ENTITY = Pattern(r"&(?:#\d{1,5}|#x[0-9a-f]{1,5}|[a-z]{2,8});", re.I)
_ANY_TAG = Pattern(r"<([a-z][\w-]*)(?:\s[^<>]*)?>(.*?)</\1\s*>", re.I | re.S)
_STOP = Pattern(
    r"<\|[^|<>\n]{1,40}\|>|<｜[^<>\n]{1,40}｜>|</?s>|<(?:end_of_turn|start_of_turn|end_of_utterance|eos|"
    r"bos|eod|pad|EOT|turn\||unk)>"
    r"|\[/?(?:INST|EOS|BOS|EOT)\]|<</?SYS>>|"
    r"\n\s*(?:user|human|system|query|question|input|### ?instruction|input caption|concepts?)\s*:"
    r"|\s###\s*(?:human|user|assistant|instruction|input)\b",
    re.I,
)
_MARKUP = Pattern(
    r"<\|[^|<>\n]{0,40}\|>|<｜[^<>\n]{0,40}｜>|</?(?:s|think|thinking|bos|eos|end_of_turn|start_of_turn|"
    r"end_of_utterance|pad|unk)>|"
    r"\[/?(?:INST|THINK)\]|<</?SYS>>",
    re.I,
)
_FENCE = Pattern(r"```(?:[\w-]*[ \t]*\n)?(.*?)(?:```|\Z)", re.S)
_FIELDS = (
    "output_caption",
    "output caption",
    "caption",
    "rewritten",
    "rewrite",
    "output",
    "prompt",
    "answer",
    "result",
    "text",
    "response",
    "content",
    "message",
)
_PAIR = Pattern(  # a field of JSON that is none: single quotes, or cut off
    r"""(["'])(?:(?:output|new|rewritten|revised|safe|final|modified|updated)[_ ]?)?"""
    r"""(?:caption|rewritten|rewrite|output|prompt|answer|result|text|response)\1\s*:\s*(["'])"""
    r"""((?:(?!\2\s*(?:[,}\]]|\Z))[^\n]){1,4000})""",
    re.I,
)
_NEW = Pattern(r"caption|rewrit|revis|output|prompt|answer|result|text|new|safe_|after|modified|updated|response", re.I)
_OLD = Pattern(r"original|input|before|old|negative|reason|note|explanation|why|\bsafe\b|change", re.I)
_DECLINED = frozenset("unsafe refused refusal error errors flagged blocked denied".split())
_UNSEEN = dict.fromkeys(
    map(ord, "\ufeff\u200b\u200e\u200f\u2060\u00ad\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
)

# What is written around a caption in words, for `answers`.
CODE = Pattern(r"""^(?:\w+\s*=\s*|\w+\()(["'])(.+)\1\)?;?$""")  # caption = "a dog", print("a dog")
BARE_FIELD = Pattern(r"^\{\s*\w+\s*:\s*([^{}\"']+)\}$")  # {caption: a dog}
RULE = Pattern(r"^[\s|:-]+$")  # of a table
LEAD = Pattern(
    r"^¡?(?:sure(?:\s+thing)?|understood|done|certainly|of\s+course|okay|ok|absolutely|no\s+problem|great|got\s+it|alright|yes|"
    r"claro(?:\s+que\s+sí)?|"
    r"natürlich|gerne|bien\s+sûr|voici|конечно|хорошо)(?:\s*[!.,:]+|\s+[—–-])\s+(?=\S)|^(?:当然(?:可以)?|好的|没问题|可以|はい|もちろん)[，。！,!：:、\s]+(?=\S)"
    r"|^(?:here(?:'s|’s|\s+is|\s+are)|i(?:['’]ve|\s+have|\s+would|['’]d)?\s+(?:re-?wr[io]t|revis|chang|suggest|modif|propos)\w*"
    r"|you\s+(?:could|can|might)\s+(?:say|write|use|try)|maybe|perhaps|try\s+this|how\s+about|what\s+about|below|(?:option|version|"
    r"alternative|choice|variant)(?:\s*\d+)?)\b[^:\n]{0,80}:\s+(?=\S)"
    r"|^(?:i\s+(?:would|['’]d)?\s*(?:re-?write|suggest|change|propose)\b[^\"“:]{0,60}|(?:how|what)\s+about\s+)(?=[\"“])",
    re.I,
)
VERBS = r"(?:replac|remov|chang|swapp|substitut|omit|rewrit|rewrote|reword|avoid)\w*"
CHANGED = Pattern(  # what was done, behind the caption
    rf"\s*[(\[（【][^()\[\]（）【】]*(?:\b{VERBS}|\b(?:no|without|instead\s+of|rather\s+than)\s+\w+\s*(?=[)\]）】])|->|→|替换|改为|换成|"
    rf"置き換え)[^()\[\]（）【】]*[)\]）】]\s*$",
    re.I,
)
TOLD = Pattern(  # a sentence behind the caption
    rf"^\W*(?:(?:the\s+)?[\"'“]?\w+[\"'”]?(?:\s+(?:was|is|has\s+been))?\s+(?:replaced|swapped|substituted)\b|(?:notes?|explanations?|"
    rf"reasons?|changes?(?: made)?|p\.?s)\b\W*:|i\b.*\b{VERBS}|{VERBS}\s.*\b(?:with|by|to|for)\b"
    rf"|(?:the|this|that|here|it|[\"'“]\w+[\"'”])\b.*\b{VERBS}\b.*\b(?:with|by|to|for|so|as|from the)\b"
    r"|(?:there\s+(?:is|are)\s+)?no\s+(?:\w+\s+){1,3}(?:here|any\s?more|mentioned|involved|included|present|left|(?:is|are|was|"
    r"were)\s+\w+)\W*$"
    r"|(?:the\s+)?\w+\s+(?:is|are)\s+now\s+(?:an?\s+)?\w+\W*$"
    r"|(?:let me know|feel free|i hope|hope this|this (?:caption|version|rewrite|prompt)|is there anything|would you like)\b)",
    re.I,
)
ARROW = Pattern(r"\s*(?:→|⇒|➡️?|⟶|-{1,2}>|=>)\s*|(?<=[\"”])\s+becomes\s+(?=[\"“])")
HEAD = Pattern(  # what may be a label: a few words before a mark
    r"^[\s>*_#\"'`-]*([^\W_][^:：→!！\n()\[\]{}<>|;\"“]{0,59}?)[*_\"'`]*\s*([:：→]|-{1,2}>|=>|[!！]+)[*_]*\s*(?=[^\s\d.:)])"
)
IN_BRACKETS = Pattern(r"^[\[【(]{1,2}\s*([^\[\]【】()]{1,40}?)\s*[\])】]{1,2}\s*[:：-]?\s*(?=\S)")
OTHER = Pattern(r"^\W*(?:option|version|alternative|choice|variant)s?\b", re.I)
ALOUD = Pattern(
    r"^\W*(?:\d\W+)?(?:thinking process|thought process|thinking|thoughts?|analysis|reasoning|let me think|let['’]s think|step \d|"
    r"(?:analy[sz]e|identify|understand|examine|consider|determine)\b)",
    re.I,
)
MARK = Pattern(r"^(?:[-*•>#+–—$]+|→|⇒|[=-]>|\(?\d{1,2}[.)]|\(?[a-z][.)])\s+")
SIGN = r"[\u2190-\u2bff\U0001f000-\U0001faff\ufe0f\s]+"
SIGNS = Pattern(rf"^(?:{SIGN}|[:|]\s+)(?=.)|(?:{SIGN}|\s+\|)$")  # a tick before a caption, sparkles behind it
BECOMES = Pattern(r"\W*(?:(?:becomes?|is\s+now|turns\s+into|would\s+be)\b)\W*(?=\w)", re.I)
MUSING = Pattern(
    r"^[(\[*_]+\s*(?:thinks?|thinking|thoughts?|reasoning|analysis|internal|sighs?|pauses?|nods?|hmm+)\b.*[)\]*_]+$",
    re.I,
)
BOLD = Pattern(r"(?<!\*)\*\*([^*\n]{1,2000})\*\*(?!\*)")
BRACKETS = {"[": "]", "{": "}", "<": ">", "(": ")", "【": "】"}
LABEL = Pattern(
    r"""^[\s>*_#"'`-]*(?:(?:the\s+|my\s+)?(?:(?:final|new|output|rewritten|revised|modified|updated|safe|corrected|
                    alternative|image|suggested|positive|your|resulting)\s+)*(?:caption|output|prompt|answer|response|result|rewrite|sentence|
                    query|description|text|version)(?:,?\s+(?:is|reads|becomes|(?:would|could|can|should)\s+be(?:\s+(?:rewritten|changed|written)\s+(?:as|to))?|(?:without|with\s+no)\s+[^:\n]{1,40}))?
                    |assistant|model|rewritten|positive|title|ai|bot|chatgpt|after|a
                    |改写|重写|書き換え|(?:改写|重写|修改|替换|更改|新|最终|输出|安全)*(?:后)?(?:的)?(?:新)?(?:提示词?|标题|描述|文本|答案|结果|输出|句子|图像描述|说明)
                    |(?:書き換え|修正|新しい|最終|出力)*(?:後)?(?:の)?(?:キャプション|プロンプト|出力|回答|文)|ausgabe|antwort|neue\s+beschreibung
                    |salida|respuesta|descripción|leyenda|nueva\s+descripción|sortie|r[ée]ponse|légende|nouvelle\s+légende|bildunterschrift
                    |neue\s+bildunterschrift|beschreibung|ответ|новый\s+запрос|описание|(?:новая\s+)?подпись|可以改为|改为|캡션|출력|답변)
                    (?:\s*\([^)]*\))?[*_"'`]*\s*(?:[:：]|→|[=-]>|[=–—-]\s)[*_]*\s*""",
    re.I | re.X,
)
HEADING = Pattern(  # a label on a line of its own, without a colon
    r"^[\s>*_#]*(?:\*\*|__|#{1,6}\s)\s*(?:the\s+)?(?:(?:final|new|output|rewritten|revised|modified|"
    r"updated|safe|image)\s+)*"
    r"(?:caption|output|prompt|answer|response|result|rewrite|version)[\s*_#]*$",
    re.I,
)
STRONG = Pattern(
    r"^[\s>*_#\"'`-]*(?:output|new|rewritten|revised|final|safe)\s+(?:caption|prompt|query)[*_\"'`]*\s*[:：]",
    re.I | re.M,
)
ASIDE = Pattern(  # what models add below a caption
    r"^\W*(?:notes?|explanations?|reasons?|reasoning|changes?(?:\s+made)?|concepts?|input\s+caption|negative(?:\s+prompt)?|"
    r"original|before|why|p\.?s|"
    r"remarks?|comments?|(?:what|why|how)\s+(?:i|was|has|is|it)\b|(?:key\s+)?changes?|tags?|keywords?|summary|differences?|"
    r"(?:word|token|character)s?\s+count|substitutions?|modifications?|replacements?(?!\s+caption)|edits?|in\s+this|i\s+(?:have|"
    r"replaced|changed|removed|rewrote)|this\s+(?:caption|"
    r"version|prompt|rewrite)|"
    r"let\s+me|feel\s+free|please|hope|enjoy|the\s+(?:cat|concept|word|caption|change)s?\s+(?:was|were|is|"
    r"has|have)\b|说明|注|解释)\b",
    re.I,
)
SAID = Pattern(
    r"^\W*(?:notes?|explanations?|reason(?:s|ing)?|thinking|changes?(?:\s+made)?)\b[^:\n]{0,20}:", re.I
)  # above a caption
CHATTER = Pattern(
    r"^(?:sure|certainly|of course|okay|ok|absolutely|here(?:'s|’s| is| are| you)|understood|got it|great|"
    r"i (?:have|can|will|would|rewrote|changed|replaced))\b",
    re.I,
)
NO_CAPTION = frozenset(
    """ok okay sure yes no none n/a na null nil maybe perhaps nothing done unchanged same empty understood hello hi thanks caption
    output prompt answer input concept concepts error true false assistant user system text json markdown""".split()
)
QUOTES = {
    '"': '"',
    "'": "'",
    "“": "”",
    "„": "“",
    "‘": "’",
    "《": "》",
    "«": "»",
    "»": "«",
    "「": "」",
    "『": "』",
    "`": "`",
    "*": "*",
    "_": "_",
    "‹": "›",
    "~": "~",
}


def plain(text: str) -> str:
    """One line of a person's text without chat markup: what is put into a conversation as data."""
    before = None
    while before != text:  # what is left may form markup again: <|im<|im_start|>_start|>
        before, text = text, _MARKUP.sub(" ", text)
    return " ".join("".join(" " if unicodedata.category(char) == "Cc" else char for char in text).split())


def opened(text: str, query: str = "") -> str:
    """An answer without its thinking, the name of who speaks, and the tags or the box that the caption stands in."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").translate(_UNSEEN)
    if "&lt;" in text and "&lt;" not in query:
        text = html.unescape(text)
    called = _CALL.search(text)
    text = text if without_thinking(query).strip() != query.strip() else without_thinking(text)
    text = (text.strip() or called and called[1] or "").lstrip()
    text = _ONLY_ANALYSIS.sub("", text)
    turn = _TURN.match(text)
    if turn and not (turn[0].strip() and query.lstrip().lower().startswith(turn[0].strip().lower())):
        text = text[turn.end() :].lstrip(" :\n")
    envelope = _ENVELOPE.search(text) or _BOXED.search(text)
    if envelope and envelope[0][:4] in query:
        envelope = None
    return next(filter(None, reversed(envelope.groups())), text) if envelope else text


def closed(text: str, query: str = "") -> str:
    """An answer up to where it ends or another turn begins, without fences, tags and entities that the query has none of."""
    asked = " ".join(query.lower().split())
    text = re.sub(r"\A(?:\s*<\|[^|<>\n]{1,40}\|>)+", "", text)
    for stop in _STOP.finditer(text):
        if text[: stop.start()].strip() and " ".join(stop[0].lower().split()) not in asked:
            text = text[: stop.start()]
            break
    if "~~" not in query:
        text = re.sub(r"(?<!~)~~[^~\n]+~~(?!~)\s*", "", text)  # struck out
    text = text.replace("~~~", "```")
    for mark in ('"' * 3, "'" * 3):
        text = text if mark in query else text.replace(mark, "```")
    fence = _FENCE.search(text)
    if fence:
        text = fence[1] if fence[1].strip() else text.replace("```", "")
    if "<" in text and "</" not in query:
        text = _ANY_TAG.sub(lambda match: match[2], text)
    text = _TAG.sub(
        lambda match: match[0] if match[0] in query else "\n" if match[0][:3].lower() == "<br" else "", text
    )
    text = _ENTITY.sub(lambda match: match[0] if match[0] in query else html.unescape(match[0]).replace("\0", ""), text)
    if "\\" not in query:
        text = text.replace("\\n", "\n") if text.lstrip()[:1] not in ("{", "[", '"') else text
        text = text.replace('\\"', '"') if text.lstrip()[:1] not in ("{", "[", '"') else text
    if text.lstrip()[:1] not in ("{", "[") and not re.search(r"[{\[(]", text + query):
        text = re.sub(r"[\"'][}\])]+\s*\Z", "", text)
    end = _END.search(text)
    return text[: end.start()] if end and text[: end.start()].strip() and end[0].strip().lower() not in asked else text


def from_json(text: str, query: str = "") -> str:
    """The text in a JSON answer, wherever it begins, also one in single quotes or cut off; any other text as it is."""
    if (
        len(text) > 1
        and text[0] == "{" == text[1]
        and text.endswith("}}")
        or text[:1]
        and text[0] == query.strip()[:1] == '"'
    ):
        return text
    inside = re.search(r"""\{\s*["']\w""", text)
    begins = 0 if text[:1] in '{["' else inside.start() if inside else -1
    if begins < 0 or len(text) < 2:
        return text
    text = text[begins:]
    if (key := re.match(r'[\[{\s]*"[^"\n]{1,60}"\s*:', text)) and key[0].strip("[{ \n") in query:
        return text  # a query in JSON
    try:
        value, _ = json.JSONDecoder().raw_decode(text) if begins else (json.loads(text), 0)
    except (ValueError, RecursionError):
        if text[0] != '"' and (pair := _PAIR.search(text)):
            return pair[3]
        return text
    said = {str(key).lower() for key, told in value.items() if told} if isinstance(value, dict) else set()
    if said & _DECLINED and not any(_NEW.search(key) and not _OLD.search(key) for key in said):
        return ""
    fields: dict[str, str] = {}
    for name, said in _strings(value, several="\n" in query.strip()):
        fields.setdefault(name, said)
    return _field(fields, query)


def _strings(value, name: str = "", depth: int = 0, several: bool = False) -> Iterator[tuple[str, str]]:
    """(name of the field, text) for each text in JSON, those of a list by the list's name. ``several``: a list is one text's lines."""
    if isinstance(value, str):
        yield name, value
    elif several and isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        yield name, "\n".join(value)
    elif isinstance(value, (dict, list)) and depth < 8:
        for key, inner in value.items() if isinstance(value, dict) else ((name, one) for one in value):
            yield from _strings(inner, str(key).lower(), depth + 1, several)


def _field(fields: dict[str, str], query: str) -> str:
    """The caption among fields of JSON: by its name, else by what it shares with the query, but not the query itself."""
    for name in _FIELDS:
        if name in fields:
            return fields[name]
    named = [name for name in fields if _NEW.search(name) and not _OLD.search(name)]
    if named or len(fields) == 1 and not _OLD.search(next(iter(fields))):
        return fields[(named or list(fields))[0]]
    asked = units(query)
    best = max(fields.values(), key=lambda text: (text != query) * len(units(text) & asked), default="")
    return best if units(best) & asked else ""
