"""What is asked of inference_e2e.py: from a video to binaural sound."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from BigVGAN.env import _require
from BigVGAN.settings import (
    CHOICES,
    EXACT_HELP,
    RENAMED_RENDERERS,
    RENDERER_HELP,
    WEIGHTS,
    WEIGHTS_HELP,
    check_renderer,
)
from DiffBinaural.configs.advanced_diffusion_config import SamplingConfig
from DiffBinaural.configs.fields import option, positive, required
from DiffBinaural.detection.names import DETECTOR_NAMES
from DiffBinaural.heads.named import HEAD_HELP, head_named
from DiffBinaural.inference.config import AMP_HELP, RUN_HELP
from DiffBinaural.inference.rendering import DEFAULT_RENDERER, GEOMETRY, keeps_mono
from DiffBinaural.utils.audio import USUAL_RATES
from DiffBinaural.utils.bundled import BUNDLED
from DiffBinaural.utils.lens import AUTO_FOV, FOV_HELP, check_fov, fov_or_auto

AUTO, NO_DETECTIONS = "auto", "none"  # choices of --detections beside a CSV
MICROPHONE = "microphone"
MONOS = (AUTO, "downmix", MICROPHONE)  # choices of --mono
MONO_HELP = (
    "downmix: the sound is the mean of two ears, as in training and in FAIR-Play; microphone: it comes from "
    "one microphone, and both ears together get its level at every frequency; auto: downmix with "
    "--input_wav, --exact_downmix and the renderers wiener and geometry, else microphone"
)
WIDEST = 2.0  # --strength, at most


@dataclass(frozen=True, kw_only=True)
class E2EConfig(SamplingConfig):
    """From a video to binaural sound."""

    input_video: str = required(
        "the video, or a folder of its pictures; for a batch, a folder of videos or a "
        "CSV with a column input_video and optionally input_wav, output, detections, trajectory_in, start, "
        "end, fov, audio_track, output_rate, strength, mono"
    )
    run: tuple[str, ...] = option((str(BUNDLED / "stage1"),), RUN_HELP)
    checkpoint_file: str = option(WEIGHTS, WEIGHTS_HELP)
    renderer: Literal[CHOICES] = option(
        "auto",
        RENDERER_HELP + "the run predicts the phase, else vocoder",
        renamed=RENAMED_RENDERERS,
    )
    head: str = option("sphere", HEAD_HELP)
    exact_downmix: bool = option(False, EXACT_HELP)
    mono: Literal[MONOS] = option(AUTO, MONO_HELP)
    strength: float = option(
        1.0, "how far the ears differ: 0 = not at all, both hear the mono; 1 = as made; up to 2 = wider"
    )
    output: str = required("binaural .wav or .flac to write; for a batch, the folder for <video>.wav")
    input_wav: str | None = option(
        None,
        "the sound; default: the video's own. Channels are mixed to mono. "
        "For a batch, a folder with <video>.wav, .flac or the like",
    )
    detections: str = option(
        "auto",
        "auto: find what is in the video, and which of it sounds; none: the whole picture alone; or a CSV of "
        "detected sources",
    )
    detector: Literal[DETECTOR_NAMES] = option("ssd", "with --detections auto: what finds sources")
    trajectory: str | None = option(
        None, "also write where the sources are over time to this CSV; for a batch, a folder"
    )
    trajectory_in: str | None = option(
        None, "CSV of where the sources are over time, in place of --detections: time,track,azimuth"
    )
    start: float = option(0.0, "start in sound and video, seconds")
    end: float | None = option(None, "end in sound and video, seconds; default: the end of the sound")
    fps: float = option(10.0, "pictures per second in a folder of pictures")
    fov: float | str = option(AUTO_FOV, FOV_HELP, type=fov_or_auto, metavar="DEGREES")
    audio_track: int | None = option(
        None, "number of the sound track, from 0, of a video with several; default: the one marked as such"
    )
    output_rate: int | None = option(
        None,
        "samples a second of the output; above the model's 11 kHz the ears are continued by the listener's "
        "head; default: the sound's own, with --renderer vocoder the model's 22050",
    )
    limit: bool = option(
        True,
        "make both ears softer throughout where one of them passes full scale; --no-limit: write 32-bit "
        "floats as they are",
    )
    mux: str | None = option(
        None,
        "also write this .mp4, .mov or .mkv: the video with the binaural track; for a batch, a folder",
    )
    mux_codec: Literal["aac", "flac"] = option("aac", "sound in --mux: AAC at 256 kbit/s or lossless FLAC")
    amp: Literal["off", "bf16"] = option("off", AMP_HELP)
    plot: str | None = option(
        None,
        "also draw to this PNG what was found in the video, its directions, and the mels of the mono and of "
        "both ears as written; for a batch, a folder",
    )

    def __post_init__(self):
        super().__post_init__()
        positive(self, "fps")
        _require(0 <= self.strength <= WIDEST, f"--strength is {self.strength:g}; expected 0 to {WIDEST:g}")
        _require(
            self.output_rate in (None, *USUAL_RATES),
            f"--output_rate is {self.output_rate}; expected one of {', '.join(map(str, USUAL_RATES))}",
        )
        check_fov(self.fov)
        head_named(self.head)
        if self.detections is None:  # as in version 0.2
            object.__setattr__(self, "detections", NO_DETECTIONS)
        _require(
            self.mono != MICROPHONE or not self.exact_downmix,
            "--mono microphone: the sound is not a downmix of two ears then; leave out --exact_downmix",
        )
        _require(
            self.trajectory_in is None or self.detections == AUTO,
            "--trajectory_in takes the place of --detections; give one of them",
        )
        _require(
            self.trajectory is None or self.detections != NO_DETECTIONS,
            "--trajectory: with --detections none there is nothing to write",
        )
        _require(
            0 <= self.start < self.until,
            f"--start is {self.start}, --end {self.end}; expected 0 <= start < end, in seconds",
        )

    @property
    def until(self) -> float:
        """Where to end, seconds; infinity for the end of the sound."""
        return math.inf if self.end is None else self.end

    def by_microphone(self, renderer: str) -> bool:
        """Whether the sound is taken as one microphone's."""
        if self.mono != AUTO:
            return self.mono == MICROPHONE
        return not self.input_wav and not keeps_mono(renderer, self.exact_downmix)


def chosen_renderer(cfg: E2EConfig, predicts_phasor: bool) -> str:
    """The renderer for the mels of a run, which predicts the phasor between the ears or not."""
    default = DEFAULT_RENDERER if predicts_phasor else "vocoder"
    renderer = default if cfg.renderer == "auto" else cfg.renderer
    _require(
        renderer == "vocoder" or predicts_phasor,
        f"--renderer {renderer}: {cfg.run[0]} makes no phase between "
        "the ears; train with --interaural_phase, or use --renderer vocoder",
    )
    check_renderer(cfg, renderer)
    return renderer


def middle_notice(cfg: E2EConfig, renderer: str, trajectory: Sequence | None) -> str:
    """What is said where nothing tells a direction, so that the sound stays in the middle; else empty."""
    if cfg.trajectory_in and not trajectory:
        return f"{cfg.trajectory_in}: has no rows: the sound stays in the middle"
    if renderer == GEOMETRY and cfg.detections == NO_DETECTIONS:
        return "no --detections: the sound stays in the middle"
    return ""


def check_vocoder(cfg: E2EConfig, rate: int) -> None:
    """Raise ValueError where a request is more than the renderer `vocoder` can do.

    rate  Hz that it makes
    """
    _require(
        cfg.output_rate in (None, rate),
        f"--output_rate {cfg.output_rate}: --renderer vocoder makes {rate} Hz; leave it out",
    )
    _require(
        cfg.strength == 1,
        "--strength is of no use with --renderer vocoder, which does not filter the mono sound",
    )
    _require(
        cfg.mono != MICROPHONE,
        "--mono microphone is of no use with --renderer vocoder, which does not filter the mono sound",
    )
