"""Where the bundled weights are."""

from pathlib import Path

BUNDLED = Path(__file__).parents[2] / "weights"  # the models that come with the project
