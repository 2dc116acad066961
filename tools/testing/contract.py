"""The contract with saved graphs: all that a graph relies on in a node, as JSON, and what a change would break in it.

python3 run.py contract        writes tests/pack/contract.json: adds new nodes and new optional inputs, and refuses all else
"""

from __future__ import annotations

import argparse
import json
import sys

from tools import PROJECT

PATH = PROJECT / "tests" / "pack" / "contract.json"
# Lists that depend on the machine's files or the host's samplers: their options are not the pack's to promise.
LISTED = {
    "GuardCompare": ("sampler", "scheduler"),
    "GuardDiscoverDirection": ("sampler_name", "scheduler"),
    "GuardLearnInstruction": ("samples", "evaluation"),
    "GuardLoadAdapter": ("adapter_name",),
    "GuardLoadDirection": ("file",),
    "GuardLoadFeedback": ("set_name",),
    "GuardLoadFeedbackToken": ("token",),
    "GuardRewriterEndpoint": ("endpoint",),
    "GuardRewriterLocal": ("model_name",),
}
FACTS = ("optional", "default", "min", "max", "step", "round", "options", "multiline", "multiselect", "force_input")


def promise(schema) -> dict:
    """What saved graphs rely on in a node's schema; plain JSON values, the same on every supported host."""
    listed = LISTED.get(schema.node_id, ())
    return {
        "display_name": schema.display_name,
        "category": schema.category,
        "is_output_node": bool(schema.is_output_node),
        "inputs": [
            {"id": one.id, "type": one.get_io_type()}
            | {
                fact: list(value) if fact == "options" else value
                for fact in FACTS
                if (value := getattr(one, fact, None)) is not None and not (fact == "options" and one.id in listed)
            }
            for one in schema.inputs
        ],
        "outputs": [
            {"name": one.display_name, "type": one.get_io_type(), "is_output_list": bool(one.is_output_list)}
            for one in schema.outputs
        ],
    }


def breaks(written: dict, now: dict) -> list[str]:
    """What the promises ``now`` (node id -> promise) take from those ``written``. New nodes, optional inputs and options at the
    end, and a finer step that the old one is a multiple of, take nothing."""
    found = []
    for node, old in written.items():
        new = now.get(node)
        if new is None:
            found.append(f"{node} is gone: saved graphs that hold it no longer load")
            continue
        found += [
            f"{node}.{key} was {old[key]!r}, is {new[key]!r}"
            for key in old
            if key != "inputs" and (old[key] != new[key] or type(old[key]) is not type(new[key]))
        ]
        for place, input_ in enumerate(old["inputs"]):
            there = new["inputs"][place] if place < len(new["inputs"]) else None
            if json.dumps(_promised(there, input_), sort_keys=True) != json.dumps(
                input_, sort_keys=True
            ):  # 1 is not 1.0 here
                found.append(f"{node}, input {place}: was {input_}, is {there}")
        found += [
            f"{node}.{added['id']} is new and not optional: saved graphs do not hold it"
            for added in new["inputs"][len(old["inputs"]) :]
            if not added.get("optional")
        ]
    return found


def _promised(there: dict | None, written: dict) -> dict | None:
    """An input without what it has beyond those that were promised: options behind theirs, values between theirs."""
    if there is None:
        return None
    options, step = written.get("options"), written.get("step")
    if options and there.get("options", [])[: len(options)] == options:
        there = there | {"options": options}
    if type(step) is int and type(there.get("step")) is int and there["step"] > 0 and step % there["step"] == 0:
        there = there | {"step": step}
    return there


def unwritten(written: dict, now: dict) -> list[str]:
    """Nodes, inputs, options and finer steps that the file does not hold yet, and so does not protect."""
    found = [node for node in now if node not in written]
    for node in written.keys() & now.keys():
        old, new = written[node]["inputs"], now[node]["inputs"]
        found += [f"{node}.{added['id']}" for added in new[len(old) :]]
        found += [
            f"{node}.{one['id']}'s {'options' if one.get('options') != was.get('options') else 'step'}"
            for one, was in zip(new, old)
            if one != was == _promised(one, was)
        ]
    return found


def read() -> dict:
    """The promises in the file."""
    return json.loads(PATH.read_text(encoding="utf-8"))


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    from . import hosting

    hosting.start()
    now = {node: promise(cls.GET_SCHEMA()) for node, cls in sorted(hosting.node_classes().items())}
    broken = breaks(read(), now) if PATH.exists() else []
    if broken:
        print("\n".join(["These changes would break saved graphs; nothing was written:", *broken]), file=sys.stderr)
        return 1
    PATH.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{PATH.relative_to(PROJECT)}: {len(now)} nodes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
