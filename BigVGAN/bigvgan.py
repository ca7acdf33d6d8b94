"""BigVGAN's generator: from a log mel to a waveform; its weights are exchangeable with NVIDIA's."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils import remove_weight_norm

from BigVGAN.activations import ACTIVATIONS
from BigVGAN.alias_free_activation.act import Activation1d
from BigVGAN.convolutions import (
    Conv1d,
    ConvTranspose1d,
    ExactConv1d,
    at_least_float32,
    channels_last_1d,
    weight_normalised,
)
from BigVGAN.env import CONFIG, VocoderConfig, config_beside, load_config
from BigVGAN.griffin_lim import frames_reached, griffin_lim
from BigVGAN.request import E2EConfig
from BigVGAN.settings import VocodeConfig
from BigVGAN.utils import latest, load_strict
from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.utils.blocks import Pieces
from DiffBinaural.utils.files import load_tensors
from DiffBinaural.utils.helpers import pick_device
from DiffBinaural.utils.progress import Progress

NVIDIA_GENERATOR = "bigvgan_generator.pt"  # what NVIDIA calls the weights in its folders
START_STD = 0.01  # of new convolution weights


def started(conv: nn.Module) -> nn.Module:
    """Small random weights, with weight norm."""
    nn.init.normal_(conv.weight, 0.0, START_STD)
    return weight_normalised(conv)


def same_conv(channels: int, kernel: int, dilation: int) -> nn.Module:
    """A convolution that keeps width and length; its padding is also its reach to each side."""
    padding = dilation * (kernel - 1) // 2
    return started(Conv1d(channels, channels, kernel, padding=padding, dilation=dilation))


def activation(channels: int, cfg: VocoderConfig) -> Activation1d:
    """The alias-free activation that the config names."""
    return Activation1d(ACTIVATIONS[cfg.activation](channels, logscale=cfg.snake_logscale))


def reach(*layers: nn.Module) -> int:
    """Samples to each side on which an output of these layers, one after the other, depends."""
    return sum(layer.reach if isinstance(layer, Activation1d) else layer.padding[0] for layer in layers)


class AMPBlock1(nn.Module):
    """Per dilation: activation, dilated convolution, activation, convolution, added to the input."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...], cfg: VocoderConfig):
        super().__init__()
        self.convs1 = nn.ModuleList(same_conv(channels, kernel, d) for d in dilations)
        self.convs2 = nn.ModuleList(same_conv(channels, kernel, 1) for _ in dilations)
        self.activations = nn.ModuleList(activation(channels, cfg) for _ in range(2 * len(dilations)))
        self.reach = reach(*self.convs1, *self.convs2, *self.activations)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)"""
        first, second = self.activations[::2], self.activations[1::2]
        for act1, conv1, act2, conv2 in zip(first, self.convs1, second, self.convs2, strict=True):
            x = x + conv2(act2(conv1(act1(x))))
        return x


class AMPBlock2(nn.Module):
    """Per dilation: activation, dilated convolution, added to the input."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...], cfg: VocoderConfig):
        super().__init__()
        self.convs = nn.ModuleList(same_conv(channels, kernel, d) for d in dilations)
        self.activations = nn.ModuleList(activation(channels, cfg) for _ in dilations)
        self.reach = reach(*self.convs, *self.activations)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)"""
        for act, conv in zip(self.activations, self.convs, strict=True):
            x = x + conv(act(x))
        return x


def upsampler(inputs: int, rate: int, kernel: int) -> nn.ModuleList:
    """To half the channels and `rate` times the length; in a list of its own, as NVIDIA's names have it."""
    padding = (kernel - rate) // 2
    return nn.ModuleList([started(ConvTranspose1d(inputs, inputs // 2, kernel, rate, padding))])


class BigVGAN(nn.Module):
    """The generator (Lee et al. 2023); two ears are a batch of two, `overlap` is its reach in mel frames."""

    def __init__(self, cfg: VocoderConfig):
        super().__init__()
        self.cfg = cfg
        widths = [cfg.upsample_initial_channel >> i for i in range(len(cfg.upsample_rates) + 1)]
        blocks = list(zip(cfg.resblock_kernel_sizes, cfg.resblock_dilation_sizes, strict=True))
        self.conv_pre = started(Conv1d(cfg.num_mels, widths[0], 7, padding=3))
        self.ups = nn.ModuleList(map(upsampler, widths, cfg.upsample_rates, cfg.upsample_kernel_sizes))
        amp = {"1": AMPBlock1, "2": AMPBlock2}[cfg.resblock]
        self.resblocks = nn.ModuleList(amp(width, *block, cfg) for width in widths[1:] for block in blocks)
        self.activation_post = activation(widths[-1], cfg)
        self.conv_post = started(ExactConv1d(widths[-1], 1, 7, padding=3, bias=cfg.use_bias_at_final))
        self.overlap = self._overlap()

    def stages(self) -> list[tuple[nn.Module, list[nn.Module]]]:
        """(up-sampler, the parallel blocks behind it) from slow to fast."""
        n, blocks = len(self.cfg.resblock_kernel_sizes), list(self.resblocks)
        return [(up, blocks[i * n : (i + 1) * n]) for i, (up,) in enumerate(self.ups)]

    def _overlap(self) -> int:
        samples = reach(self.activation_post, self.conv_post)
        for up, blocks in reversed(self.stages()):
            samples += max(block.reach for block in blocks)
            (kernel,), (rate,), (padding,) = up.kernel_size, up.stride, up.padding
            # Its output n depends on the inputs (n + padding - tap) / rate, tap = 0 … kernel - 1.
            samples = max((samples + kernel - 1 - padding) // rate, -(-(samples + padding) // rate))
        network = samples + reach(self.conv_pre)
        return network + frames_reached(self.cfg.griffin_lim_iterations, self.cfg.mel)

    def forward(self, mel: Tensor) -> Tensor:
        """mel (B, M, T) natural-log magnitude in nepers -> (B, 1, T · hop) samples in [-1, 1]

        Where Griffin-Lim iterations follow, autocast is off: they would amplify its rounding.
        """
        if not (iterations := self.cfg.griffin_lim_iterations):
            return self.network(mel)
        with torch.autocast(mel.device.type, enabled=False):
            wav = griffin_lim(self.network(mel)[:, 0], mel.float(), self.cfg.mel, iterations)
        return wav[:, None].clamp(-1, 1)

    def network(self, mel: Tensor) -> Tensor:
        """:meth:`forward` without Griffin-Lim iterations: the generator as it was published."""
        assert mel.shape[1:-1] == (self.cfg.num_mels,), mel.shape
        x = self.conv_pre(channels_last_1d(mel))
        for up, blocks in self.stages():
            x = at_least_float32(
                up(x)
            )  # (B, C / 2, T · rate); so the blocks' sums are not rounded to 16 bits
            x = sum(block(x) for block in blocks) / len(blocks)
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 would quantise the waveform
            x = self.conv_post(self.activation_post(x))
        return torch.tanh(x) if self.cfg.use_tanh_at_final else x.clamp(-1, 1)

    @torch.no_grad()
    def vocode(self, mel: Tensor, chunk: int | None = None) -> Tensor:
        """Synthesise piece by piece: the same sound as :meth:`forward` in memory that does not grow with T.

        mel    (B, M, T)  nepers
        chunk  mel frames a call; changes speed and memory, not the result; default: `vocoder_chunk`
        ->     (B, 1, T · hop)
        """
        chunk = vocoder_chunk(mel.device) if chunk is None else chunk
        if chunk < 1:
            raise ValueError(f"chunk is {chunk} frames; at least 1 is needed")
        return self.vocode_pieces(Pieces(chunk, self.overlap).push(mel, last=True), mel)

    @torch.no_grad()
    def vocode_pieces(self, pieces: list[tuple[Tensor, int, int]], like: Tensor) -> Tensor:
        """Synthesise pieces of a mel, each with its `overlap`: (B, 1, n).  like: a mel, for no pieces"""
        hop, wavs = self.cfg.hop_size, [like.new_empty(len(like), 1, 0)]
        for piece, before, behind in Progress(pieces, desc="vocoding", unit="chunk"):
            wavs.append(self(piece)[..., before * hop : (piece.shape[-1] - behind) * hop])
        return torch.cat(wavs, dim=-1)

    def remove_weight_norm(self) -> "BigVGAN":
        """Fold the weights' lengths into them, for inference; a second call changes nothing."""
        for module in self.modules():
            if hasattr(module, "weight_g"):
                remove_weight_norm(module)
        return self

    @classmethod
    def from_pretrained(cls, source: str | Path) -> "BigVGAN":
        """A generator with its weight norm in place, so that it can be trained on.

        source  a folder (see :func:`generator_file`), read without any network; or a repository id of the
                Hugging Face hub, such as nvidia/bigvgan_v2_22khz_80band_256x
        """
        return read_generator(generator_file(source) if Path(source).is_dir() else _download(str(source)))


def vocoder_chunk(device: torch.device) -> int:
    """Mel frames of a network call: on a GPU enough to keep it busy, on a CPU few enough for its cache."""
    return 192 if device.type == "cpu" else 2048


def generator_file(folder: str | Path) -> Path:
    """The generator's weights in a folder: NVIDIA's file, else the best of a run, else its latest."""
    for path in (Path(folder) / NVIDIA_GENERATOR, Path(folder) / "g_best.pth", latest(folder, "g_")):
        if path and path.is_file():
            return path
    raise FileNotFoundError(
        f"{folder}: no generator there; expected {NVIDIA_GENERATOR}, g_best.pth or g_<8 digits>"
    )


def hub_file(repo_id: str, name: str) -> Path:
    """A file of a repository on the Hugging Face hub, downloaded where it is not cached.

    Raises ValueError or FileNotFoundError where it cannot be had.
    """
    if repo_id.count("/") != 1 or repo_id.startswith((".", "/", "~")):
        raise FileNotFoundError(f"{repo_id}: no such folder, and no repository id of the form owner/name")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise ValueError(f"{repo_id}: no such folder; for the hub: pip install huggingface_hub") from None
    try:
        return Path(hf_hub_download(repo_id=repo_id, filename=name))
    except OSError as error:  # the hub's own errors are of this kind, too
        raise FileNotFoundError(f"{repo_id}: {str(error).splitlines()[0]}") from None


def _download(repo_id: str) -> Path:
    hub_file(repo_id, CONFIG)  # into the same snapshot folder as the weights
    return hub_file(repo_id, NVIDIA_GENERATOR)


def read_generator(checkpoint_file: str | Path) -> BigVGAN:
    """A generator from {"generator": state_dict} and the config.json beside it, weight norm in place."""
    if not Path(checkpoint_file).is_file():
        raise FileNotFoundError(f"{checkpoint_file}: no such checkpoint of a vocoder")
    model = BigVGAN(load_config(config_beside(checkpoint_file)))
    content = load_tensors(checkpoint_file)
    if not isinstance(content, dict) or "generator" not in content:
        raise ValueError(f"{checkpoint_file}: no generator checkpoint; expected the key 'generator' in it")
    load_strict(model, content["generator"], checkpoint_file)
    return model


def load_generator(checkpoint_file: str | Path) -> BigVGAN:
    """:func:`read_generator`, ready for inference: eval mode, weight norm folded in."""
    return read_generator(checkpoint_file).remove_weight_norm().eval()


def wanted_generator(cfg: VocodeConfig | E2EConfig) -> tuple[BigVGAN | None, MelConfig]:
    """The vocoder that a command line asks for, None with another renderer, and the mel to read."""
    if cfg.renderer != "vocoder":
        return None, MelConfig()
    vocoder = load_generator(cfg.checkpoint_file).to(pick_device(cfg.device))
    return vocoder, vocoder.cfg.mel
