"""Read a policy file or its record.

python3 run.py policy check FILE      what the file says, in words, or what is wrong with it
python3 run.py policy audit FOLDER    verify the record of decisions beside a policy file, and count it by day and rule
python3 run.py policy where           where ComfyUI looks for the file
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from guards.policy import audit, explaining, rules


def check(path: Path) -> int:
    """Explain a policy file; 1 where it cannot be used."""
    try:
        policy = rules.parse(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    print(f"Policy {policy.fingerprint}\n")
    print("\n".join(explaining.explain(policy)))
    print("\nWhat it cannot do:")
    print("\n".join(f"- {limit}" for limit in explaining.LIMITS))
    return 0


def verify(folder: Path) -> int:
    """Verify and count a record; 1 where it was changed."""
    paths = audit.files(str(folder if folder.is_dir() else folder.parent))
    if not paths:
        print(f"{folder}: there is no audit.jsonl.", file=sys.stderr)
        return 1
    try:
        found = audit.survey(paths)
        print(f"{found.decisions} decisions, unchanged since they were written.")
        for day, counts in found.days.items():
            print(f"{day}  " + ", ".join(f"{rule} {count}" for rule, count in sorted(counts.items())))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="run.py policy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("check", "audit", "where"))
    parser.add_argument("path", type=Path, nargs="?")
    options = parser.parse_args(arguments)
    if options.what == "where":
        print("user/__concept_guards/policy.json in ComfyUI's folder, or the file that CONCEPT_GUARDS_POLICY names")
        return 0
    if options.path is None:
        parser.error(f"{options.what}: name the file")
    return check(options.path) if options.what == "check" else verify(options.path)


if __name__ == "__main__":
    from .setup.command import run

    run(main)
