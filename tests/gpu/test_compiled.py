"""Guards on a model that torch.compile has compiled, as the host's node does it (with the eager backend: no compiler needed)."""

import pytest
import torch

from tools.testing import hosting, models

from .trainings import close, picture

KINDS = ["sld", "intervention", "direction", "inhibitor single_pass", "inhibitor paired"]


def by_node(model):
    """The host's own node, its filter included."""
    from comfy_api.torch_helpers import set_torch_compile_wrapper
    from comfy_extras.nodes_torch_compile import skip_torch_compile_dict

    model = model.clone()
    set_torch_compile_wrapper(model=model, backend="eager", options={"guard_filter_fn": skip_torch_compile_dict})
    return model


def by_object_patch(model):
    """What other packs do."""
    model = model.clone()
    model.add_object_patch("diffusion_model", torch.compile(model.get_model_object("diffusion_model"), backend="eager"))
    return model


@pytest.fixture
def plain(host):
    torch.compiler.reset()
    yield models.sd1()
    torch.compiler.reset()


@pytest.mark.parametrize("make", [by_node, by_object_patch])
def test_a_guard_acts_whether_the_compiled_model_ran_unguarded_before_or_not(plain, make):
    """All kinds on one compiled model: a kind that is compiled with it shows in what the others and the bare model make."""
    clip = models.clip()
    expected, bare = {kind: picture(kind, plain, clip) for kind in KINDS}, models.sample(plain)
    compiled = make(plain)
    for when in ("guarded first", "unguarded first"):
        for kind in KINDS:
            assert close(picture(kind, compiled, clip), expected[kind]), (when, kind)
        assert close(models.sample(compiled), bare), "a guard is baked in"


def test_other_models_and_later_runs_are_compiled_as_ever(plain):
    compiled_host = hosting.module("guards.host.compiled")
    model = by_node(plain)
    assert compiled_host.is_compiled(model) and not compiled_host.is_compiled(plain)
    with compiled_host.uncompiled(plain):
        assert torch.compiler.set_stance is not None and stance() == "default"
    with pytest.raises(RuntimeError, match="stopped"), compiled_host.uncompiled(model):
        assert stance() == "force_eager"
        raise RuntimeError("stopped")
    assert stance() == "default"


def stance():
    from torch._dynamo import eval_frame

    return eval_frame._stance.stance


def test_an_old_torch_refuses_a_guard_on_a_compiled_model(plain, monkeypatch):
    monkeypatch.delattr(torch.compiler, "set_stance")
    with pytest.raises(ValueError, match="torch.compile.*Safe Latent Diffusion"):
        picture("direction", by_node(plain), models.clip())
    assert torch.isfinite(picture("sld", by_node(plain), models.clip())).all()
