"""Where the policy is read, and what a missing file means."""

import pytest

from tools.testing import hosting


@pytest.fixture
def look(host, monkeypatch, tmp_path):
    """A fresh office whose file is named by the environment variable."""
    module = hosting.module("guards.policy.host_office")
    monkeypatch.setenv(module.VARIABLE, str(tmp_path / "rules.json"))
    return module.Office().look


def test_a_named_file_that_is_not_there_refuses_from_the_first_look_on(look, tmp_path):
    policy, fault = look()
    assert policy is None and fault.rule == "policy"
    assert "unset it" in fault.reason()
    (tmp_path / "rules.json").write_text(
        '{"version": 1, "concepts": ["gun"]}', encoding="utf-8-sig"
    )  # as Windows' editors do
    policy, fault = look()
    assert policy.texts == ("gun",) and fault is None
    (tmp_path / "rules.json").unlink()
    assert look()[1].rule == "policy" and look()[1].rule == "policy"


def test_without_a_file_and_without_the_variable_there_is_no_policy(host, monkeypatch, user):
    module = hosting.module("guards.policy.host_office")
    monkeypatch.delenv(module.VARIABLE, raising=False)
    assert module.Office().look() == (None, None)
