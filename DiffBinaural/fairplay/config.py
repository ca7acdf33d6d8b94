"""Settings of the preparation of FAIR-Play."""

from dataclasses import dataclass

from DiffBinaural.configs.fields import option, positive, required


def extent(text: str) -> tuple[int, int]:
    """'480x240' as (width, height)."""
    width, height = text.split("x")
    return int(width), int(height)


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Conversion of the FAIR-Play download to the layout that training reads."""

    fairplay_root: str = required(
        "folder of the download, with binaural_audios/ (or audios/), videos/ and splits/; it is only read"
    )
    out: str = required("folder of the dataset, outside the download")
    fps: int = option(10, "pictures per second of video")
    size: tuple[int, int] = option(
        (480, 240), "width x height of the pictures in pixels", type=extent, metavar="480x240"
    )
    workers: int = option(0, "processes; 0: one per core")
    verify: bool = option(False, "write nothing; compare everything in --out with the download")

    def __post_init__(self):
        positive(self, "fps")
        if min(self.size) < 1:
            raise ValueError(f"--size is {self.size[0]}x{self.size[1]}; expected at least 1x1 pixel")
