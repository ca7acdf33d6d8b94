"""Cut-outs: picture files with alpha, still or animated, by the class of what they show."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, ImageSequence

from DiffBinaural.simulation.sprites import outline
from DiffBinaural.utils.media import DAMAGED

PICTURES = {".png", ".apng", ".webp", ".gif", ".jpg", ".jpeg"}
LARGEST = 40_000_000  # pixels of a picture file
SMALLEST = 8  # pixels of a cut-out's sides
ANIMATED_BYTES = 1 << 28  # of an animation in memory, at the size in which it is shown
UNTIMED, PAUSE = 0.011, 0.1  # seconds: a shorter picture counts as one of PAUSE, as in web browsers
SOFT = 0.1  # of a photograph's sides, over which its edges fade
FAINT = 8  # alpha, of 255: edges that are nowhere more than that are cut away


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """A picture file, decoded on demand.  Raises ValueError naming it where it cannot be read, or is huge."""
    expected = f"{path}: cannot be read as a picture"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                if math.prod(picture.size) > LARGEST:
                    raise Image.DecompressionBombWarning
                yield picture
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ValueError(f"{expected} of at most {LARGEST // 10**6} million pixels; scale it down") from None
    except (*DAMAGED, EOFError):
        raise ValueError(f"{expected}; replace it or take it out") from None


def picture_files(folder: str | Path, flag: str) -> list[Path]:
    """Picture files below a folder, by name.  Raises ValueError where there are none."""
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in PICTURES)
    if not found:
        raise ValueError(
            f"{folder}: no {', '.join(sorted(PICTURES))} files; {flag} takes a folder of pictures"
        )
    return found


def checked_cutout(path: Path) -> int:
    """Number of pictures of a file: 1 for a still one.  Only its header is read.

    Raises ValueError where it is no picture, too small, too large or too long.
    """
    with opened(path) as picture:
        if min(picture.size) < SMALLEST:
            raise ValueError(
                f"{path}: has {picture.width} x {picture.height} pixels; "
                f"expected at least {SMALLEST} x {SMALLEST}"
            )
        return getattr(picture, "n_frames", 1) - getattr(picture, "default_image", False)


def reduced(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture (H, W, C) scaled down to fit a size (width, height); never up."""
    scale = min(1.0, *(side / now for side, now in zip(size, pixels.shape[1::-1], strict=True)))
    small = [max(1, round(side * scale)) for side in pixels.shape[1::-1]]
    return pixels if scale == 1 else cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)


def soft_edges(width: int, height: int) -> np.ndarray:
    """Alpha (H, W) uint8 that fades towards all edges."""
    ramps = []
    for side in (width, height):
        inside = np.minimum(np.arange(side) + 0.5, side - np.arange(side) - 0.5)
        ramps.append(np.sin(np.clip(inside / (SOFT * side), 0, 1) * np.pi / 2) ** 2)
    return np.rint(255 * np.outer(ramps[1], ramps[0])).astype(np.uint8)


def premultiplied(pixels: np.ndarray) -> np.ndarray:
    """RGBA (H, W, 4) uint8 with its colours multiplied by alpha."""
    alpha = pixels[..., 3:].astype(np.uint16)
    colours = (pixels[..., :3] * alpha + 127) // 255
    return np.concatenate([colours, alpha], -1).astype(np.uint8)


@lru_cache(maxsize=256)
def still_cutout(path: Path, size: tuple[int, int]) -> np.ndarray:
    """A still cut-out as (1, h, w, 4) uint8, premultiplied, cut to what is visible, reduced to fit a size.

    Raises ValueError where it cannot be decoded, or nothing of it is visible.
    """
    with opened(path) as picture:
        pixels = np.array(ImageOps.exif_transpose(picture).convert("RGBA"))
    return trimmed(pixels[None], path, size)


@lru_cache(maxsize=4)
def animated_cutout(path: Path, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """An animated cut-out: pictures (P, h, w, 4) as of :func:`still_cutout`, seconds (P,) when each ends."""
    with opened(path) as picture:
        shown, seconds = [], []
        scale = min(1.0, *(side / now for side, now in zip(size, picture.size, strict=True)))
        small = [max(SMALLEST, round(side * scale)) for side in picture.size]
        if math.prod(small) * 4 * picture.n_frames > ANIMATED_BYTES:
            raise ValueError(
                f"{path}: has {picture.n_frames} pictures, too many to hold in memory; cut it into pieces"
            )
        for number, one in enumerate(ImageSequence.Iterator(picture)):
            if number == 0 and getattr(picture, "default_image", False):
                continue  # of a PNG: for programs that cannot show the animation
            shown.append(cv2.resize(np.array(one.convert("RGBA")), small, interpolation=cv2.INTER_AREA))
            lasts = one.info.get("duration", 0) / 1000
            seconds.append(lasts if lasts > UNTIMED else PAUSE)
    return trimmed(np.stack(shown), path, size), np.cumsum(seconds)


def trimmed(pixels: np.ndarray, path: Path, size: tuple[int, int]) -> np.ndarray:
    """Pictures (P, H, W, 4) premultiplied, cut to what is visible in any, reduced; opaque ones faded."""
    if pixels[..., 3].min() == 255:
        pixels[..., 3] = soft_edges(*pixels.shape[2:0:-1])
    alpha = pixels[..., 3].max(0)
    if not len(outline(alpha)):
        raise ValueError(f"{path}: is transparent throughout; take it out")
    rows, cols = np.flatnonzero((alpha > FAINT).any(1)), np.flatnonzero((alpha > FAINT).any(0))
    seen = pixels[:, rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    return np.stack([reduced(premultiplied(one), size) for one in seen])


@lru_cache(maxsize=64)
def photograph(path: Path, size: tuple[int, int]) -> np.ndarray:
    """A photograph (H, W, 3) uint8, reduced so far as it still covers a size (width, height)."""
    with opened(path) as picture:
        picture.draft("RGB", size)  # a JPEG is decoded at half, a quarter, an eighth of its size
        pixels = np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    scale = max(side / now for side, now in zip(size, pixels.shape[1::-1], strict=True))
    return reduced(pixels, tuple(math.ceil(side * scale) for side in pixels.shape[1::-1]))


def random_crop_of(rng: np.random.Generator, path: Path, frame: tuple[int, int]) -> Image.Image:
    """A part of a photograph with the aspect of a frame (width, height), scaled to it; perhaps mirrored."""
    pixels = photograph(path, tuple(2 * side for side in frame))
    across, down = pixels.shape[1::-1]
    width = min(across, down * frame[0] / frame[1]) * rng.uniform(0.5, 1)
    size = max(1, round(width)), max(1, round(width * frame[1] / frame[0]))
    left, top = (int(rng.integers(side - part + 1)) for side, part in zip((across, down), size, strict=True))
    part = pixels[top : top + size[1], left : left + size[0], :][:, :: int(rng.choice((-1, 1)))]
    kind = cv2.INTER_AREA if size[0] > frame[0] else cv2.INTER_CUBIC
    return Image.fromarray(cv2.resize(np.ascontiguousarray(part), frame, interpolation=kind))
