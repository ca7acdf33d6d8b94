"""Loops compiled by numba for the CPU.  Whoever imports this has a plain form for where numba is missing."""

import numpy as np
import torch
from numba import config, njit, set_num_threads

# not "fast": a value that is no number must stay one.  Nor "reassoc": the loop that was just compiled and its
# kept copy would add up in another order, and a resumed run end otherwise than an undisturbed one
LOOSE = {"contract", "arcp", "nsz"}
# numba's first call starts its threads, and resets the number of torch's where both run on OpenMP
_torchs = torch.get_num_threads()
set_num_threads(1)
torch.set_num_threads(_torchs)
# what a loop calls is compiled into it, and kept with it: kept alone, loops compiled later would call it, not
# build it in.  No loop asks numba for its number of threads: such a loop is compiled at every start
compiled = njit(fastmath=LOOSE, error_model="numpy", inline="never")
parallel = njit(fastmath=LOOSE, cache=True, error_model="numpy", parallel=True)


def as_many_threads() -> int:
    """Let numba's loops run on as many threads as torch's, and say how many; before each parallel call."""
    threads = min(torch.get_num_threads(), config.NUMBA_NUM_THREADS)
    set_num_threads(threads)
    return threads


def flat_array(x: torch.Tensor, *shape: int) -> np.ndarray:
    """A CPU tensor's memory as an array of this shape."""
    return x.detach().view(shape).numpy()
