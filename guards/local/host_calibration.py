"""The calibration of a MODEL, once for its weights with the LoRAs on them: three sampling steps of twelve small scenes."""

import hashlib
import logging
from dataclasses import dataclass

import comfy.sample
import torch

from .. import looking, seeds
from ..host import attention, checks, rail, strangers
from . import calibration, formula

REMEMBERED = 8  # calibrations, in this process
SIDES = {"sd1": 64, "sd2": 64, "sdxl": 96}  # sides of the scenes' latents; a model's configuration may name its own
TOGETHER = 4  # scenes in a batch
_made = {}  # fingerprints of model and text encoder -> Calibration


def calibrate(model, clip, tick=None):
    """The Calibration of a MODEL with its CLIP. ``tick(done, total)``: after each batch of scenes. Raises calibration.Unsuited where
    the model's cross-attention tells nothing apart."""
    key = (
        fingerprint(model),
        str(clip.patcher.patches_uuid),
        str(getattr(clip, "layer_idx", None)),
        checks.sampling(model),
    )
    if key not in _made:
        made = _measure(model, clip, tick)
        while len(_made) >= REMEMBERED:
            _made.pop(next(iter(_made)))
        _made[key] = made
        logging.info(
            "Local gates: cross-attention %d tells concepts apart in this model (by %.2f), from cosine %.2f on; %d of %d act",
            made.layer,
            made.margin,
            made.limits.low,
            len(made.acting),
            made.layers,
        )
    return _made[key]


def prompts(clip, texts):
    """(n, T, c) of n texts, each alone, and their pooled outputs (n, p), or None where there are none."""
    encoded = [clip.encode_from_tokens_scheduled(clip.tokenize(text))[0] for text in texts]
    pooled = [options.get("pooled_output") for _, options in encoded]
    return torch.cat([text for text, _ in encoded]), None if pooled[0] is None else torch.cat(pooled)


def fingerprint(model):
    """Changes when the weights of a MODEL's cross-attention do, or any patch on its weights."""
    found = hashlib.sha256(checks.family(model).encode())
    for name, weight in model.model_state_dict("diffusion_model.").items():
        if ".attn2.to_k." in name or ".attn2.to_v." in name:
            _take(found, weight)
    for name in sorted(model.patches):
        found.update(name.encode())
        _take(found, model.patches[name])
    return found.hexdigest()


def _take(found, value):
    """A few numbers of every tensor in ``value``, and every plain value, into the hash ``found``."""
    if isinstance(value, torch.Tensor):
        few = value.detach().flatten()[:: max(1, value.numel() // 64)]
        found.update(few.float().cpu().numpy().tobytes())
    elif isinstance(value, list | tuple):
        for part in value:
            _take(found, part)
    elif hasattr(value, "weights"):  # the host's adapters: LoRA, LoHa and the like
        _take(found, value.weights)
    elif isinstance(value, int | float | str):
        found.update(repr(value).encode())


def _measure(model, clip, tick):
    nouns, _ = prompts(clip, calibration.NOUNS)
    neutral, _ = prompts(clip, [calibration.NEUTRAL, ""])
    numbers = calibration.known(nouns, neutral[:1])
    if len(numbers) < 3:
        raise calibration.Unsuited("the text encoder knows too few of the words that the model is tried out with")
    names = [calibration.NOUNS[number] for number in numbers]
    pairs = calibration.scenes(len(names))
    recorder = Recorder(torch.cat([nouns[numbers], neutral]), _Notes())
    plain = model.clone()
    rail.detach(plain)
    recording = rail.attach(plain, recorder)
    captions = [f"a {names[one]} and a {names[other]}" for one, other in pairs]
    for at in range(0, len(captions), TOGETHER):
        _sample(recording, clip, captions[at : at + TOGETHER], at)
        recorder.notes.turn(TOGETHER / len(captions))
        if tick is not None:
            tick(min(at + TOGETHER, len(captions)), len(captions))
    return recorder.notes.calibration(tuple(names), pairs)


def _sample(model, clip, captions, seed, side=None, steps=calibration.STEPS):
    own = getattr(
        type(model.model.model_config), "trained_side", None
    )  # the host's own objects warn of any name that they lack
    side = side or own or SIDES.get(checks.family(model), 64)
    noise = torch.randn(
        (len(captions), model.model.latent_format.latent_channels, side, side), generator=seeds.generator(seed)
    )
    text, pooled = prompts(clip, captions)
    conditioning = [[text, {} if pooled is None else {"pooled_output": pooled}]]
    nothing, options = torch.zeros_like(noise), dict(disable_pbar=True, seed=seed)
    with torch.inference_mode(), looking.no_picture():
        comfy.sample.sample(model, noise, steps, 1.0, "euler", "normal", conditioning, conditioning, nothing, **options)


class _Notes:
    """What the layers showed: the largest cosines (scenes, things) of each, and queries of the last step."""

    def __init__(self):
        self.tops, self.queries, self.positions, self._now = {}, {}, {}, {}

    def look(self, layer, cos, queries):
        """``cos``: (things, scenes, positions); ``queries``: (scenes, positions, width)."""
        top, every = cos.amax(2).T, queries.flatten(0, 1)
        before = self._now.get(layer)
        self._now[layer] = top if before is None else torch.maximum(before[0], top), every
        self.positions[layer] = cos.shape[2]

    def turn(self, share):
        """A batch of scenes is done, ``share`` of all of them."""
        for layer, (top, queries) in self._now.items():
            self.tops.setdefault(layer, []).append(top.cpu())
            few = queries[:: max(1, int(len(queries) / (calibration.EXAMPLES * share)))]
            self.queries.setdefault(layer, []).append(few.cpu())
        self._now = {}

    def calibration(self, names, pairs):
        layers = sorted(self.tops)
        there, without = calibration.margins(torch.stack([torch.cat(self.tops[one]) for one in layers]), pairs)
        number, limits, margin = calibration.seed(there, without)
        acting = calibration.coarse([self.positions[one] for one in layers], number)
        drawn, clear = (tuple(values[number].tolist()) for values in (there, there - without))
        examples = torch.cat(self.queries[number])[None]
        return calibration.Calibration(number, limits, margin, acting, len(layers), names, drawn, clear, examples)


@dataclass(frozen=True, eq=False)
class Recorder(rail.Guard):
    """Asks every layer at every step but the first, which sees pure noise. ``texts``: (n + 2, T, c), the things, neutral, none."""

    texts: torch.Tensor
    notes: _Notes

    def begin(self, run):
        return attention.Texts(run.guider)

    def patch(self, run, texts, options):
        def cross(layer):
            return lambda q, k, v, extra, inner: self._look(run, texts, layer, q, inner(q, k, v, extra), extra)

        attention.wrap_cross(options, checks.network(run.guider.model_patcher), cross)

    def _look(self, run, texts, layer, q, out, extra):
        if run.step:
            for at, _ in run.rows(strangers.own_rows(q.shape[0], extra), extra):
                read = texts.attend_all(layer, q[at], self.texts, extra)
                cos, _ = formula.agreement(out[at] - read[-1], read[:-2] - read[-2])
                self.notes.look(layer, cos, q[at])
        return out


@dataclass(frozen=True, eq=False)
class Comparison(rail.Guard):
    """Compares the first ``count`` texts, (n, T, c), with the others but the last, which is neutral, on a calibration's examples."""

    texts: torch.Tensor
    count: int
    made: calibration.Calibration
    found: list

    def begin(self, run):
        return attention.Texts(run.guider)

    def patch(self, run, texts, options):
        def cross(layer):
            return lambda q, k, v, extra, inner: self._compare(texts, layer, q, inner(q, k, v, extra), extra)

        attention.wrap_cross(options, checks.network(run.guider.model_patcher), cross)

    def _compare(self, texts, layer, q, out, extra):
        if layer == self.made.layer and not self.found:
            read = texts.attend_all(layer, self.made.examples.to(q), self.texts, extra)[:, 0]
            added = read[:-1] - read[-1]
            self.found.append(calibration.likeness(added[: self.count], added[self.count :]).cpu())
        return out


def likeness(model, clip, made, targets):
    """(m, n): how alike m ``targets`` (texts) and the calibration's things are to the model, by one evaluation of a tiny latent."""
    texts, _ = prompts(clip, [*targets, *made.nouns, calibration.NEUTRAL])
    found = []
    plain = model.clone()
    rail.detach(plain)
    _sample(rail.attach(plain, Comparison(texts, len(targets), made, found)), clip, [""], 0, side=8, steps=1)
    return found[0]
