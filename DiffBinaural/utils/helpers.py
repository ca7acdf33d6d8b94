"""Helpers of every script: device, random generators."""

import zlib

import torch


def pick_device(name: str) -> torch.device:
    """The device that --device names; auto is the GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name}: {str(error).splitlines()[0]}; try --device cpu") from None
    return torch.device(name)


def generator_for(seed: int, name: str) -> torch.Generator:
    """A random generator for each name, so that no result depends on what was computed before."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()) ^ (seed * 0x9E3779B1 & 0x7FFFFFFF))
