"""What a policy costs, by the functions of `run.py measure policy`. Twice the bars: a test's machine is busy with other things."""

from tools.measuring import policy


def test_start_up(host):
    assert policy.start(3) < 0.2


def test_a_graph_of_200_nodes(host):
    assert len(policy.large()) == 200
    assert policy.admission(10) < 0.010


def test_the_tripwire(host):
    assert policy.tripwire(3) < 10e-6
