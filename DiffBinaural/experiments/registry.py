"""The description of an experiment."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

SEEDS = (1, 2)  # further seeds, for a row whose interval holds zero
# "small" is for two cores and minutes, "base" for a GPU and hours.
SCALES = {
    "small": {
        "preset": "tiny",
        "clips": "120",
        "real_clips": "140",
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
        "real_clips": "3000",
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
    """A row of a table, or the data that several rows use.

    commands    arguments of python; {root}: folder of the results, {here}: folder of this experiment, {seed},
                and the names in SCALES
    against     parts: the row that has the part which this one lacks
    decided_by  parts: the metric that the part should improve
    settings    keys of the vocoder's config.json that differ: written to {here}/vocoder.json
    decision    parts: what follows where the interval of decided_by holds zero
    requires    files and folders, from the project's folder on, that no experiment makes; it is
                left out where one is missing
    """

    table: str
    row: str
    commands: tuple[str, ...]
    against: str = ""
    decided_by: str = ""
    settings: tuple[tuple[str, object], ...] | None = None
    decision: str = ""
    requires: tuple[str, ...] = ()
    seed: int = 0

    def folder(self, root: Path) -> Path:
        """Folder of its output."""
        return root / self.table / (slug(self.row) + (f"_seed{self.seed}" if self.seed else ""))

    def words(self, root: Path, scale: str) -> list[list[str]]:
        """Its commands, with all names filled in."""
        known = {
            **SCALES[scale],
            "root": root,
            "here": self.folder(root),
            "seed": self.seed,
        }
        return [shlex.split(command.format(**known)) for command in self.commands]


def slug(row: str) -> str:
    """A row's title as a folder name.

    >>> slug("1 source, room")
    '1_source_room'
    """
    return re.sub(r"[^\w.+]+", "_", row)


def slug_path(name: str) -> str:
    """A table, or a table and a row, as :meth:`Experiment.folder` has them."""
    table, bar, row = name.partition("/")
    return f"{table}{bar}{slug(row)}"


def needs(experiment: Experiment, other: Experiment, root: Path, scale: str) -> bool:
    """Whether an experiment reads from the folder of the other, or is compared with it."""
    words = " ".join(" ".join(command) for command in experiment.words(root, scale))
    compared = (experiment.table, experiment.against) == (other.table, other.row)
    return compared or f"{other.folder(root)}/" in words
