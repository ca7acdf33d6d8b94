"""Settings of stage 1: mel, view, networks, diffusion, training, sampling."""

import math
from dataclasses import dataclass
from typing import Literal

from DiffBinaural.configs.fields import DEVICE_HELP, SEED_HELP, option, positive, required

SPLIT_HELP = 'folder of the lists in <data_root>/splits, as split1 or five_split3; "": none'
FOV = 120.0  # degrees that a picture shows from edge to edge, where nothing else is known


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


def steps_of(cfg: SamplingConfig, objective: str) -> int:
    """Denoising steps of a model with this objective: where they stop to pay (DiffBinaural/README, Steps)."""
    return cfg.sampling_timesteps or (2 if objective in ("pred_residual", "pred_x0") else 25)
