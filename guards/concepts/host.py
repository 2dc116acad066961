"""The guards that measure best for a model's family, put on it together: what most people need, in one call.

A text that means the concept is read as its replacement (the closed form of UCE, arXiv 2308.14761, behind a gate), on every model that
reads a text. On UNets (SD1.x, SD2.x, SDXL) the local gate replaces what still comes through place by place; both name the same
replacement, and leave other pictures as they are, bit for bit; gentle and balanced let the first tenth of the schedule pass, by when it
stands what is where, so that one thing is exchanged and the rest of the picture stays. (On the demo model's transformer that left no more
of the picture, and fewer replacements stood.) On all other models, and where the local gate cannot serve one, strict has Safe Latent
Diffusion's aligned variant look at whatever the guider returns as well. (Of what texts mean it took nothing more away on the demo models,
and broke replacements and look-alikes.)
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..erasing import gate, host_gate, host_ways, texts
from ..erasing import host as erasing
from ..host import checks
from ..local import host as local
from ..sld import formula
from ..sld import host as sld

STRICTNESS = ("gentle", "balanced", "strict")
MORE = {  # strictness -> what would look, where nothing does
    "gentle": "balanced looks on UNets, strict on every model.",
    "balanced": "strict steers away from it in whatever comes out, and breaks more of what is like it.",
    "strict": "Attributes have no place in the picture where they could be looked for.",
}
# Begin when it stands what is where, so that the rest of the picture stays as it is (UNets).
SETTLED = ("gentle", "balanced")
LOOK = ("max", "watchful")  # the aligned guidance's preset and gating
MEANS = {  # strictness -> from when on a text names the concept, and from when on it implies it; tuned on the demo world's tuned concepts
    "gentle": (gate.Limits(0.78, 0.88), gate.Limits(0.44, 0.5)),
    "balanced": (gate.Limits(0.78, 0.88), gate.Limits(0.44, 0.5)),
    "strict": (gate.Limits(0.65, 0.78), gate.Limits(0.35, 0.45)),
}


def guard(model, clip, concepts: str, strictness: str, at: Callable[[float, str], None] = lambda share, text: None):
    """(MODEL, [what was done, a line each]).

    ``concepts``: one a line or separated by commas, ``beer -> milk`` names what takes its place. ``at(share, text)``: progress from 0 to
    1; may raise to stop. Raises ValueError for texts that cannot be meant, and where the text encoder is not the model's.
    """
    erasures = texts.read(concepts)
    if clip is None:
        raise ValueError("clip is empty: connect the CLIP that belongs to this model.")
    lines: list[str] = []
    guarded, chosen = model, {}
    is_unet = checks.is_unet(model)
    settled = is_unet and strictness in SETTLED
    if is_unet and strictness != "gentle":
        guarded, chosen = _local(model, clip, erasures, settled, lines, at)
    asked = "\n".join(_line(one, chosen) for one in erasures)
    try:
        made = erasing.solve(model, clip, erasing.Settings(asked), lambda share, text: at(0.3 + 0.7 * share, text))
    except host_ways.OtherWayError as error:
        return _look_alone(guarded, clip, erasures, strictness, error, lines), lines
    # An attribute has no place in the picture where the local gate could look for it: the text alone must do.
    alone = [one.is_attribute or (not chosen and strictness != "gentle") for one in erasures]
    guarded = host_gate.guard(guarded, made, MEANS[strictness], alone, settled)
    lines += [f"Read as something else wherever a text means it: {line}" for line in made.lines[: len(erasures)]]
    lines += _mistaken(made, MEANS[strictness][0].low)
    if not chosen and strictness == "strict" and not all(one.is_attribute for one in erasures):
        guarded = _look(guarded, clip, erasures, *LOOK, lines)
    elif not chosen:
        lines.append(f"Not looked for in the picture: what no word means is not seen. {MORE[strictness]}")
    return guarded, lines


def _mistaken(made: erasing.Map, limit: float) -> list[str]:
    """A line for each concept that the text encoder hardly tells from harmless captions: those mean it from ``limit`` on."""
    lines = []
    for concept, held in zip(made.concepts, made.mistaken, strict=True):
        found = sorted((text for text, mean in held.items() if mean >= limit), key=held.__getitem__, reverse=True)
        if found:
            lines.append(
                f"Warning: this text encoder reads {', '.join(map(repr, found[:3]))} as {concept}, too ({len(found)} of {len(held)} "
                f"harmless captions), so prompts like these are changed. Say {concept} in words that the model knows, as a caption would."
            )
            logging.warning("Concept Guard: %s", lines[-1].removeprefix("Warning: "))
    return lines


def _local(model, clip, erasures, settled, lines, at):
    """(the MODEL under the local gate, {concept: what takes its place}); the MODEL itself where it cannot serve this model."""
    things = [one for one in erasures if not one.is_attribute]
    if not things:
        return model, {}
    named = "\n".join(f"{one.concept} -> {one.replacement}" for one in things if one.replacement)
    try:
        guarded, chosen = local.guard(
            model,
            clip,
            [one.concept for one in things],
            named,
            tick=lambda done, total: at(0.3 * done / max(total, 1), "finding where this model tells concepts apart"),
            settled=settled,
        )
    except (ValueError, NotImplementedError) as error:
        logging.warning("Concept Guard: no local gate on this model: %s", error)
        lines.append(f"No local gate: {error}")
        return model, {}
    lines.append(
        "Replaced in place where it still appears: " + ", ".join(f"{one} -> {two}" for one, two in chosen.items())
    )
    return guarded, chosen


def _look_alone(model, clip, erasures, strictness: str, error, lines: list[str]):
    """The MODEL where no text can be read as something else: what comes out is all that is left to look at. Raises ValueError where that
    would not do."""
    if strictness == "gentle":
        raise ValueError(
            f"{error} So gentle can do nothing there: choose strictness balanced, which steers what comes out."
        )
    if all(one.is_attribute for one in erasures):
        raise ValueError(
            f"{error} So only things can be guarded there, and no attributes: use Rewrite Prompt for them."
        )
    lines.append(f"No text is read as something else, and replacements are not used: {error}")
    return _look(model, clip, erasures, *LOOK, lines)


def _line(one, chosen: dict[str, str]) -> str:
    """An erasure as a line of text, with the replacement that the local gate uses where the user names none."""
    instead = chosen.get(one.concept) if one.replacement is None else one.replacement
    return one.concept if instead is None else f"{one.concept} -> {instead}"


def _look(model, clip, erasures, preset: str, gating: str, lines: list[str]):
    """The MODEL under the aligned guidance, one guard a concept, measured from an empty text."""
    empty = clip.encode_from_tokens_scheduled(clip.tokenize(""))
    things = [one.concept for one in erasures if not one.is_attribute]
    for text in things:
        concept = clip.encode_from_tokens_scheduled(clip.tokenize(text))
        model = sld.guard(model, formula.ALIGNED[preset], concept, empty, gating)
    left = [one.concept for one in erasures if one.is_attribute]
    if things:
        lines.append(
            f"Steered away from, in whatever comes out (Safe Latent Diffusion, aligned {preset}): {', '.join(things)}"
        )
    if left:
        lines.append(f"Not guarded by steering, which knows no attributes: {', '.join(left)}")
    return model
