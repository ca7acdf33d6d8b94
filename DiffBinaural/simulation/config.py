"""Settings of simulated scenes."""

from dataclasses import dataclass
from typing import Literal

from DiffBinaural.configs.advanced_diffusion_config import FOV, MelConfig
from DiffBinaural.configs.fields import SEED_HELP, option, positive, required
from DiffBinaural.heads.named import HEAD_HELP, RADII, head_named

RATE = MelConfig.sample_rate  # Hz, of everything simulated
MOST_BYSTANDERS, MOST_FPS = 8, 120
SPEEDS = (0.5, 2.0)  # of recordings
FRAME = (240, 120)  # width, height in pixels of the pictures, unless --frame_size says otherwise
SIDES = (64, 1920)  # pixels of a picture's sides


def ends(text: str, kind: type) -> tuple:
    """Both ends of 'from..to', or a single number twice."""
    low, _, high = text.partition("..")
    return kind(low), kind(high or low)


def integer_range(text: str) -> tuple[int, int]:
    """'1..3' or '2' as integers (lowest, highest)."""
    return ends(text, int)


def real_range(text: str) -> tuple[float, float]:
    """'8..9.5' or '9' as floats (lowest, highest)."""
    return ends(text, float)


def dimensions(text: str) -> tuple[int, int]:
    """'480x270' as (width, height)."""
    width, _, height = text.partition("x")
    return int(width), int(height)


@dataclass(frozen=True, kw_only=True)
class SimulateConfig:
    """Simulated binaural scenes with video."""

    out: str = required("folder of the new dataset")
    layout: Literal["real", "fairplay"] = option(
        "real",
        "real: a dataset to train on (README, Files on disk); fairplay: the layout of the FAIR-Play download",
    )
    clips: int = option(
        24,
        "number of scenes, about 5 : 1 : 1 for training, validation and test (fairplay: "
        "8 : 1 : 1); at least 3",
    )
    seconds: float = option(
        6.0, "length of a scene in seconds; not with --layout fairplay, whose clips last 10.005 or 9.984 s"
    )
    sources: tuple[int, int] = option(
        (1, 3), "sound sources per scene, from..to", type=integer_range, metavar="1..3"
    )
    sounding: bool = option(
        False,
        "also state in the detections how likely each of them sounds, as inference would estimate it from "
        "the video; --video_fps 25 shows more of the motion",
    )
    bystanders: tuple[int, int] = option(
        (0, 0),
        "objects per scene that are seen, and detected, but do not sound, from..to; half of them move to a "
        "sound that is not heard, the others rest; not with --layout fairplay",
        type=integer_range,
        metavar="0..2",
    )
    cutouts: str | None = option(
        None,
        "folder of pictures with transparency, a sub-folder for each class, in place of drawn shapes: what "
        "sounds from AUDIO_DIR/dog shows a picture of CUTOUTS/dog, and is detected as a dog. A class without "
        "pictures, and a sound that lies in no sub-folder, keep their drawn shapes. An animated picture "
        "(WebP, PNG, GIF) that has the name of a sound of its class is shown with that sound, in time with "
        "it; other animated ones are bystanders. A photograph without transparency gets soft edges",
    )
    backgrounds: str | None = option(
        None, "folder of photographs to film before, cropped at random; default: a gradient with a texture"
    )
    frame_size: tuple[int, int] = option(
        FRAME,
        "width and height of the pictures in pixels, even; what is seen is scaled with the height; not with "
        "--layout fairplay",
        type=dimensions,
        metavar="480x270",
    )
    varied_fraction: float = option(
        0.0,
        "fraction of the scenes whose look is drawn at random: shapes that say nothing of the sound, "
        "textures, clutter, light, blur, noise, compression, a camera that shakes by a degree or so (the "
        "boxes shake with it, the stated directions do not)",
    )
    box_noise: float = option(
        0.0,
        "how badly sources are detected, 0 (exactly) to 1: boxes jitter, have wrong sizes, are late, missing "
        "or doubled; scenes.json states the truth; not with --layout fairplay",
    )
    motion: bool = option(
        True, "what sounds moves with its sound: mouths open, strings and bells swing, keys are pressed"
    )
    room: bool = option(
        True,
        "a room, drawn anew for each scene: RT60 0.1 to 1 s, direct sound -3 to 20 dB above the "
        "reverberation; without, an anechoic field",
    )
    dry_fraction: float = option(
        0.0, "with --room: fraction of the scenes that have no room", aliases=("--dry_share",)
    )
    audio_dir: str | None = option(
        None,
        "folder of dry mono recordings; default: built-in sounds. A file name that begins with plucked, "
        "blown, bell, vowel or noise gives the source that shape",
    )
    audio_fraction: float = option(
        1.0, "with --audio_dir: fraction of the sources that are recordings", aliases=("--audio_share",)
    )
    audio_speed: tuple[float, float] = option(
        (1.0, 1.0),
        "with --audio_dir: speeds at which recordings are played, from..to; pitch goes with it",
        type=real_range,
        metavar="0.7..1.5",
    )
    head_radius: tuple[float, float] = option(
        (8.75, 8.75), "radius of the listener's head in cm, from..to", type=real_range, metavar="8..9.5"
    )
    eared_fraction: float = option(
        0.0, "fraction of the scenes whose spherical head wears modelled ears, drawn anew for each"
    )
    head: str | None = option(None, HEAD_HELP + "; in place of --head_radius")
    fov: tuple[float, float] = option(
        (FOV, FOV), "horizontal field of view in degrees, from..to", type=real_range, metavar="60..120"
    )
    held_out: int | None = option(None, "scenes for validation, and for the test; default: a seventh")
    fps: int = option(10, "video frames a second")
    video_fps: int | None = option(
        None,
        "pictures a second of the mp4 files alone, for motion faster than the dataset's frames; "
        "default: --fps; not with --layout fairplay",
    )
    workers: int = option(0, "processes; 0: one per core")
    seed: int = option(0, SEED_HELP)

    def __post_init__(self):
        positive(self, "seconds", "fps")
        self.check_pictures()
        self.check_look()
        if self.clips < 3:
            raise ValueError(f"--clips is {self.clips}; train, val and test need one each, so at least 3")
        if self.held_out is not None and not 1 <= self.held_out < self.clips / 2:
            raise ValueError(
                f"--held_out is {self.held_out}; give at least 1, and fewer than half of --clips {self.clips}"
            )
        if not (0 <= self.dry_fraction <= 1 and 0 <= self.audio_fraction <= 1):
            raise ValueError("--dry_fraction and --audio_fraction must be from 0 to 1")
        low, high = self.audio_speed
        if not SPEEDS[0] <= low <= high <= SPEEDS[1]:
            raise ValueError(
                f"--audio_speed is {low:g}..{high:g}; give from..to within {SPEEDS[0]:g}..{SPEEDS[1]:g}"
            )
        if self.audio_speed != SimulateConfig.audio_speed and not self.audio_dir:
            raise ValueError("--audio_speed is of recordings; name their folder with --audio_dir")
        if not RADII[0] <= self.head_radius[0] <= self.head_radius[1] <= RADII[1]:
            raise ValueError(
                f"--head_radius is {self.head_radius[0]:g}..{self.head_radius[1]:g}; "
                f"give from..to within {RADII[0]:g}..{RADII[1]:g} cm"
            )
        if not 0 <= self.eared_fraction <= 1 or (self.head and self.eared_fraction):
            raise ValueError("--eared_fraction must be from 0 to 1, and goes without --head")
        if self.head:
            head_named(self.head)
        if not 20 <= self.fov[0] <= self.fov[1] <= FOV:
            raise ValueError(f"--fov is {self.fov[0]:g}..{self.fov[1]:g}; give from..to within 20..{FOV:g}")
        if self.layout == "fairplay" and self.fov != (FOV, FOV):
            raise ValueError("--fov: the layout of FAIR-Play cannot hold it; leave it out")
        if not 1 <= self.sources[0] <= self.sources[1]:
            raise ValueError(f"--sources is {self.sources[0]}..{self.sources[1]}; give from..to, at least 1")
        if self.layout == "fairplay" and self.seconds != SimulateConfig.seconds:
            raise ValueError(
                f"--seconds is {self.seconds}; with --layout fairplay clips last 10.005 or "
                "9.984 s, so leave it out"
            )

    def check_pictures(self) -> None:
        """Raise ValueError where bystanders or the video's rate are impossible."""
        low, high = self.bystanders
        if not 0 <= low <= high <= MOST_BYSTANDERS:
            raise ValueError(f"--bystanders is {low}..{high}; give from..to within 0..{MOST_BYSTANDERS}")
        if self.video_fps is not None and not 1 <= self.video_fps <= MOST_FPS:
            raise ValueError(f"--video_fps is {self.video_fps}; give 1 to {MOST_FPS} pictures a second")
        if self.layout == "fairplay" and (high or self.video_fps is not None or self.sounding):
            raise ValueError(
                "--bystanders, --video_fps, --sounding: the layout of FAIR-Play has no place for them; "
                "leave them out"
            )

    def check_look(self) -> None:
        """Raise ValueError where what the pictures show is impossible."""
        if self.cutouts and not self.audio_dir:
            raise ValueError(
                "--cutouts goes with --audio_dir: the folder of a sound says which pictures it can have"
            )
        low, high = SIDES
        if not all(low <= side <= high and side % 2 == 0 for side in self.frame_size):
            raise ValueError(
                f"--frame_size is {'x'.join(map(str, self.frame_size))}; "
                f"give even numbers within {low}..{high}, as in 480x270"
            )
        for name in ("varied_fraction", "box_noise"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"--{name} is {getattr(self, name):g}; it must be from 0 to 1")
        if self.layout == "fairplay" and (self.box_noise or self.frame_size != FRAME):
            raise ValueError(
                "--box_noise, --frame_size: the layout of FAIR-Play has no place for them; leave them out"
            )


@dataclass(frozen=True, kw_only=True)
class SpeechConfig:
    """Synthetic speech, for --audio_dir of simulated scenes."""

    out: str = required("folder of the wavs")
    clips: int = option(400, "number of files, two short sentences each")
    seed: int = option(0, SEED_HELP)

    def __post_init__(self):
        positive(self, "clips")
