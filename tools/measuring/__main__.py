"""`run.py measure NAME`: what `run.py evaluate` does not measure: memory by shapes, the policy's cost, the model in the box itself."""

from ..choose import choose

TABLES = {"memory": "tools.measuring.memory", "policy": "tools.measuring.policy", "model": "tools.demo_world.measure"}

if __name__ == "__main__":
    choose("measure", TABLES)
