"""The formulas of the training loop, by hand."""

import pytest
import torch

from tools.testing import hosting

loop = hosting.module("guards.training.loop")


def test_noise_is_added_as_the_model_kind_has_it():
    x0, noise, sigma = torch.full((2, 1, 1, 1), 4.0), torch.ones(2, 1, 1, 1), torch.tensor([0.25, 2.0])
    assert loop.add_noise(x0, noise, sigma, False).flatten().tolist() == [4.25, 6.0]
    assert loop.add_noise(x0, noise, sigma[:1], True).flatten().tolist() == [3.25, 3.25]


@pytest.mark.parametrize("kind", ["eps", "v", "flow"])
def test_the_error_is_that_of_what_the_model_itself_predicts(kind):
    generator = torch.Generator().manual_seed(1)
    x0, noise, guess = (torch.randn(2, 3, 2, 2, generator=generator) for _ in range(3))
    sigma = torch.tensor([0.3, 0.8])
    s = sigma.view(-1, 1, 1, 1)
    if kind == "flow":  # x = (1 - s) x0 + s noise; velocity noise - x0; denoised = x - s velocity
        denoised, expected = loop.add_noise(x0, noise, sigma, True) - s * guess, guess - (noise - x0)
    elif kind == "eps":
        denoised, expected = x0 + s * (noise - guess), guess - noise
    else:  # in the host's scale, x / sqrt(1 + s^2) = alpha x0 + beta noise with alpha = 1 / sqrt(1 + s^2); v = alpha noise - beta x0
        alpha, beta = 1 / (1 + s**2).sqrt(), s / (1 + s**2).sqrt()
        mixed = alpha * x0 + beta * noise
        denoised, expected = alpha * mixed - beta * guess, guess - (alpha * noise - beta * x0)
    actual = loop.errors(denoised, x0, sigma, kind)
    assert torch.allclose(actual, expected.square().flatten(1).mean(1), rtol=1e-4)


def test_every_picture_comes_once_before_any_comes_again_and_weights_draw_in_proportion():
    pictures = torch.arange(6.0).view(6, 1, 1, 1)
    drawn = [loop.Examples(pictures, 10, 3).draw(6)[0].flatten().sort().values.tolist() for _ in range(2)]
    assert drawn == [[0, 1, 2, 3, 4, 5]] * 2
    weighted = loop.Examples(pictures, 10, 3, torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0, 3.0]))
    values = weighted.draw(4000)[0].flatten()
    assert set(values.tolist()) == {4.0, 5.0} and abs(float((values == 5).float().mean()) - 0.75) < 0.03
    x0, _, times = weighted.fixed(4)
    assert x0.flatten().tolist() == [5.0, 4.0, 5.0, 4.0] and times.tolist() == [1, 3, 6, 8]


def test_a_scaled_gradient_is_the_means_and_one_that_overflows_is_left_out():
    value = torch.tensor([3.0], requires_grad=True)
    scale = loop.LossScale(True)
    scale.backward(value * torch.tensor([1.0, 5.0]))
    assert float(value.grad) == 6 * 4096 and scale.finish([value], 2, 1) and float(value.grad) == 3
    value.grad = torch.tensor([float("inf")])
    assert not scale.finish([value], 2, 2) and scale.value == 2048
    with pytest.raises(FloatingPointError, match="step 7"):
        value.grad = torch.tensor([float("nan")])
        loop.LossScale(False).finish([value], 2, 7)


def test_the_best_vector_on_fixed_examples_is_kept():
    """A quadratic whose rate is too high: it gets better, then worse."""
    examples = loop.Examples(torch.zeros(4, 1, 1, 1), 10, 0)

    def error(values, x0, noise, times):
        return (values - 1).square().sum().expand(len(x0))

    result = loop.fit_vector(
        loop.Task(examples, error), [], torch.zeros(1), loop.Settings(100, 0.7, 2), "cpu", lambda *_: None
    )
    assert result.best == min(loss for _, loss in result.validation) < result.validation[0][1]
    assert float((result.values - 1).square().sum()) == pytest.approx(result.best, abs=1e-6)
    assert [step for step, _ in result.validation] == list(range(0, 101, 10)) and len(result.losses) == 100
