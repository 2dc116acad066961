"""`run.py train NAME`: make the parts of the model in the box, and what is shipped with it."""

from ..choose import choose

TRAININGS = {
    "vae": "tools.demo_world.train_vae",
    "fill": "tools.demo_world.fill",
    "unet": "tools.demo_world.train_unet",
    "dit": "tools.demo_world.train_dit",
    "few": "tools.demo_world.distil_dit",
    "export": "tools.demo_world.export",
    "oracle": "tools.demo_world.train_oracle",
    "adapter": "tools.demo_world.train_adapter",
    "directions": "tools.demo_world.directions",
    "feedback": "tools.demo_world.feedback",
    "plan": "tools.demo_world.plan",
}

if __name__ == "__main__":
    choose("train", TRAININGS)
