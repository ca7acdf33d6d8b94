"""Loops compiled by numba for the CPU.  Whoever imports this has a plain form for where numba is missing."""

import numpy as np
import torch
from numba import config, njit, set_num_threads

# not "fast": a value that is no number must stay one
LOOSE = {"reassoc", "contract", "arcp", "nsz"}

# numba's first call starts its threads, and resets the number of torch's where both run on OpenMP
_torchs = torch.get_num_threads()
set_num_threads(1)
torch.set_num_threads(_torchs)

compiled = njit(fastmath=LOOSE, cache=True, error_model="numpy", inline="never")
parallel = njit(fastmath=LOOSE, cache=True, error_model="numpy", parallel=True)


def as_many_threads() -> None:
    """Let numba's loops run on as many threads as torch's; before each call of a parallel one."""
    set_num_threads(min(torch.get_num_threads(), config.NUMBA_NUM_THREADS))


def flat(x: torch.Tensor, *shape: int) -> np.ndarray:
    """A CPU tensor's memory as an array of this shape."""
    return x.detach().view(shape).numpy()
