"""Everything that sets up, runs, measures and ships the pack. Nothing in here is loaded by ComfyUI."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
