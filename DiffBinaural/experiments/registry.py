"""What an experiment is, which ones need which."""

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

SEEDS = (1, 2)  # beside 0, of a row whose interval holds zero
# What differs with the scale: "small" is for two cores, "base" for a GPU and its hours.
SCALES = {
    "small": {
        "preset": "tiny",
        "clips": "120",
        "epochs": "3",
        "vocoder": "bigvgan_binaural_tiny.json",
        "freeze": "250",
        "steps_2a": "400",
        "steps_2b": "150",
        "ramp": "50",
    },
    "base": {
        "preset": "base",
        "clips": "3000",
        "epochs": "40",
        "vocoder": "bigvgan_binaural_22khz_80band_256x.json",
        "freeze": "0",
        "steps_2a": "100000",
        "steps_2b": "20000",
        "ramp": "5000",
    },
}


@dataclass(frozen=True)
class Experiment:
    """A row of a table, or the data that rows share.

    commands   words after "python"; {root}: the results, {here}: this experiment's folder, {base}: that of
               `against`, {seed}, and the words of SCALES
    against    parts: the row with the part, of which this one has one part less
    decided_by  parts: the figure that the part is there for
    settings   keys of the vocoder's config.json that differ: written to {here}/vocoder.json
    decision   parts: what follows where the interval of decided_by holds zero
    """

    table: str
    row: str
    commands: tuple[str, ...]
    against: str = ""
    decided_by: str = ""
    settings: tuple[tuple[str, object], ...] | None = None
    decision: str = ""
    seed: int = 0

    def folder(self, root: Path) -> Path:
        """Where it keeps what it makes."""
        return root / self.table / (slug(self.row) + (f"_seed{self.seed}" if self.seed else ""))

    def words(self, root: Path, scale: str) -> list[list[str]]:
        """Its commands as they are run."""
        known = {
            **SCALES[scale],
            "root": root,
            "here": self.folder(root),
            "seed": self.seed,
            "base": replace(self, row=self.against).folder(root),
        }
        return [shlex.split(command.format(**known)) for command in self.commands]


def slug(row: str) -> str:
    """A row's title as the name of a folder.

    >>> slug("1 source, room")
    '1_source_room'
    """
    return re.sub(r"[^\w.+]+", "_", row)


def slug_path(name: str) -> str:
    """A table, or a table and a row, as :meth:`Experiment.folder` has them."""
    table, bar, row = name.partition("/")
    return f"{table}{bar}{slug(row)}"


def needs(experiment: Experiment, other: Experiment, root: Path, scale: str) -> bool:
    """Whether one reads from the other's folder, or is compared with it."""
    words = " ".join(" ".join(command) for command in experiment.words(root, scale))
    compared = (experiment.table, experiment.against) == (other.table, other.row)
    return compared or f"{other.folder(root)}/" in words
