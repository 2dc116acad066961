"""What an English phrase loses with a noun that is taken out of it: its article and adjectives, what is done with it, what it does.

A caption names things and what they do: *a photo of a fat cat sleeping on a chair* becomes *a photo on a chair*.
"""

from __future__ import annotations

import re

from .patterns import Pattern

MOST = 300  # seams
WINDOW = 160  # characters on each side of a seam that are looked at
BESIDE = (
    r"(?:in\s+front\s+of|on\s+top\s+of|next\s+to|close\s+to|beside|besides|behind|under|underneath|over|above|below|beneath|near|against|"
    r"inside|between|among|amongst|amid|across|along|past|through|towards?|outside|atop)"
)
LINK = (
    rf"(?:{BESIDE}|of|with|holding|wearing|carrying|in|on|at|by|to|for|from|without|around|into|onto|about|like|after|before|during|upon|"
    r"featuring|containing|including|showing|depicting)"
)
DET = (
    r"(?:an?|the|his|her|their|its|my|your|our|this|that|these|those|some|any|every|each|another|"
    r"one|two|three|four|five|six|seven|eight|nine|ten|several|many|\d+)"
)
WORN = (  # where a thing that is gone was held
    r"(?:\s+(?:in|on|at|to|from|against|between|around|over|across)\s+(?:his|her|its|their|my|one|each|both|the)"
    r"(?:\s+(?:left|right|other|own|bare|two))?\s+(?:hands?|heads?|mouths?|lips|belts?|holsters?|hips?|fists?|grip|pockets?|arms?|faces?|"
    r"necks?|foreheads?|temples?|fingers|teeth|throat|laps?|knees?|shoulders?|back|sides?)\b|\s+(?:in|at)\s+(?:hand|hands|mouth)\b)"
)
# What stands between an article and its noun, and cannot stay without it.
MODIFIER = (
    r"(?:very|really|extremely|rather|quite|so|too|big|bigger|huge|tiny|small|little|large|giant|massive|old|older|new|young|black|white|"
    r"red|blue|"
    r"green|yellow|brown|pink|purple|orange|gr[ae]y|golden|gold|silver|bronze|wooden|metal|metallic|steel|plastic|rusty|dark|bright|shiny|"
    r"sharp|blunt|heavy|light|long|short|loaded|smoking|broken|burning|bloody|dirty|clean|bare|real|fake|single|beautiful|pretty|ugly|"
    r"lovely|"
    r"dangerous|deadly|scary|strange|cute|fluffy|fat|thin|slim|tall|ancient|modern|antique|vintage|futuristic|colou?rful|"
    r"glowing|cold|hot|warm|fresh|cool|wet|dry|cheap|expensive|delicious|tasty|frosty|iced|good|bad|great|nice|evil|mad|wild|tame|stray|"
    r"strict|round|square|flat|soft|hard|ripe|raw|wise|brave|calm|mean|sick|lone|rare|wide|deep|thick|full|empty|pale|loud|quiet|simple|"
    r"gentle|"
    r"noble|stern|smart|clever|blind|bald|weird|grand|vast|craft|draught|draft|kitchen|butter|steak|pocket|hunting|assault|sniper|proud|"
    r"cruel|fierce|tabby|huge|half-?full|half-?empty|"
    r"\w+-\w+(?:ed|ing)|\w+-(?:cold|hot|sized?|old|free|like)|\w+ed-(?:out|up|off|down)|\w+-and-\w+)"
)
# Nobody's adjectives by their ending, where an article stands before them; a toy and a lady are none.
_ADJECTIVE = (
    r"(?!(?:toy|baby|lady|boy|city|party|army|candy|puppy|kitty|bunny|fairy|teddy|mummy|daddy|pony|cherry|berry|guy|body|spy|butterfly|"
    r"hockey|donkey|monkey|turkey|day|key|bay|family|country|cowboy|story|library|factory|pottery|jewell?ery|animal|metal|crystal|"
    r"hospital|festival|medal|pedal|capital|portal|music|comic|magic|plastic|picnic|mechanic|fabric|clinic|garden|human|woman|"
    r"ocean|civilian|musician|magician|physician|librarian|guardian|politician|elephant|giant|plant|restaurant|student|president|"
    r"agent|parent|infant|servant|tent|king|ring|wing|thing|building|painting|drawing|wedding|ceiling|evening|morning|spring|string|"
    r"detective|native|relative|crossing|boxing|swimming|fish|dish|bed|shed|seed|weed|sled|\w*men)\b)"
    r"\w{2,}(?:y|ful|ous|ive|less|able|ible|ish|al|ic|ese|ed|ing|ian|ean|ant|ent|est)"
)
_DRESSED = (  # (black:1.2), {red|blue}, __colors__
    rf"(?:\((?:{MODIFIER}|{_ADJECTIVE})(?::[\d.]+)?\)|\{{(?:{MODIFIER}|{_ADJECTIVE}|\|)+\}}|__[\w/]*(?:colou?r|size|adjective|material|"
    rf"mood|age)\w*__)"
)
_PHRASE = Pattern(
    rf"(?:(?<=^)|(?<=[^\w'’-]))(?:(?:an?\s+)?(?:dozens?(?:\s+of)?|(?:hundreds|thousands|millions|plenty)\s+of|(?:lot|couple|bunch|number|"
    rf"pair|handful|kind|sort)s?\s+of)\s+)?"
    rf"(?:((?:{DET}\s+(?:\w+\s+)?)?\w+['’]s|{DET})\s+(?:(?:{MODIFIER}|{_ADJECTIVE}|{_DRESSED})[,\s]\s*)*|(?:{MODIFIER}\s+)+|"
    rf"(?:(?<=\bof\s)|(?<=\bin\s)|(?<=\bwith\s)){_ADJECTIVE}\s+)?$",
    re.I,
)
_PLACE = (
    rf"(?:{BESIDE}|in|on|at|with|to|for|from|into|onto|around|by|without|up|down|out|off|away|over|about|like|after|before|during|upon|"
    r"against|while|as)"
)
_NO_DEED = (  # nouns
    r"(?:\w*(?:paint|draw|build|even|morn|wedd|cloth|carv|engrav|etch|ceil|light|earr|dumpl|stock|tast|sterl|duckl|pudd|awn|sibl|darl)ing|"
    r"(?:w|vik|r|k|th|str|spr|sett|dress|cross|bowl|train|brew|hous|land|meet|park|ship|shav|bedd|feel|dur|regard|"
    r"includ)ing)\b(?!\s+(?:an?|the|his|her|their|its)\s)"
)
_DOING = Pattern(
    rf"\s+(?:\w+ly\s+)?(?!{_NO_DEED})\w{{2,}}ing(?!['’\w-])(?:\s+(?:up|down|out|off|away|together|around|alone|happily|"
    rf"peacefully)\b(?!\s+(?:an?|the)\b))*",
    re.I,
)
_IRREGULAR = (
    "grown|overgrown|eaten|bitten|held|made|caught|driven|drawn|ridden|worn|taken|led|built|written|seen|hit|torn|thrown|hidden|"
    "cut|lit|hung|left|stuck"
)
_DONE = Pattern(
    rf"\s+(?:\w+ly\s+)?(?!(?:seed|weed|shed|sled|speed|breed)\b)(?:\w{{3,}}ed|{_IRREGULAR})"
    rf"(?=\s+(?:{_PLACE}|of)\b)",
    re.I,
)
_DOES = Pattern(rf"\s+(?:\w+ly\s+)?\w{{2,}}[^s\W]s(?=\s+(?:{_PLACE}|{DET}|\w+ly)\b)", re.I)
_WORN = Pattern(rf"^{WORN}", re.I)
_TO_SHUT = Pattern(r"[^,.;:!?\n|()\[\]{}\0]*")
_ON_IT = Pattern(
    rf"\s+{_PLACE}\s+(?:it|them|him|her)(?=\s*(?:$|[,.;:!?\n|)\]}}])|\s+(?:and|{LINK})\b)|"
    r"\s+(?:in|on|at|around|over|across|under|between)\s+(?:his|her|its|their)\s+\w+|\s+instead\s+of\s+\w+",
    re.I,
)
_BACK = Pattern(r"[^,.;:!?\n|()\[\]{}\0]*\b(?:it|them|him|itself|themselves|himself)(?=\s*(?:$|[,.;:!?\n|)\]}]))", re.I)
_WHERE = Pattern(rf"\s+(?={_PLACE}\b)", re.I)
_WHAT = Pattern(r"\s+(?=\w)")
_SHUT = Pattern(r"\s*(?:$|[,.;:!?)\]}|\n\0]|(?-i:BREAK|AND)\b)", re.I)
_ENDS = Pattern(  # the noun was the last word of its phrase
    rf"\s*(?:$|[,.;:!?)\]}}|\n\0])|\s+(?:{_PLACE}|and|or|but|(?-i:BREAK|AND)|who|which|that|whose|is|are|was|were|has|have|had|can|"
    rf"could)\b",
    re.I,
)
_BEGINS = Pattern(r"(?:^|[,.;:!?\n(\[{|])\s*$")
_GROUP = Pattern(
    r"\b(?:group|crowd|horde|herd|flock|pack|army|gang|swarm|team|pair|bunch|line|row|circle|squad|troop|band|family|couple|class|mob|pile|"
    r"wall|statue|figure|sea|set)s?\s+of\s+$",
    re.I,
)
_STEMS = (
    r"(?:wield|brandish|gripp?|grasp|clutch|shar|pour|throw|swing|rais|aim|rid|feed|pett|hugg?|kiss|chas|touch|grabb?|catch|strok|cuddl|"
    r"own|"
    r"lik|lov|hat|need|want|mak|bring|giv|tak|gett|us|show|sell|buy|shak|load|fir|point|hold|wear|carry|lift|admir|pick|"
    r"mind|hav|serv|offer|hunt|tam|cook|fry|cutt|contain|featur|depict|includ|display|stabb|sharpen|polish|unsheath|fight|attack|"
    r"defeat|battl|slay|bath|wash|groom|trim|rescu|sav|adopt|carv|build|draw|sketch|paint)"
)
_TAKES = (  # verbs that say nothing without what they are done to
    rf"(?:{_STEMS}ing|"
    r"(?:wield|grip|grasp|clutch|share|pour|throw|swing|raise|aim|ride|feed|pet|hug|kiss|chase|touch|grab|catch|stroke|cuddle|own|like|"
    r"love|"
    r"hate|need|want|make|bring|give|take|get|use|show|sell|buy|shake|load|hold|wear|contain|feature|depict|include|display|serve|offer|"
    r"brandish|attack|carrie|catche|brandishe|clutche|kisse|touche)s|"
    r"(?:has|have|had|held|wore|fed|rode|threw|swung|caught|took|got|bought|sold|loved|hugged|petted|used|raised|wielded|carried|poured))"
)
_ALONG = Pattern(
    rf"(?<![\w'’-])(?:(?:who|that|which)\s+)?(?:(?:(?:is|are|was|were|am|be|been|can|will|to|and)\s+)?(?:\w+ly\s+)?{_TAKES}|"
    r"(?:(?:is|are|was|were)\s+)?(?:full|afraid|scared|fond|proud|tired|made|consisting|composed|instead|dreaming|thinking)\s+of|"
    r"(?:(?:is|are|was|were)\s+)?(?:as\s+\w+|dressed(?:\s+up)?|disguised|known|depicted|painted|drawn|shaped|seen|used|posing|such)\s+as|"
    rf"(?:(?:is|are|was|were|being|been|gets?|got)\s+)*(?:\w+ly\s+)?(?:\w{{3,}}ed|{_IRREGULAR})\s+(?:by|with|in)|(?:(?:is|are|was|"
    rf"were)\s+)?(?:shaped|dressed|styled|painted|drawn|made|inspired|based|looks?|"
    r"looked|looking|modell?ed)(?:\s+up)?\s+(?:like|after|on)|"
    r"(?:,\s*)?(?:(?:in|with|using)\s+)?(?:(?:the|a|an)\s+)?(?:\w+\s+)?(?:style|manner|spirit|look|aesthetics?|fashion|vein)s?\s+of|"
    r"inspired\s+by|"
    r"(?:(?:is|are|was|were)\s+)?(?:more\s+\w+|less\s+\w+|\w{2,}er)\s+than)\s+$",
    re.I,
)
_LINKED = Pattern(rf"(?<![\w'’-]){LINK}\s+$", re.I)
_OF = Pattern(r"(?<![\w'’-])(?:of|showing|depicting|featuring|about)\s+$", re.I)
_JOINED = Pattern(r"(?<=\w)\s+(?:and|or|&)\s+$", re.I)
_AND = Pattern(r"\s+(?:and|or|&)\s+(?=(?:an?|the|his|her|their|its|my|one|two|three|some|several|\d+)\s)", re.I)
_AND_MORE = Pattern(r"\s+(?:and|or|&)\s+(?=\w)(?!\w+ing\b)", re.I)
_AND_DOES = Pattern(r"\s+and\s+\w{2,}s\b", re.I)
_AND_DOING = Pattern(rf"\s+and\s+(?=(?!{_NO_DEED})\w{{2,}}ing\b)", re.I)
_COMMA = Pattern(r",\s+(?=(?!\w+ing\b)(?:\w+\s+)?\w+,?\s+and\s+\w+)")  # with ghosts, bats and pumpkins
_DID = Pattern(
    rf"(?<=\w)\s+(?:(?:is|are|was|were|am|be|been)\s+)?(?!{_NO_DEED})(?:\w{{2,}}ing|(?!(?:its|his|this|plus|always|versus|\w+wards|besides)\b)"
    r"\w{2,}[^\Ws]s)(?:\s+(?:out|up|down|off|away|back))?\s+$",
    re.I,
)  # playing a piano
_WHO = Pattern(r"(^|[,.;\n]\s*)(?:he|she|it|they|we|i|you)(?:\s+(?:is|are))?$", re.I)
_LIST = r"(?:(?:an?|the|his|her|some|two|three)\s+)?(?:\w+\s+)?\w+"
_LAST = Pattern(rf"(?<=\w),\s+({_LIST})(,?\s+(?:and|or)\s+)$", re.I)
_MIDDLE = Pattern(r"(?<=\w),\s+$")
_AND_LAST = Pattern(
    rf",?(\s+(?:and|or)\s+(?:(?:an?|the|his|her|some|two|three)\s+)?(?!\w+ing\b)\w+)(?=\s*(?:$|[.!?\n)\]}}])|\s+(?:{LINK}|\w+)\b)",
    re.I,
)


def lost(text: str) -> str:
    """A text with seams (NUL) without what English phrases lose with their nouns; the seams stay where something may still go."""
    place = text.rfind("\0")
    for _ in range(MOST):
        if place < 0:
            break
        left, right = text[max(0, place - WINDOW) : place], text[place + 1 : place + 1 + WINDOW]
        far, behind = text[: max(0, place - WINDOW)], text[place + 1 + WINDOW :]
        left, right = _sides(left, right, not far)
        text = far + left + right + behind
        place = text.rfind("\0", 0, max(0, min(place, len(far) + len(left.rstrip("\0")))))
    return text


def _sides(left: str, right: str, whole: bool) -> tuple[str, str]:
    """What is before and behind a seam, which is the last of what is before, where it stays."""
    phrase = _PHRASE.search(left)
    if not phrase:
        return left + "\0", right
    before, article = left[: phrase.start()], phrase[1] or ""
    right = _WORN.sub("", right, count=1)
    if of := re.match(r"\s+of\s+(?=[\w(])", right):
        return before, right[of.end() :]
    if doing := _DOING.match(right):
        return _without_deed(before, right, doing.end(), whole, bool(phrase[0]))
    if done := _DONE.match(right):
        if _starts(before, whole):
            by = re.match(r"\s+(?:of|by|as|with|from)\s+", right[done.end() :])
            return before + ("" if by else "\0"), right[done.end() + (by.end() if by else 0) :]
        if _LINKED.search(before):
            back = _BACK.match(right)
            return _LINKED.sub("", before) + "\0", right[back.end() :] if back else right
    if _LINKED.search(before) and (inside := _ON_IT.match(right)):
        return _LINKED.sub("", before).rstrip() + "\0", right[inside.end() :]
    if re.match(r"\s+(?:who|that|which)\s", right) and (_starts(before, whole) or _OF.search(before)):
        clause = _TO_SHUT.match(right)
        assert clause is not None  # it matches any text
        return (before if _starts(before, whole) else _OF.sub("", before).rstrip()) + "\0", right[clause.end() :]
    if role := re.match(r"\s+as\s+(?=(?:an?|the)\s)", right):
        if _starts(before, whole) or _OF.search(before):
            return before, right[role.end() :]
    does = _DOES.match(right)
    if does and (article or re.match(rf"\s+{DET}\s", right[does.end() :], re.I)):
        if _LINKED.search(before):
            return _LINKED.sub("", before).rstrip() + "\0", right
        if _starts(before, whole):
            return _without_deed(before, right, does.end(), whole, True)
    if not _ENDS.match(right):
        return left + "\0", right
    joined = _AND.match(right)
    if joined and not article and re.search(r"\bof\s+$", before, re.I):
        return re.sub(r"\s+of\s+$", "", before), right  # a bottle of wine and a plate
    if joined and (_LINKED.search(before) or _ALONG.search(before)):
        return before, right[joined.end() :]
    if (doing := _AND_DOING.match(right)) and (_LINKED.search(before) or _ALONG.search(before)):
        return _LINKED.sub("", _ALONG.sub("", before)).rstrip() + " ", right[doing.end() :]  # holding a gun and smiling
    if more := _AND_MORE.match(right):
        if _LINKED.search(before) or re.search(r"ing\s+$", before) and _ALONG.search(before):
            return before, right[more.end() :]
        if _ALONG.search(before) and _AND_DOES.match(right):  # holds a gun and smiles
            return _ALONG.sub("", before).rstrip() + " ", right[more.end() :]
    if (listed := _COMMA.match(right)) and not article and _LINKED.search(before):
        return before, right[listed.end() :]
    if before != (rest := _ALONG.sub("", before)) or article and before != (rest := _DID.sub("", before)):
        return _WHO.sub(r"\1", rest.rstrip(" ")) + "\0", right
    if (last := _LAST.search(before)) and re.match(r"\s*(?:$|[.!?\n])|\s+(?:in|on|at|by|under|near)\b", right):
        return f"{before[: last.start()]} {last[2].strip(' ,')} {last[1]}\0", right
    if _MIDDLE.search(before) and (last := _AND_LAST.match(right)):
        return before.rstrip(" ,"), last[1] + right[last.end() :]
    return (before + (article + " " if article else "") if phrase[0] else left) + "\0", right


def _starts(before: str, whole: bool) -> bool:
    """Whether a phrase begins where its clause does."""
    return bool(_BEGINS.search(before)) and (whole or bool(before))


def _without_deed(before: str, right: str, end: int, whole: bool, named: bool) -> tuple[str, str]:
    """Both sides of a seam whose thing does something, up to ``end`` of the right one. ``named``: it has an article, or adjectives."""
    deed, behind = right[:end], right[end:]
    where, what = _WHERE.match(behind), _WHAT.match(behind)
    back = _BACK.match(right)
    if _starts(before, whole):
        if back:
            return before + "\0", right[back.end() :]
        if to := re.match(r"\s+(?:at|by|to|with|from|like|as|for|of)\s+(?=\w)", behind):
            return before, behind[to.end() :]
        return (before, behind[what.end() :]) if what and not where else (before + "\0", behind)
    if _GROUP.search(before):
        return re.sub(r"\s+of\s+$", "", before) + "\0", deed + behind
    if _OF.search(before):
        return (before, behind[what.end() :]) if what and not where else (_OF.sub("", before).rstrip() + "\0", behind)
    if _JOINED.search(before):
        return _JOINED.sub("", before) + "\0", deed + behind
    if _LINKED.search(before):
        if back or _SHUT.match(behind):
            return _LINKED.sub("", before).rstrip() + "\0", right[back.end() if back else end :]
        return _LINKED.sub("", before).rstrip() + "\0", deed + behind
    if before != (rest := _ALONG.sub("", before)):
        return rest.rstrip() + "\0", deed + behind if re.search(r"\b(?:who|that|which)\s+\w+\s+$", before) else behind
    if re.search(r"\w\s+$", before) and not named:
        return before.rstrip() + "\0", right  # an astronaut cat floating
    return (before, behind[what.end() :]) if what and not where else (before + "\0", behind)
