"""Erase Concept: the closed-form edit of a loaded model, as weight patches of the kind that the host's own LoRA loaders take."""

import hashlib
import weakref
from dataclasses import dataclass, field, replace

import comfy.sd
import torch

from ..host import checks, edits
from . import formula, gate, host_look, host_places, host_texts, host_ways, texts

NEAREST = 8  # stand-ins that the model is asked about
LOOSE = 0.2  # times as much are captions held by the edit of texts that name a concept: other texts never get it


@dataclass(frozen=True)
class Settings:
    """What the edit depends on, besides the model and its text encoder; as the node has them."""

    concepts: str
    replacement: str = ""
    keep: str = ""
    templates: str = ""
    preserve: float = 1.0
    regularise: float = 0.1
    keys: bool = True
    rank: int = 0


@dataclass(frozen=True, eq=False)
class Edit:
    """``lora``: LORA_MODEL at strength 1; ``lines``: what was done, for people."""

    lora: dict[str, torch.Tensor]
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Map:
    """The edit as a map of the text's vectors, for ``gate``. ``hints`` (n, w, c): how far a tighter edit, which tells what a text
    implies, would move a vector c on each concept's way is the most of <c, hint>; float32, all on the CPU. ``causal``: a word does not
    change the vectors before it; ``start`` (c,): the first vector of all texts alike, or None; ``mistaken``: of each concept, the held
    captions and the most that any vector of theirs means it; ``lines``: what was done, for people."""

    named: gate.Reading
    hints: torch.Tensor
    concepts: tuple[str, ...]
    causal: bool
    start: torch.Tensor | None = None
    mistaken: tuple[dict[str, float], ...] = ()
    lines: list[str] = field(default_factory=list)


# The last edit of each model that is loaded: a change of strength, or a second node, need not solve again.
_last: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def erase(model, clip, settings: Settings, at=lambda share, text: None) -> Edit:
    """Solve the edit, or take the last one if model, LoRAs, text encoder and settings are the same.

    ``at(share, text)``: progress from 0 to 1; may raise to stop. Raises ValueError for texts that cannot be meant, and for models and
    text encoders that do not fit, with the way out.
    """
    return _known(model, clip, settings, at, "edit")


def solve(model, clip, settings: Settings, at=lambda share, text: None) -> Map:
    """As ``erase``, but the map itself, of the vectors that the model is given: any model that reads them can be given others. Raises
    ``host_ways.OtherWayError`` where they are not all that it is told of a text."""
    return _known(model, clip, settings, at, "map")


def _known(model, clip, settings: Settings, at, form: str):
    erasures = texts.read(settings.concepts, settings.replacement)
    find = host_places.entrance if form == "map" else host_places.find
    places = find(model, settings.keys)
    if clip is None:
        raise ValueError("clip is empty: connect the CLIP that belongs to this model.")
    words, remaking = " ".join(one.concept for one in erasures)[:200], None
    if form == "map":
        probe, remaking = host_ways.check(model, clip, words), host_ways.remaking(model)
    else:
        probe = clip.encode_from_tokens(clip.tokenize(words))
    if places.encoded is None:
        places = replace(places, width=probe.shape[-1], encoded=probe.shape[-1])
    elif probe.shape[-1] != places.encoded:
        raise ValueError(
            f"clip gives vectors {probe.shape[-1]} wide, and this model reads {places.encoded}: connect the CLIP that belongs to the model."
        )
    if form == "edit" and getattr(model, "injections", None):
        raise ValueError(
            "Erase Concept: a LoRA was loaded by a bypass loader, which leaves the weights as they are, so the edit would not hold for "
            "what it adds. Load it with Load LoRA instead."
        )
    of_text = hashlib.sha256(probe.float().cpu().numpy().tobytes()).digest()
    key = (form, model.patches_uuid, checks.sampling(model), settings, of_text)
    if model.model in _last and _last[model.model][0] == key:
        return _last[model.model][1]
    made = getattr(_Solving(model, clip, settings, places, at, remaking), form)(erasures)
    _last[model.model] = key, made
    return made


def apply(model, edit: Edit, strength: float):
    """(a clone of the MODEL with the edit ``strength`` times, the LORA_MODEL that does so); at 0 the MODEL itself, and none."""
    if strength == 0:
        return model, {}
    lora = {name: part if name.endswith(".lora_A.weight") else part * strength for name, part in edit.lora.items()}
    edited = comfy.sd.load_lora_for_models(model, None, lora, 1.0, 0.0)[0]
    edits.note(edited, lora)
    return edited, lora


class _Solving:
    """One edit on its way."""

    def __init__(self, model, clip, settings, places, at, remaking):
        self.model, self.clip, self.settings, self.places, self.at = model, clip, settings, places, at
        self.remaking = remaking
        self.lines = []

    def edit(self, erasures) -> Edit:
        captions = self.captions(erasures)
        held = self.held(captions)
        solution, _ = self.solution(captions, captions.groups, held, self.settings.preserve, is_told=True)
        left, right = self.form(solution)
        return Edit(self.changes(left, right), self.lines)

    def map(self, erasures) -> Map:
        captions = self.captions(erasures)
        few = captions.groups
        if not self.settings.templates.strip():
            few = [texts.alone(one, pairs) for one, pairs in zip(erasures, captions.groups, strict=True)]
        held = self.held(captions)
        loose, named = self.solution(captions, captions.groups, held, LOOSE * self.settings.preserve)
        each = (self.solution(captions, [group], held, self.settings.preserve) for group in few)
        hints = [_hints(*one) for one in each]  # of each concept as if it were the only one
        left, right, _ = formula.thin(loose, self.settings.rank)
        left, right, shifts, hints = (
            part.float().cpu().contiguous() for part in (left, right, _shifts(loose, named), torch.cat(hints))
        )
        reading = gate.Reading(left, right, shifts)
        names = tuple(one.concept for one in erasures)
        mistaken = self.mistaken(captions, reading.telling())
        return Map(reading, hints, names, captions.causal(), captions.start(), mistaken, self.lines)

    def mistaken(self, captions, telling: torch.Tensor) -> tuple[dict[str, float], ...]:
        """Of each concept, the held captions and the most that any vector of theirs means it. ``telling``: of `gate.Reading`."""
        read, held = self.places.read, captions.held
        most = [gate.most(read(captions.encoded[caption].vectors), telling).amax(0).tolist() for caption in held]
        return tuple(dict(zip(held, means, strict=True)) for means in zip(*most, strict=True))

    def captions(self, erasures) -> "_Captions":
        """What is changed and held, encoded."""
        patterns = texts.templates(self.settings.templates)
        held, left_out = texts.keep(self.settings.keep, erasures)
        held.insert(0, "")  # what guidance is measured from
        groups = [texts.pairs(one, self.replacement(one, erasures), patterns) for one in erasures]
        every = [*(text for group in groups for pair in group for text in pair), *held]
        count = len(dict.fromkeys(every))
        encoded = host_texts.encode(
            self.clip,
            every,
            lambda done: self.at(0.1 + 0.6 * done / count, f"caption {done} of {count}"),
            self.remaking,
        )
        fields = [] if self.remaking else host_texts.fields(self.clip, groups[0][0][0], encoded[""])
        return _Captions(groups, held, left_out, encoded, [lambda text: text, *fields])

    def replacement(self, one, erasures) -> str:
        """What takes a concept's place, and a line of the report about it."""
        said = f"{one.concept} -> "
        if one.is_attribute or one.replacement == "":
            self.lines.append(said + (one.replacement or "nothing"))
            return one.replacement
        candidates = [one.replacement] if one.replacement else self.nearest(one.concept, erasures)
        seen = host_look.look(
            self.model,
            self.clip,
            f"a {one.concept}",
            [f"a {name}" for name in candidates],
            lambda: self.at(0.1, f"looking at what may take the place of {one.concept[:40]}"),
        )
        found = {name: seen[f"a {name}"] for name in candidates}
        if one.replacement:
            chosen = one.replacement
        else:
            chosen = next((name for name, what in found.items() if what.is_definite and what.is_other), "")
        self.lines.append(said + describe(chosen, found.get(chosen), one.replacement is None))
        return chosen

    def nearest(self, concept, erasures) -> list[str]:
        """The shipped stand-ins that the text encoder puts nearest to a concept, each meaning once: what it does not know is all one."""
        names = texts.stand_ins(erasures)
        encoded = host_texts.encode(
            self.clip,
            [f"a {name}" for name in [concept, *names]],
            lambda done: self.at(0.05, "reading stand-ins"),
            self.remaking,
        )
        here, distances = encoded[f"a {concept}"], {}
        for name in names:
            old, new = host_texts.aligned(here, encoded[f"a {name}"])
            distances.setdefault(round(float((old - new).norm()), 4), name)
        return [name for _, name in sorted(distances.items())][:NEAREST]

    def held(self, captions) -> formula.Sums:
        """What is to stay."""
        sums = formula.Sums(self.places.width, _solver(self.model))
        for way in captions.ways:
            texts = [way(captions.encoded[caption]).vectors for caption in captions.held]
            for at in range(0, len(texts), host_texts.BATCH):  # many at a time: the sums are large
                sums.keep(self.places.read(torch.cat(texts[at : at + host_texts.BATCH])), 1.0)
        return sums

    def solution(
        self, captions, groups, held, preserve, is_told=False
    ) -> tuple[torch.Tensor, list[list[torch.Tensor]]]:
        """P of ``formula``, and every concept's vectors (n, width) that it is to change, in each way that a text may be told. ``groups``:
        the pairs of captions (old, new) of each concept; ``held``: the sums of what is to stay, ``preserve``: how much they count;
        ``is_told``: whether the report says how well it does."""
        sums, encoded = held.times(preserve), captions.encoded
        read, moved = self.places.read, []
        for group in groups:
            for way in captions.ways:
                pairs = [host_texts.aligned(way(encoded[old]), way(encoded[new])) for old, new in group]
                concept, target = (read(torch.cat(part)) for part in zip(*pairs, strict=True))
                sums.edit(concept, target)
                moved.append((concept, target))
        self.at(0.75, "solving")
        solution = sums.solve(self.settings.regularise)
        if is_told:
            self.lines.append(self.said(captions, solution, moved))
        count = len(captions.ways)
        return solution, [[old for old, _ in moved[at : at + count]] for at in range(0, len(moved), count)]

    def said(self, captions, solution, moved) -> str:
        """How well the captions are changed and held."""
        concept, target = (torch.cat(part).to(solution) for part in zip(*moved, strict=True))
        missed = (concept + concept @ solution.T - target).norm() / (concept - target).norm().clamp(min=1e-30)
        held = [captions.encoded[caption].vectors for caption in captions.held]
        stay = self.places.read(torch.cat(held or [torch.zeros(1, self.places.encoded)])).to(solution)
        shaken = (stay @ solution.T).norm() / stay.norm().clamp(min=1e-30)
        without, count = len(captions.left_out), sum(map(len, captions.groups))
        return (
            f"{count} captions changed, {1 - float(missed):.1%} of the way; {len(held)} held, which moved by {float(shaken):.2%}"
            + (f"; {without} left out of keep, since they name what is to go" if without else "")
            + (f"; also in one of {len(captions.ways) - 1} text encoders alone" if len(captions.ways) > 1 else "")
        )

    def form(self, solution):
        """(left, right) of ``formula.thin``, or (solution, None) where a whole matrix is smaller."""
        places, rank = self.places, self.settings.rank
        what = "the matrix by which the text enters" if places.joint else f"{len(places.keys)} cross-attention matrices"
        out, into = host_places.shape(self.model, places.keys[0])
        if rank or not places.joint:
            left, right, lost = formula.thin(solution, rank)
            if rank or len(right) * (out + into) < out * into:
                self.lines.append(f"edited: {what}; rank {len(right)}, which loses {lost:.2%} of the edit")
                return left, right
        self.lines.append(f"edited: {what}; full matrices")
        return solution, None

    def changes(self, left, right) -> dict[str, torch.Tensor]:
        """Every weight's change, layer by layer, where the weight lies, in keys that the host's LoRA loaders know."""
        made, count = {}, len(self.places.keys)
        near = {left.device: left}
        for number, key in enumerate(self.places.keys):
            self.at(0.8 + 0.2 * number / count, f"layer {number + 1} of {count}")
            weight = host_places.weight(self.model, key)
            device = _double(weight.device)
            if device not in near:
                near[device] = left.to(device)
            change = (weight.to(device, torch.float64) @ near[device]).float().cpu()
            name = key[: -len(".weight")]
            with torch.inference_mode(False):  # so that a training may go on from it
                if right is None:
                    made[f"{name}.diff"] = change.clone()
                else:
                    made[f"{name}.lora_B.weight"] = change.clone()
                    made[f"{name}.lora_A.weight"] = right.float().cpu().clone()
        return made


def _shifts(solution, moved) -> torch.Tensor:
    """(n, w, width): how far P moves of each concept's vectors in each way, ``moved``, that which it moves most."""
    changes = [[vectors.to(solution) @ solution.T for vectors in ways] for ways in moved]
    return torch.stack([torch.stack([change[change.norm(dim=1).argmax()] for change in ways]) for ways in changes])


def _hints(solution, moved) -> torch.Tensor:
    """(n, w, width): <c, hint> is <P c, s> / |s|^2 of each concept's shifts s."""
    shifts = _shifts(solution, moved)
    return shifts @ solution / shifts.square().sum(2, keepdim=True).clamp(min=1e-12)


@dataclass(frozen=True)
class _Captions:
    """``groups``: each concept's pairs (old, new); ``held``: captions to keep; ``left_out``: those that name what is to go; ``encoded``:
    all of them; ``ways``: what makes of an encoded text the same text as it may be told, first as it is."""

    groups: list
    held: list[str]
    left_out: list[str]
    encoded: dict
    ways: list

    def causal(self) -> bool:
        """Whether no word changed the vectors before it in any of the pairs."""
        pairs = [(self.encoded[old], self.encoded[new]) for group in self.groups for old, new in group]
        return all(host_texts.same_before(old, new) for old, new in pairs)

    def start(self) -> torch.Tensor | None:
        """The first vector, where it is the same in all captions: the start token's of a causal text encoder."""
        first, *others = (one.vectors[0] for one in self.encoded.values())
        return first if all((one - first).norm() <= 1e-3 * first.norm() for one in others) else None


def describe(chosen: str, seen, was_chosen: bool) -> str:
    """A replacement in the report, and whether the model knows what it is."""
    if not chosen:
        return (
            "nothing (none of the harmless things that come with the pack is one that this model draws: name a replacement, since "
            "pictures without one often come out broken)"
        )
    said = f"{chosen} ({'chosen; ' if was_chosen else ''}clear {seen.clear:.2f}, away {seen.away:.2f})"
    if not seen.is_definite:
        said += ". Warning: this model has nothing definite in mind for it, and pictures may come out broken or show the concept"
    if not seen.is_other:
        said += ". Warning: this model draws nearly the same for it as for the concept"
    return said


def _solver(model) -> torch.device:
    """Where the sums are made and solved: the graphics card, if it has one that knows float64."""
    return _double(model.load_device)


def _double(device: torch.device) -> torch.device:
    """The device itself if it knows float64, else the CPU."""
    return device if device.type in ("cuda", "cpu") else torch.device("cpu")
