"""`run.py measure NAME`: the tables of the help pages, on the model in the box."""

from ..choose import choose

TABLES = {
    "roles": "tools.measuring.roles",
    "gating": "tools.measuring.gating",
    "intervention": "tools.measuring.intervention",
    "directions": "tools.measuring.directions",
    "feedback": "tools.measuring.feedback",
    "concepts": "tools.measuring.concepts",
    "memory": "tools.measuring.memory",
    "model": "tools.demo_world.measure",
}

if __name__ == "__main__":
    choose("measure", TABLES)
