"""Training the scale adapter inside the host: pictures are made with the inhibitor until a judge no longer finds the concept.

The official training data and labels are not public, so this is a re-implementation: an example is one picture (prompt and
seed), its input the attention means of the run's first step, its label the weakest scale at which the concept is gone.
"""

import hashlib
import json
import os
import re

import comfy.sample
import safetensors.torch
import torch

from ..host import folders, rail
from ..judging import host as judges
from . import formula as inhibitors
from . import host as growth_inhibitor
from . import host_text as inhibitor_text


class Probe:
    """Stands in for an adapter: hands out the scales to try and keeps what the first step shows."""

    injected = False

    def __init__(self, scales):
        self._scales, self.inputs = scales, None

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
    guarded = rail.attach(
        model, growth_inhibitor.GrowthInhibitor(target, 0.0, False, probe, cross_end, variant=variant)
    )
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
        if not abs(scale) <= 20:
            raise ValueError(
                f"prompts, line {number}: with judge 'labels' every line ends in a scale, such as: a red star | -1.2 (a tab "
                "does as well as the bar)"
            )
        found.append((parts[1].strip(" |\t"), scale))
    return found


def train(
    model,
    clip,
    vae,
    prompts,
    targets,
    judge,
    *,
    images=4,
    size=512,
    steps=20,
    cfg=7.0,
    strongest=-4.0,
    rounds=4,
    epochs=2000,
    cover=0.9,
    seed=0,
    cross_end=0.8,
    batch=16,
    folder=None,
    tick=None,
    **sources,
):
    """(Adapter, losses, report). Examples are kept in ``folder`` after every batch: the same settings go on where they stopped.

    ``judge``: a name in judges.NAMES; ``sources``: what judges.make takes for it. ``tick(done, total)`` is called after every
    sampling run and may raise to stop.
    """
    names = inhibitors.split_targets(targets)
    lines = parse(prompts, judge == judges.LABELS)
    if judge != judges.LABELS and len(names) != 1:
        raise ValueError("targets: a judge looks for one concept; name one target, or choose judge 'labels'.")
    target = inhibitor_text.target(clip, names)
    shown = judges.make(judge, vae, names[0], clip, **sources)
    rows = [(text, label, seed * 100_003 + number) for number, (text, label) in enumerate(lines * images)]
    key = _key(
        model,
        lines,
        names,
        images,
        size,
        steps,
        cfg,
        strongest,
        rounds,
        seed,
        cross_end,
        [judge] if shown is None else shown.key,
    )
    path = os.path.join(folder, key + ".safetensors") if folder else None
    kept = safetensors.torch.load_file(path) if path and os.path.exists(path) else {}
    empty = inhibitor_text.prompt(clip, "")[0]
    latent = (model.get_model_object("latent_format").latent_channels, size // 8, size // 8)
    batches = _batches(rows, clip, batch)
    runs = 1 if shown is None else rounds + 2
    done, total = 0, runs * len(batches)

    def step():
        nonlocal done
        done += 1
        if tick is not None:
            tick(done, total)

    for number, (part, positive) in enumerate(batches):
        if f"{number}.labels" in kept:
            done += runs - 1
            step()
            continue
        noise = torch.stack([torch.randn(latent, generator=torch.Generator().manual_seed(one)) for _, _, one in part])
        if shown is None:
            found = look(model, target, positive, [empty], noise, cfg)
            labels = torch.tensor([label for _, label, _ in part])
            step()
        else:
            found, labels = examples(
                model,
                target,
                positive,
                [empty],
                noise,
                shown,
                cfg=cfg,
                steps=steps,
                strongest=strongest,
                rounds=rounds,
                cross_end=cross_end,
                tick=step,
            )
            kept[f"{number}.scores"] = judges.first_and_strongest(shown)
        kept |= {f"{number}.inputs": found.contiguous(), f"{number}.labels": labels.contiguous()}
        if path:
            os.makedirs(folder, exist_ok=True)
            folders.write(path, safetensors.torch.save(kept))
    scores = None if shown is None else torch.cat([kept[f"{number}.scores"] for number in range(len(batches))], 1)
    if shown is not None and not (scores[0] > shown.threshold).any():
        raise ValueError(
            f"The judge found {names[0]!r} in none of the {scores.shape[1]} pictures (highest score {scores[0].max():.2f}, "
            f"threshold {shown.threshold:g}), so there is nothing to learn: give prompts that show it, or with judge 'clip "
            "vision' other words in judge_text and judge_against."
        )
    adapter, losses, report = learn(kept, epochs, cover, seed)
    adapter.family = type(model.model.model_config).__name__
    return adapter, losses, report if shown is None else f"{report}; {judges.report(shown, judge, scores)}"


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


def _key(model, *settings):
    """A name for one set of examples: its settings and a trace of the model's weights."""
    weights = next(iter(model.model.diffusion_model.parameters())).detach().float().sum().item()
    return hashlib.sha256(json.dumps([type(model.model).__name__, f"{weights:.6g}", *settings]).encode()).hexdigest()[
        :16
    ]
