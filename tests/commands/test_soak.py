"""A short soak: after interrupted and failing prompts the same server still makes the pictures of a fresh one."""

import pytest

from tools.measuring import soak


def test_a_short_soak_passes(host_path, tmp_path, monkeypatch):
    monkeypatch.setenv("CONCEPT_GUARDS_HOST", str(host_path))
    run, twins = soak.soak(24, tmp_path)
    assert not soak.judge(run, twins), soak.table(run, twins)
    assert len(run.pictures) == 12


@pytest.mark.parametrize(
    "change, complaint",
    [
        (lambda run, twins: run.pictures.update({0: b"other"}), "1 of 2 pictures differ"),
        (lambda run, twins: twins.pictures.pop(1), "1 of 2 pictures differ"),
        (lambda run, twins: run.memory.append(131.0), "memory grew by 31 MB"),
        (lambda run, twins: run.faults.append("turn 3 ended as error"), "turn 3"),
        (lambda run, twins: run.pictures.clear(), "no picture"),
    ],
)
def test_the_judge_of_the_soak_sees_every_fault(change, complaint):
    run = soak.Run(pictures={0: b"a", 1: b"b"}, memory=[90.0] * 5 + [100.0] * 40)
    twins = soak.Run(pictures={0: b"a", 1: b"b"}, memory=[100.0])
    assert not soak.judge(run, twins)
    change(run, twins)
    assert any(complaint in fault for fault in soak.judge(run, twins))


def test_failing_graphs_fail_where_they_are_meant_to(server):
    """One inside the guarded sampling, one after it."""
    inside, after = server.run(soak.build(3)), server.run(soak.build(7))
    assert (inside.status, inside.error_node) == ("error", "sampler"), inside.error
    assert (after.status, after.error_node) == ("error", "save"), after.error
