"""`run.py measure NAME`: what `run.py evaluate` does not measure: memory by shapes, what the policy and guards in transformers cost,
what Concept Guard changes outside of the forbidden thing, and the model in the box."""

from ..choose import choose

TABLES = {
    "memory": "tools.measuring.memory",
    "policy": "tools.measuring.policy",
    "model": "tools.demo_world.measure",
    "outside": "tools.measuring.outside",
    "transformer": "tools.measuring.transformer",
}

if __name__ == "__main__":
    choose("measure", TABLES)
