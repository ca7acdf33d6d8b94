"""Mono2Binaural's network: a U-Net that masks the mono's spectrogram, with the picture at its bottleneck."""

import torch
from torch import Tensor, nn

from DiffBinaural.modules.audioVisual_model import make_trunk

VISUAL_CHANNELS = 8  # to which the trunk's map is reduced before it is flattened


class Mono2Binaural(nn.Module):
    """(L + R, picture) -> L - R, as spectrograms (Gao & Grauman 2019, Sec. 3.2, Fig. 3).

    channels       of the U-Net's first level; 64 in the paper
    picture_size   (width, height) of the pictures, pixels
    trunk          random, imagenet, or a state-dict file: what the ResNet-18 starts from
    trunk_stride   32; 16 lets its last stage keep the map's size
    """

    def __init__(self, channels: int, picture_size: tuple[int, int], trunk: str, trunk_stride: int = 32):
        super().__init__()
        self.trunk = make_trunk("resnet18", trunk)
        if trunk_stride == 16:
            first = self.trunk[-1][0]
            first.conv1.stride = first.downsample[0].stride = (1, 1)
        width, height = (side // trunk_stride for side in picture_size)
        seen, n = VISUAL_CHANNELS * width * height, channels
        self.reduce = nn.Sequential(
            nn.Conv2d(self.trunk.channels, VISUAL_CHANNELS, 1), nn.BatchNorm2d(VISUAL_CHANNELS), nn.ReLU()
        )
        wide = [2, n, 2 * n, 4 * n, 8 * n, 8 * n]
        self.down = nn.ModuleList(_down(a, b) for a, b in zip(wide, wide[1:]))
        inputs = [8 * n + seen, 16 * n, 8 * n, 4 * n, 2 * n]
        self.up = nn.ModuleList(_up(a, b) for a, b in zip(inputs, [8 * n, 4 * n, 2 * n, n]))
        self.last = nn.ConvTranspose2d(inputs[-1], 2, 4, 2, 1)
        for part in (self.reduce, self.down, self.up, self.last):
            part.apply(_as_in_the_paper)

    def mask(self, total: Tensor, picture: Tensor) -> Tensor:
        """The complex mask (B, 2, 256, T) in [-1, 1]: real, imaginary part.  Arguments as of the network."""
        visual = self.reduce(self.trunk(picture)).flatten(1)[:, :, None, None]
        skips, x = [], total
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        x = torch.cat([visual.expand(-1, -1, *x.shape[2:]), skips.pop()], 1)
        for layer in self.up:
            x = torch.cat([layer(x), skips.pop()], 1)
        return 2 * torch.sigmoid(self.last(x).float()) - 1

    def forward(self, total: Tensor, picture: Tensor) -> Tensor:
        """The difference of the ears: the mask times their sum.

        total    (B, 2, 256, T)  spectrogram of L + R: real, imaginary part; T a multiple of 32
        picture  (B, 3, H, W)    ImageNet's mean and standard deviation taken out
        ->       (B, 2, 256, T)  spectrogram of L - R
        """
        return complex_product(self.mask(total, picture), total)


def complex_product(a: Tensor, b: Tensor) -> Tensor:
    """Product of complex numbers (B, 2, …): real, imaginary part."""
    return torch.stack([a[:, 0] * b[:, 0] - a[:, 1] * b[:, 1], a[:, 0] * b[:, 1] + a[:, 1] * b[:, 0]], 1)


def _down(a: int, b: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(a, b, 4, 2, 1), nn.BatchNorm2d(b), nn.LeakyReLU(0.2))


def _up(a: int, b: int) -> nn.Module:
    return nn.Sequential(nn.ConvTranspose2d(a, b, 4, 2, 1), nn.BatchNorm2d(b), nn.ReLU())


def _as_in_the_paper(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1, 0.02)
