"""What is no rewrite, though it looks like a caption: refusals, chat, verdicts of moderation models, the instruction come back, loops."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

from ..words.forms import STOP_WORDS, forms
from ..words.patterns import Pattern
from ..words.watch import words_of

_REFUSAL = Pattern(
    r"^\W*(?:i['’]?\s?a?m (?:really |very |so |terribly )?sorry|sorry[,.!]|sorry (?:but|about|for|i)\b|"
    r"(?:i |my |we )?apolog(?:i[sz]e|ies)\b|unfortunately|as an? "
    r"(?:ai|language|large|responsible|artificial)\b|i (?:can(?:no|['’]?)t|am (?:not able|unable)|"
    r"won['’]?t|will not|must decline|do not|don['’]t)\b|"
    r"i['’]m (?:not able|unable|just an?|an ai)|(?:(?:the |your |this )?request )?(?:is |was |has been )?(?:denied|declined|refused)\W*$|"
    r"not possible\W*$|that['’]?s not something (?:i|we) can\b|content policy\b|blocked by\b|"
    r"(?:inappropriate|harmful|unsafe|explicit) content(?: (?:detected|blocked|removed))?\W*$|(?:i|we) (?:must|have to) (?:refuse|decline)|"
    r"(?:抱歉|对不起|對不起|很遗憾|很抱歉|非常抱歉|我无法|我無法|我不能|无法协助|作为一个|作为人工智能)|"
    r"(?:申し訳|すみません|お手伝いできません|ごめんなさい)|"
    r"(?:죄송|도와드릴 수 없)|(?:lo siento|no puedo|disculp)|(?:d[ée]sol[ée]|je (?:ne peux|"
    r"suis d[ée]sol))|(?:es tut mir|tut mir leid|entschuldigung|ich kann (?:nicht|dabei|"
    r"diese|keine|ihnen))|(?:извините|простите|к сожалению|я не могу)|(?:desculp|n[ãa]o posso|"
    r"sinto muito)|(?:mi dispiace|non posso))",
    re.I,
)
_POLICY = Pattern(
    r"\b(?:violat\w+|breach\w*|against|break\w*|conflicts? with)\b.{0,30}\b(?:polic(?:y|ies)|guidelines?|terms|safety rules)\b|"
    r"\b(?:cannot|can['’]?t|can not|unable to|not able to|won['’]t) (?:help|assist|comply|fulfil\w*|process|create|generate|provide|"
    r"rewrite|produce|be (?:fulfilled|processed|rewritten|generated))\b|"
    r"\b(?:request|prompt|content|caption|query)s? (?:is|was|are|has been|contains|violates|appears) (?:\w+ ){0,2}(?:violat\w+|"
    r"inappropriate|unsafe|allowed|permitted|prohibited|harmful|blocked|rejected|declined|flagged)\b|"
    r"违反|违规|不合规|无法(?:协助|提供|生成|完成|满足)|不能(?:协助|提供|生成)",
    re.I,
)
_CHAT = Pattern(
    r"\bhow (?:can|may) i (?:help|assist)|\bwhat can i do for\b|\b(?:help|assist) you\b|\blet me know\b|"
    r"\bfeel free to\b|\bplease (?:provide|share|give|enter|tell|let|re-?phrase|clarify|specify|try)\b|"
    r"\b(?:could|can) you (?:please )?(?:clarify|provide|share|tell|re-?phrase)\b|^\W*(?:hi|hello|hey)(?: there)?\W*$|"
    r"\byou['’]?re welcome\b|^\W*thank(?:s| you)(?: you)?(?: so much| very much)?\W*$|"
    r"^\W*no changes?\b|"
    r"^(?:the|this|your) (?:caption|prompt|query|sentence|text) (?:is (?:fine|ok|okay|already|safe)|does(?: not|n['’]t)|already|has been|"
    r"was|contains no)\b|^it (?:is|['’]s) (?:already|fine|safe)\b|^i(?:['’]ve| have)? (?:removed|replaced|changed|rewritten|"
    r"rewrote|modified)\b|"
    r"^i think\b|^the \w+ (?:has|have) been (?:removed|replaced|changed)\b|"
    r"\bdo you (?:want|need)\b|\bwould you like\b|\bis there anything\b|\bi['’]?(?:m| am) (?:here|ready|"
    r"happy|glad)\b|有什么(?:可以)?帮|请(?:提供|告诉|输入)|您好|你好！|何をお手伝い",
    re.I,
)
_VERDICT = Pattern(
    r"^\W*(?:un)?safe\W*(?:\n|\s)*(?:[SO]\d{1,2}\b[\s,]*)*$|^\W*S\d{1,2}\W*$|^\W*(?:controversial|flagged|blocked|rejected|"
    r"allowed|safety:.*)\W*$",
    re.I,
)
_ERROR = Pattern(
    r"^\W*(?:error\s*[:(].*|[45]\d\d\s+[A-Z]\w+.*|rate limit\b.*|internal server error\b.*|service unavailable\b.*|time[d -]*out\b.*|"
    r"too many requests\b.*)$",
    re.I | re.S,
)
_PLACEHOLDER = Pattern(
    r"^\W*[\[<{(]\s*(?:your|insert|new|rewritten|output|final|caption|prompt|redacted|removed|deleted|censored|blocked|empty)\b"
    r"[^\]>})]{0,60}[\]>})]\W*$|^\W*(?:(?:the|your|my) )?(?:(?:rewritten|new|output|final|safe|revised) )+(?:caption|prompt|answer)\W*$|"
    r"^\W*(?:lorem ipsum\b.*|undefined|redacted|todo|tbd|placeholder)\W*$",
    re.I | re.S,
)
_ADDRESS = Pattern(
    r"\b(?:you|your|yours|yourself|our|ours|we|buy|shop now|order now|get yours|don['’]t miss|discover|"
    r"introducing)\b",
    re.I,
)
_LOOP = 4  # words in a row that stand twice


def runs(text: str, words: int) -> list[tuple[str, ...]]:
    """Each ``words`` words of a text that stand in a row."""
    sequence = re.findall(r"\w+", text.casefold())
    return [tuple(sequence[i : i + words]) for i in range(len(sequence) - words + 1)]


def loops(text: str, query: str) -> bool:
    """Whether an answer goes round in circles: four words in a row stand twice in it, or one word four times, and not in the query."""
    counted, asked = Counter(runs(text, _LOOP)), set(runs(query, _LOOP))
    again = any(count > 1 and run not in asked for run, count in counted.items())
    words, said = Counter(runs(text, 1)), Counter(runs(query, 1))
    return again or any(count > max(3, said[run] + 1) and run[0] not in STOP_WORDS for run, count in words.items())


def advertises(text: str, query: str) -> bool:
    """Whether an answer talks to its reader (*you*, *our*, *discover*) where the query does not."""
    said = {match[0].casefold() for match in _ADDRESS.finditer(text)}
    return bool(said) and not _ADDRESS.search(query)


def _content(query: str, without: Collection[str]) -> set[str]:
    return {word for word in words_of(query) if word not in STOP_WORDS and word not in without and not word.isdigit()}


def content(query: str, without: Collection[str] = ()) -> int:
    """How many different words of a query carry meaning, those in ``without`` (folded) left aside."""
    return len(_content(query, without))


def kept(text: str, query: str, without: Collection[str] = ()) -> float:
    """The share of a query's content words (see `content`) that an answer has in some form; 1 where there are none."""
    asked = _content(query, without)
    if not asked:
        return 1.0
    present = {form for word in set(words_of(text)) for form in forms(word)}
    return len(asked & present) / len(asked)


def refusal(text: str, query: str) -> str:
    """Why a text is a language model's talk and no caption for this query; empty where it may be one."""
    if _REFUSAL.match(text) or _POLICY.search(text) and not _POLICY.search(query):
        return "it is a refusal"
    if _VERDICT.match(text):
        return "it is the verdict of a moderation model, no caption"
    if _ERROR.match(text):
        return "it is an error message"
    if _PLACEHOLDER.match(text) or all(word in STOP_WORDS for word in words_of(text) or [""]):
        return "it is no caption"
    if _CHAT.search(text) and not _CHAT.search(query):
        return "it is chat, no caption"
    return ""
