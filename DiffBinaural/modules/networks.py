"""Convolutional building blocks of the networks."""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from DiffBinaural.modules.norms import group_norm, group_norm_silu


def sinusoids(values: Tensor, dim: int, longest: float = 10_000.0) -> Tensor:
    """Sine and cosine features (Vaswani et al. 2017, Sec. 3.5).

    values  (…,)      any unit; neighbours 1 apart differ, up to `longest`
    ->      (…, dim)
    """
    rates = torch.exp(torch.arange(dim // 2, device=values.device) * (-math.log(longest) / (dim // 2)))
    angles = values[..., None].float() * rates
    return torch.cat((angles.sin(), angles.cos()), dim=-1)


def keep_variance(module: nn.Module) -> None:
    """Start a linear layer so that its output varies as much as its input; for ``net.apply``.

    torch's own start shrinks variation to a third in variance, layer after layer: with it the context hardly
    depended on where a source stood, and after 400 steps a model did not use its pictures yet.
    """
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=module.in_features**-0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Conv2dPlus(nn.Conv2d):
    """A convolution whose result something of the same shape is added to.

    inplace  that is not needed any more: in the form for inference, the result takes its memory
    """

    def __init__(self, *sizes: int, inplace: bool, **how):
        super().__init__(*sizes, **how)
        self.inplace = inplace

    def forward(self, x: Tensor, plus: Tensor) -> Tensor:
        """(B, inputs, H, W), (B, outputs, …) -> (B, outputs, …)."""
        return super().forward(x).add_(plus)


class ResBlock(nn.Module):
    """Two convolutions with a skip; a condition vector scales and shifts between them (FiLM).

    inplace  what goes in is not needed any more
    """

    def __init__(self, inputs: int, outputs: int, condition: int, *, inplace: bool = False):
        super().__init__()
        self.norm1, self.conv1 = group_norm_silu(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.film = nn.Linear(condition, 2 * outputs)
        self.norm2 = group_norm_silu(outputs, inplace=True)
        self.conv2 = Conv2dPlus(outputs, outputs, 3, padding=1, inplace=inplace or inputs != outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, inputs, H, W), (B, condition) -> (B, outputs, H, W)."""
        scale, shift = self.film(F.silu(condition)).chunk(2, dim=1)
        hidden = self.conv1(self.norm1(x))
        return self.conv2(self.norm2(hidden, scale, shift), self.skip(x))


@cache
def winograd() -> type[nn.Module] | None:
    """The convolution with a quarter of the multiplications; None where numba is not to be had."""
    try:
        from DiffBinaural.modules.kernels.winograd import WinogradConv2d
    except ImportError:
        return None
    return WinogradConv2d


def quickest(conv: nn.Conv2d) -> nn.Module:
    """A convolution in the form that is fastest on a CPU, in float32 without gradients."""
    form = winograd()
    return form(conv) if form and form.suits(conv) else conv


class Upsample(nn.Sequential):
    """Twice the size: nearest neighbour, then a convolution that smooths it.

    Both in one: a transposed convolution, whose kernel is the sum of the four that the 3x3 one makes where
    the neighbours are alike.  It does 4/9 of the work.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__(nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, 2 H, 2 W)."""
        return F.conv_transpose2d(x, self.kernel(), self[1].bias, stride=2, padding=1)

    def kernel(self) -> Tensor:
        """Of the transposed convolution, (inputs, outputs, 4, 4)."""
        turned = self[1].weight.flip(-2, -1).transpose(0, 1)
        tall = F.pad(turned, (0, 0, 0, 1)) + F.pad(turned, (0, 0, 1, 0))
        return F.pad(tall, (0, 1)) + F.pad(tall, (1, 0))

    def folded(self) -> nn.ConvTranspose2d:
        """The same as one layer, for inference."""
        conv = self[1]
        one = nn.ConvTranspose2d(conv.in_channels, conv.out_channels, 4, stride=2, padding=1)
        one.load_state_dict({"weight": self.kernel(), "bias": conv.bias})
        return one

    def plain(self, x: Tensor) -> Tensor:
        """The same, a layer after the other."""
        return super().forward(x)


class SmallTrunk(nn.Sequential):
    """A few convolutions, for runs on a CPU: (n, 3, H, W) -> (n, 64, H/8, W/8)."""

    channels = 64

    def __init__(self):
        sizes = (3, 24, 48, self.channels)
        layers = [
            layer
            for inputs, outputs in zip(sizes[:-1], sizes[1:])
            for layer in (nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), group_norm(outputs), nn.SiLU())
        ]
        super().__init__(*layers)


class ResNetTrunk(nn.Sequential):
    """ResNet-18 or -50 without its pooling and classifier: (n, 3, H, W) -> (n, 512 or 2048, H/32, W/32)."""

    def __init__(self, name: str):
        import torchvision

        net = getattr(torchvision.models, name)(weights=None)
        self.channels = net.fc.in_features
        super().__init__(
            net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2, net.layer3, net.layer4
        )
