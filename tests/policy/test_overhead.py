"""What a policy costs, by the functions of `run.py measure policy`. Twice the bars: a test's machine is busy with other things."""

import subprocess
import sys

from tools import PROJECT
from tools.measuring import policy


def test_start_up(host_path):
    """In a process of its own: it looks through all objects that are there, and a test's process has those of other tests."""
    command = [sys.executable, PROJECT / "tools" / "setup" / "launch.py", "tools.measuring.policy", "--repeat", "3"]
    done = subprocess.run(
        [*command, "--only", "start-up"], cwd=PROJECT, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 200


def test_a_graph_of_200_nodes(host):
    assert len(policy.large()) == 200
    assert policy.admission(10) < 0.010


def test_the_tripwire(host):
    assert policy.tripwire(3) < 10e-6
