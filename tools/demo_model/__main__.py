"""`run.py train NAME`: make the parts of the model in the box, and what is shipped with it."""

from ..choose import choose

TRAININGS = {
    "vae": "tools.demo_model.train_vae",
    "unet": "tools.demo_model.train_unet",
    "export": "tools.demo_model.export",
    "oracle": "tools.demo_model.train_oracle",
    "adapter": "tools.demo_model.train_adapter",
    "directions": "tools.demo_model.directions",
    "feedback": "tools.demo_model.feedback",
    "world-vae": "tools.demo_world.train_vae",
    "world-fill": "tools.demo_world.fill",
    "world-unet": "tools.demo_world.train_unet",
    "world-export": "tools.demo_world.export",
    "world-oracle": "tools.demo_world.train_oracle",
}

if __name__ == "__main__":
    choose("train", TRAININGS)
