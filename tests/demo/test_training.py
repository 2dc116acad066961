"""What the training scripts of the demo model share."""

import torch

from tools.demo_world import common
from tools.demo_world.muon import Muon


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


def test_muon_in_float32_moves_as_that_of_torch():
    """Over three steps, tall and wide, also matrices of nearly one direction; its iterations in bfloat16 are off by a hundredth."""
    generator = torch.Generator().manual_seed(0)
    for shape in ((24, 90), (90, 24), (30, 30)):
        fade = torch.logspace(0, -3, shape[1])
        begin = torch.randn(shape, generator=generator)
        ours, theirs = (torch.nn.Parameter(begin.clone()) for _ in range(2))
        muons = Muon([ours], 1e-2, 1e-2), torch.optim.Muon([theirs], 1e-2, 1e-2, adjust_lr_fn="match_rms_adamw")
        for _ in range(3):
            ours.grad = torch.randn(shape, generator=generator) * fade
            theirs.grad = ours.grad.clone()
            for muon in muons:
                muon.step()
        moved = torch.linalg.vector_norm((ours - begin).detach())
        assert torch.linalg.vector_norm((ours - theirs).detach()) < 0.03 * moved
        muons[1].load_state_dict(muons[0].state_dict())
        torch.testing.assert_close(muons[1].state[theirs]["momentum_buffer"], muons[0].state[ours]["momentum_buffer"])
