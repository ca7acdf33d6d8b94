"""Settings of stage 1."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from DiffBinaural.configs.fields import DEVICE_HELP, SEED_HELP, option, positive, required

SPLIT_HELP = 'folder of the lists in <data_root>/splits, as split1 or five_split3; "": none'
FOV = 120.0  # degrees; horizontal field of view, unless a dataset or a flag states another


@dataclass(frozen=True)
class MelConfig:
    """Settings of the mel of both stages (HiFi-GAN's, with the full band of BigVGAN v2)."""

    sample_rate: int = 22_050  # Hz
    n_fft: int = 1024  # samples; also the window's length
    hop: int = 256  # samples a frame: 86.13 frames a second
    n_mels: int = 80  # Slaney bands
    fmin: float = 0.0  # Hz
    fmax: float | None = None  # Hz; None = half the sample rate


@dataclass(frozen=True)
class ViewConfig:
    """Size of the model's input."""

    window: int = 80  # mel frames
    frames: int = 5  # pictures, evenly spaced over the window
    slots: int = 4  # whole picture + up to slots - 1 detected sources
    image_size: int = 224  # pixels, square


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the networks."""

    dim: int = 64  # channels of the UNet's first level
    patch: int = 1  # bands and frames per cell of the first level; 2 = 1/4 of the work
    mults: tuple[int, ...] = (1, 2, 4)  # channels of each level, in units of dim
    blocks: int = 2  # residual blocks a level
    heads: int = 4  # of every attention
    cross_levels: tuple[int, ...] = (1, 2)  # levels (0 = full size) whose mel positions attend to the context
    context_dim: int = 512  # width of a context token
    tokens: int = 4  # context tokens per video frame
    temporal_layers: int = 2  # of the transformer over the window's video frames
    interaural_phase: bool = option(
        False, "also predict the phase between the ears, for rendering with the phase of the mono input"
    )
    direct_path: bool = option(
        False,
        "show the UNet what the listener's head makes of each detected source; it predicts each source's "
        "share of the sound, and what that lacks. Implies --interaural_phase",
    )


@dataclass(frozen=True)
class DiffusionConfig:
    """The diffusion process; the fields with a help text are flags of the training scripts."""

    objective: Literal["pred_residual", "pred_x0", "pred_v", "pred_noise"] = option(
        "pred_residual", "target of the UNet: x0 minus the mono mel, x0, velocity or noise"
    )
    schedule: Literal["cosine", "linear", "sigmoid"] = option("cosine", "noise schedule")
    loss: Literal["l1", "l2"] = option("l2", "absolute or squared error")
    loss_weight: Literal["uniform", "min_snr", "p2"] = option("uniform", "weighting of diffusion times")
    time_shift: float = option(10.0, "above 1, training draws noisy times more often; 1 = uniform")
    drop_vision: float = option(0.1, "probability of training a window without its pictures, for guidance")
    phase_weight: float = option(0.1, "with --interaural_phase: weight of its loss relative to the mel loss")
    heard_weight: float = option(
        0.1, "with --direct_path: weight of the error of the rendered sound relative to the mel loss"
    )
    cue_weight: float = option(
        0.01, "with --direct_path: weight of the error of the level between the ears, likewise"
    )
    timesteps: int = 1000
    mel_low: float = math.log(1e-5)  # nepers; mapped to -1: silence
    mel_high: float = 2.5  # nepers; mapped to +1: just above a full-scale sine

    def __post_init__(self):
        positive(self, "time_shift", "phase_weight")
        if not 0 <= self.drop_vision <= 1:
            raise ValueError(f"--drop_vision is {self.drop_vision}; expected a probability in [0, 1]")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Stage-1 training."""

    id: str = required("name of the run: its folder is <ckpt>/<id>")
    data_root: str = required("dataset folder (layout: README, Files on disk)")
    list_train: str = option("train", "list to train on: a name in <data_root>/splits/<split>, or a CSV file")
    list_val: str = option("val", "list to validate on")
    fold: str = option(
        "", "K/N: train without the K-th of N parts of the list, whose mels this model generates later"
    )
    split: str = option("", SPLIT_HELP)
    ckpt: str = option("checkpoints", "folder of all runs")
    preset: Literal["base", "small", "tiny", "paper"] = option(
        "base", "sizes, rates, budget; small: as the bundled weights; paper: predicts noise"
    )
    init_from: str | None = option(None, "start from the weights of this run, for example weights/stage1")
    num_epoch: int = option(1000, "passes over the training list")
    time_budget: float | None = option(None, "stop after this many seconds of training; default: no limit")
    batch_size_per_gpu: int = option(32, "batch size of a process, in windows")
    accumulate: int = option(1, "batches per optimizer step")
    windows_per_clip: int = option(8, "random windows of each clip per epoch")
    mix_sources: int = option(1, "mix up to this many clips (2 to 4) into one window; 1: no mixing")
    lr_unet: float = option(1e-4, "AdamW learning rate of the UNet")
    lr_frame: float = option(1e-4, "AdamW learning rate of the visual encoder")
    lr_schedule: Literal["cosine", "exponential"] = option(
        "cosine", "learning rates fall to 0, or exponentially to 1 %"
    )
    weight_decay: float = option(1e-4, "AdamW weight decay")
    warmup_steps: int = option(500, "steps over which the learning rates rise from 0")
    ema_decay: float = option(0.9995, "decay per step of the saved average of the weights; ramps up from 0")
    clip_norm: float = option(1.0, "gradient norm above which gradients are scaled down")
    eval_epoch: int = option(10, "epochs between validations")
    save_steps: int = option(1000, "steps between saves of the training state")
    arch_frame: Literal["resnet18", "resnet50", "small"] = option("resnet18", "trunk of the visual encoder")
    visual_weights: str = option("imagenet", "the trunk starts from: imagenet, random, or a state-dict file")
    train_trunk: bool = option(False, "train the trunk too; default: frozen")
    ears: Literal["both", "left", "right"] = option("both", "ears that the model predicts")
    mirror: bool = option(True, "augment by mirroring pictures, positions and ears, with probability 1/2")
    hide_detections: float = option(0.3, "probability of training a window without its detections")
    hide_sounding: float = option(0.25, "probability of training a window without knowing what sounds")
    amp: Literal["off", "bf16"] = option("off", "bf16: networks in bfloat16, losses and norms in float32")
    compile: bool = option(False, "compile the UNet: a minute more to start, fewer launches on a GPU")
    workers: int = option(4, "data loader processes; 0: load in the training process")
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
            raise ValueError(f"--mix_sources is {self.mix_sources}; give 2 to 4, or 1 for no mixing")
        if self.model.direct_path and not self.model.interaural_phase:
            object.__setattr__(self, "model", replace(self.model, interaural_phase=True))
        if self.model.direct_path and self.diffusion.objective not in ("pred_residual", "pred_x0"):
            objective = self.diffusion.objective
            raise ValueError(f"--direct_path needs --objective pred_residual or pred_x0, not {objective}")
        if self.model.interaural_phase and self.ears != "both":
            raise ValueError(f"--interaural_phase needs --ears both, not {self.ears}")


# for a laptop: small pictures, and a small trunk that is trained too
LAPTOP = dict(
    view=ViewConfig(frames=3, slots=4, image_size=64),
    arch_frame="small",
    visual_weights="random",
    train_trunk=True,
    lr_unet=1e-3,
    lr_frame=1e-3,
    workers=0,
)
LAPTOP_MODEL: dict[str, Any] = dict(
    patch=2, blocks=1, cross_levels=(0, 1), context_dim=128, temporal_layers=1
)
PRESETS: dict[str, dict[str, Any]] = {
    "base": {},
    "paper": dict(diffusion=DiffusionConfig(objective="pred_noise", time_shift=1.0)),
    "small": dict(
        LAPTOP,
        model=ModelConfig(dim=48, mults=(1, 2, 4), **LAPTOP_MODEL),
        batch_size_per_gpu=16,
        warmup_steps=200,
        ema_decay=0.999,
        eval_epoch=1,
        save_steps=300,
    ),
    "tiny": dict(
        LAPTOP,
        model=ModelConfig(dim=32, mults=(1, 2, 3), **LAPTOP_MODEL),
        batch_size_per_gpu=8,
        warmup_steps=50,
        ema_decay=0.99,
        eval_epoch=5,
    ),
}
FAIRPLAY_PRESETS = {name: {**preset, "split": "split1"} for name, preset in PRESETS.items()}


def preset_config(name: str, **given) -> TrainConfig:
    """Settings of a preset, with the given ones replaced."""
    return TrainConfig(**{**PRESETS[name], "preset": name, **given})


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """Sampling of a trained model."""

    sampling_timesteps: int | None = option(
        None,
        "denoising steps; default: 1 for a model with --direct_path, 25 for one that predicts noise or "
        "velocity, else 2",
    )
    sampler: Literal["ddim", "ddpm", "dpm++"] = option("ddim", "dpm++: DPM-Solver++(2M), second order")
    eta: float = option(0.0, "noise added in each DDIM step: 0 = none, 1 = as much as DDPM")
    guidance_scale: float = option(
        1.0, "visual guidance: 0 = without pictures, 1 = no guidance, above 1 exaggerates"
    )
    symmetric: bool = option(
        False,
        "average the results for the scene and for its mirror image with exchanged ears; "
        "twice the work, a smaller error",
    )
    batch_windows: int | None = option(
        None,
        "windows per network call: changes speed and memory, not the result; default: 16, on a GPU 64",
    )
    device: str = option("auto", DEVICE_HELP)
    seed: int = option(0, SEED_HELP)

    def __post_init__(self):
        positive(self, "sampling_timesteps", "batch_windows")


def steps_of(cfg: SamplingConfig, trained: TrainConfig) -> int:
    """Denoising steps, by default as many as suit a model trained like this (DiffBinaural/README, Steps)."""
    few = 1 if trained.model.direct_path else 2
    default = few if trained.diffusion.objective in ("pred_residual", "pred_x0") else 25
    return cfg.sampling_timesteps or default
