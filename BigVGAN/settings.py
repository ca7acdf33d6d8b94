"""Settings of the vocoder's scripts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from BigVGAN.env import _require
from DiffBinaural.configs.fields import DEVICE_HELP, SEED_HELP, option, positive, required
from DiffBinaural.inference.rendering import DEFAULT_RENDERER, GEOMETRY, RENDERERS
from DiffBinaural.utils.bundled import BUNDLED
from DiffBinaural.utils.lists import BINAURAL
from DiffBinaural.utils.packed_index import is_packed

LIST_HELP = "list to train on: a name in splits/ of the sounds' dataset, as split1/train, or a CSV file"


@dataclass(frozen=True, kw_only=True)
class TrueMelConfig:
    """Stage 2a: training on true mels."""

    audio_dir: str | None = option(None, "folder of binaural recordings, <video_id>.wav")
    data_root: str | None = option(None, "dataset folder, packed or not, in place of --audio_dir")
    list_train: str = option("train", LIST_HELP)
    list_val: str = option("val", "list to validate on, likewise")
    checkpoint_path: str = required("folder of the run: config.json, g_*, do_*, logs/")
    config: str = required("JSON of the vocoder")
    mel_dir: str | None = option(None, "folder of true mel pairs; default: computed from the sound")
    training_steps: int = option(1_000_000, "total number of steps")
    time_budget: float | None = option(None, "stop after this many seconds of training; default: no limit")
    checkpoint_interval: int = option(10_000, "steps between checkpoints")
    validation_interval: int = option(5_000, "steps between validations")
    freeze_step: int = option(
        0, "first step with discriminators; before, only the regression losses are used"
    )
    init_from: str | None = option(None, "start from this run, NVIDIA folder or generator file")
    keep: int = option(3, "number of checkpoints to keep")
    amp: Literal["off", "bf16"] = option(
        "off",
        "bf16: convolutions in bfloat16, the rest in float32 (as the whole generator is with Griffin-Lim "
        "iterations); off: on a GPU they multiply in TF32",
    )
    micro_batch: int | None = option(
        None,
        "segments of two ears computed at once, the batch in several such parts: changes memory and speed, "
        "not the result; default: all, on a GPU as many as fit",
    )
    workers: int = option(0, "loader processes; 0 loads in the training process")
    device: str = option("auto", DEVICE_HELP)
    seed: int = option(0, SEED_HELP)

    def __post_init__(self):
        positive(
            self,
            "training_steps",
            "checkpoint_interval",
            "validation_interval",
            "keep",
            "time_budget",
            "micro_batch",
        )
        _require(
            (self.audio_dir is None) != (self.data_root is None),
            "give --data_root for a dataset, or --audio_dir for a folder of sounds",
        )

    @property
    def sounds(self) -> str:
        """Where the sounds are: a folder or a packed dataset."""
        if self.data_root is None or is_packed(self.data_root):
            return str(self.audio_dir or self.data_root)
        return str(Path(self.data_root, BINAURAL))


@dataclass(frozen=True, kw_only=True)
class BothMelConfig(TrueMelConfig):
    """Stage 2b: scheduled sampling between true and predicted mels."""

    mel_pred_dir: str = required("folder of stage 1's mel pairs, for both lists")
    stage1_checkpoint_path: str | None = option(None, "the same as --init_from: usually stage 2a's run")
    pred_mel_start_step: int = option(0, "step from which predicted mels are used")
    pred_mel_end_step: int = option(100_000, "step at which their probability reaches --pred_mel_max")
    pred_mel_max: float = option(0.8, "final probability of a predicted mel, below 1")

    def __post_init__(self):
        super().__post_init__()
        _require(0 <= self.pred_mel_max < 1, f"--pred_mel_max is {self.pred_mel_max}; expected in [0, 1)")
        _require(
            self.pred_mel_start_step <= self.pred_mel_end_step,
            "--pred_mel_start_step is later than --pred_mel_end_step",
        )


WEIGHTS = str(BUNDLED / "vocoder/g_best.pth")
WEIGHTS_HELP = "vocoder weights, with their config.json beside them; only for --renderer vocoder"
EXACT_HELP = (
    "with --renderer levelled and mono_phase: (L+R)/2 of the output equals the mono sound, as it does with "
    "wiener and geometry"
)
RENAMED_RENDERERS = {"mono": "mono_phase"}
CHOICES = ("auto", "vocoder", *RENDERERS, GEOMETRY)
RENDERER_HELP = (
    "levelled: the mono sound filtered so that the ears have the predicted levels and, as far as it is "
    "certain, the predicted phase; wiener: likewise in the least-squares sense, with (L+R)/2 = mono; "
    "mono_phase: the phase however uncertain; geometry: by the directions of the detected sources alone; "
    "vocoder: makes each ear's phase itself; auto: levelled where "
)


def check_renderer(cfg, renderer: str) -> None:
    """Raise ValueError where --exact_downmix is given with a renderer that has no such option."""
    _require(
        renderer != "vocoder" or not cfg.exact_downmix,
        "--exact_downmix is of no use with --renderer vocoder, which makes phases of its own",
    )


@dataclass(frozen=True, kw_only=True)
class VocodeConfig:
    """How mels become sound."""

    checkpoint_file: str = option(WEIGHTS, WEIGHTS_HELP)
    renderer: Literal[CHOICES] = option(
        "auto",
        RENDERER_HELP + "the mels have a phase and the mono sounds are given, else vocoder",
        renamed=RENAMED_RENDERERS,
    )
    exact_downmix: bool = option(False, EXACT_HELP)
    output_dir: str = required("folder for <name>.wav, 22,050 Hz, stereo")
    chunk: int | None = option(
        None,
        "mel frames computed at once: changes speed and memory, not the result; default: by renderer, of the "
        "vocoder 192 on a CPU, 2048 on a GPU",
    )
    amp: Literal["off", "bf16"] = option(
        "off", "with --renderer vocoder, bf16: convolutions in bfloat16; none with Griffin-Lim iterations"
    )
    wav_format: Literal["pcm16", "float"] = option("pcm16", "pcm16: rounded and clipped to 16 bits")
    overwrite: bool = option(False, "replace existing files; default: skip them")
    device: str = option("auto", DEVICE_HELP)

    def __post_init__(self):
        positive(self, "chunk")
        check_renderer(self, self.renderer)


@dataclass(frozen=True, kw_only=True)
class VocodeMelsConfig(VocodeConfig):
    """Sounds from stage 1's mels."""

    mels_dir: str = required("folder of stage 1's mel pairs")
    layout: Literal["flat", "fairplay"] = option(
        "flat", "fairplay: <id>/predicted_binaural.wav, mixed_mono.wav, input_binaural.wav at 16 kHz"
    )
    gt_dir: str | None = option(None, "for fairplay: folder of true binaural wavs, <video_id>.wav")
    mono_dir: str | None = option(
        None,
        "folder of mono wavs: the input of all renderers but vocoder; for "
        "fairplay, mixed_mono.wav, default: (L+R)/2 of the truth",
    )

    def __post_init__(self):
        super().__post_init__()
        _require(
            self.layout == "flat" or self.gt_dir is not None,
            "--layout fairplay writes the truth beside the prediction; give --gt_dir",
        )
        _require(
            self.renderer in ("auto", "vocoder") or self.mono_dir is not None,
            f"--renderer {self.renderer} needs the mono sounds; give their folder, --mono_dir",
        )
        mono_dir = self.mono_dir if self.renderer == "vocoder" else None
        _require(
            self.layout == "fairplay" or (self.gt_dir or mono_dir) is None,
            "--gt_dir is for --layout fairplay, --mono_dir for that or for renderers other than vocoder",
        )
        if self.renderer == "auto":
            predicted = self.mono_dir and any(Path(self.mels_dir).glob("*_phasor.npy"))
            object.__setattr__(self, "renderer", DEFAULT_RENDERER if predicted else "vocoder")
            check_renderer(self, self.renderer)

    @property
    def truth_beside_mono(self) -> str | None:
        """Folder of the true sounds of a dataset whose mono sounds are given."""
        beside = Path(self.mono_dir).with_name(Path(BINAURAL).name) if self.mono_dir else None
        return str(beside) if beside and self.layout == "flat" and beside.is_dir() else None


@dataclass(frozen=True, kw_only=True)
class CopySynthesisConfig(VocodeConfig):
    """Sounds from the mels of binaural sounds, or from mel files."""

    input_wavs_dir: str | None = option(None, "stereo wavs to analyse and resynthesise")
    input_mels_dir: str | None = option(None, "mel pairs to synthesise")
    list: str | None = option(None, "CSV of clips: only files of these ids")

    def __post_init__(self):
        super().__post_init__()
        _require(
            (self.input_wavs_dir is None) != (self.input_mels_dir is None),
            "give either --input_wavs_dir or --input_mels_dir",
        )
        _require(
            self.renderer in ("auto", "vocoder") or self.input_wavs_dir is not None,
            f"--renderer {self.renderer} needs --input_wavs_dir here: mel files come without the mono sound",
        )
        _require(
            self.renderer != GEOMETRY,
            "--renderer geometry: sounds and their mels do not tell where sources are",
        )
        if self.renderer == "auto":  # copy synthesis is a test of the vocoder
            object.__setattr__(self, "renderer", "vocoder")
            check_renderer(self, self.renderer)
