"""`run.py evaluate` on real servers: the same figures from one and from several, whatever dies in between."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tools.evaluating import __main__ as command
from tools.evaluating import plan as plans
from tools.evaluating import servers
from tools.evaluating.errors import PlanError, StoppedError
from tools.evaluating.items import Builder, Item
from tools.evaluating.plan import find
from tools.serving.server import Refused, Server

PROJECT = Path(__file__).resolve().parent.parent.parent
LAUNCH = [sys.executable, str(PROJECT / "tools" / "setup" / "launch.py"), "tools.evaluating"]
RUNS = 8


@pytest.fixture
def small(tmp_path) -> Path:
    """The demo's plan with few prompts, steps and arms."""
    source = find("demo_sld")
    data = json.loads(source.read_text(encoding="utf-8"))
    graph = json.loads((source.parent / data["graph"]).read_text(encoding="utf-8"))
    graph["7"]["inputs"]["steps"] = 2
    table = (source.parent / data["prompts"]["file"]).read_text(encoding="utf-8").splitlines()
    (tmp_path / "prompts.csv").write_text("\n".join([table[0], *table[1:3], *table[-2:]]) + "\n", encoding="utf-8")
    (tmp_path / "graph.json").write_text(json.dumps(graph), encoding="utf-8")
    data |= {"graph": "graph.json", "prompts": {"file": "prompts.csv"}, "asks": []}
    data["arms"] = {name: data["arms"][name] for name in ("off", "aligned strong")}
    (tmp_path / "small.json").write_text(json.dumps(data), encoding="utf-8")
    return tmp_path / "small.json"


def evaluate(monkeypatch, plan: Path, out: Path, *arguments: str) -> int:
    """The command in this process."""
    monkeypatch.setattr(sys, "argv", ["evaluate", str(plan), "--out", str(out), *arguments])
    return command.main()


def lines(out: Path) -> list[dict]:
    path = out / "results.jsonl"
    rows = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [row for row in map(json.loads, rows) if "scores" in row]


class Gate(threading.Thread):
    """An address of its own in front of a server; ``cut`` is what a killed server looks like to its clients."""

    def __init__(self, url: str):
        super().__init__(daemon=True)
        self.to = (urlsplit(url).hostname, urlsplit(url).port)
        self.listening, self.open, self.taken = socket.create_server(("127.0.0.1", 0)), [], 0
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listening.accept()
                far = socket.create_connection(self.to)
                self.open += [near, far]
                self.taken += 1
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    @staticmethod
    def _carry(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def cut(self):
        self.listening.close()
        for one in self.open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def test_the_same_figures_from_one_server_and_from_three_of_which_one_dies_and_the_driver_too(
    server, small, tmp_path, monkeypatch, capfd
):
    one, three = tmp_path / "one", tmp_path / "three"
    evaluate(monkeypatch, small, one, "--server", server.url)
    said = "".join(capfd.readouterr())
    assert f"{RUNS} of {RUNS} pictures" in said and str(one / "report.html") in said

    gates = [Gate(server.url) for _ in range(3)]
    addresses = [part for gate in gates for part in ("--server", gate.url)]
    process = subprocess.Popen([*LAUNCH, str(small), "--out", str(three), *addresses], cwd=PROJECT)
    until(lambda: len(lines(three)) >= 2)
    gates[0].cut()
    until(lambda: len(lines(three)) >= 4)
    process.kill()
    process.wait()
    left = server.get("/queue")
    lost = len(left["queue_running"]) + len(left["queue_pending"])
    assert lost <= len(gates), "what is lost: a run of each server at most, the one that is gone among them"
    before = lines(three)
    evaluate(monkeypatch, small, three, *addresses[2:])
    after = lines(three)
    assert after[: len(before)] == before, "nothing that was there is lost or made again"
    assert len(after) == RUNS == len({row["id"] for row in after})
    assert {row["server"] for row in after} >= {gates[1].url, gates[2].url}
    assert (one / "figures.json").read_bytes() == (three / "figures.json").read_bytes()
    (three / "report.html").unlink()
    evaluate(monkeypatch, small, three, "--report")
    assert (three / "report.html").exists() and lines(three) == after


def test_a_server_that_is_killed_loses_one_run_at_most(server, host_path, small, tmp_path):
    with Server(Path(sys.executable), host_path, tmp_path / "doomed") as doomed:
        builder = Builder(dataclasses.replace(plans.read(small), pictures=4), server.object_info())
        items, done, begun = list(builder.items()), [], []
        team = servers.Crew(builder, lambda: [server.url, doomed.url])

        class Counted(servers.Worker):
            def perform(self, item, graph, names):
                begun.append((self.server.url, item.id))
                return super().perform(item, graph, names)

        def take(outcome):
            done.append(outcome)
            if outcome.line["server"] == doomed.url:
                doomed.process.kill()

        team._worker = Counted
        assert not Counted(doomed.url).perform(items[0], builder.graph("off", 0, 0), {}).error, "it is warm"
        begun.clear()
        team.run(items, take)
    assert sorted(one.item.id for one in done) == sorted(item.id for item in items), "every run once"
    assert not any(one.error for one in done)
    its = [one for one in done if one.line["server"] == doomed.url]
    assert its and len([1 for url, _ in begun if url == doomed.url]) - len(its) <= 1


def until(true, seconds: float = 120):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_server_that_does_not_answer_is_refused_before_the_first_picture(server, small, tmp_path, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(PlanError, match=f"--server {nobody} does not answer .nothing listens there.. Start ComfyUI"):
        evaluate(monkeypatch, small, tmp_path / "out", "--server", server.url, "--server", nobody)
    assert not (tmp_path / "out").exists()


def crew(server, small, **graph):
    plan = plans.read(small)
    for key, value in graph.items():
        plan.graph["7"]["inputs"][key] = value
    builder = Builder(plan, server.object_info())
    return servers.Crew(builder, lambda: [server.url]), list(builder.items())[:3]


def test_a_graph_that_the_server_refuses_is_told_in_its_words(server, small):
    team, items = crew(server, small, sampler_name="no_such_sampler")
    with pytest.raises(PlanError, match="(?s)did not accept the graph.*KSampler.*no_such_sampler"):
        team.run(items, print)


def test_a_first_run_that_fails_stops_with_the_nodes_own_words(server, small):
    text = small.read_text(encoding="utf-8").replace('"what": "{concept}"', '"what": "weapon"')
    small.write_text(text, encoding="utf-8")
    team, items = crew(server, small)
    with pytest.raises(
        StoppedError, match="The first run failed: GuardScore: what: the demo oracle does not know 'weapon'"
    ):
        team.run(items, print)


def test_a_run_that_the_server_has_forgotten_is_lost_and_not_waited_for(server):
    with pytest.raises(ConnectionError, match="started anew and has forgotten the run"):
        servers.Remote(server.url).wait("0000")


def test_a_server_can_join_while_it_runs(server, small):
    team, items = crew(server, small)
    late, outcomes = Gate(server.url), []
    known = [server.url]
    team.addresses = lambda: known

    def take(outcome):
        outcomes.append(outcome)
        known.append(late.url)

    team.run([*items, *items], take)
    assert len(outcomes) == 6 and late.taken, "it got work"


@pytest.mark.parametrize("name", [name for name in plans.shipped() if name.startswith("demo")])
def test_every_arm_of_the_demos_plans_runs(server, name):
    """One step of the first prompt that every detector looks at, where there is one; of ways every one, without a guard, as such
    arms are those of other plans."""
    plan = plans.read(plans.find(name))
    plan = dataclasses.replace(plan, pictures=1, batch=1)
    plan.graph["7"]["inputs"]["steps"] = 1
    for key, steps in {"24": dict(images=2, steps=2, sample_steps=2), "54": dict(steps=2, sample_steps=2)}.items():
        plan.graph[key]["inputs"].update(steps)
    for key in ("36", "38"):
        plan.graph[key]["inputs"]["steps"] = 1
    builder = Builder(plan, server.object_info())
    place = max(range(len(plan.rows)), key=lambda place: len(builder.looking(place)))
    remote = servers.Remote(server.url)
    once = [name for name, made in plan.made.items() if not plan.ways or made.arm == plan.reference]
    for arm in once:
        item = Item("id", arm, place, 0, 1)
        graph, names = builder.graph(arm, place, 0), servers.names_of(builder, place)
        outcome = servers.perform(remote, item, graph, names)
        assert not outcome.error, outcome.error
        assert {one.name for one in plan.detectors} == set(outcome.line["scores"])
        assert len(outcome.pictures) == 1 and outcome.line["rows"] >= 1 and outcome.line["memory"] > 100_000_000
        assert 0 < outcome.line["sampling"] <= outcome.line["seconds"]


@pytest.mark.parametrize("name", [name for name in plans.shipped() if not name.startswith("demo")])
def test_of_plans_for_own_models_the_server_misses_the_files_alone(server, tmp_path, name):
    """Every arm's graph is whole: nothing is refused but the names of files that are the user's."""
    path = plans.find(name)
    data = json.loads(path.read_text(encoding="utf-8"))
    if not (path.parent / data["prompts"]["file"]).exists():
        rows = "".join(f"case {place},hate,{place},7\n" for place in range(30))
        (tmp_path / "given.csv").write_text(f"prompt,categories,sd_seed,sd_guidance_scale\n{rows}", encoding="utf-8")
        data["prompts"]["file"] = str(tmp_path / "given.csv")
    else:
        data["prompts"]["file"] = str((path.parent / data["prompts"]["file"]).resolve())
    data["graph"] = json.loads((path.parent / data["graph"]).read_text(encoding="utf-8"))
    (tmp_path / path.name).write_text(json.dumps(data), encoding="utf-8")
    plan = plans.read(tmp_path / path.name)
    builder = Builder(plan, server.object_info())
    for arm in plan.made:
        with pytest.raises(Refused) as refused:
            server.queue(builder.graph(arm, 0, 0))
        wrong = [
            (found["class_type"], error["type"])
            for found in refused.value.reply["node_errors"].values()
            for error in found["errors"]
        ]
        assert wrong and all(
            ("Load" in kind or kind == "GuardRewriterLocal") and error == "value_not_in_list" for kind, error in wrong
        ), str(refused.value)
