"""Training the scale adapter inside the host: pictures are made with the inhibitor until a judge no longer finds the concept.

The official training data and labels are not public, so this is a re-implementation: an example is one picture (prompt and
seed), its input the attention means of the run's first step, its label the weakest scale at which the concept is gone.
"""

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, fields

import comfy.sample
import safetensors.torch
import torch

from .. import files, seeds
from ..host import checks, rail
from ..judging import host as judges
from ..judging import host_clip as vision
from ..training import host as training
from . import formula as inhibitors
from . import host_text as inhibitor_text
from .host_single_pass import SinglePass


class Probe:
    """Stands in for an adapter: hands out the scales to try and keeps what the first step shows."""

    injected = False

    def __init__(self, scales):
        self._scales, self.inputs = scales, torch.empty(0)

    def scales(self, means, shares):
        self.inputs = torch.cat([means, shares], -1)
        return self._scales[:, None].expand(-1, means.shape[1])


def examples(
    model,
    target,
    positive,
    negative,
    noise,
    judge,
    *,
    cfg=7.0,
    steps=20,
    sampler="euler",
    scheduler="normal",
    strongest=-4.0,
    rounds=4,
    variant="aligned",
    cross_end=0.8,
    tick=None,
):
    """(inputs (n, tokens, 2 * layers), labels (n,)) of the pictures that start from ``noise`` (n, c, h, w).

    ``positive``, ``negative``: CONDITIONINGs of n rows or one; ``target``: inhibitor_text.Target; ``judge(latents) -> (n,)
    bool`` says where the concept is found; ``tick()`` is called after each of the rounds + 2 sampling runs.
    """
    kept = []

    def found(scales):
        inputs, latents = _run(
            model, target, positive, negative, noise, scales, variant, steps, cfg, sampler, scheduler, cross_end
        )
        kept.append(inputs)
        with torch.inference_mode():
            seen = judge(latents)
        if tick is not None:
            tick()
        return seen

    labels = inhibitors.weakest(found, noise.shape[0], strongest, rounds)
    return kept[0], labels


def _run(
    model,
    target,
    positive,
    negative,
    noise,
    scales,
    variant,
    steps,
    cfg,
    sampler="euler",
    scheduler="normal",
    cross_end=0.8,
):
    """(inputs, latents) of one sampling run with a scale for each picture."""
    probe = Probe(scales)
    guarded = rail.attach(model, SinglePass(target, 0.0, probe, cross_end, variant))
    with torch.inference_mode():
        latents = comfy.sample.sample(
            guarded,
            noise,
            steps,
            cfg,
            sampler,
            scheduler,
            positive,
            negative,
            torch.zeros_like(noise),
            disable_pbar=True,
            seed=0,
        )
    return probe.inputs.clone(), latents


def look(model, target, positive, negative, noise, cfg):
    """(n, tokens, 2 * layers): what the first step shows of pictures whose labels are known. One evaluation."""
    return _run(model, target, positive, negative, noise, torch.zeros(noise.shape[0]), "aligned", 1, cfg)[0]


def parse(prompts, labelled):
    """[(prompt, label or None)] of the lines. ``labelled``: every line ends in ``| scale``, or in a tab and a scale as tables give."""
    lines = [line.strip() for line in prompts.splitlines() if line.strip() and not line.strip().startswith("#")]
    if not lines:
        raise ValueError("prompts is empty: give one prompt a line, some with the concept and some without.")
    if not labelled:
        return [(line, None) for line in lines]
    found = []
    for number, line in enumerate(lines, 1):
        parts = re.fullmatch(r"(.*)[|\t](.*)", line)
        try:
            scale = float(parts[2]) if parts else float("nan")
        except ValueError:
            scale = float("nan")
        if parts is None or not abs(scale) <= 20:
            raise ValueError(
                f"prompts, line {number}: with judge 'labels' every line ends in a scale, such as: a beer on the beach | -1.2 (a tab "
                "does as well as the bar)"
            )
        found.append((parts[1].strip(" |\t"), scale))
    return found


@dataclass(frozen=True)
class Recipe:
    """How examples are made: pictures a prompt, their side in pixels, sampling steps and guidance; the strongest scale that is tried, how
    often the search for the weakest one that works is halved, the share of steps in which the inhibitor acts, prompts in one batch."""

    images: int = 4
    size: int = 512
    steps: int = 20
    cfg: float = 7.0
    strongest: float = -4.0
    rounds: int = 4
    seed: int = 0
    cross_end: float = 0.8
    batch: int = 16


def train(model, clip, vae, prompts, targets, judge, *, epochs=2000, cover=0.9, folder=None, tick=None, **settings):
    """(Adapter, losses, report). Examples are kept in ``folder`` after every batch: the same settings go on where they stopped.

    ``judge``: a name in judges.NAMES; ``settings``: those of Recipe, and what judges.make takes for the judge. ``epochs``, ``cover``: of
    ``learn``. ``tick(done, total)`` is called after every sampling run and may raise to stop. Raises ValueError for prompts, targets and
    judges that do not fit, and where the concept is in none of the pictures; NotImplementedError for a model without a UNet.
    """
    if not checks.is_unet(model):
        raise NotImplementedError(
            f"Train Scale Adapter learns for the UNets of SD1.x, SD2.x and SDXL; this is {checks.model_name(model)}. Growth Inhibitor "
            "works there without an adapter: set its scale."
        )
    recipe = Recipe(**{field.name: settings.pop(field.name) for field in fields(Recipe) if field.name in settings})
    names = inhibitors.split_targets(targets)
    lines = parse(prompts, judge == judges.LABELS)
    if judge != judges.LABELS and len(names) != 1:
        raise ValueError("targets: a judge looks for one concept; name one target, or choose judge 'labels'.")
    shown = judges.make(judge, vae, names[0], clip, **settings)
    key = _key(model, clip, lines, names, asdict(recipe), [judge] if shown is None else shown.key)
    path = os.path.join(folder, key + ".safetensors") if folder else None
    kept = _collect(model, clip, lines, names, shown, recipe, path, tick)
    text = ""
    if shown is not None:
        scores = torch.cat([value for name, value in kept.items() if name.endswith(".scores")], 1)
        if not (scores[0] > shown.threshold).any():
            raise ValueError(
                f"The judge found {names[0]!r} in none of the {scores.shape[1]} pictures (highest score {scores[0].max():.2f}, "
                f"threshold {shown.threshold:g}), so there is nothing to learn: give prompts that show it, or with judge 'clip "
                "vision' other words in judge_text and judge_against."
            )
        text = f"; {judges.report(shown, judge, scores)}"
    adapter, losses, report = learn(kept, epochs, cover, recipe.seed)
    adapter.family = checks.family(model) or type(model.model.model_config).__name__
    return adapter, losses, report + text


def _collect(model, clip, lines, names, shown, recipe, path, tick):
    """{"<batch>.inputs", "<batch>.labels", "<batch>.scores"}: all examples, those that ``path`` holds already among them."""
    # Clones: Windows does not let a file be replaced that is still mapped.
    kept = safetensors.torch.load_file(path) if path and os.path.exists(path) else {}
    kept = {name: value.clone() for name, value in kept.items()}
    target, empty = inhibitor_text.target(clip, names), inhibitor_text.prompt(clip, "")[0]
    rows = [(text, label, recipe.seed * 100_003 + number) for number, (text, label) in enumerate(lines * recipe.images)]
    side = recipe.size // training.latent_scale(model)
    latent = (model.get_model_object("latent_format").latent_channels, side, side)
    batches = _batches(rows, clip, recipe.batch)
    runs = 1 if shown is None else recipe.rounds + 2
    done = 0

    def step(count=1):
        nonlocal done
        done += count
        if tick is not None:
            tick(done, runs * len(batches))

    for number, (part, positive) in enumerate(batches):
        if f"{number}.labels" in kept:
            step(runs)
            continue
        noise = torch.stack([torch.randn(latent, generator=seeds.generator(seed)) for _, _, seed in part])
        if shown is None:
            found, labels = (
                look(model, target, positive, [empty], noise, recipe.cfg),
                torch.tensor([row[1] for row in part]),
            )
            step()
        else:
            found, labels = examples(
                model,
                target,
                positive,
                [empty],
                noise,
                shown,
                cfg=recipe.cfg,
                steps=recipe.steps,
                strongest=recipe.strongest,
                rounds=recipe.rounds,
                cross_end=recipe.cross_end,
                tick=step,
            )
            kept[f"{number}.scores"] = judges.first_and_strongest(shown)
        kept |= {f"{number}.inputs": found.contiguous(), f"{number}.labels": labels.contiguous()}
        if path:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            files.write(path, safetensors.torch.save(kept))
    return kept


def learn(kept, epochs=2000, cover=0.9, seed=0):
    """(Adapter, losses, report) from kept examples: {"<batch>.inputs": (n, tokens, 2 * layers), "<batch>.labels": (n,)}."""
    inputs, labels = [], []
    for key in kept:
        if key.endswith(".inputs"):  # every token is an example
            inputs.append(kept[key].flatten(0, 1))
            labels.append(kept[key[: -len("inputs")] + "labels"].repeat_interleave(kept[key].shape[1]))
    inputs, labels = torch.cat(inputs), torch.cat(labels)
    if not (labels < 0).any():
        raise ValueError(
            "The concept was found in none of the pictures, so there is nothing to learn: give prompts that show it."
        )
    adapter, losses = inhibitors.fit(inputs, labels, epochs, cover, seed=seed)
    with torch.inference_mode(False):
        scales = adapter(inputs.clone())
    there = labels < 0
    report = (
        f"{len(labels)} examples, {int(there.sum())} with the concept; loss {losses[0]:.3f} -> {losses[-1]:.3f}; scale with the "
        f"concept {scales[there].mean():.2f} (labels {labels[there].mean():.2f})"
    )
    if (~there).any():
        report += f", without it {scales[~there].mean():.2f}"
    return adapter, losses, report


def _batches(rows, clip, size):
    """[(rows, CONDITIONING of as many rows)]: prompts of one length together."""
    texts = {text: inhibitor_text.prompt(clip, text)[0] for text, _, _ in rows}
    groups = {}
    for row in rows:
        groups.setdefault(texts[row[0]][0].shape[1], []).append(row)
    parts = [group[at : at + size] for group in groups.values() for at in range(0, len(group), size)]

    def joined(part):
        pooled = [texts[text][1].get("pooled_output") for text, _, _ in part]
        options = {} if any(p is None for p in pooled) else {"pooled_output": torch.cat(pooled)}
        return [[torch.cat([texts[text][0] for text, _, _ in part]), options]]

    return [(part, joined(part)) for part in parts]


def _key(model, clip, *settings):
    """A name for one set of examples: its settings, and traces of the model's and the text encoder's weights and LoRAs."""
    traces = [type(model.model).__name__, *vision.trace(checks.network(model)), *_patches(model)]
    traces += [*vision.trace(clip.cond_stage_model), *_patches(clip.patcher), clip.layer_idx]
    return hashlib.sha256(json.dumps([*traces, *settings]).encode()).hexdigest()[:16]


def _patches(patcher):
    """Texts that change with the weight patches of a MODEL or CLIP (LoRAs and the like): their places, strengths and numbers."""
    found = []
    for place in sorted(patcher.patches, key=str):
        for strength, patch, strength_model, *_ in patcher.patches[place]:
            numbers = [f"{part.detach().float().sum().item():.6g}" for part in _tensors(patch)]
            found.append(f"{place} {strength} {strength_model} {' '.join(numbers)}")
    return found


def _tensors(patch):
    """The tensors of a weight patch: the host's adapters hold them in ``weights``, other kinds are nested tuples."""
    patch = getattr(patch, "weights", patch)
    if isinstance(patch, torch.Tensor):
        return [patch]
    return [tensor for part in patch for tensor in _tensors(part)] if isinstance(patch, tuple | list) else []
