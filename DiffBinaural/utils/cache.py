"""A cache of the tensors that a training computes once."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from DiffBinaural.utils.files import load_tensors, save_tensors

MAPPED = 4096  # files that a process maps at once; a system allows 65,530


class Cache:
    """Named dicts of tensors, each computed at its first use.

    folder  where they are stored, to be mapped by all processes of a run and by those that resume it;
            without one, each process keeps them in memory
    keep    False: they are computed at every use, where there are too many to be stored
    beside  folders of their own for some endings: {"maps": …} for all names that end in .maps
    """

    def __init__(
        self, folder: Path | None = None, *, keep: bool = True, beside: dict[str, Path] | None = None
    ):
        self.folder, self.keep, self.beside, self.in_memory = folder, keep, beside or {}, {}
        self.mapped = lru_cache(MAPPED)(lambda path: load_tensors(path, mapped=True))

    def get(self, name: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """The tensors of that name; `compute` returns them where they are not cached yet."""
        if not self.keep:
            return compute()
        if self.folder is None:
            if name not in self.in_memory:
                self.in_memory[name] = compute()
            return self.in_memory[name]
        path = self.beside.get(name.rpartition(".")[2], self.folder) / f"{name}.pt"
        if not path.exists():
            save_tensors(path, compute())
        return self.mapped(path)
