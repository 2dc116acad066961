"""The Growth Inhibitor in transformers once more: an override of its own, written anew, to compare the guard's with."""

from typing import NamedTuple

import torch


class Facts(NamedTuple):
    """What a family's attention looks like, stated here by hand."""

    patch: int = 2  # latents to a side of a token
    cross: bool = False  # whether the picture attends to the text by itself
    whole: bool = False  # whether the text's keys are read over the whole latents
    multiple: int = 1  # to which the tokens of text and picture are padded
    registers: int = 0  # tokens before the text
    front: int = 0  # to which the host pads texts, with zeros before them


FACTS = {
    "qwen": Facts(whole=True),
    "zimage": Facts(multiple=32),
    "wan": Facts(cross=True),
    "Flux2": Facts(patch=1, front=512),
    "ChromaRadiance": Facts(patch=4),
    "ZImagePixelSpace": Facts(multiple=32),
    "MageFlow": Facts(patch=1),
    "HunyuanImage21": Facts(patch=1),
    "AuraFlow": Facts(registers=8),
    **dict.fromkeys(("WAN21_I2V", "WAN21_Vace", "WAN21_Camera", "WAN22_T2V", "CosmosT2IPredict2"), Facts(cross=True)),
    "Kandinsky5": Facts(cross=True),
    "LTXV": Facts(cross=True, patch=1),
}


class Reading:
    """A MODEL, ``model``, that does what the guard does: which rows by the prompt's text, keys and values from passes of its own over one
    patch (or over the whole latents), soft-maxes in float64."""

    def __init__(self, name, model, scale, form, prompt, texts, empty, words=None):
        from comfy.patcher_extension import WrappersMP

        self.facts, self.scale, self.form = FACTS.get(name, Facts()), scale, form
        self.texts, self.empty, self.positive = texts, empty, self._before(prompt[0][0])[0]
        self.words = words  # of each text's tokens those that the sign flip sees; all, if None
        self.model, self.shares = model.clone(), []
        self.model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "reading", self._apply)
        self.model.model_options["transformer_options"]["optimized_attention_override"] = self._attention

    def _before(self, text):
        return torch.nn.functional.pad(text, (0, 0, max(self.facts.front - text.shape[1], 0), 0))

    def _pad(self, count):
        return -(-count // self.facts.multiple) * self.facts.multiple

    def _apply(self, executor, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None, **kwargs):
        facts = self.facts
        self.rows = [i for i, row in enumerate(c_crossattn) if torch.equal(row, self.positive.to(row))]
        self.read = {}
        for number, text in enumerate([*self.texts, self.empty] if self.rows else ()):
            small = x[self.rows] if facts.whole else x[:1, ..., : facts.patch, : facts.patch]
            concat = c_concat if c_concat is None else c_concat[:1, :, :1, : facts.patch, : facts.patch]
            small = small[:, :, :1] if small.ndim == 5 and not facts.whole else small
            cond, extra = self._before(text[0][0]).expand(len(small), -1, -1), dict(kwargs)
            if "y" in extra:
                extra["y"] = text[0][1]["pooled_output"].expand(len(small), -1)
            if "attention_mask" in extra:
                extra["attention_mask"] = torch.ones(len(small), cond.shape[1])
            if "num_tokens" in extra:
                extra["num_tokens"] = cond.shape[1]
            if "vace_context" in extra:
                extra["vace_context"] = extra["vace_context"][..., :1, : facts.patch, : facts.patch]
            extra = {k: v[: len(small)] if isinstance(v, torch.Tensor) else v for k, v in extra.items()}
            self.mode, self.number, self.count = number, -1, self._pad(cond.shape[1]) + facts.registers
            options = {"optimized_attention_override": self._attention}
            executor(small, t[: len(small)], concat, cond, None, options, **extra)
        self.mode, self.number, self.count = None, -1, self._pad(c_crossattn.shape[1]) + facts.registers
        self.own = x[0, 0].numel() // facts.patch**2
        return executor(x, t, c_concat, c_crossattn, control, transformer_options, **kwargs)

    def _attention(self, func, q, k, v, heads, *args, **kwargs):
        self.number += 1
        kwargs = {**dict(zip(("mask",), args, strict=False)), **kwargs}
        split = bool(kwargs.get("skip_reshape"))
        parts = [(t if split else t.flatten(2).unflatten(2, (heads, -1)).transpose(1, 2)).double() for t in (q, k, v)]
        count, keys = parts[0].shape[2], parts[1].shape[2]
        if self.mode is not None:
            joint = not self.facts.cross and count >= self.count + self._pad(1)
            if joint or (self.facts.cross and keys == self.count and count != keys):
                self.read.setdefault(self.number, {})[self.mode] = (
                    parts[1][:, :, : self.count],
                    parts[2][:, :, : self.count],
                )
            return func(q, k, v, heads, **kwargs)
        out = func(q, k, v, heads, **kwargs).clone()
        if self.number not in self.read:
            return out
        read = self.read[self.number]
        at = slice(0, count) if self.facts.cross else slice(self.count, self.count + self.own)
        queries = parts[0][self.rows][:, :, at]

        def attend(keys, values):
            return (queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5).softmax(-1) @ values

        mine = [parts[i][self.rows] for i in (1, 2)]
        concepts = [[part.expand(len(self.rows), -1, -1, -1) for part in read[i]] for i in range(len(self.texts))]
        if self.form == "sign_flip":
            if self.words is not None:
                before = [self.facts.registers + max(self.facts.front - text[0][0].shape[1], 0) for text in self.texts]
                concepts = [
                    [part[:, :, self.words + b] for part in one] for one, b in zip(concepts, before, strict=True)
                ]
            made = attend(
                torch.cat([mine[0], *(k for k, _ in concepts)], 2),
                torch.cat([mine[1], *(self.scale * v for _, v in concepts)], 2),
            )
            out[self.rows, at] = made.transpose(1, 2).flatten(2).to(out)
            return out
        nothing = attend(*read[len(self.texts)])
        differences = [attend(*concept) - nothing for concept in concepts]
        prompt = attend(*(part[:, :, : self.count] for part in mine)) - nothing
        self.shares.append(
            [[float((prompt[i] * d[i]).sum() / d[i].square().sum()) for d in differences] for i in range(len(prompt))]
        )
        out[self.rows, at] += self.scale * sum(differences).transpose(1, 2).flatten(2).to(out)
        return out
