"""What may go wrong around a policy on a real server: a full disk, other packs' handlers, changes while prompts run. Never an unguarded
picture, never a queue that hangs, and the reason is told."""

import sys
from pathlib import Path

import pytest

from guards.policy import audit
from tools.serving.server import Refused, Server
from tools.testing.policies import graph, place, write

pytestmark = pytest.mark.both_hosts
POLICY = {"version": 1, "concepts": ["beer", {"text": "zorp", "action": "refuse"}], "previews": True}


@pytest.mark.parametrize("name", ["first", "last"])
def test_another_packs_handler_that_raises_leaves_the_guard(ruled, name):
    result = ruled.run(graph(f"a cat raise {name}"))
    assert result.status == "success", result.error
    assert "a fault of another pack" in ruled.log()


@pytest.mark.parametrize("name", ["first", "last"])
def test_another_packs_handler_cannot_take_the_guard_off_or_slip_a_wish_in(ruled, name):
    result = ruled.run(graph(f"a cat unguard {name}", seed=5))
    if result.status == "success":  # it came before ours, and found nothing to take out
        assert name == "first"
    else:
        assert not result.images and "rule: tripwire" in result.error
    wished = ruled.run(graph(f"a cat wish {name}", seed=6))
    if wished.status == "success":  # steered: the guard stands, and this handler came when texts had been read
        assert name == "last"
    else:
        assert "asks for zorp" in wished.error


def test_a_policy_that_changes_while_prompts_wait_and_run(ruled):
    first = ruled.queue(graph("a cat", seed=11, steps=200))
    second = ruled.queue(graph("a dog", seed=12))
    try:
        write(ruled.folder, {**POLICY, "minimum_steps": 2})
        ends = [ruled.wait(one, timeout=120) for one in (first, second)]
    finally:
        write(ruled.folder, POLICY)
    assert ends[1].status == "error" and "has changed since" in ends[1].error and not ends[1].images
    assert ruled.run(graph("a dog", seed=12)).status == "success"


def test_a_folder_in_the_files_place_refuses(ruled):
    file = place(ruled.folder) / "policy.json"
    file.unlink()
    file.mkdir()
    try:
        with pytest.raises(Refused) as refused:
            ruled.run(graph())
        assert refused.value.reply["error"]["extra_info"]["rule"] == "policy"
    finally:
        file.rmdir()
        write(ruled.folder, POLICY)
    assert ruled.run(graph(seed=21)).status == "success"


def test_a_record_that_cannot_be_written_refuses_until_it_can(ruled):
    file = place(ruled.folder) / audit.NAME
    kept = file.rename(file.with_suffix(".kept"))
    file.mkdir()
    try:
        with pytest.raises(Refused) as refused:
            ruled.run(graph())
        error = refused.value.reply["error"]
        assert error["extra_info"]["rule"] == "audit" and "audit.jsonl is no file" in error["message"]
    finally:
        file.rmdir()
        kept.rename(file)
    assert ruled.run(graph(seed=31)).status == "success"
    audit.survey(audit.files(str(place(ruled.folder))))


def test_two_servers_on_one_user_folder_keep_one_record(ruled, host_path, tmp_path):
    before = audit.survey(audit.files(str(place(ruled.folder)))).decisions
    (tmp_path / "user").symlink_to(ruled.folder / "user", target_is_directory=True)
    with Server(Path(sys.executable), host_path, tmp_path) as other:
        for number in range(3):
            assert ruled.run(graph(seed=40 + number)).status == "success"
            with pytest.raises(Refused):
                other.run(graph("a zorp"))
    found = audit.survey(audit.files(str(place(ruled.folder))), 6)
    assert found.decisions == before + 6
    assert [entry["action"] for entry in found.last] == ["refused", "admitted"] * 3
