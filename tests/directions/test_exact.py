"""Steering and its training in the host against diffusers' UNet on the same random weights, with the sum written in by hand.

A narrow UNet of SD1.5's structure; the full size is `run.py exact`.
"""

import pytest
import torch

from tools.testing import hosting, twins


@pytest.fixture(scope="module")
def pair(host):
    return twins.Twins(twins.NARROW, 16, 16)


@pytest.fixture(scope="module")
def values():
    return torch.randn(128, 2, 2, generator=torch.Generator().manual_seed(7))


def direction(values):
    return hosting.module("guards.directions.formula").Direction("anything", values, "sd1", 128)


@pytest.mark.parametrize("batch", [1, pytest.param(3, marks=pytest.mark.both_hosts)])
def test_a_steered_picture_is_that_of_diffusers_with_the_sum_after_its_middle_block(pair, values, batch):
    plain = pair.published(None, 20, batch)
    with twins.after_middle_block(pair.unet, 1.5 * values):
        expected = pair.published(None, 20, batch)
    steered = hosting.module("guards.directions.host").steer(pair.model, direction(values), 1.5)
    distance, effect = twins.error(pair.hosted(None, 20, batch, model=steered), expected), twins.error(plain, expected)
    assert distance <= twins.TOLERANCE
    assert distance <= effect / 50


@pytest.mark.both_hosts
def test_the_gradient_to_the_direction_is_that_of_an_independent_loss(pair, values):
    """eps loss of two pictures at two time steps, by diffusers' UNet and autograd, with nothing of the pack."""
    training, pure = hosting.module("guards.training.host"), hosting.module("guards.training.loop")
    generator = torch.Generator().manual_seed(3)
    x0, noise = torch.randn(2, 4, 16, 16, generator=generator), torch.randn(2, 4, 16, 16, generator=generator)
    times = torch.tensor([150, 720])
    text = twins.text("a red house by the sea", twins.NARROW.context).expand(2, -1, -1)

    expected = values.clone().requires_grad_(True)
    scheduler = pair.pipe.scheduler
    handle = pair.unet.mid_block.register_forward_hook(lambda module, inputs, output: output + expected)
    try:
        predicted = pair.unet(scheduler.add_noise(x0, noise, times), times, encoder_hidden_states=text).sample
    finally:
        handle.remove()
    (predicted - noise).square().mean().backward()

    actual = values.clone().requires_grad_(True)

    def train(denoise, device):
        def add(h, skip, options):
            return (h + actual if options["block"] == ("output", 0) else h), skip

        def put(options):
            options["patches"] = {"output_block_patch": [add]}

        sigma = pair.model.model.model_sampling.sigmas[times]
        denoised = denoise(pure.add_noise(x0, noise, sigma, False), sigma, patches=put)
        pure.errors(denoised, x0, sigma, "eps").mean().backward()

    training.run(pair.model, {"positive": [[text[:1], {}]]}, x0, train)
    assert twins.error(actual.grad, expected.grad) <= 1e-4
