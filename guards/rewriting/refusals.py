"""What is no rewrite, though it looks like a caption: refusals, chat, verdicts of moderation models, the instruction come back, loops."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable

from ..words.forms import STOP_WORDS, forms
from ..words.patterns import Pattern
from ..words.watch import words_of
from .declining import NONE, apart

_BEGINS = r"(?:\A|[.!?…:;]\s+|\n\s*)\W*(?:(?:hmm+|okay|ok|so|well|now|first|next|then|alright|sure|great|wait|understood)\b[,.!]?\s+)*"
_CHAT = Pattern(
    r"\bhow (?:can|may) i (?:help|assist)|\bwhat can i do for\b|\b(?:help|assist) you\b|\blet me know\b|"
    r"\bfeel free to\b|\bplease (?:provide|share|give|enter|tell|let|re-?phrase|clarify|specify|try|send|paste)\b|"
    r"\b(?:could|can) you (?:please )?(?:clarify|provide|share|tell|re-?phrase)\b|^\W*(?:hi|hello|hey)(?: there)?\W*$|"
    r"^\W*(?:(?:okay|ok|sure|got it|alright|all right|understood|noted|will do|right|yes|sir|thanks)\b\W*)+$|"
    r"\byou['’]?re welcome\b|^\W*thank(?:s| you)(?: you)?(?: so much| very much)?\W*$|"
    r"^\W*(?:words?|synonyms?|replacements?|reasoning|analysis|explanation|rationale|thoughts?|plan)\s*:|"
    r"^\W*no (?:outputs?|captions?|re-?writes?|rewriting|changes?|prompts?|answers?|responses?|results?|modifications?|edits?|"
    r"replacements?|rewording|problems?|issues?|concepts?|need|further)\b|"
    r"^\W*(?:none|nothing) (?:needed|required|to (?:change|rewrite|replace))\b|"
    r"^\W*(?:caption|prompt|text|query|request)s? (?:rewritten|replaced|changed|processed|received|accepted|unchanged)\W*$|"
    r"^(?:the|this|your) (?:caption|prompt|query|sentence|text|input|request) (?:is (?:fine|ok|okay|already|safe)|does(?: not|n['’]t)|"
    r"already|has been|was|contains no)\b|^it (?:is|['’]s) (?:already|fine|safe)\b|"
    r"^the \w+ (?:has|have) been (?:removed|replaced|changed)\b|"
    r"\bdo you (?:want|need)\b|\bwould you (?:like|prefer)\b|\bis there anything\b|\bi['’]?(?:m| am) (?:here|ready|"
    r"happy|glad)\b|\A\W*(?:yes|no), (?:there|it|the|this|that|i|you)\b|"
    r"\b(?:step by step|thinking process|thought process)\b|"
    r"有什么(?:可以)?帮|请(?:提供|告诉|输入)|您好|你好！|何をお手伝い|用户(?:想|要|希望|让)|"
    rf"{_BEGINS}(?:i (?:\w+ly )?(?:must|need|should|can|could|would|will|shall|have|had|think|believe|understand|suggest|recommend|"
    r"replace|replaced|change|changed|rewrote|removed|used|swapped|chose|prefer|refuse|decline|see|notice|want|assume|guess|know|'?ll)\b"
    r"|i (?:am|was) (?:not|un\w+|only|just|sorry|asked|going|told)\b|i['’](?:d|ll|ve)\b|i['’]m (?:not|un\w+|only|sorry|going|asked)\b"
    r"|we (?:need|should|must|can|could|have to|want|are (?:asked|given|told)|will|replace)\b|let['’]?s (?!dance|party|play|eat|rock\b)\w+"
    r"|let me\b|hmm+\b|thinking\b\W*(?:$|process|[.:])|thought\s*:|to (?:rewrite|avoid|solve|fix|answer|do) (?:this|it|that|the)\b"
    r"|(?:looking at|given|considering) (?:the|this) (?:caption|prompt|query|input|concept)"
    r"|it (?:looks|seems|sounds|appears) (?:like|that|as)\b|here(?:['’]s| is| are|['’]re)\b"
    r"|(?:replace|substitute|swap|rewrite|rephrase|reword|omit)\b|change (?:the|an?|it|all|every|any|\W*\w+\W* (?:to|into))\b"
    r"|use\b[^.]*\binstead\b|use (?:the word|another|a different|something)\b|make sure\b|avoid (?:the|using|any|mention)\w*\b"
    r"|(?:send|give|show|tell) me\b|sure\W*\Z|(?:what|which|who|how|could|can|would|shall|should|where)\b[^?]{1,200}\?\W*\Z)|"
    r"\bthe user\b|\bthe (?:forbidden|given|original|input|first|target|banned) (?:caption|concept|prompt|word|term|query|text|"
    r"sentence)s?\b|\bthe (?:caption|concept|prompt|query|input|instruction|request|rewrite)s?(?: \w+)? (?:is|are|was|should|must|"
    r"needs?|wants?|asks?|says|contains?|has|have|does|mentions?|can|could|to|that|which|becomes?|would)\b|"
    r"\bi(?: a|['’])m (?:an? )?(?:ai|chatgpt|claude|gpt\S*|gemini|llama|qwen|(?:language|ai) model|(?:ai |virtual )?assistant)\b|"
    r"\blanguage model\b|"
    r"^\W*(?:there(?: is|['’]s) )?(?:nothing|no need) to (?:rewrite|change|replace|fix|remove)\b|"
    r"^\W*(?:of course|cool|awesome|perfect|wonderful|loading|processing|working on it|one moment(?: please)?|(?:please )?wait|"
    r"success(?:ful)?|"
    r"(?:task |request |output )?(?:completed|generated|finished|complete)(?: successfully)?|safety)\W*$|^\W*hope (?:this|that|it) helps\b|"
    r"^\W*(?:what an?|that['’]s an?|great|nice|good|excellent|interesting) (?:\w+ )?(?:caption|prompt|question|request)\W*$|"
    r"\bthe (?:word|term|phrase)s? (?:to|which|that (?:is|are|must|should|needs?))\b|\b(?:input|output) (?:caption|prompt)\b",
    re.I,
)
_BLANK = Pattern(  # something is left out
    r"([^\W\d_])\1{6,}|_{2,}|\?{2,}|(?:^|(?<=\s))(?:…|\.{3,})(?=\s+\w)|-{3,}|#{2,}|[█▇■□▢▒░▓]|(?:^|(?<=\s))\*+(?=\s)|[^\W\d_]\*{2,}|"
    r"[^\W\d_]\*+[^\W\d_]|"
    r"(?<!\w)(?i:x{3,})(?!\w)|(?<!\w)[a-zA-Z]-word\b|(?<!\w)(?:N/A|"
    r"REDACTED|CENSORED|REMOVED|DELETED|BLANK|FILTERED|UNKNOWN|MASK|OMITTED|PLACEHOLDER|ANIMAL|OBJECT|PERSON|NOUN|THING)(?!\w)|"
    r"(?<!\w)(?i:redacted|placeholders?|something else|n\.n\.|(?:the |a )?(?:forbidden|banned|prohibited) "
    r"(?:word|concept|thing|animal|object)|insert \w+ here)(?!\w)|[\[<{【][^\[\]<>{}【】\n]{1,60}[\]>}】]|"
    r"\((?i:animal|object|thing|person|noun|removed|deleted|censored|blank|omitted|filtered|other \w+|some\w+|any\w+|none|empty|unknown)\)"
)
_KIND = Pattern(
    r".(?:an? |the |some |other )?(?:animals?|objects?|things?|persons?|people|nouns?|words?|concepts?|subjects?|items?|foods?|drinks?|"
    r"places?|removed|redacted|deleted|censored|blank|omitted|filtered|mask|unknown|replacement|something|other|none|empty).$",
    re.I,
)
_ADDRESS = Pattern(
    r"(?<![\w-])(?:you|your|yours|yourself|our|ours|we|buy|shop now|order now|get yours|don['’]t miss|discover|"
    r"introducing)(?![\w-])",
    re.I,
)
_LOOP = 4  # words in a row that stand twice


_UNIT = Pattern(r"[\u3400-\u4dbf\u4e00-\u9fff]|[\u30a0-\u30ff]+|[^\W_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")
# Of other languages, for telling what stands around a caption from the caption.
_SMALL = STOP_WORDS | frozenset(
    """ein eine einer einem einen eines der die das den dem des und mit auf im un une le la les du de et à en el los las una uno y con su
    del al o os as um uma e da do na no em con il lo gli di che ist est es para por и в на с у по не
    的 一 了 是 在 个 這 这 有 不 和""".split()
)


def units(text: str) -> set[str]:
    """What a text says, for comparing it with another: its words without small ones, and characters of Chinese."""
    return {word for word in _UNIT.findall(text.casefold()) if word not in _SMALL}


def runs(text: str, words: int) -> list[tuple[str, ...]]:
    """Each ``words`` words of a text that stand in a row."""
    sequence = re.findall(r"\w+", text.casefold())
    return [tuple(sequence[i : i + words]) for i in range(len(sequence) - words + 1)]


def loops(text: str, query: str, replaced: Collection[str] = ()) -> bool:
    """Whether an answer goes round in circles: four words in a row stand twice in it, or one word four times, and not in the query, whose
    own repetitions may have something else in the place of what they repeat. ``replaced``: words of the query (folded) that had to go."""
    said, asked = re.findall(r"\w+", text.casefold()), re.findall(r"\w+", query.casefold())
    words, had = Counter(said), Counter(asked)
    gone = {word for word in had if (word in replaced or word not in words) and word not in STOP_WORDS}
    pattern = f" {' '.join(_masked(asked, lambda word: word in gone))} "
    spare = sum(had[word] for word in gone if had[word] > 1)
    for run, count in Counter(runs(text, _LOOP)).items():
        if count > 1:
            alike = " ".join(_masked(run, lambda word: word not in had))
            if count > (spare if alike == "*" else len(re.findall(f"(?= {re.escape(alike)} )", pattern))):
                return True
    return any(
        count > max(3, had[word] + 1, spare + 1 if word not in had else 0)
        for word, count in words.items()
        if word not in STOP_WORDS
    )


def _masked(words: Iterable[str], hidden: Callable[[str], bool]) -> list[str]:
    """Words with one mark for those in a row that are hidden."""
    made: list[str] = []
    for word in words:
        word = "*" if hidden(word) else word
        if word != "*" or made[-1:] != ["*"]:
            made.append(word)
    return made


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


def chat(text: str, query: str) -> bool:
    """Whether a text talks about the task, where the query does not; so does an exclamation or question that has nothing of the query."""
    if _CHAT.search(text):
        return not _CHAT.search(query)
    mark = text.rstrip(" \"'”’)*_")[-1:]
    aloud = mark in ("!", "?", "！", "？") and mark not in query and len(words_of(text)) > 1
    return aloud and content(query) > 1 and not kept(text, query)


def blank(text: str, query: str) -> bool:
    """Whether something is left out of a text: a gap, marks of a censor, a bracketed name of a kind, that the query does not have."""
    brackets = {mark for mark in "[<{【" if mark in query}
    asked = query.casefold()
    for match in _BLANK.finditer(text):
        found = match[0]
        if found.casefold() in asked or found[0] in brackets and (" " in found or not _KIND.match(found)):
            continue
        if "*" in found and "*" in query or len({*found}) > 1 and found.isupper() and text.isupper():
            continue
        return True
    return False


def refusal(text: str, query: str) -> str:
    """Why a text is a language model's talk and no caption for this query; empty where it may be one."""
    for pattern, why in NONE:
        if pattern.search(text) and not pattern.search(query):
            return why
    if all(word in STOP_WORDS for word in words_of(text) or [""]):
        return "it is no caption"
    if chat(text, query):
        return "it is chat, no caption"
    if apart(text) and not apart(query) and not units(text) & units(query) and not kept(text, query):
        return "it is a refusal"
    return "it has a blank, no caption" if blank(text, query) else ""
