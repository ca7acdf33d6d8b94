"""Settings of the preparation of recordings."""

import os
from dataclasses import dataclass
from typing import Literal

from DiffBinaural.configs.advanced_diffusion_config import MelConfig, ViewConfig
from DiffBinaural.configs.fields import option, positive, required
from DiffBinaural.detection.names import DETECTOR_NAMES
from DiffBinaural.heads.named import HEAD_HELP, head_named
from DiffBinaural.utils.lens import AUTO_FOV, FOV_HELP, check_fov, fov_or_auto

WINDOW_SECONDS = ViewConfig.window * MelConfig.hop / MelConfig.sample_rate


@dataclass(frozen=True, kw_only=True)
class RecordingsConfig:
    """Conversion of videos with binaural sound to the layout that training reads."""

    input: str = required(
        "folder of videos, or a CSV with a column input_video and, optionally, input_wav (two channels), "
        "mono_wav, video_id, split (train, val, test), its paths relative to its own folder; only read"
    )
    out: str = required("folder of the dataset")
    sounds: str | None = option(
        None,
        "folder of sound files with the videos' names, left = channel 0; default: those beside the videos, "
        "else the videos' own sound",
    )
    monos: str | None = option(
        None, "folder of mono sounds with the videos' names; default: the mean of both channels"
    )
    audio_track: int | None = option(
        None, "number of the sound track, from 0, of videos with several; default: the one marked as such"
    )
    fps: float = option(10.0, "pictures per second of video")
    width: int = option(480, "width of the pictures in pixels; narrower videos keep theirs, all their shape")
    detector: Literal[DETECTOR_NAMES] = option(  # type: ignore[valid-type]
        "ssd", "what finds sources"
    )
    fov: float | str = option(AUTO_FOV, FOV_HELP, type=fov_or_auto, metavar="DEGREES")
    head: str = option("sphere", f"that made the recordings: {HEAD_HELP}")
    seconds: float = option(10.0, "length of the clips into which recordings are cut; the last may be longer")
    held_out: int | None = option(
        None, "recordings each to validate and to test with; default: one in ten, at least one"
    )
    seed: int = option(0, "of the draw of the recordings that are held out")
    workers: int = option(0, "processes; 0: one per core")
    verify: bool = option(False, "write nothing; compare everything in --out with the recordings")

    def __post_init__(self):
        positive(self, "fps", "width", "held_out")
        check_fov(self.fov)
        head_named(self.head)
        if not self.seconds >= WINDOW_SECONDS:
            raise ValueError(f"--seconds is {self.seconds:g}; a window lasts {WINDOW_SECONDS:.2f} s")
        if self.sounds and os.path.isfile(self.input):
            raise ValueError("--sounds goes with a folder of videos; a CSV names its sounds: input_wav")
        if self.monos and os.path.isfile(self.input):
            raise ValueError("--monos goes with a folder of videos; a CSV names its sounds: mono_wav")
