"""Every setting of stage 1, as frozen dataclasses with defaults, help texts and presets."""

import difflib
import math
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Literal, get_args, get_origin, get_type_hints

DEVICE_HELP = "cpu, cuda, cuda:1 …; auto takes a GPU where there is one"
SHIPPED = Path(__file__).parents[2] / "weights"  # the models that come with the project
SPLIT_HELP = 'folder of the lists in <data_root>/splits, as split1 or five_split3; "": none'
FOV = 120.0  # degrees that a picture shows from edge to edge, where nothing else is known
RUN_HELP = "stage-1 run folder, or two: a left-ear and a right-ear run"
SEED_HELP = "seed of everything random; the same seed gives the same result"


def option(default, help: str, **extra):
    """A field with a default and a help text: the one place where both are written; extra: argparse words."""
    return field(default=default, metadata={"help": help, **extra})


def required(help: str, **extra):
    """A field that the command line must give."""
    return field(metadata={"help": help, **extra})


def positive(cfg, *names: str) -> None:
    """Raise ValueError for the first of the named fields that is not above zero."""
    for name in names:
        if getattr(cfg, name) is not None and getattr(cfg, name) <= 0:
            raise ValueError(f"--{name} is {getattr(cfg, name)}; it must be above 0")


def from_dict(cls, values: dict, source: str):
    """Rebuild a config dataclass, nested ones included, from what JSON kept of it.

    source  the file's name, for the message
    ->      cls
    Raises ValueError that names the source for a key too many or too few, a value of another type or out of
    range.
    """
    kinds = get_type_hints(cls)
    if not isinstance(values, dict):
        raise ValueError(f"{source}: is no {cls.__name__}; expected {{name: value, …}}")
    if unknown := sorted(set(values) - set(kinds)):
        like = difflib.get_close_matches(unknown[0], kinds)
        raise ValueError(
            f"{source}: unknown {', '.join(unknown)[:200]}; "
            + (f"perhaps {like[0]}" if like else "delete it, or update this project if the file is newer")
        )
    built = {}
    for name, value in values.items():
        nested = is_dataclass(kinds[name])
        plain = tuple(value) if isinstance(value, list) else value
        if not nested and not fits(plain, kinds[name]):
            raise ValueError(f"{source}: {name} is {str(value)[:80]!r}; expected {kinds[name]}")
        built[name] = from_dict(kinds[name], value, source) if nested else plain
    try:
        return cls(**built)
    except (TypeError, ValueError) as error:  # a key that lacks; a value out of range
        raise ValueError(f"{source}: {error}") from None


def fits(value, hint) -> bool:
    """Whether a value that JSON kept is one of a type; a whole number is a float, too, and NaN is not.

    >>> fits((1, 2), tuple[int, ...]), fits(True, int), fits(3, float), fits(None, str | None)
    (True, False, True, True)
    """
    if isinstance(hint, UnionType):
        return any(fits(value, one) for one in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(fits(part, get_args(hint)[0]) for part in value)
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool) and value == value
    return isinstance(value, hint)


@dataclass(frozen=True)
class MelConfig:
    """The one mel, shared by both stages (HiFi-GAN's recipe with BigVGAN v2's full band)."""

    sample_rate: int = 22_050  # Hz
    n_fft: int = 1024  # samples; also the window's length
    hop: int = 256  # samples a frame: 86.13 frames a second
    n_mels: int = 80  # Slaney bands
    fmin: float = 0.0  # Hz
    fmax: float | None = None  # Hz; None = half the sample rate


@dataclass(frozen=True)
class ViewConfig:
    """What the model sees and hears of a clip at once."""

    window: int = 80  # mel frames
    frames: int = 5  # pictures, evenly over the window
    slots: int = 4  # whole picture + up to slots - 1 detected sources
    image_size: int = 224  # pixels, square


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the networks."""

    dim: int = 64  # channels of the UNet's first level
    patch: int = 1  # bands and frames that a first-level cell joins; 2 = 1/4 work
    mults: tuple[int, ...] = (1, 2, 4)  # channels of each level, in units of dim
    blocks: int = 2  # residual blocks a level
    heads: int = 4  # of every attention
    cross_levels: tuple[int, ...] = (1, 2)  # levels (0 = full size) whose mel positions look at the context
    context_dim: int = 512  # width of a context token
    tokens: int = 4  # context tokens a video frame
    temporal_layers: int = 2  # of the transformer over the window's video frames
    interaural_phase: bool = option(
        False, "make the phase between the ears too, from which they are rendered on the mono's own phase"
    )


@dataclass(frozen=True)
class DiffusionConfig:
    """The diffusion process; the fields with a help text are flags of the training scripts."""

    objective: Literal["pred_residual", "pred_x0", "pred_v", "pred_noise"] = option(
        "pred_residual", "what the UNet predicts: x0 less the mono mel, x0, velocity or noise"
    )
    schedule: Literal["cosine", "linear", "sigmoid"] = option("cosine", "how the signal gives way to noise")
    loss: Literal["l1", "l2"] = option("l2", "absolute or squared error")
    loss_weight: Literal["uniform", "min_snr", "p2"] = option("uniform", "weight of each diffusion time")
    time_shift: float = option(10.0, "training sees noisy times more often; 1 = all times alike")
    drop_vision: float = option(0.1, "chance that training hides a window's pictures, for guidance")
    phase_weight: float = option(0.1, "with --interaural_phase: weight of its error beside that of the mels")
    timesteps: int = 1000
    mel_low: float = math.log(1e-5)  # nepers, becomes -1: silence
    mel_high: float = 2.5  # nepers, becomes +1: just above a full-scale sine

    def __post_init__(self):
        positive(self, "time_shift", "phase_weight")
        if not 0 <= self.drop_vision <= 1:
            raise ValueError(f"--drop_vision is {self.drop_vision}; expected a chance in [0, 1]")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Stage-1 training."""

    id: str = required("name of the run: its folder is <ckpt>/<id>")
    data_root: str = required("dataset folder (layout: README, Files on disk)")
    list_train: str = option("train", "list to train on: a name in <data_root>/splits/<split>, or a CSV file")
    list_val: str = option("val", "list to validate on")
    fold: str = option("", "K/N: leave the K-th of N parts of the training list out, for its own mels later")
    split: str = option("", SPLIT_HELP)
    ckpt: str = option("checkpoints", "folder of all runs")
    preset: Literal["base", "small", "tiny", "paper"] = option(
        "base", "sizes, rates, budget; small: that of the shipped weights; paper: noise predicted"
    )
    init_from: str | None = option(None, "start from the weights of this run: weights/stage1, say")
    num_epoch: int = option(1000, "passes over the training list")
    time_budget: float | None = option(None, "stop after this many seconds of training; default: no limit")
    batch_size_per_gpu: int = option(32, "windows a process takes at once")
    accumulate: int = option(1, "batches whose gradients are averaged for one step")
    windows_per_clip: int = option(8, "random windows drawn from each clip in an epoch")
    mix_sources: int = option(1, "sum up to so many clips (2 to 4) into a window's scene; 1: as they are")
    lr_unet: float = option(1e-4, "AdamW learning rate of the UNet")
    lr_frame: float = option(1e-4, "AdamW learning rate of the visual encoder")
    lr_schedule: Literal["cosine", "exponential"] = option("cosine", "rates fall to 0, or evenly to 1 %")
    weight_decay: float = option(1e-4, "AdamW weight decay")
    warmup_steps: int = option(500, "steps over which the learning rates rise from 0")
    ema_decay: float = option(0.9995, "decay a step of the averaged weights that are saved; ramps up from 0")
    clip_norm: float = option(1.0, "gradient norm above which a step is scaled down")
    eval_epoch: int = option(10, "validate and save every so many epochs")
    save_steps: int = option(1000, "save the state for a resume every so many steps, too")
    arch_frame: Literal["resnet18", "resnet50", "small"] = option("resnet18", "trunk of the visual encoder")
    visual_weights: str = option("imagenet", "start of the trunk: imagenet, random, or a state-dict file")
    train_trunk: bool = option(False, "train the trunk too; without, it stays frozen")
    ears: Literal["both", "left", "right"] = option("both", "what the model makes: a pair, or one ear of it")
    mirror: bool = option(True, "augment by mirroring picture, positions and ears together, half of the time")
    hide_detections: float = option(0.3, "chance that training hides a window's detected sources")
    amp: Literal["off", "bf16"] = option("off", "bf16: networks in bfloat16, losses and norms in float32")
    workers: int = option(4, "loader processes; 0 loads in the training process")
    device: str = option("auto", DEVICE_HELP)
    seed: int = option(0, SEED_HELP)
    mel: MelConfig = MelConfig()
    view: ViewConfig = ViewConfig()
    model: ModelConfig = ModelConfig()
    diffusion: DiffusionConfig = DiffusionConfig()

    def __post_init__(self):
        positive(
            self,
            "num_epoch",
            "batch_size_per_gpu",
            "accumulate",
            "windows_per_clip",
            "eval_epoch",
            "save_steps",
            "clip_norm",
            "lr_unet",
            "lr_frame",
            "time_budget",
        )
        if not 1 <= self.mix_sources <= 4:
            raise ValueError(f"--mix_sources is {self.mix_sources}; give 2 to 4, or 1 for clips as they are")
        if self.model.interaural_phase and self.ears != "both":
            raise ValueError(f"--interaural_phase lies between two ears, --ears is {self.ears}; give both")


# what fits a laptop: small pictures, and a small trunk that is trained with the rest
LAPTOP = dict(
    view=ViewConfig(frames=3, slots=4, image_size=64),
    arch_frame="small",
    visual_weights="random",
    train_trunk=True,
    lr_unet=1e-3,
    lr_frame=1e-3,
    workers=0,
)

PRESETS = {
    "base": {},
    "paper": dict(diffusion=DiffusionConfig(objective="pred_noise", time_shift=1.0)),
    "small": dict(
        LAPTOP,
        model=ModelConfig(
            dim=48,
            patch=2,
            mults=(1, 2, 4),
            blocks=1,
            cross_levels=(0, 1),
            context_dim=128,
            temporal_layers=1,
        ),
        batch_size_per_gpu=16,
        warmup_steps=200,
        ema_decay=0.999,
        eval_epoch=1,
        save_steps=300,
    ),
    "tiny": dict(
        LAPTOP,
        model=ModelConfig(
            dim=32,
            patch=2,
            mults=(1, 2, 3),
            blocks=1,
            cross_levels=(0, 1),
            context_dim=128,
            temporal_layers=1,
        ),
        batch_size_per_gpu=8,
        warmup_steps=50,
        ema_decay=0.99,
        eval_epoch=5,
    ),
}


FAIRPLAY_PRESETS = {name: {**preset, "split": "split1"} for name, preset in PRESETS.items()}


def preset_config(name: str, **given) -> TrainConfig:
    """The settings of a preset; what is given beats it."""
    return TrainConfig(preset=name, **{**PRESETS[name], **given})


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How a trained model is sampled."""

    sampling_timesteps: int | None = option(
        None, "denoising steps; default: 2, or 25 for a model that predicts noise or velocity"
    )
    sampler: Literal["ddim", "ddpm", "dpm++"] = option("ddim", "dpm++: DPM-Solver++(2M), of second order")
    eta: float = option(0.0, "fresh noise in each DDIM step: 0 = none, 1 = as much as DDPM")
    guidance_scale: float = option(1.0, "visual guidance: 0 = blind, 1 = the plain model, more exaggerates")
    symmetric: bool = option(
        False,
        "mean of what is made of the scene and of its mirror image, ears "
        "exchanged: twice the work, a smaller error",
    )
    batch_windows: int = option(16, "windows a network call; changes speed and memory, not the result")
    device: str = option("auto", DEVICE_HELP)
    seed: int = option(0, SEED_HELP)

    def __post_init__(self):
        positive(self, "sampling_timesteps", "batch_windows")


@dataclass(frozen=True, kw_only=True)
class ClipsConfig(SamplingConfig):
    """A trained model, and the clips of a split."""

    run: tuple[str, ...] = option((str(SHIPPED / "stage1"),), RUN_HELP)
    data_root: str = required("dataset folder")
    output_dir: str = required("folder for <video_id>_<ms>_left.npy and …_right.npy")
    list_test: str = option("test", "list to generate: a name in <data_root>/splits/<split>, or a CSV file")
    split: str | None = option(None, SPLIT_HELP + "; default: the run's")
    weights_unet: str = option("unet_best.pth", "UNet weights: a file in the run folder, or a path")
    weights_frame: str = option("frame_best.pth", "visual encoder weights, likewise")
    fold: str = option("", "K/N: only the K-th of N parts of the list, which the run's training left out")
    limit: int | None = option(None, "only the first so many clips")
    detections: bool = option(True, "show the model the detected sources; without, whole pictures alone")

    def __post_init__(self):
        super().__post_init__()
        positive(self, "limit")


@dataclass(frozen=True, kw_only=True)
class GenerateConfig(ClipsConfig):
    """Generation of mel pairs for the clips of a split."""

    shuffle_vision: bool = option(False, "show the model the next clip's video: does it use its eyes?")
    joint: bool = option(
        True,
        "merge overlapping windows at every denoising step; without, each window has "
        "a noise of its own and is merged at the end: what is joint denoising worth?",
    )


def steps_of(cfg: SamplingConfig, objective: str) -> int:
    """Denoising steps of a model with this objective: where they stop to pay (DiffBinaural/README, Steps)."""
    return cfg.sampling_timesteps or (2 if objective in ("pred_residual", "pred_x0") else 25)


def point(text: str) -> tuple[float, float]:
    """'X,Y' as two numbers."""
    x, y = text.split(",")
    return float(x), float(y)


@dataclass(frozen=True, kw_only=True)
class PlaceConfig(ClipsConfig):
    """Mono sounds placed by hand."""

    override_pos: tuple[float, float] | None = option(
        None,
        "where the source stands: x from -1 left to 1 right, y from -1 to 1 upwards",
        type=point,
        metavar="X,Y",
    )
    sweep: bool = option(False, "place each sound at x = -1 … 1, and draw sweep.png")
    positions: int = option(21, "places of a sweep")

    def __post_init__(self):
        super().__post_init__()
        if not 2 <= self.positions <= 201:
            raise ValueError(f"--positions is {self.positions}; a sweep has 2 to 201")
        if self.override_pos and max(map(abs, self.override_pos)) > 1:
            raise ValueError(f"--override_pos is {self.override_pos}; both numbers lie in [-1, 1]")
        if (self.override_pos is None) != self.sweep:
            raise ValueError("give either --override_pos X,Y or --sweep")


@dataclass(frozen=True, kw_only=True)
class ObjectivesConfig:
    """Every objective trained alike and compared."""

    data_root: str = required("dataset folder, with splits train, val and test")
    output_dir: str = required("folder of the runs and of objectives.json; what is there is not done again")
    num_epoch: int = option(4, "passes over the training list, for each run")
    seeds: tuple[int, ...] = option((0, 1, 2), "a run of each objective for every seed")
    time_shifts: tuple[float, ...] = option((1.0, 10.0), "and for each of these values of --time_shift")
    steps: tuple[int, ...] = option((25, 8), "denoising steps of the samples")
    limit: int = option(10, "clips of the test list")
    device: str = option("auto", DEVICE_HELP)

    def __post_init__(self):
        positive(self, "num_epoch", "limit")


@dataclass(frozen=True, kw_only=True)
class ResultsConfig:
    """The experiments behind RESULTS.md."""

    only: tuple[str, ...] = option(
        (),
        "tables (quality, parts, steps, places, general, anchors, speed) or "
        "<table>/<row>, with what they need; default: all",
    )
    scale: Literal["small", "base"] = option(
        "small",
        "small: 2 cores, minutes each, RESULTS.md and docs/; "
        "base: a GPU, hours each, RESULTS_base.md and docs/base/",
    )
    output_dir: str | None = option(
        None,
        "folder, within the project's, of what experiments make; what is "
        "there is not made again. Default: generated/results, or …_base",
    )


@dataclass(frozen=True, kw_only=True)
class StepsConfig:
    """Quality and time against the number of denoising steps."""

    run: str = required("stage-1 run folder")
    data_root: str = required("dataset folder")
    output_dir: str = required("folder for steps.json and steps.png")
    list_test: str = option("test", "list to generate: a name in <data_root>/splits, or a CSV file")
    steps: tuple[int, ...] = option((1, 2, 4, 6, 8, 12, 16, 25, 50), "numbers of steps")
    samplers: tuple[str, ...] = option(("ddim", "dpm++"), "ddim, ddpm, dpm++")
    limit: int = option(20, "clips of the list")
    device: str = option("auto", DEVICE_HELP)
    seed: int = option(0, SEED_HELP)

    def __post_init__(self):
        positive(self, "limit")
        if unknown := sorted(set(self.samplers) - {"ddim", "ddpm", "dpm++"}):
            raise ValueError(f"--samplers {' '.join(unknown)}: expected of ddim, ddpm, dpm++")


def ends(text: str, kind: type) -> tuple:
    """Both ends of 'from..to', or of a single number."""
    low, _, high = text.partition("..")
    return kind(low), kind(high or low)


def span(text: str) -> tuple[int, int]:
    """'1..3' or '2' as (lowest, highest)."""
    return ends(text, int)


def stretch(text: str) -> tuple[float, float]:
    """'8..9.5' or '9' as (least, most)."""
    return ends(text, float)


@dataclass(frozen=True, kw_only=True)
class SimulateConfig:
    """Simulated binaural scenes with video."""

    out: str = required("folder of the new dataset")
    layout: Literal["real", "fairplay"] = option(
        "real",
        "real: a dataset to train on (README, Files on "
        "disk); fairplay: the form in which FAIR-Play is downloaded",
    )
    clips: int = option(
        24,
        "number of scenes, about 5 : 1 : 1 for training, validation and test (fairplay: "
        "8 : 1 : 1); at least 3",
    )
    seconds: float = option(
        6.0, "length of a scene in seconds; not with --layout fairplay, whose clips last 10.005 or 9.984 s"
    )
    sources: tuple[int, int] = option((1, 3), "sounding objects a scene, from..to", type=span, metavar="1..3")
    room: bool = option(True, "reflections and a short reverberant tail; without, an anechoic field")
    dry_share: float = option(0.0, "with --room: share of the scenes that have none")
    audio_dir: str | None = option(
        None,
        "folder of dry mono recordings to place; default: built-in sounds. "
        "A name that begins like one of these, as vowel, chooses the look",
    )
    audio_share: float = option(1.0, "with --audio_dir: share of the sources that are recordings")
    head_radius: tuple[float, float] = option(
        (8.75, 8.75), "radius of the listener's head in cm, from..to", type=stretch, metavar="8..9.5"
    )
    fov: tuple[float, float] = option(
        (FOV, FOV), "degrees that the picture shows across, from..to", type=stretch, metavar="60..120"
    )
    held_out: int | None = option(None, "scenes for validation, and as many for the test; default: a seventh")
    fps: int = option(10, "video frames a second")
    workers: int = option(0, "processes; 0 takes one a core")
    seed: int = option(0, SEED_HELP)

    def __post_init__(self):
        positive(self, "seconds", "fps")
        if self.clips < 3:
            raise ValueError(f"--clips is {self.clips}; train, val and test need one each, so at least 3")
        if self.held_out is not None and not 1 <= self.held_out < self.clips / 2:
            raise ValueError(
                f"--held_out is {self.held_out}; give at least 1, and leave some of {self.clips} to train on"
            )
        if not (0 <= self.dry_share <= 1 and 0 <= self.audio_share <= 1):
            raise ValueError("--dry_share and --audio_share are shares; give numbers from 0 to 1")
        if not 5 <= self.head_radius[0] <= self.head_radius[1] <= 15:
            raise ValueError(
                f"--head_radius is {self.head_radius[0]:g}..{self.head_radius[1]:g}; "
                "give from..to within 5..15 cm"
            )
        if not 20 <= self.fov[0] <= self.fov[1] <= FOV:
            raise ValueError(f"--fov is {self.fov[0]:g}..{self.fov[1]:g}; give from..to within 20..{FOV:g}")
        if self.layout == "fairplay" and self.fov != (FOV, FOV):
            raise ValueError("--fov: FAIR-Play's form has no place for it; leave it out")
        if not 1 <= self.sources[0] <= self.sources[1]:
            raise ValueError(f"--sources is {self.sources[0]}..{self.sources[1]}; give from..to, at least 1")
        if self.layout == "fairplay" and self.seconds != SimulateConfig.seconds:
            raise ValueError(
                f"--seconds is {self.seconds}; with --layout fairplay clips last 10.005 or "
                "9.984 s, so leave it out"
            )


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Trained weights to ship."""

    run: str = required("stage-1 run folder, whose best weights are taken")
    checkpoint_file: str = required("vocoder weights, config.json beside them")
    out: str = required("folder for stage1/ and vocoder/")


@dataclass(frozen=True, kw_only=True)
class SpeechConfig:
    """Synthetic speech, for --audio_dir of simulated scenes."""

    out: str = required("folder of the wavs")
    clips: int = option(400, "number of files, two short sentences each")
    seed: int = option(0, SEED_HELP)

    def __post_init__(self):
        positive(self, "clips")


def extent(text: str) -> tuple[int, int]:
    """'480x240' as (width, height)."""
    width, height = text.split("x")
    return int(width), int(height)


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """FAIR-Play as downloaded, into the layout that training reads."""

    fairplay_root: str = required(
        "folder of the download, with binaural_audios/ (or audios/), videos/ and splits/; it is only read"
    )
    out: str = required("folder of the dataset, outside the download")
    fps: int = option(10, "pictures to keep of each second of video")
    size: tuple[int, int] = option(
        (480, 240), "width x height of the pictures in pixels", type=extent, metavar="480x240"
    )
    workers: int = option(0, "processes; 0 takes one a core")
    verify: bool = option(False, "write nothing; compare everything in --out with the download")

    def __post_init__(self):
        positive(self, "fps")
        if min(self.size) < 1:
            raise ValueError(f"--size is {self.size[0]}x{self.size[1]}; expected at least 1x1 pixel")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Predictions against the truth."""

    pred_dir: tuple[str, ...] = required("folder of predictions; NAME=DIR adds a system to compare")
    gt_dir: str = required("truth: folder of stereo wavs (or, for mels, of mel pairs)")
    mono_dir: str | None = option(None, "mono wavs for the mono copy; default: (L+R)/2 of the truth")
    anchors: bool = option(True, "measure mono copy, swapped ears and, of wavs, the oracle too")
    output_csv: str | None = option(None, "every clip, every system")
    output_json: str | None = option(None, "the table and every clip")


@dataclass(frozen=True, kw_only=True)
class EvaluateMelConfig(EvaluateConfig):
    """Mel pairs against the truth."""

    plot: str | None = option(None, "picture of the error over frequency, of each system and ear: a PNG")


@dataclass(frozen=True, kw_only=True)
class SplitsConfig:
    """Figures of FAIR-Play's splits, together."""

    results: str = required("folder with <split>/metrics.json, as evaluate_binaural_22050.py writes them")
    output_json: str | None = option(None, "both families: {title: {system: {metric: figures}}}")


@dataclass(frozen=True, kw_only=True)
class PlacesConfig:
    """Placed sounds, listened to."""

    placed: str = required("folder with x_<position>/<video_id>_<ms>.wav, as a sweep's mels are rendered")
    mono_dir: str = required("folder of the mono wavs that were placed")
    output_json: str | None = option(None, "every sound at every position")


@dataclass(frozen=True, kw_only=True)
class EvaluateWavConfig(EvaluateConfig):
    """Binaural wavs against the truth."""

    pred_dir_b: str | None = option(
        None,
        "predictions to compare with the first folder's, clip by clip: DIR (the system model_b) or NAME=DIR",
    )
    plots: str | None = option(None, "folder for pictures of ITD and ILD over time, <system>/<clip>.png")
    merge_json: str | None = option(None, "JSON of the other evaluate script, to join the table and the JSON")
    report: str | None = option(None, "listening page: one HTML file, with sounds and pictures in it")
    report_clips: int = option(
        50, "clips on the page, evenly from all; each takes about 0.1 MB a second and system"
    )
    workers: int = option(0, "processes; 0 takes one a core; the figures do not depend on it")
    seed: int = option(0, "of the resampling behind --pred_dir_b's intervals")

    def __post_init__(self):
        positive(self, "report_clips")
        if self.workers < 0:
            raise ValueError(f"--workers is {self.workers}; give 0 for one a core, or more")

    @property
    def systems(self) -> tuple[str, ...]:
        """All folders to measure, in the words of --pred_dir."""
        b = self.pred_dir_b
        return (*self.pred_dir, *([b if "=" in b else f"model_b={b}"] if b else []))
