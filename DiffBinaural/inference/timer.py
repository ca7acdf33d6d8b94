"""How long each stage of a conversion takes."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StageTimer:
    """Seconds spent in each stage, by name."""

    def __init__(self):
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Charge the time spent in the block to a stage."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[stage] += time.monotonic() - start

    def summary(self, path: str | Path, samples: int, rate: int, how: str) -> str:
        """A line about the file that has been written, how, and the time that it took."""
        took, seconds = sum(self.seconds.values()), samples / rate
        each = ", ".join(f"{stage} {spent:.1f} s" for stage, spent in self.seconds.items())
        return (
            f"{path}: {samples} samples, {seconds:.2f} s, {how}, in {took:.1f} s ({each}); "
            f"real-time factor {took / seconds:.2f}"
        )
