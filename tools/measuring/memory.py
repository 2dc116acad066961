"""What the trainings keep for backward, for each picture of a batch: counted on the real UNets' shapes, where nothing is computed.

The tensors lie on torch's device "meta": they have shapes and no memory. Counted is every storage that autograd saves but the weights,
in fp16. Attention saves its queries, keys, values, result and the rows' sums, as PyTorch's fused kernels do; what a kernel needs for a
moment comes on top.
"""

from __future__ import annotations

import argparse
import math

from ..testing import hosting

SHAPES = {
    "SD1.5": dict(
        model_channels=320,
        num_res_blocks=[2, 2, 2, 2],
        channel_mult=[1, 2, 4, 4],
        transformer_depth=[1, 1, 1, 1, 1, 1, 0, 0],
        transformer_depth_output=[1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
        transformer_depth_middle=1,
        context_dim=768,
        num_heads=8,
    ),
    "SDXL": dict(
        model_channels=320,
        num_res_blocks=[2, 2, 2],
        channel_mult=[1, 2, 4],
        transformer_depth=[0, 0, 2, 2, 10, 10],
        transformer_depth_output=[0, 0, 0, 2, 2, 2, 10, 10, 10],
        transformer_depth_middle=10,
        context_dim=2048,
        num_head_channels=64,
        use_linear_in_transformer=True,
        num_classes="sequential",
        adm_in_channels=2816,
    ),
}
CASES = [("SD1.5", 512), ("SDXL", 512), ("SDXL", 1024)]
RANK = 16  # of Distil's change


def unet(shape):
    import comfy.ops
    import torch
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    network = UNetModel(
        image_size=32,
        in_channels=4,
        out_channels=4,
        use_spatial_transformer=True,
        legacy=False,
        dtype=torch.float16,
        device="meta",
        operations=comfy.ops.disable_weight_init,
        **SHAPES[shape],
    )
    return network.requires_grad_(False)


def fused():
    """Attention on shapes alone, which saves what a fused kernel saves."""
    import torch

    class Fused(torch.autograd.Function):
        @staticmethod
        def forward(context, q, k, v):
            out = torch.empty_like(q)
            context.save_for_backward(q, k, v, out, torch.empty(q.shape[:2], dtype=torch.float32, device=q.device))
            return out

    return lambda function, q, k, v, *args, **kwargs: Fused.apply(q, k, v)


def changes(network, rank: int) -> list[tuple]:
    """(layer, "weight" or "bias", sizes of the tensors of its change) of all that Distil trains; ``rank`` 0: whole matrices."""
    part = hosting.module("guards.distillation.host").PART
    return [
        (layer, key, [(value.shape[0], rank), (rank, value.shape[1])] if value.ndim == 2 and rank else [value.shape])
        for name, layer in network.named_modules()
        if part in name.split(".")
        for key, value in layer._parameters.items()
        if value is not None
    ]


def change(shape: str, rank: int) -> tuple[int, float]:
    """(bytes of Distil's change at a rank, as a share of the UNet in fp16): student, gradient, the optimiser's two and teacher, fp32."""
    network = unet(shape)
    size = 5 * 4 * sum(math.prod(size) for *_, sizes in changes(network, rank) for size in sizes)
    return size, size / sum(2 * value.numel() for value in network.parameters())


def kept(shape: str, side: int, training: str) -> int:
    """Bytes that autograd keeps of one picture of ``side`` pixels in one step of "Discover", "Invert" or "Distil"."""
    import torch

    host = hosting.module("guards.distillation.host")
    network, options = unet(shape), {"optimized_attention_override": fused()}
    half = dict(dtype=torch.float16, device="meta")
    context = torch.empty(1, 77, SHAPES[shape]["context_dim"], **half)
    if training == "Discover":
        direction = torch.empty(SHAPES[shape]["channel_mult"][-1] * 320, 1, 1, **half).requires_grad_()
        add = lambda h, skip, options: ((h + direction if options["block"] == ("output", 0) else h), skip)
        options["patches"] = {"output_block_patch": [add]}
    elif training == "Invert":
        context.requires_grad_()
    else:
        for part, key, sizes in changes(network, RANK):
            change = argparse.Namespace(student=[torch.empty(size, device="meta").requires_grad_() for size in sizes])
            part.register_forward_hook(host._beside(change, "student", key))
    weights = {value.untyped_storage()._cdata for value in network.parameters()}
    storages = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            storages[storage._cdata] = storage
        return tensor

    x, t = torch.empty(1, 4, side // 8, side // 8, **half), torch.zeros(1, device="meta")
    y = torch.empty(1, 2816, **half) if shape == "SDXL" else None
    with torch.inference_mode(False), torch.enable_grad():
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            out = network(x, t, context, y, transformer_options=options)
    assert out.requires_grad, "nothing is trained"
    return sum(storage.nbytes() for storage in storages.values())


def main():
    argparse.ArgumentParser(prog="run.py measure memory", description=__doc__).parse_args()
    hosting.start()
    print("| GiB a picture | Discover | Invert | Distil |\n|---|---|---|---|")
    for shape, side in CASES:
        figures = [kept(shape, side, training) / 2**30 for training in ("Discover", "Invert", "Distil")]
        print(f"| {shape}, {side} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |", flush=True)
    for shape in SHAPES:
        for rank in (RANK, 0):
            size, share = change(shape, rank)
            print(f"Distil's change, {shape}, rank {rank}: {size / 1e9:.2f} GB, {share:.1%} of the UNet in fp16")


if __name__ == "__main__":
    main()
