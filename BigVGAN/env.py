"""The vocoder's config.json, in NVIDIA's key names, checked when it is read."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.configs.fields import from_dict
from DiffBinaural.utils.files import read_json

CONFIG = "config.json"
# Keys of published config.json files that nothing here depends on: how upstream runs its jobs, and its other
# discriminators.  Any other key that VocoderConfig lacks is taken for a typing error.
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
    griffin_lim_iterations: int = 0  # after the network; upstream has none
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
    # weights of terms that upstream does not have; 0 leaves a term out
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
        self._check_griffin_lim()

    def _check_griffin_lim(self) -> None:
        iterations, n_fft, hop = self.griffin_lim_iterations, self.n_fft, self.hop_size
        _require(iterations >= 0, f"griffin_lim_iterations is {iterations}; 0 or more are expected")
        _require(
            not iterations or (n_fft >= 2 * hop and (n_fft - hop) % 2 == 0),
            f"griffin_lim_iterations is {iterations}, n_fft {n_fft}, hop_size {hop}; frames must overlap by "
            "half or more, by an even number of samples",
        )

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
