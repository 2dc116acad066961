"""Training the scale adapter inside the host: pictures are made with the inhibitor until a judge no longer finds the concept.

The official training data and labels are not public, so this is a re-implementation: an example is one picture (prompt and
seed), its input the attention means of the run's first step, its label the weakest scale at which the concept is gone.
"""
import comfy.sample
import torch

from .. import inhibitors
from . import growth_inhibitor, rail


class Probe:
    """Stands in for an adapter: hands out the scales to try and keeps the means."""

    def __init__(self, scales):
        self._scales, self.means = scales, None

    def scales(self, means):
        self.means = means.clone()
        return self._scales[:, None].expand(-1, means.shape[1] - 1)


def examples(model, target, positive, negative, noise, judge, *, mode="single_pass", cfg=7.0, steps=20, sampler="euler",
             scheduler="normal", strongest=-4.0, rounds=4, tick=None, interrupted=None):
    """(means (n, tokens + 1, layers), labels (n,)) of the pictures that start from ``noise`` (n, c, h, w).

    ``positive``, ``negative``: CONDITIONINGs of n rows or one; ``target``: inhibitor_text.Target; ``judge(latents) -> (n,)
    bool`` says where the concept is found; ``tick()`` is called after each of the rounds + 2 sampling runs.
    """
    kept = []

    def found(scales):
        probe = Probe(scales)
        guard = growth_inhibitor.GrowthInhibitor(target, 0.0, mode == "paired", probe)
        with torch.inference_mode():
            latents = comfy.sample.sample(rail.attach(model, guard), noise, steps, cfg, sampler, scheduler, positive, negative,
                                          torch.zeros_like(noise), disable_pbar=True, seed=0)
            seen = judge(latents)
        kept.append(probe.means)
        if tick is not None:
            tick()
        return seen
    labels = inhibitors.weakest(found, noise.shape[0], strongest, rounds)
    return kept[0], labels
