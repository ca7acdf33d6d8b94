"""The vocoder's settings: a config.json in NVIDIA's key names, checked when it is read."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from DiffBinaural.configs.advanced_diffusion_config import (
    DEVICE_HELP,
    FOV,
    RUN_HELP,
    SEED_HELP,
    SHIPPED,
    MelConfig,
    SamplingConfig,
    from_dict,
    option,
    positive,
    required,
)
from DiffBinaural.utils.files import read_json

CONFIG = "config.json"

# Keys of published config.json files that nothing here depends on: how upstream runs its jobs, and its other
# judges.  Any other key that VocoderConfig lacks is taken for a typing error.
IGNORED = frozenset(
    {
        "num_gpus",
        "seed",
        "num_workers",
        "dist_config",
        "num_freq",
        "fmax_for_loss",
        "normalize_volume",
        "use_cuda_kernel",
        "use_spectral_norm",
        "use_mbd_instead_of_mrd",
        "mbd_fft_sizes",
        "mrd_channel_mult",
        "mrd_use_spectral_norm",
        "use_cqtd_instead_of_mrd",
        "cqtd_filters",
        "cqtd_max_filters",
        "cqtd_filters_scale",
        "cqtd_dilations",
        "cqtd_hop_lengths",
        "cqtd_n_octaves",
        "cqtd_bins_per_octaves",
        "cqtd_bins_per_octave",
        "cqtd_in_channels",
        "cqtd_out_channels",
        "cqtd_normalize_volume",
    }
)


@dataclass(frozen=True, kw_only=True)
class VocoderConfig:
    """A vocoder's config.json.  What shapes the generator has no default: a wrong guess might load."""

    # the generator
    resblock: Literal["1", "2"]  # AMPBlock1 or AMPBlock2
    upsample_rates: tuple[int, ...]  # of the stages; their product is hop_size
    upsample_kernel_sizes: tuple[int, ...]
    upsample_initial_channel: int  # halved at every stage
    resblock_kernel_sizes: tuple[int, ...]  # of the parallel blocks of a stage
    resblock_dilation_sizes: tuple[tuple[int, ...], ...]  # for each of them
    activation: Literal["snake", "snakebeta"]
    snake_logscale: bool  # alpha and beta are stored as logarithms
    use_tanh_at_final: bool = True  # else clamped to [-1, 1]
    use_bias_at_final: bool = True
    # the mel
    num_mels: int = MelConfig.n_mels
    n_fft: int = MelConfig.n_fft  # samples
    hop_size: int = MelConfig.hop  # samples a frame
    win_size: int = MelConfig.n_fft  # samples; only n_fft is supported
    sampling_rate: int = MelConfig.sample_rate  # Hz
    fmin: float = MelConfig.fmin  # Hz
    fmax: float | None = MelConfig.fmax  # Hz; None = half the sampling rate
    # the discriminators; an empty list leaves those of its kind out
    mpd_reshapes: tuple[int, ...] = (2, 3, 5, 7, 11)  # periods in samples
    resolutions: tuple[tuple[int, int, int], ...] = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
    discriminator_channel_mult: float = 1.0
    # the training
    segment_size: int = 8192  # samples of a training example
    batch_size: int = 32  # segments a step
    learning_rate: float = 1e-4  # AdamW
    adam_b1: float = 0.8
    adam_b2: float = 0.99
    lr_decay: float = 0.9999996  # factor a step
    clip_grad_norm: float = 1000.0
    lambda_melloss: float = 45.0
    use_multiscale_melloss: bool = False  # log10 mels of seven sizes, not the one mel
    # ours: weights of terms that upstream does not have; 0 leaves a term out
    lambda_silence: float = 0.0  # mel L1 once more, in silent frames only
    silence_threshold_db: float = -60.0  # 0 = mel magnitude 1; digital silence is -100
    lambda_interaural: float = 0.0  # STFTs of sum and difference of the ears
    lambda_level: float = 0.0  # level difference between the ears

    def __post_init__(self):
        stages, rates = len(self.upsample_rates), self.upsample_rates
        kernels, width = self.upsample_kernel_sizes, self.upsample_initial_channel
        _require(self.resblock in ("1", "2"), f'resblock is {self.resblock!r}; expected "1" or "2"')
        _require(
            self.activation in ("snake", "snakebeta"),
            f'activation is {self.activation!r}; expected "snake" or "snakebeta"',
        )
        _require(
            math.prod(rates) == self.hop_size,
            f"upsample_rates {rates} multiply to {math.prod(rates)}; hop_size is {self.hop_size}",
        )
        _require(
            len(kernels) == stages and all(k >= u and (k - u) % 2 == 0 for k, u in zip(kernels, rates)),
            f"upsample_kernel_sizes {kernels}: expected those of {rates} plus even numbers",
        )
        _require(
            width > 0 and width % 2**stages == 0,
            f"upsample_initial_channel is {width}; a multiple of {2**stages} is expected",
        )
        _require(
            len(self.resblock_kernel_sizes) == len(self.resblock_dilation_sizes) > 0,
            "resblock_kernel_sizes and resblock_dilation_sizes differ in length",
        )
        _require(
            all(k % 2 for k in self.resblock_kernel_sizes),
            f"resblock_kernel_sizes {self.resblock_kernel_sizes}: odd numbers are expected",
        )
        _require(
            self.segment_size > 0 and self.segment_size % self.hop_size == 0,
            f"segment_size is {self.segment_size}; a multiple of hop_size {self.hop_size} is expected",
        )
        _require(self.win_size == self.n_fft, f"win_size is {self.win_size}; n_fft {self.n_fft} is expected")

    @property
    def mel(self) -> MelConfig:
        """The mel that the generator reads."""
        return MelConfig(self.sampling_rate, self.n_fft, self.hop_size, self.num_mels, self.fmin, self.fmax)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _frozen(value):
    """JSON's lists as tuples, all the way down."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def load_config(path: str | Path) -> VocoderConfig:
    """Read a vocoder's config.json, ours or one that NVIDIA published.

    Raises FileNotFoundError, or ValueError naming the file and the key that is unknown, missing or wrong.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such vocoder config")
    values = read_json(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path}: holds no settings; expected a JSON object")
    known = {key: _frozen(value) for key, value in values.items() if key not in IGNORED}
    try:
        return from_dict(VocoderConfig, known, "vocoder config")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def config_beside(checkpoint_file: str | Path) -> Path:
    """The config.json in a checkpoint's folder."""
    path = Path(checkpoint_file).parent / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; put the {CONFIG} of the checkpoint's training beside it")
    return path


# --- command lines ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TrueMelConfig:
    """Stage 2a: training on true mels."""

    audio_dir: str = required("folder of binaural recordings, <video_id>.wav")
    list_train: str = required("CSV of clips to train on")
    list_val: str = required("CSV of clips to validate on")
    checkpoint_path: str = required("folder of the run: config.json, g_*, do_*, logs/")
    config: str = required("JSON of the vocoder")
    mel_dir: str | None = option(None, "folder of true mel pairs; default: computed from the sound")
    training_steps: int = option(1_000_000, "steps in all")
    time_budget: float | None = option(None, "stop after this many seconds of training; default: no limit")
    checkpoint_interval: int = option(10_000, "steps from checkpoint to checkpoint")
    validation_interval: int = option(5_000, "steps from validation to validation")
    freeze_step: int = option(0, "steps before the discriminators join; until then only regression terms act")
    init_from: str | None = option(None, "start from this run, NVIDIA folder or generator file")
    keep: int = option(3, "checkpoints to keep")
    amp: Literal["off", "bf16"] = option("off", "bf16: convolutions in bfloat16, the rest in float32")
    workers: int = option(0, "loader processes; 0 loads in the training process")
    device: str = option("auto", DEVICE_HELP)
    seed: int = option(0, SEED_HELP)

    def __post_init__(self):
        positive(self, "training_steps", "checkpoint_interval", "validation_interval", "keep", "time_budget")


@dataclass(frozen=True, kw_only=True)
class BothMelConfig(TrueMelConfig):
    """Stage 2b: scheduled sampling between true and predicted mels."""

    mel_pred_dir: str = required("folder of stage 1's mel pairs, for both lists")
    stage1_checkpoint_path: str | None = option(None, "the same as --init_from: usually stage 2a's run")
    pred_mel_start_step: int = option(0, "step at which predicted mels begin to appear")
    pred_mel_end_step: int = option(100_000, "step from which on they are as frequent as they get")
    pred_mel_max: float = option(0.8, "their final share, below 1")

    def __post_init__(self):
        super().__post_init__()
        _require(0 <= self.pred_mel_max < 1, f"--pred_mel_max is {self.pred_mel_max}; expected in [0, 1)")
        _require(
            self.pred_mel_start_step <= self.pred_mel_end_step,
            "--pred_mel_start_step lies behind the end step",
        )


WEIGHTS = str(SHIPPED / "vocoder/g_best.pth")
WEIGHTS_HELP = "vocoder weights, config.json beside them; only --renderer vocoder needs them"
EXACT_HELP = "with --renderer mono: (L+R)/2 of what is written is the mono again, as with wiener"


def check_renderer(cfg, renderer: str) -> None:
    """Refuse a renderer that lacks what it needs, or an option of the other."""
    _require(
        renderer != "vocoder" or not cfg.exact_downmix,
        "--exact_downmix is of no use with --renderer vocoder, whose phases are not the mono's",
    )


@dataclass(frozen=True, kw_only=True)
class VocodeConfig:
    """A trained vocoder and what it writes."""

    checkpoint_file: str = option(WEIGHTS, WEIGHTS_HELP)
    renderer: Literal["vocoder", "mono", "wiener"] = option(
        "vocoder",
        "vocoder: a phase of its own for each ear; mono: the mono's phase, turned by the phasor; "
        "wiener: likewise, least squares",
    )
    exact_downmix: bool = option(False, EXACT_HELP)
    output_dir: str = required("folder for <name>.wav, 22,050 Hz, stereo")
    chunk: int = option(192, "mel frames a network call; changes speed and memory, not the result")
    wav_format: Literal["pcm16", "float"] = option("pcm16", "pcm16: rounded and clipped to 16 bits")
    overwrite: bool = option(False, "make again what is there already; else it is skipped")
    device: str = option("auto", DEVICE_HELP)

    def __post_init__(self):
        positive(self, "chunk")
        check_renderer(self, self.renderer)


@dataclass(frozen=True, kw_only=True)
class VocodeMelsConfig(VocodeConfig):
    """Stage 1's mels through the vocoder."""

    mels_dir: str = required("folder of stage 1's mel pairs")
    layout: Literal["flat", "fairplay"] = option(
        "flat", "fairplay: <id>/predicted_binaural.wav, mixed_mono.wav, input_binaural.wav at 16 kHz"
    )
    gt_dir: str | None = option(None, "for fairplay: folder of true binaural wavs, <video_id>.wav")
    mono_dir: str | None = option(
        None,
        "folder of mono wavs, which --renderer mono and wiener turn; for "
        "fairplay mixed_mono.wav, default: (L+R)/2 of the truth",
    )

    def __post_init__(self):
        super().__post_init__()
        _require(
            self.layout == "flat" or self.gt_dir is not None,
            "--layout fairplay writes the truth beside the prediction; give --gt_dir",
        )
        _require(
            self.renderer == "vocoder" or self.mono_dir is not None,
            f"--renderer {self.renderer} starts from the mono sounds; give their folder, --mono_dir",
        )
        mono_dir = self.mono_dir if self.renderer == "vocoder" else None
        _require(
            self.layout == "fairplay" or (self.gt_dir or mono_dir) is None,
            "--gt_dir and --mono_dir belong to --layout fairplay, --mono_dir to the other renderers",
        )


@dataclass(frozen=True, kw_only=True)
class CopySynthesisConfig(VocodeConfig):
    """Sound or mels through the vocoder."""

    input_wavs_dir: str | None = option(None, "stereo wavs to analyse and synthesise again")
    input_mels_dir: str | None = option(None, "mel pairs to synthesise")
    list: str | None = option(None, "CSV of clips: only files of these ids")

    def __post_init__(self):
        super().__post_init__()
        _require(
            (self.input_wavs_dir is None) != (self.input_mels_dir is None),
            "give either --input_wavs_dir or --input_mels_dir",
        )
        _require(
            self.renderer == "vocoder" or self.input_wavs_dir is not None,
            f"--renderer {self.renderer} takes sounds here, --input_wavs_dir; mels have no mono",
        )


@dataclass(frozen=True, kw_only=True)
class E2EConfig(SamplingConfig):
    """From a video to binaural sound."""

    input_video: str = required(
        "the video, or a folder of its pictures; in a batch, a folder of videos or a "
        "CSV with a column input_video and, where wanted, input_wav, output, "
        "detections, start, end, fov"
    )
    run: tuple[str, ...] = option((str(SHIPPED / "stage1"),), RUN_HELP)
    checkpoint_file: str = option(WEIGHTS, WEIGHTS_HELP)
    renderer: Literal["auto", "vocoder", "mono", "wiener"] = option(
        "auto", "as of inference_diffbinaural_mels.py; auto: wiener where the run makes a phasor"
    )
    exact_downmix: bool = option(False, EXACT_HELP)
    output: str = required("binaural wav to write; in a batch, the folder for <video>.wav")
    input_wav: str | None = option(
        None,
        "the sound; default: the video's own. Channels are mixed to mono. "
        "In a batch, a folder with <video>.wav, .flac or the like",
    )
    detections: str | None = option(None, "CSV of detected sources in the video; default: the whole picture")
    start: float = option(0.0, "second of sound and video to begin with")
    end: float | None = option(None, "second to end before; default: where the sound ends")
    fps: float = option(10.0, "pictures a second of a folder of pictures")
    fov: float = option(FOV, "degrees that the camera sees from the left edge to the right one")
    mux: str | None = option(
        None,
        "also write this .mp4, .mov or .mkv: the same picture with the binaural track; in a batch, a folder",
    )
    mux_codec: Literal["aac", "flac"] = option("aac", "sound of --mux: AAC of 256 kbit/s, or FLAC, lossless")
    plot: str | None = option(None, "also draw the mels to this PNG; in a batch, a folder")

    def __post_init__(self):
        super().__post_init__()
        positive(self, "fps", "fov")
        _require(self.fov < 180, f"--fov is {self.fov:g}; a picture shows less than 180 degrees")
        _require(
            0 <= self.start < (math.inf if self.end is None else self.end),
            f"--start is {self.start}, --end {self.end}; expected 0 <= start < end, in seconds",
        )


def chosen_renderer(cfg: E2EConfig, phase: bool) -> str:
    """Which renderer a run's mels take; phase: whether the run makes the phase between the ears."""
    renderer = ("wiener" if phase else "vocoder") if cfg.renderer == "auto" else cfg.renderer
    _require(
        renderer == "vocoder" or phase,
        f"--renderer {renderer}: {cfg.run[0]} makes no phase between "
        "the ears; train with --interaural_phase, or take --renderer vocoder",
    )
    check_renderer(cfg, renderer)
    return renderer
