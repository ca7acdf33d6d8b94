"""Binaural synthesis: dry sounds on moving paths, at the ears of a rigid sphere."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.signal import oaconvolve
from torch import Tensor

from DiffBinaural.position_utils import HEAD_RADIUS, SPEED_OF_SOUND, sphere_response
from DiffBinaural.simulation.config import RATE
from DiffBinaural.simulation.room import Room, image_sources

HOP = 512  # samples from block to block: 23 ms, in which a moving source hardly moves
GUARD = HOP // 2  # samples of silence on either side of a block, for the response of the head
FFT = 3 * HOP  # a block of 2 HOP between its guards


def positions_at(azimuth, elevation, distance: float) -> np.ndarray:
    """Positions (T, 3) in metres, x right, y ahead, z up, which a camera sees at these angles (degrees)."""
    ray = np.stack(np.broadcast_arrays(np.tan(np.radians(azimuth)), 1.0, np.tan(np.radians(elevation))), -1)
    return distance * ray / np.linalg.norm(ray, axis=-1, keepdims=True)


def delayed_blocks(dry: np.ndarray, delay: np.ndarray) -> Tensor:
    """Spectra (T, FFT/2 + 1) of Hann-windowed blocks of a sound (N,) delayed by `delay` (T,) samples."""
    longest = delay.max()
    padded = torch.from_numpy(np.pad(dry.astype(np.float32), (HOP + longest, 2 * HOP)))
    starts = torch.from_numpy(longest + HOP * np.arange(len(delay)) - delay)
    blocks = padded.unfold(0, 2 * HOP, 1)[starts] * torch.hann_window(2 * HOP)
    return torch.fft.rfft(F.pad(blocks, (GUARD, GUARD)))


def spatialise(
    dry: np.ndarray, path: Callable, room: Room | None = None, radius: float = HEAD_RADIUS
) -> np.ndarray:
    """Render a sound on a path around the head, with first-order reflections when there is a room.

    dry     (N,)  at RATE
    path    times (T,) in seconds -> (T, 3) metres, x right, y ahead, z up
    radius  of the head, metres
    ->      (2, N) float32: left, right; the mean of the ears has no delay against the dry sound
    """
    count = -(-len(dry) // HOP) + 1
    position = path(HOP * np.arange(count) / RATE)
    direct, halves = (
        np.linalg.norm(position, axis=1),
        torch.zeros(2, count, FFT // 2 + 1, dtype=torch.complex64),
    )
    for order, image in enumerate([position, *(image_sources(position, room.walls) if room else ())]):
        far = np.linalg.norm(image, axis=1)
        delay = np.round((far - direct) / SPEED_OF_SOUND * RATE).astype(int)
        level = torch.from_numpy(direct / far).float() * (room.reflection if order else 1)
        blocks = delayed_blocks(dry, delay) * level[:, None]
        for half, response in zip(halves, sphere_response(image[:, 0] / far, RATE, FFT, radius), strict=True):
            half.addcmul_(response, blocks)
    common, differing = overlap_add_blocks(torch.fft.irfft(halves, FFT))[:, HOP + GUARD :][:, : len(dry)]
    return np.stack([common - differing, common + differing])


def overlap_add_blocks(blocks: Tensor) -> np.ndarray:
    """Sum blocks (2, T, FFT) that start HOP apart: (2, (T - 1) HOP + FFT)."""
    parts, (_, count, _) = FFT // HOP, blocks.shape
    out = torch.zeros(2, count + parts - 1, HOP)
    for part, piece in enumerate(blocks.unflatten(2, (parts, HOP)).unbind(2)):
        out[:, part : part + count] += piece
    return out.flatten(1).numpy()


def mix_at_ears(
    sounds: Sequence[np.ndarray], paths: Sequence[Callable], room: Room | None, radius: float = HEAD_RADIUS
) -> np.ndarray:
    """All sources (N,) on their paths, with the room's tail: (2, N)."""
    pair = sum(spatialise(sound, path, room, radius) for sound, path in zip(sounds, paths, strict=True))
    return pair + oaconvolve(sum(sounds)[None], room.tail, axes=1)[:, : pair.shape[1]] if room else pair
