"""Where the bundled weights are."""

from pathlib import Path

INSTALLED = Path(__file__).parents[1] / "weights"  # of an installed package
CHECKOUT = Path(__file__).parents[2] / "weights"  # of a clone
BUNDLED = INSTALLED if INSTALLED.is_dir() else CHECKOUT  # folder of the models that come with the project
