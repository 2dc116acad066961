"""Everything that sets up, runs, measures and ships the pack. Nothing in here is loaded by ComfyUI."""
