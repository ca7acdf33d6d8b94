"""Settings of Mono2Binaural's scripts."""

from dataclasses import dataclass
from typing import Literal

from DiffBinaural.configs.advanced_diffusion_config import SPLIT_HELP
from DiffBinaural.configs.fields import DEVICE_HELP, SEED_HELP, option, positive, required

SMALLEST = 32  # rows of a picture
SIZES = ("channels", "image_height", "trunk_stride", "batch_size")  # which a resumed run keeps


@dataclass(frozen=True, kw_only=True)
class TrainMono2BinauralConfig:
    """Training of Mono2Binaural."""

    run: str = required("folder of the run; a stopped run goes on")
    data_root: str = required("dataset folder (layout: README, Files on disk)")
    list_train: str = option("train", "list to train on: a name in <data_root>/splits/<split>, or a CSV file")
    list_val: str = option("val", "list to validate on")
    split: str = option("", SPLIT_HELP)
    steps: int = option(100_000, "optimizer steps")
    time_budget: float | None = option(None, "stop after this many seconds of training; default: no limit")
    batch_size: int = option(32, "batch size, in windows of 0.63 s")
    lr: float = option(1e-3, "Adam learning rate of the U-Net")
    lr_visual: float = option(1e-4, "Adam learning rate of the picture's trunk")
    weight_decay: float = option(5e-4, "Adam weight decay")
    warmup_steps: int = option(100, "steps over which the learning rates rise from 0")
    clip_norm: float = option(10.0, "gradient norm above which gradients are scaled down")
    ema_decay: float = option(0.999, "decay per step of the saved average of the weights; ramps up from 0")
    channels: int = option(64, "channels of the U-Net's first level")
    image_height: int = option(224, "rows of the whole picture, a multiple of 32; it is twice as wide")
    trunk_stride: Literal[16, 32] = option(
        32, "picture rows of a row of the trunk's map; 16 suits small pictures", type=int, choices=(16, 32)
    )
    visual_weights: str = option("imagenet", "the trunk starts from: imagenet, random, or a state-dict file")
    mirror: bool = option(True, "augment by mirroring pictures and ears, with probability 1/2")
    jitter: bool = option(True, "augment by scaling brightness and colour by 0.7 to 1.3")
    validations: int = option(20, "validations, evenly spaced over the training")
    val_windows: int = option(512, "windows of a validation, evenly spaced over its list")
    amp: Literal["off", "bf16"] = option("off", "bf16: networks in bfloat16, losses in float32")
    workers: int = option(4, "data loader processes; 0: load in the training process")
    device: str = option("auto", DEVICE_HELP)
    seed: int = option(0, SEED_HELP)

    def __post_init__(self):
        positive(
            self,
            "steps",
            "time_budget",
            "batch_size",
            "lr",
            "lr_visual",
            "clip_norm",
            "channels",
            "validations",
            "val_windows",
        )
        if self.image_height < SMALLEST or self.image_height % SMALLEST:
            raise ValueError(f"--image_height is {self.image_height}; expected a multiple of {SMALLEST}")
        if self.workers < 0:
            raise ValueError(f"--workers is {self.workers}; expected 0 or more")

    @property
    def picture_size(self) -> tuple[int, int]:
        """(width, height) of the picture that the trunk sees, pixels."""
        return 2 * self.image_height, self.image_height


@dataclass(frozen=True, kw_only=True)
class RenderMono2BinauralConfig:
    """Binaural sounds by a trained Mono2Binaural."""

    run: str = required("folder of the run")
    data_root: str = required("dataset folder")
    list_test: str = option("test", "list to render: a name in <data_root>/splits/<split>, or a CSV file")
    split: str = option("", SPLIT_HELP)
    output_dir: str = required("folder for <video_id>_<ms>.wav")
    hop: float = option(0.1, "seconds from window to window; the rest overlaps")
    symmetric: bool = option(
        False, "average the results for the scene and for its mirror image with exchanged ears"
    )
    batch_windows: int = option(16, "windows per network call; changes speed and memory, not the result")
    device: str = option("auto", DEVICE_HELP)

    def __post_init__(self):
        positive(self, "hop", "batch_windows")
