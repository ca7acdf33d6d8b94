"""Settings of the check of a dataset."""

from dataclasses import dataclass
from pathlib import Path

from DiffBinaural.configs.fields import option, positive, required
from DiffBinaural.heads.named import HEAD_HELP, head_named

FOLDER, PAGE, STORED = "check", "index.html", "check.json"


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """Check of a dataset: every recording that is suspect, with reason and cure."""

    data_root: str = required("dataset folder; only its folder `check` is written")
    output: str | None = option(None, f"folder for {PAGE}, {STORED}; default: <data_root>/{FOLDER}")
    split: str = option("", "of the lists that are compared with each other, a folder in <data_root>/splits")
    ears: bool = option(True, "also compare the two channels with where sources are seen; takes longest")
    head: str | None = option(None, f"{HEAD_HELP}; default: that of the dataset")
    printed: int = option(20, "suspect recordings that are printed; all are on the page")
    workers: int = option(0, "processes; 0: one per core")

    def __post_init__(self):
        positive(self, "printed")
        head_named(self.head or "sphere")

    @property
    def folder(self) -> Path:
        """Where the page is written."""
        return Path(self.output) if self.output else Path(self.data_root) / FOLDER
