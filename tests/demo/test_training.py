"""What the training scripts of the demo model share."""

import torch

from tools.demo_world import common


def test_the_average_follows_closely_at_first_and_slowly_later():
    """After step n: min(decay, (1 + n) / (10 + n)) of what was, the rest of the parameters."""
    parameters = [torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.ones(3))]
    average, expected = common.averaged(parameters, 0.5), [p.detach().clone() for p in parameters]
    for step in range(1, 30):
        with torch.no_grad():
            for p in parameters:
                p.add_(step)
        average.update_parameters(torch.nn.ParameterList(parameters))
        decay = min(0.5, (1 + step) / (10 + step))
        expected = [e * decay + p.detach() * (1 - decay) for e, p in zip(expected, parameters, strict=True)]
        for mean, value in zip(average.module.parameters(), expected, strict=True):
            torch.testing.assert_close(mean.detach(), value)


def test_a_resumed_average_goes_on_where_it_stopped():
    layer = torch.nn.Linear(2, 2)
    whole = common.averaged(layer, 0.9)
    for step in range(6):
        with torch.no_grad():
            layer.weight.add_(1)
        if step == 3:
            rest = common.averaged(whole.module, 0.9, steps=3)
        whole.update_parameters(layer)
        if step >= 3:
            rest.update_parameters(layer)
    assert torch.equal(whole.module.weight, rest.module.weight)
    assert not torch.equal(whole.module.weight, layer.weight)
