"""What every head offers: the sound at two ears from any direction."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

LEAST_COMMON = 0.1  # of the ears' power that a downmix is taken to hold, however much of it cancels


class Head(ABC):
    """The two ears of a listener in the free field.

    name  as --head takes it
    """

    name: str

    @abstractmethod
    def responses(self, azimuth: np.ndarray, elevation: np.ndarray, rate: int, n_fft: int) -> Tensor:
        """Spectra at both ears of a far source, relative to its wave at the head's centre without a head.

        azimuth    (T,) degrees, 0 ahead, positive right, any
        elevation  (T,) degrees above the horizontal plane, -90 to 90
        ->         (2, T, n_fft/2 + 1) complex64, left first; e^{+iωt}: a delay turns the phase down.  As
                   impulse responses they fit into n_fft/6 samples before and behind 0
        """


def relative_difference(ears: Tensor, least: float = LEAST_COMMON) -> Tensor:
    """d = (L - R) / (L + R) of two ears' spectra (2, …): with M = (L + R)/2, L = (1 + d) M and R = (1 - d) M.

    least  of the ears' power is the least that (L+R)/2 holds of it; below, it is taken for this
    ->     (…) complex, at most about 1/sqrt(least) in magnitude where the ears nearly cancel
    """
    left, right = ears
    total, power = left + right, 2 * (left.abs() ** 2 + right.abs() ** 2)
    return (left - right) * total.conj() / torch.maximum(total.abs() ** 2, least * power).clamp(min=1e-20)
