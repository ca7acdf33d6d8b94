"""Binaural synthesis: dry sounds on moving paths, at the ears of a head."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.signal import oaconvolve
from torch import Tensor

from DiffBinaural.heads.head import Head
from DiffBinaural.heads.sphere import SPEED_OF_SOUND
from DiffBinaural.position_utils import angles_of
from DiffBinaural.simulation.config import RATE
from DiffBinaural.simulation.room import ORDERS, Room

HOP = 512  # samples from block to block: 23 ms, in which a moving source hardly moves
GUARD = HOP // 2  # samples of silence on either side of a block, for the response of the head
FFT = 3 * HOP  # a block of 2 HOP between its guards
STEP = 8  # blocks for which a reflection keeps its direction: 0.19 s; its delay is followed in each


def positions_at(azimuth, elevation, distance: float) -> np.ndarray:
    """Positions (T, 3) in metres, x right, y ahead, z up, which a camera sees at these angles (degrees)."""
    ray = np.stack(np.broadcast_arrays(np.tan(np.radians(azimuth)), 1.0, np.tan(np.radians(elevation))), -1)
    return distance * ray / np.linalg.norm(ray, axis=-1, keepdims=True)


def block_spectra(blocks: Tensor) -> Tensor:
    """Spectra (..., FFT/2 + 1) of blocks (..., 2 HOP), Hann-windowed, between their guards."""
    return torch.fft.rfft(F.pad(blocks * torch.hann_window(2 * HOP), (GUARD, GUARD)))


def spatialise(
    dry: np.ndarray, path: Callable, head: Head, room: Room | None = None, number: int = 0
) -> np.ndarray:
    """Render a sound on a path around the head: direct sound, reflections and tail of a room.

    dry     (N,)  at RATE
    path    times (T,) in seconds -> (T, 3) metres, x right, y ahead, z up
    number  of the source in the scene
    ->      (2, N) float32: left, right; the direct sound is as loud at any distance, and the mean of the ears
            has no delay against the dry sound
    """
    count = -(-len(dry) // HOP) + 1
    position = path(HOP * np.arange(count) / RATE)
    sound = torch.from_numpy(np.pad(dry.astype(np.float32), (HOP, 2 * HOP)))
    blocks = block_spectra(sound.unfold(0, 2 * HOP, HOP)[:count])
    spectra = head.responses(*angles_of(position), RATE, FFT) * blocks
    if room is None:
        return joined_blocks(spectra)[:, : len(dry)]
    factor, tail = room.reverberation(position, head, number)
    add_reflections(spectra, sound, position, head, room, factor)
    late = oaconvolve(dry.astype(np.float32)[None], tail.astype(np.float32), axes=1)
    return joined_blocks(spectra)[:, : len(dry)] + late[:, : len(dry)]


def add_reflections(
    spectra: Tensor, sound: Tensor, position: np.ndarray, head: Head, room: Room, factor: float
) -> None:
    """Add a source's early reflections to spectra (2, T, FFT/2 + 1), in place.

    sound     (HOP + N + 2 HOP,) the dry sound between zeros
    position  (T, 3) metres
    factor    on the amplitude of all
    """
    images, direct = room.images(position, *ORDERS), np.linalg.norm(position, axis=-1)
    far = np.linalg.norm(images, axis=-1)
    levels = torch.from_numpy(direct / far).float()
    walls = torch.from_numpy(factor * room.reflection(np.fft.rfftfreq(FFT, 1 / RATE), *ORDERS)).float()
    delays = np.round((far - direct) / SPEED_OF_SOUND * RATE).astype(int)
    starts = torch.from_numpy(HOP * np.arange(len(position)) + delays.max() - delays)
    late = F.pad(sound, (int(delays.max()), 0)).unfold(0, 2 * HOP, 1)
    for first in range(0, len(position), STEP):  # few at a time: they stay in the cache
        now, middle = slice(first, first + STEP), min(first + STEP // 2, len(position) - 1)
        blocks = block_spectra(late[starts[:, now]] * levels[:, now, None])
        responses = head.responses(*angles_of(images[:, middle]), RATE, FFT) * walls
        for block, response in zip(blocks, responses.unbind(1), strict=True):
            spectra[:, now].addcmul_(response[:, None], block)


def joined_blocks(spectra: Tensor) -> np.ndarray:
    """Sound (2, N) of blocks' spectra (2, T, FFT/2 + 1), from the first block's middle on."""
    return overlap_add_blocks(torch.fft.irfft(spectra, FFT))[:, HOP + GUARD :]


def overlap_add_blocks(blocks: Tensor) -> np.ndarray:
    """Sum blocks (2, T, FFT) that start HOP apart: (2, (T - 1) HOP + FFT)."""
    parts, (_, count, _) = FFT // HOP, blocks.shape
    out = torch.zeros(2, count + parts - 1, HOP)
    for part, piece in enumerate(blocks.unflatten(2, (parts, HOP)).unbind(2)):
        out[:, part : part + count] += piece
    return out.flatten(1).numpy()


def mix_at_ears(
    sounds: Sequence[np.ndarray], paths: Sequence[Callable], head: Head, room: Room | None
) -> np.ndarray:
    """All sources (N,) on their paths, in the room: (2, N)."""
    pairs = zip(sounds, paths, strict=True)
    return sum(spatialise(sound, path, head, room, number) for number, (sound, path) in enumerate(pairs))
