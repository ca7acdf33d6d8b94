"""Settings of the scripts that run a trained stage 1."""

from dataclasses import dataclass
from typing import Literal

from DiffBinaural.configs.advanced_diffusion_config import SPLIT_HELP, SamplingConfig
from DiffBinaural.configs.fields import option, positive, required
from DiffBinaural.utils.bundled import BUNDLED

RUN_HELP = "stage-1 run folder, or two: a left-ear and a right-ear run"
AMP_HELP = "bf16: networks in bfloat16: faster on a GPU, on many CPUs slower; the sound differs slightly"


@dataclass(frozen=True, kw_only=True)
class ClipsConfig(SamplingConfig):
    """A trained model, and the clips of a split."""

    run: tuple[str, ...] = option((str(BUNDLED / "stage1"),), RUN_HELP)
    data_root: str = required("dataset folder")
    output_dir: str = required("folder for <video_id>_<ms>_left.npy and …_right.npy")
    list_test: str = option("test", "list to generate: a name in <data_root>/splits/<split>, or a CSV file")
    split: str | None = option(None, SPLIT_HELP + "; default: the run's")
    weights_unet: str = option("unet_best.pth", "UNet weights: a file in the run folder, or a path")
    weights_frame: str = option("frame_best.pth", "visual encoder weights, likewise")
    fold: str = option("", "K/N: only the K-th of N parts of the list, which the run's training left out")
    limit: int | None = option(None, "only the first so many clips")
    detections: bool = option(True, "show the model the detected sources; without, whole pictures alone")
    amp: Literal["off", "bf16"] = option("off", AMP_HELP)

    def __post_init__(self):
        super().__post_init__()
        positive(self, "limit")


@dataclass(frozen=True, kw_only=True)
class GenerateConfig(ClipsConfig):
    """Generation of mel pairs for the clips of a split."""

    shuffle_vision: bool = option(False, "show the model the next clip's video: does it use the pictures?")


def point(text: str) -> tuple[float, float]:
    """'X,Y' as two numbers."""
    x, y = text.split(",")
    return float(x), float(y)


@dataclass(frozen=True, kw_only=True)
class PlacementConfig(ClipsConfig):
    """Mono sounds positioned by hand."""

    override_pos: tuple[float, float] | None = option(
        None,
        "where the source stands: x from -1 left to 1 right, y from -1 to 1 upwards",
        type=point,
        metavar="X,Y",
    )
    sweep: bool = option(False, "generate each sound at positions x = -1 … 1, and draw sweep.png")
    positions: int = option(21, "positions of a sweep")
    trajectory_in: str | None = option(
        None,
        "CSV of where the sources are over time: time,track,azimuth, seconds of the recording and degrees, "
        "positive right, optionally elevation,sounding; a track looks like the source detected in its slot",
    )

    def __post_init__(self):
        super().__post_init__()
        if not 2 <= self.positions <= 201:
            raise ValueError(f"--positions is {self.positions}; a sweep has 2 to 201")
        if self.override_pos and max(map(abs, self.override_pos)) > 1:
            raise ValueError(f"--override_pos is {self.override_pos}; both numbers lie in [-1, 1]")
        if [self.override_pos is None, not self.sweep, self.trajectory_in is None].count(False) != 1:
            raise ValueError("give either --override_pos X,Y or --sweep or --trajectory_in CSV")


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Trained weights to ship."""

    run: str = required("stage-1 run folder, whose best weights are taken")
    checkpoint_file: str = required("vocoder weights, config.json beside them")
    out: str = required("folder for stage1/ and vocoder/")
    average_with: str | None = option(
        None, "average stage 1's weights with those of this run, from which it was trained on"
    )
    share: float = option(0.5, "with --average_with: share of that run's weights, 0 to 1")

    def __post_init__(self):
        if not 0 <= self.share <= 1:
            raise ValueError(f"--share is {self.share}; expected 0 to 1")
