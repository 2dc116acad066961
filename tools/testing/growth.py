"""Growth inhibitors by hand: the published algorithm (arXiv 2408.01014, as its authors' code does it) over a diffusers UNet.

Slow and plain on purpose: every attention map is made and held, the two prompts are aligned by Needleman-Wunsch, the loop
is DDIM's. It shares nothing with the pack but the weights and the text encoder.
"""

import math

import torch

from tools.testing import hosting

from . import twins
from .twins import CFG

PROMPT, TARGETS, SCALE = "a photo of a dog, on a chair", ("van gogh", "van gogh, weapon"), -2.0


def needleman_wunsch(x, y):
    """mapper, alpha, erase_mapper of row 1 (tokens ``y``) against row 0 (``x``), both of start, words and end; padded to 77."""
    score = [[0] * (len(y) + 1) for _ in range(len(x) + 1)]
    for i in range(1, len(x) + 1):
        for j in range(1, len(y) + 1):
            match = 1 if x[i - 1] == y[j - 1] else -1
            score[i][j] = max(score[i - 1][j - 1] + match, score[i][j - 1], score[i - 1][j])
    mapper, alpha, erase = list(range(77)), [1.0] * 77, [0] * 77
    i, j, k = len(x), len(y), len(y) - len(x) + 1
    while j > 0:
        if score[i][j] == score[i][j - 1]:  # an insertion into row 1
            j, k = j - 1, k - 1
            mapper[j], alpha[j], erase[j] = -1, 0.0, k
        elif i and score[i][j] == score[i - 1][j]:
            i -= 1
        else:
            i, j = i - 1, j - 1
            mapper[j] = i
    return torch.tensor(mapper), torch.tensor(alpha), torch.tensor(erase)


class Control:
    """What the attention layers of one run must know. Rows: picture, guarded picture, and the two without prompt."""

    def __init__(self, target, mapper, alpha, erase, count, equalizer, cross_end, self_end):
        self.target, self.mapper, self.alpha, self.erase, self.count = target, mapper, alpha, erase, count
        self.equalizer, self.cross_end, self.self_end = equalizer, cross_end, self_end
        self.step, self.means = 0, []

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **_):
        def heads(t):
            return t.unflatten(-1, (attn.heads, -1)).transpose(1, 2)

        def maps(queries, keys):
            return (heads(queries) @ heads(keys).transpose(-1, -2) * attn.scale).softmax(-1)

        x, cross = hidden_states, encoder_hidden_states is not None
        context = encoder_hidden_states if cross else x
        q, k, v = attn.to_q(x), attn.to_k(context), attn.to_v(context)
        probs = maps(q, k)
        if cross and self.step < self.cross_end:
            star = maps(q[1:2], attn.to_k(self.target))[0]
            self.means.append(star.mean((0, 1))[1 : 1 + self.count])
            kept = probs[0][..., self.mapper] * self.alpha
            grown = star[..., self.erase] * self.equalizer * (1 - self.alpha)
            probs = torch.stack([probs[0], kept + grown, probs[2], probs[3]])
        if not cross and self.step < self.self_end and probs.shape[-1] <= 256:
            probs = torch.stack([probs[0], probs[0], probs[2], probs[3]])
        out = (probs @ heads(v)).transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](out))


def ids(clip, text):
    """Start, words, end: the 77 tokens without the padding."""
    tokens = [token for token, _ in clip.tokenize(text)["l"][0]]
    return tokens[: tokens.index(49407) + 1]


@torch.inference_mode()
def published(pair, clip, prompt, targets, scale, steps, negative, adapter=None, seed=0):
    """Final latents (picture, guarded picture). ``targets``: words joined by spaces; ``adapter``: a callable, or None for ``scale``."""

    def encode(text):
        return clip.encode_from_tokens(clip.tokenize(text)).float()

    row0, row1 = ids(clip, prompt), ids(clip, prompt + " " + targets)
    count = len(ids(clip, targets)) - 2
    mapper, alpha, erase = needleman_wunsch(row0, row1)
    second, target = encode(prompt + " " + targets), encode(targets)
    injected = second[:, mapper] * alpha[:, None] + target[:, erase] * (1 - alpha[:, None])
    context = torch.cat([encode(prompt), injected, negative, negative])
    equalizer = torch.ones(77)
    inserted = (alpha == 0).nonzero()[:, 0]
    control = Control(target, mapper, alpha, erase, count, equalizer, int(0.8 * (steps + 1)), int(0.4 * steps))
    before, scheduler = pair.unet.attn_processors, pair.pipe.scheduler
    pair.unet.set_attn_processor(control)
    try:
        scheduler.set_timesteps(steps)
        x = pair.noise(1, seed).repeat(2, 1, 1, 1)
        if adapter is not None:  # a first step that is thrown away, all scales 1
            pair.unet(torch.cat([x, x]), scheduler.timesteps[0], encoder_hidden_states=context)
            equalizer[inserted] = torch.stack([adapter(means) for means in torch.stack(control.means, -1)])
        else:
            equalizer[inserted] = scale
        for control.step, t in enumerate(scheduler.timesteps):
            eps = pair.unet(torch.cat([x, x]), t, encoder_hidden_states=context).sample
            x = scheduler.step(eps[2:] + CFG * (eps[:2] - eps[2:]), t, x).prev_sample
    finally:
        pair.unet.set_attn_processor(before)
    return x, equalizer[inserted]


def adapter():
    """An adapter of random weights that infers scales of the usual size, for SD1.x's 16 layers."""
    generator = torch.Generator().manual_seed(5)
    network = hosting.module("guards.inhibitors.formula").Adapter(16)
    with torch.inference_mode(False), torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * (0.3 if p.ndim > 1 else 0.1))
        network.fc3.bias.fill_(-1.0)
    return network.eval().requires_grad_(False)


def in_host(pair, model, positive, steps):
    """Final latents by the host's ddim sampler, in the pipeline's scale."""
    sigmas = pair.sigmas(steps)
    noise = pair.noise(1) * (math.hypot(1, float(sigmas[0])) / float(sigmas[0]))
    return pair.model.model.process_latent_in(pair.sample(model, positive, noise, sigmas)) / math.hypot(
        1, float(sigmas[-1])
    )


def compare(pair, clip, targets, steps, inferred, report=None):
    """(picture and guarded picture by hand, guarded picture in the host, scales by hand), as final latents."""
    network = adapter() if inferred else None
    negative = twins.text(twins.NEGATIVE, pair.shape.context)
    both, scales = published(pair, clip, PROMPT, targets.replace(",", ""), SCALE, steps, negative, network)
    guard = hosting.module("guards.inhibitors.host").guard
    model, positive, _ = guard(pair.model, clip, PROMPT, targets, SCALE, "paired", network, report=report)
    return both, in_host(pair, model, positive, steps), scales
