"""How loops are compiled by numba for the CPU; what uses them has a plain form for where numba is missing."""

import numpy as np
import torch
from numba import config, njit, set_num_threads

# not "fast": NaN must stay NaN.  Nor "reassoc": a loop that was just compiled and its cached copy would sum
# in different orders, and a resumed run would end differently from an uninterrupted one
LOOSE = {"contract", "arcp", "nsz"}
# numba's first call starts its threads, and resets the number of torch's where both run on OpenMP
_torch_threads = torch.get_num_threads()
set_num_threads(1)
torch.set_num_threads(_torch_threads)
# functions called by a loop are compiled into it and cached with it: cached by themselves, they would be
# called and not inlined by loops compiled later.  No loop asks numba for its number of threads: it could not
# be cached
compiled = njit(fastmath=LOOSE, error_model="numpy", inline="never")
parallel = njit(fastmath=LOOSE, cache=True, error_model="numpy", parallel=True)


def use_torch_threads() -> int:
    """Give numba's loops as many threads as torch has, before each parallel call.  -> that number"""
    threads = min(torch.get_num_threads(), config.NUMBA_NUM_THREADS)
    set_num_threads(threads)
    return threads


def flat_array(x: torch.Tensor, *shape: int) -> np.ndarray:
    """A CPU tensor's memory as an array of this shape."""
    return x.detach().view(shape).numpy()
