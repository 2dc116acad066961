"""What a language model thinks before its answer, in the marks of the families that do."""

from __future__ import annotations

import re

from ..words.patterns import Pattern

_NAME = (  # of thinking, in any tag but the name of a file: <lora:details:1>
    r"(?!(?:lora|lyco|lycoris|locon|hypernet|embed|embedding|wildcard)\b)"
    r"(?:\w{1,20}[_:-]|ant|inner|my|self|deep|model)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|rationale|reflections?|analysis|scratch_?pad|monologue|internal|plan|"
    r"cot|deliberation|tool_calls?|details|steps?)(?:_\w{1,20})?"
)
_THINKING = Pattern(
    rf"<({_NAME})\b[^>]*>.*?(?:</\1>|\Z)|◁think▷.*?(?:◁/think▷|\Z)|\[think(?:ing)?\].*?(?:\[/think(?:ing)?\]|\Z)"
    rf"|<\|(?:(?:start|begin)(?:_of)?_)?{_NAME}\|>.*?(?:<\|(?:/|end(?:_of)?_){_NAME}\|>|\Z)"
    r"|<｜begin▁of▁thinking｜>.*?(?:<｜end▁of▁thinking｜>|\Z)|<unused94>\s*thought\b.*?(?:<unused95>|\Z)"
    r"|\A\s*thinking\.\.\..*?(?:\.\.\.\s*done thinking\.?|\Z)|<\|channel>\s*thought\b.*?(?:<channel\|>|\Z)",
    re.S | re.I,
)
_THOUGHT_ENDS = Pattern(
    rf"</{_NAME}>|◁/think▷|\[/think(?:ing)?\]|<\|(?:/|end(?:_of)?_){_NAME}\|>|<｜end▁of▁thinking｜>|<channel\|>|<unused95>|"
    r"\.\.\.\s*done thinking\.?",
    re.I,
)
_FINAL_CHANNEL = Pattern(
    r"(?:<\|channel\|>\s*)?final\s*<\|message\|>|<\|begin_of_solution\|>|<\|channel>\s*(?:final|response)\b|"
    r"(?:(?<=\w|[.!?])|\A)\s*(?:assistant\s+final(?=\W|[A-Z\"“])|assistantfinal)",
    re.I,
)


def without_thinking(text: str) -> str:
    """An answer without its thinking, whether that is closed, left open or begun before the answer."""
    return _behind(_THOUGHT_ENDS, _THINKING.sub("\n", _behind(_FINAL_CHANNEL, text)))


def thinks(text: str) -> bool:
    """Whether an answer has signs of thinking, closed or not."""
    return bool(_THINKING.search(text) or _THOUGHT_ENDS.search(text))


def _behind(pattern: Pattern, text: str) -> str:
    """What stands behind the last match; the text where there is none."""
    end = 0
    for match in pattern.finditer(text):
        end = match.end()
    return text[end:]
