"""What an operator's policy costs, in processor time: at the start, when a graph comes in, at every evaluation, and for clean prompts.

    python3 run.py measure policy [--steps 20] [--repeat 5]

Bars: start-up .1 s, a graph of 200 nodes 5 ms, the tripwire 5 us a forward, clean prompts 1.11 times the unguarded ones. The least of
--repeat tries: what else runs on the machine only adds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import importlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..testing import hosting, policies

POLICY = {"version": 1, "concepts": ["beer", {"text": "bomb", "action": "refuse"}]}


def least(call: Callable[[], object], repeat: int, times: int = 1) -> float:
    """Seconds of processor time of one call."""
    found = []
    for _ in range(repeat):
        started = time.process_time()
        for _ in range(times):
            call()
        found.append((time.process_time() - started) / times)
    return min(found)


def large(nodes: int = 200) -> dict:
    """A graph of so many nodes: one model, many prompts with their samplers and pictures."""
    graph: dict = {}
    part = 0
    while len(graph) + 7 <= nodes:
        for name, node in policies.graph(f"a cat number {part}", seed=part).items():
            links = {
                key: [f"{part}-{value[0]}", value[1]] if isinstance(value, list) else value
                for key, value in node["inputs"].items()
            }
            graph[f"{part}-{name}"] = {**node, "inputs": links}
        part += 1
    for number in range(nodes - len(graph)):
        graph[f"rest {number}"] = {"class_type": "EmptyLatentImage", "inputs": dict(width=96, height=96, batch_size=1)}
    return graph


@contextlib.contextmanager
def in_force(policy: dict = POLICY) -> Iterator[Any]:
    """The office with this policy, in the host of this process."""
    office = hosting.module("guards.policy.host_office")
    with tempfile.TemporaryDirectory() as folder:
        policies.write(Path(folder), policy)
        before = os.environ.get(office.VARIABLE)
        os.environ[office.VARIABLE] = str(policies.place(Path(folder)) / "policy.json")
        try:
            yield office
        finally:
            os.environ.pop(office.VARIABLE)
            if before is not None:
                os.environ[office.VARIABLE] = before
            office.office.__init__()


def start(repeat: int) -> float:
    """Reading the policy, and setting up the tripwire among all objects that are there."""
    tripwire: Any = hosting.module("guards.policy.host_tripwire")

    def once():
        office.Office().look()
        if tripwire._hook is not None:
            tripwire._hook.remove()
            tripwire._hook = None
        tripwire.install()

    with in_force() as office:
        return least(once, repeat)


def admission(repeat: int, nodes: int = 200) -> float:
    """Everything that is done to a graph before the host sees it, the record's line apart."""
    host_nodes: Any = importlib.import_module("nodes")
    if "KSamplerSelect" not in host_nodes.NODE_CLASS_MAPPINGS:
        asyncio.run(host_nodes.init_extra_nodes(init_custom_nodes=False, init_api_nodes=False))
    classes = hosting.node_classes()
    host_nodes.NODE_CLASS_MAPPINGS |= classes
    doors, rules = hosting.module("guards.policy.host_doors"), hosting.module("guards.policy.admission")
    graph = large(nodes)
    with in_force() as office:
        policy, fault = office.office.look()
        assert policy is not None, fault

        def once():
            said = {"prompt": graph}
            renewed = doors._renewed(graph, None)
            assert doors._refuse(renewed, policy) is None
            known = doors._caller.set(doors.Caller(policy, None, judged=renewed))
            doors.handler(None, said)
            doors._caller.reset(known)
            assert any(name.startswith(rules.PREFIX) for name in said["prompt"]), said

        return least(once, repeat)


def tripwire(repeat: int) -> float:
    """One call of the check before a forward that is guarded."""
    module = hosting.module("guards.policy.host_tripwire")
    token = module.begin()
    try:
        options = {"transformer_options": {module.TOKEN: token}}
        return least(functools.partial(module.check, None, (), options), repeat, 20_000)
    finally:
        module.end(token)


def clean(repeat: int, steps: int) -> float:
    """Sampling of a prompt without the concept under the policy, against the same without."""
    import comfy.sample
    import torch

    model, clip, _ = hosting.module("guards.demo.host").load()
    guard = hosting.module("guards.policy.host_guard").guard
    text = [clip.encode_from_tokens_scheduled(clip.tokenize(said)) for said in ("a cat on the beach", "")]
    noise = torch.randn(
        4, model.model.latent_format.latent_channels, 12, 12, generator=torch.Generator().manual_seed(0)
    )

    def sample(made):
        with torch.inference_mode():
            comfy.sample.sample(
                made,
                noise,
                steps,
                3.0,
                "euler",
                "normal",
                text[0],
                text[1],
                torch.zeros_like(noise),
                disable_pbar=True,
                seed=0,
            )

    looking = hosting.module("guards.looking")
    with in_force() as office:
        policy, _ = office.office.look()
        guarded = guard(model, clip, f"{policy.fingerprint} en")
        sample(guarded)
        plain = under = float("inf")
        for _ in range(repeat):  # in turns: the machine is not the same all the time
            with looking.no_picture():
                plain = min(plain, least(functools.partial(sample, model), 1))
            under = min(under, least(functools.partial(sample, guarded), 1))
    return under / plain


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="run.py measure policy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument(
        "--only", choices=("start-up", "graph", "tripwire", "clean"), help="one of the figures, in full precision"
    )
    options = parser.parse_args()
    hosting.start()
    figures: dict[str, tuple[str, Callable[[], float]]] = {
        "start-up": ("start-up, ms (bar 100)", lambda: 1000 * start(options.repeat)),
        "graph": ("a graph of 200 nodes, ms (bar 5)", lambda: 1000 * admission(options.repeat)),
        "tripwire": ("tripwire, us a forward (bar 5)", lambda: 1e6 * tripwire(options.repeat)),
        "clean": ("clean prompts, times the unguarded ones (bar 1.11)", lambda: clean(options.repeat, options.steps)),
    }
    if options.only:
        print(figures[options.only][1]())
        return 0
    for said, measure in figures.values():
        print(f"{said:52} {measure():8.2f}")
    return 0


if __name__ == "__main__":
    from ..setup.command import run

    run(main)
