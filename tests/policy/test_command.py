"""`run.py policy`: a file explained, a record verified."""

import json

import pytest

from guards.policy import audit, explaining
from tools import PROJECT, policy


def test_the_example_is_valid_and_explained(capsys):
    assert policy.check(PROJECT / "docs" / "policy.example.json") == 0
    said = capsys.readouterr().out
    assert "gun, beer" in said and "blood" in said and all(limit in said for limit in explaining.LIMITS)


def test_a_wrong_file_is_named_with_its_fault(tmp_path, capsys):
    (tmp_path / "policy.json").write_text(
        '{"version": 1, "concepts": ["gun"], "strictnes": "strict"}', encoding="utf-8"
    )
    assert policy.check(tmp_path / "policy.json") == 1
    assert "strictnes: there is no such key" in capsys.readouterr().err
    assert policy.check(tmp_path / "none.json") == 1


@pytest.mark.parametrize("harm", [False, True])
def test_a_record_is_verified(tmp_path, capsys, harm):
    record = audit.Audit(str(tmp_path))
    for _ in range(3):
        record.record(action="admitted")
    if harm:
        lines = (tmp_path / audit.NAME).read_text(encoding="utf-8").splitlines()
        (tmp_path / audit.NAME).write_text(
            "\n".join([lines[0], json.dumps({"action": "x"}), lines[2]]), encoding="utf-8"
        )
    assert policy.verify(tmp_path) == (1 if harm else 0)
    said = capsys.readouterr()
    assert ("line 2" in said.err) if harm else ("3 decisions" in said.out and "admitted 3" in said.out)
    assert policy.verify(tmp_path / "elsewhere" / "policy.json") == 1
