"""The table of families in the help, made from the code, against every transformer of the host that can be built tiny."""

import pytest
import torch

from tools.testing import families, hosting
from tools.testing.reading import Reading
from tools.testing.sampling import close

PAGE = hosting.PROJECT / "web" / "docs" / "GuardGrowthInhibitor.md"


@pytest.fixture(scope="module", params=families.ALL)
def family(request, host):
    return request.param, families.build(request.param)


def test_what_the_code_claims_of_a_family_is_so_and_the_rest_is_refused(family, monkeypatch):
    """A direction behind the middle block, by a forward hook on it; both forms of the inhibitor, by an override written anew."""
    name, model = family
    table, plain = hosting.module("guards.tokens.host_table").row(model), families.sample(model)
    assert plain.isfinite().all()
    host_side, places = hosting.module("guards.directions.host"), hosting.module("guards.directions.host_places")
    if table.directions:
        values = torch.randn(places.channels(model), generator=torch.Generator().manual_seed(1))
        direction = hosting.module("guards.directions.formula").Direction(
            "it", values, "", 0, {}, places.default(model)
        )
        assert not close(families.sample(host_side.steer(model, direction, 1.0)), plain, 1e-2)
        _backward(model, "gradient" in table.directions, monkeypatch)
    else:
        with pytest.raises(ValueError, match="has no block where directions are known to work.*Safe Latent Diffusion"):
            places.default(model)
    if not table.inhibitor:
        with pytest.raises(NotImplementedError, match="does not know the attention.*Use Safe Latent Diffusion"):
            hosting.module("guards.tokens.host").guard(model, None, "", "star", -1.0, "single_pass")
        return
    monkeypatch.setattr(
        hosting.module("guards.inhibitors.formula"), "gate", lambda shares: torch.ones(shares.shape[:2])
    )
    concept, empty = (families.asked(model, families.text(*one)) for one in ((3, 7), (9, 5)))
    words = torch.tensor([1, 2, 5])
    targets = hosting.module("guards.tokens.host_words").Targets(("it",), {"it": concept, "": empty}, {"it": words})
    for form in ("aligned", "sign_flip"):
        guard = hosting.module("guards.tokens.host").Inhibitor(targets, -1.0, form, 1.0)
        out = families.sample(hosting.module("guards.host.rail").attach(model, guard))
        expected = families.sample(Reading(name, model, -1.0, form, families.text(1), [concept], empty, words).model)
        assert close(out, expected, 1e-4) and not close(out, plain, 1e-3), form


def test_the_keys_that_a_text_masks_are_not_seen(host, monkeypatch):
    """LTX-Video's text encoder pads, and masks what it pads: the guard is that of the text without."""
    host_side, words = hosting.module("guards.tokens.host"), hosting.module("guards.tokens.host_words")
    monkeypatch.setattr(
        hosting.module("guards.inhibitors.formula"), "gate", lambda shares: torch.ones(shares.shape[:2])
    )
    model, short, empty = (
        families.build("LTXV"),
        families.text(3, 7),
        families.asked(families.build("LTXV"), families.text(9, 5)),
    )
    padding = torch.cat([short[0][0], torch.randn(1, 4, short[0][0].shape[2])], 1)
    mask = torch.cat([torch.ones(1, 7, dtype=torch.long), torch.zeros(1, 4, dtype=torch.long)], 1)
    pictures = []
    for concept in (families.asked(model, short), [[padding, {**short[0][1], "attention_mask": mask}]]):
        targets = words.Targets(("it",), {"it": concept, "": empty}, {"it": None})
        guard = host_side.Inhibitor(targets, -1.0, "aligned", 1.0)
        pictures.append(families.sample(hosting.module("guards.host.rail").attach(model, guard)))
    assert close(*pictures, 1e-4) and not close(pictures[0], families.sample(model), 1e-3)


def _backward(model, works, monkeypatch):
    """One step of training a direction goes through, or fails in the host: else the table has to change."""
    discovery, loop = hosting.module("guards.directions.host_discovery"), hosting.module("guards.training.loop")
    monkeypatch.setattr(discovery, "NO_BACKWARD", set())
    settings, latents = loop.Settings(1, 0.1, 1, 0), families.noise(model)
    if works:
        assert discovery.discover(model, families.text(1), families.text(2), latents, settings).losses
        return
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        discovery.discover(model, families.text(1), families.text(2), latents, settings)


def test_the_page_has_the_table_as_the_code_makes_it(host):
    table = hosting.module("guards.tokens.host_table")
    made = table.markdown({name: families.build(name) for name in families.ALL})
    assert made in PAGE.read_text(encoding="utf-8"), made


def test_no_class_of_a_known_network_is_left_untried(host):
    """A new model class of the host whose network guards would take for a known one must be built here first."""
    known = {**hosting.module("guards.host.dit").STACKS, **hosting.module("guards.tokens.host_layouts").LAYOUTS}
    tried = {(families.ALL[name])[0] for name in families.ALL} | set(families.LIKE)
    refused = {name for name, claim in known.items() if claim is None}
    left = [
        kind
        for kind, networks in families.networks().items()
        if kind not in tried and networks & set(known) and not networks & refused
    ]
    assert not left and len(families.networks()["FluxSchnell"] & set(known)) == 1, left
