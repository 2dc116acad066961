"""`run.py measure NAME`: what `run.py evaluate` does not measure: other samplers, trained weights, shapes, the model in the box itself."""

from ..choose import choose

TABLES = {
    "roles": "tools.measuring.roles",
    "feedback": "tools.measuring.feedback",
    "memory": "tools.measuring.memory",
    "policy": "tools.measuring.policy",
    "model": "tools.demo_world.measure",
}

if __name__ == "__main__":
    choose("measure", TABLES)
