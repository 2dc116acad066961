"""Sentences and descriptions of pictures around a concept: *images that contain X*, *no X in my classroom*, *people holding X*.

Words of closed classes are read away. A longer phrase about a concept would be looked for as it stands and met by no prompt: refused.
"""

from __future__ import annotations

import re

from ..words.patterns import Pattern

_PICTURES = (
    r"(?:images?|pictures?|photo(?:graph)?s?|pics?|drawings?|sketch(?:es)?|paintings?|illustrations?|depictions?|portrayals?"
    r"|scenes?|footage|"
    r"videos?|render(?:ing)?s?|representations?|imagery|visuals?)"
)
_THINGS = (
    r"(?:contents?|material|artworks?|art|shots?|stuff|things?|items?|objects?|posters?|posts?|prompts?|outputs?"
    r"|anything|everything|something)"
)
_PEOPLE = r"(?:people|persons?|some(?:one|body)|any(?:one|body)|every(?:one|body)|individuals?|characters?|figures?|humans?|students?)"
_ALL = r"(?:(?:any|all|every|each|some|no|the|an?|other|explicit|graphic)\s+)*"
_SHOWING = r"(?:contain|show|depict|featur|involv|includ|portray|display|represent|mention)(?:ing|e?s?)"
_HOLDING = r"(?:hold|carry|wield|brandish|us|handl|possess|bear|hav)(?:ing|e?s?)"

_FRONT = Pattern(
    rf"""^(?:
    {_ALL}{_PICTURES}\s+of\s+|in\s+the\s+style\s+of\s+
    |(?:\w+\s+){{0,3}}(?:must|should|shall|ha[sv]e?\s+to|needs?\s+to)\s+(?:be|stay|remain)\s+free\s+(?:of|from)\s+
    |{_ALL}(?:uses?|usage|presence|signs?|hints?|examples?|mentions?|inclusion|appearances?|traces?|displays?|sight|consumption
        |possession|promotion|glorification)\s+of\s+(?!force\b|mind\b|affection\b)
    |{_ALL}(?:references?|allusions?)\s+to\s+
    |{_ALL}(?:{_PICTURES}|{_THINGS})\s+(?:with|(?:that|which)\s+(?:(?:are|is)\s+)?{_SHOWING}|(?:that|which)\s+(?:has|have)
        |{_SHOWING}|about
        |relat(?:ed|ing)\s+to|(?:having\s+)?to\s+do\s+with|in\s+which\s+there\s+(?:is|are))\s+
    |{_ALL}{_PEOPLE}\s+(?:with|(?:who|that)\s+(?:(?:are|is)\s+)?(?:{_HOLDING}|show(?:ing|s)?|has)|{_HOLDING}|showing)\s+(?!hands\b)
    |(?:containing(?!\s+wall)|showing(?!\s+(?:off|up)\b)|depicting|featuring|involving|portraying|displaying|wielding|brandishing)\s+
    |(?:holding|carrying|using|pointing)\s+(?!hands\b|a\s+baby\b)(?=an?\s|any\s|\w+[^\Ws]s\b)
    |{_ALL}{_THINGS}\s+(?:like|such\s+as)\s+
    |(?:having\s+)?to\s+do\s+with\s+|all\s+(?:the\s+)?things\s+(?!that\b|which\b)
    |(?:any\s+and\s+all|each(?!\s+other\b)|each\s+and\s+every|every\s+single|various|different|certain|specific|numerous
        |more(?!\s+than)|a\s+few)\s+
    |(?:all|any|some|most|many|one|none)\s+of\s+(?:the|my|our|these|those)\s+|(?:my|our)\s+(?!little\s+pony|hero\b|neighbo|chemical
        |fair\b|melody|bloody|father\b)
    |real(?:istic)?-looking\s+|(?:i|we)\s+(?:hate|dislike)\s+|(?:get\s+rid\s+of|(?:keep|leave|take|cut)\s+out|stay\s+away\s+from)\s+
    |(?:visible|actual|real)\s+(?!estate|deal|madrid|life|time|persons?|people|world|humans?|celebrit|wom[ae]n|m[ae]n\b|kids?\b
        |child|girls?\b|boys?\b|names?\b|faces?\b|light)
    )(?:(?:an?|the|any|some)\s+)?(?=\w)""",
    re.I | re.X,
)
_DETERMINED = r"(?:the|my|our|your|this|that|these|those|any|all|every|each|an?|his|her|their)"
_PLACE = (
    rf"(?:{_PICTURES}|outputs?|results?|prompts?|frames?|(?:back|fore)ground|composition|view|sight|class(?:es|room)?"
    rf"|schools?(?:\s+hours)?|church(?:es)?|librar(?:y|ies)|lessons?|"
    r"homework|generations?|workflows?|servers?|channels?|app|site|website|projects?|presentations?|hands\s+of\s+\w+)"
)
_OF = r"(?:(?:any|all|each|every|one|some|none)\s+of\s+)?"
_BACK = Pattern(
    rf"""(?:\s+(?:in|on|at|from|inside|within|throughout|during|anywhere\s+in)\s+{_OF}(?:{_DETERMINED}\s+)?(?:final\s+
        |generated\s+|whole\s+
        |entire\s+)?{_PLACE}
    |\s+(?:in|on|at|inside|within|during|for)\s+(?:my|our|this|these|any|all)\s+\w+(?:\s+\w+)?
    |\s+in\s+(?:it|them|particular)|\s+to\s+avoid|\s+under\s+(?:any|no|all)\s+circumstances
    |\s+being\s+(?:held|shown|used|carried|displayed|visible|fired|drawn|depicted|worn|seen|present|brandished|waved|raised
        |mentioned|pointed|aimed)(?:\s.*)?
    |\s+(?:plz+|pls|thanks(?:\s+a\s+lot|\s+you)?|thx|ty|thank\s+you|(?<!\bdr\s)(?<!\bdr\.\s)(?<!\bdoctor\s)no|ever(?:\s+again)?
        |nope|tyvm|ok(?:ay)?\?)
    |\s+(?:of\s+)?(?:all|any|every)\s+(?:types?|kinds?|sorts?|sizes?)(?:\s+(?:and|or)\s+\w+)?
    |,?\s+(?:and|or)\s+(?:all\s+)?(?:that|stuff|things)(?:\s+like\s+that)?
    )$""",
    re.I | re.X,
)
_SCOPE = Pattern(
    rf"\s+(?:in|on|at|inside|within|during|from|near|around)\s+{_OF}{_DETERMINED}\s+\w+(?:\s+\w+)?$"
    r"|\s+(?:here|at\s+(?:school|home|work)|on\s+(?:screen|camera)|for\s+(?:kids|children|students|minors|anyone|everyone|me|us|now))$",
    re.I,
)

_MODAL = (
    r"(?:may|must|should|could|shall|cannot|(?:ca|wo|do|does|must|should|could|would|is|are|have|has|need)n?['’]t"
    r"|can(?=\s+(?:not|never)\b)"
    r"|will(?=\s+(?:not|never|be)\b)|(?:do|does)\s+not|needs?\s+to|ha(?:ve|s)\s+to)"
)
_MAKING = (
    r"(?:show|see|draw|mak|creat|generat|us|includ|contain|depict|hav|bring|view|want|display|upload|produc|add|mention|post"
    r"|render|paint)"
    r"(?:e|ing)?"
)

# What says that a text is a phrase about a concept: the group is the part that is one.
_PHRASES = (
    Pattern(r"^(\w.*?)\s+(?:which|that|who|whose|whom)\s+\w"),
    Pattern(
        r"\w\s+(?:(?:is|are)\s+)?(?:holding|carrying|wielding|brandishing|containing|depicting|featuring|involving|portraying"
        r"|displaying|showing)"
        r"\s+(?:(?:an?|the|any|some|his|her|their)\s+)?(\w.*)$"
    ),
    Pattern(
        r"^(\w.*?)\s+(?:being|(?:pointed|aimed|held|carried|used|shown|drawn|depicted|worn)\s+(?:at|by|in|on|as|for|to|near"
        r"|towards?))\s+\w"
    ),
    Pattern(r"^(\w.*?)\s+(?:when(?:ever)?|if|while|where)\s+\w"),
    Pattern(r"^(?:keep|leave|take|cut|filter)\s+(\w.*)\s+(?:out|away)$"),
    Pattern(  # students must not draw weapons
        rf"\w\s+(?:{_MODAL}|(?:is|are|was|were)\s+(?:\w+\s+)*(?:to|from))\s+(?:\w+\s+){{0,3}}?{_MAKING}\s+(\w.*)$", re.I
    ),
    Pattern(r"^(?:we|i|you|they|our|my|it)\b.*\bno[-\s](\w+)\s+(?:policy|rule|tolerance)\b", re.I),
    Pattern(
        r"^(?:(?:(?:could|can|would|will)\s+)?(?:we|i|you|they|there)\s+\w+|it(?:['’]s|\s+is))\s+\w+\s+(?:\w+\s+)*(\w+)$",
        re.I,
    ),
    Pattern(rf"^(\w.*?)\s+(?:{_MODAL}|is|are|was|were|ha(?:ve|s)(?=\s+(?:no|never|to)\b))\s+\w", re.I),
    Pattern(
        r"^(?:people|persons?|some(?:one|body)|any(?:one|body)|students|kids|children)\s+(?!being\b)(\w+ing\b.*)$", re.I
    ),
)
_WITH = Pattern(r"(?<=\w)\s+(?:with\s+|w/\s*|['’]?n['’]?\s+)(?:an?\s+|the\s+)?(?=\w)")
_NAMES = frozenset(("rock n roll", "rock 'n' roll", "drum n bass", "drum 'n' bass", "mac n cheese"))


def trimmed(text: str, denied: bool) -> str:
    """A concept without one frame in front and one behind. ``denied``: a *no* stood in front of it, so what is behind says where."""
    text = _BACK.sub("", text, count=1).strip() or text
    if denied:
        text = _SCOPE.sub("", text, count=1).strip() or text
    return _FRONT.sub("", text, count=1).strip() or text


def parts(text: str) -> list[str]:
    """What is named in *X with Y*: two concepts, or one. Empty where a text is nothing of the kind, or a title."""
    found = _WITH.split(text) if not _titled(text) and text.casefold() not in _NAMES else []
    return [part for part in found if part] if len(found) > 1 else []


def inside(text: str) -> str:
    """The concept that a phrase is about, where a text is a phrase and no title; else nothing."""
    if _titled(text):
        return ""
    return next((found[1] for pattern in _PHRASES if (found := pattern.search(text))), "")


def _titled(text: str) -> bool:
    """Whether capitals say that it is a name: Gone with the Wind."""
    return sum(word[:1].isupper() for word in text.split()) > 1 and not text.isupper()
