"""The two kinds of discriminators of a waveform: by period, by STFT resolution."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from BigVGAN.convolutions import NarrowConv2d, channels_last_2d, weight_normalised
from BigVGAN.env import VocoderConfig

SLOPE = 0.1  # of the leaky ReLUs


class Discriminator(nn.Module):
    """A stack of 2-D convolutions over a two-dimensional view of the sound."""

    convs: nn.ModuleList
    conv_post: nn.Conv2d

    def picture(self, wav: Tensor) -> Tensor:
        """(B, 1, N) -> (B, 1, height, width)"""
        raise NotImplementedError

    def forward(self, wav: Tensor) -> tuple[Tensor, list[Tensor]]:
        """wav (B, 1, N) -> scores (B, ·) and the features of every layer; 1 is real, 0 generated"""
        x, features = channels_last_2d(self.picture(wav)), []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
            features.append(x)
        x = self.conv_post(x)
        return x.flatten(1), [*features, x]


def conv2d(inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1)) -> nn.Module:
    """A weight-normalised convolution that keeps the size where the stride is 1."""
    padding = (kernel[0] // 2, kernel[1] // 2)
    return weight_normalised(NarrowConv2d(inputs, outputs, kernel, stride, padding))


class PeriodDiscriminator(Discriminator):
    """Reads the sound folded at one period, so that samples one period apart are neighbours."""

    def __init__(self, period: int, channel_mult: float):
        super().__init__()
        self.period = period
        widths = [1, *(int(c * channel_mult) for c in (32, 128, 512, 1024, 1024))]
        self.convs = nn.ModuleList(
            conv2d(a, b, (5, 1), (stride, 1)) for a, b, stride in zip(widths, widths[1:], (3, 3, 3, 3, 1))
        )
        self.conv_post = conv2d(widths[-1], 1, (3, 1))

    def picture(self, wav: Tensor) -> Tensor:
        """(B, 1, N) -> (B, 1, ceil(N / period), period)"""
        wav = F.pad(wav, (0, -wav.shape[-1] % self.period), mode="reflect")
        return wav.unflatten(-1, (-1, self.period))


class ResolutionDiscriminator(Discriminator):
    """Reads the magnitude of one STFT, (n_fft, hop, win) in samples."""

    def __init__(self, resolution: tuple[int, int, int], channel_mult: float):
        super().__init__()
        self.resolution = resolution
        width = int(32 * channel_mult)
        self.convs = nn.ModuleList(
            conv2d(inputs, width, kernel, (1, stride))
            for inputs, kernel, stride in ((1, (3, 9), 1), *[(width, (3, 9), 2)] * 3, (width, (3, 3), 1))
        )
        self.conv_post = conv2d(width, 1, (3, 3))

    def picture(self, wav: Tensor) -> Tensor:
        """(B, 1, N) -> (B, 1, n_fft/2 + 1, T)"""
        n_fft, hop, win = self.resolution
        wav = F.pad(wav, [(n_fft - hop) // 2] * 2, mode="reflect").squeeze(1)
        # Rectangular: upstream's files were trained without a window.
        window = torch.ones(win, dtype=wav.dtype, device=wav.device)
        return torch.stft(wav, n_fft, hop, win, window, center=False, return_complex=True).abs().unsqueeze(1)


class DiscriminatorGroup(nn.Module):
    """Several discriminators of one kind."""

    def __init__(self, discriminators: Iterable[Discriminator]):
        super().__init__()
        self.discriminators = nn.ModuleList(discriminators)

    def forward(self, wav: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """wav (B, 1, N) -> each discriminator's scores (B, ·), and each one's list of features"""
        scores, features = zip(*(discriminator(wav) for discriminator in self.discriminators), strict=True)
        return list(scores), list(features)


class MultiPeriodDiscriminator(DiscriminatorGroup):
    """One discriminator for each period of cfg.mpd_reshapes (Kong et al. 2020)."""

    def __init__(self, cfg: VocoderConfig):
        super().__init__(
            PeriodDiscriminator(period, cfg.discriminator_channel_mult) for period in cfg.mpd_reshapes
        )


class MultiResolutionDiscriminator(DiscriminatorGroup):
    """One discriminator for each STFT of cfg.resolutions (Jang et al. 2021)."""

    def __init__(self, cfg: VocoderConfig):
        super().__init__(
            ResolutionDiscriminator(tuple(r), cfg.discriminator_channel_mult) for r in cfg.resolutions
        )
