"""SOFA files (AES69) of measured heads: the convention SimpleFreeFieldHRIR, checked at the door."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager

import h5py
import numpy as np

from DiffBinaural.heads.impulses import frontal_level
from DiffBinaural.heads.measured import MeasuredHead, unit_rays

CONVENTION = "SimpleFreeFieldHRIR"
LARGEST = 200e6  # bytes of an array
RATES = (16000.0, 400000.0)  # Hz
TAPS = (16, 65536)
DIRECTIONS = 12  # at least
NEAR_AHEAD, NEAR_SIDE = 10.0, 30.0  # degrees from these that a measured direction must be
LEVELS = (-32.0, 16.0)  # dB ahead; the gains of good files differ: ARI -20, KU100 +1, KEMAR +6
LEAST_ILD = 1.0  # dB from a source at one side, which a head has
LARGEST_DELAY = 0.002  # seconds between an ear and the head's centre


def read_sofa(path) -> MeasuredHead:
    """Read a SOFA file as a head; its name is the path.

    Raises FileNotFoundError, and ValueError in one line for a file that is damaged, of another convention or
    cannot be the responses of a head.
    """
    path = str(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such file")
    with _one_line(path), h5py.File(path, "r") as file:
        _check_convention(file)
        rate = _rate(file)
        impulses = _array(file, "Data.IR", 3)
        if impulses.shape[1] != 2:
            raise ValueError(f"has {impulses.shape[1]} receivers; expected 2 ears")
        if not TAPS[0] <= impulses.shape[2] <= TAPS[1]:
            raise ValueError(f"responses of {impulses.shape[2]} samples; expected {TAPS[0]} to {TAPS[1]}")
        starts = _starts(file, impulses.shape)
        azimuth, elevation = _directions(file, len(impulses))
        if _right_ear_first(file):
            impulses, starts = impulses[:, ::-1], starts[:, ::-1]
        _check_sounds(impulses)
        _check_grid(azimuth, elevation)
        _check_head(azimuth, elevation, impulses, rate)
        head = MeasuredHead(path, azimuth, elevation, impulses, rate, starts)
        if (worst := np.abs(head.delays).max()) > LARGEST_DELAY:
            raise ValueError(
                f"sound takes {1e3 * worst:.3g} ms between ear and centre of the head; expected at most "
                f"{1e3 * LARGEST_DELAY:g}; check Data.Delay (samples)"
            )
        return head


@contextmanager
def _one_line(path: str) -> Iterator[None]:
    """Turn what h5py raises for damaged files, and our own refusals, into a ValueError naming the file."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {_short(error)}") from None
    except (OSError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(f"{path}: cannot be read as SOFA ({_short(error)}); download it again") from None


def _short(error: object) -> str:
    return " ".join(str(error).split())[:160]


def _check_convention(file: h5py.File) -> None:
    found = _text(file.attrs, "SOFAConventions")
    if found != CONVENTION:
        raise ValueError(
            f"convention {found[:40] or 'missing'}; expected {CONVENTION}; choose a file of that one"
        )


def _text(attributes: h5py.AttributeManager, name: str) -> str:
    """A text attribute; empty where it is missing or no text."""
    value = attributes.get(name, "")
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    return value.strip() if isinstance(value, str) else ""


def _array(file: h5py.File, name: str, dimensions: int) -> np.ndarray:
    """A numeric array of the file itself, float64, finite; not read before its size is known."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(
        file[name], h5py.Dataset
    ):
        raise ValueError(f"has no {name} of its own; expected it of {CONVENTION}")
    data = file[name]
    if data.dtype.kind not in "fiu" or data.is_virtual or data.external:
        raise ValueError(f"{name} holds {str(data.dtype)[:40]}; expected plain numbers in the file itself")
    if data.ndim != dimensions:
        raise ValueError(f"{name} has shape {data.shape}; expected {dimensions} dimensions")
    if 8 * math.prod(data.shape) > LARGEST:
        raise ValueError(f"{name} has shape {data.shape}; expected at most {LARGEST / 1e6:g} MB")
    values = data[...].astype(np.float64, copy=False)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} has {np.sum(~np.isfinite(values))} NaN or infinite values; export it again")
    return values


def _rate(file: h5py.File) -> float:
    name = "Data.SamplingRate"
    if name not in file:
        raise ValueError(f"has no {name}; expected one in Hz")
    found = np.unique(_array(file, name, file[name].ndim))
    if len(found) != 1 or not RATES[0] <= found[0] <= RATES[1]:
        shown = ", ".join(f"{rate:g}" for rate in found[:3]) or "nothing"
        raise ValueError(f"{name} is {shown}; expected one of {RATES[0]:g} to {RATES[1]:g} Hz")
    return float(found[0])


def _starts(file: h5py.File, shape: tuple[int, ...]) -> np.ndarray:
    """Delays (M, 2) in samples."""
    found = _array(file, "Data.Delay", 2) if "Data.Delay" in file else np.zeros((1, 2))
    if found.shape not in ((1, 2), shape[:2]):
        raise ValueError(f"Data.Delay has shape {found.shape}; expected (1, 2) or {shape[:2]}")
    return np.broadcast_to(found, shape[:2])


def _directions(file: h5py.File, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Azimuth positive right, elevation of the sources, degrees, (count,) each."""
    if "ListenerView" in file:
        views = _ahead_left_up(file, "ListenerView")
        if (views[:, 0] < 0.999).any():
            raise ValueError("the listener turns; expected ListenerView 1 0 0 throughout, sources that move")
    x, y, z = _ahead_left_up(file, "SourcePosition").T
    if len(x) != count:
        raise ValueError(f"{len(x)} source positions for {count} responses; expected as many")
    return np.degrees(np.arctan2(-y, x)), np.degrees(np.arcsin(np.clip(z, -1, 1)))


def _ahead_left_up(file: h5py.File, name: str) -> np.ndarray:
    """Unit vectors (N, 3) of positions, x ahead, y left, z up, as SOFA has them."""
    found = _array(file, name, 2)
    if found.shape[1] != 3:
        raise ValueError(f"{name} has shape {found.shape}; expected 3 coordinates")
    kind = _text(file[name].attrs, "Type") or ("spherical" if name == "SourcePosition" else "cartesian")
    if kind == "spherical":
        if (np.abs(found[:, 1]) > 90.001).any():
            raise ValueError(f"{name} has elevations beyond 90°; expected azimuth, elevation, metres")
        right, ahead, up = unit_rays(-found[:, 0], found[:, 1]).T
        return np.stack([ahead, -right, up], 1)
    if kind != "cartesian":
        raise ValueError(f"{name} is of type {kind[:40]}; expected spherical or cartesian")
    length = np.linalg.norm(found, axis=1, keepdims=True)
    if (length < 1e-3).any():
        raise ValueError(f"{name} has positions at the origin; expected metres from the head's centre")
    return found / length


def _right_ear_first(file: h5py.File) -> bool:
    """Whether the receivers say so.

    Those of SOFA before 1.0 are not asked: converters of 2013 wrote them the wrong way round (FHK's KU100).
    """
    if "ReceiverPosition" not in file or _text(file.attrs, "Version").startswith("0."):
        return False
    shape = file["ReceiverPosition"].shape
    if len(shape) not in (2, 3) or shape[:2] != (2, 3):
        raise ValueError(f"ReceiverPosition has shape {shape}; expected 2 ears with 3 coordinates")
    found = _array(file, "ReceiverPosition", len(shape)).reshape(2, 3, -1)[..., 0]
    if _text(file["ReceiverPosition"].attrs, "Type") == "spherical":
        first, second = (np.sin(np.radians(ear[0])) * np.cos(np.radians(ear[1])) * ear[2] for ear in found)
    else:
        first, second = found[:, 1]
    if first == second:
        raise ValueError(
            f"both receivers at y = {first:g} m; expected the left ear at positive, the right at negative"
        )
    return bool(first < second)


def _check_sounds(impulses: np.ndarray) -> None:
    silent = int((np.abs(impulses).max(2) < 1e-9).sum())
    if silent:
        raise ValueError(f"{silent} of {2 * len(impulses)} responses are silent; expected none")
    if (largest := np.abs(impulses).max()) > 1e6:
        raise ValueError(f"samples up to {largest:.3g}; expected about 1; scale Data.IR")


def _check_grid(azimuth: np.ndarray, elevation: np.ndarray) -> None:
    rays = unit_rays(azimuth, elevation)
    different = len(np.unique(rays.round(4), axis=0))
    if different < DIRECTIONS:
        raise ValueError(f"{different} directions; expected at least {DIRECTIONS}")
    for place, wanted, within in (
        ("ahead", 0, NEAR_AHEAD),
        ("right", 90, NEAR_SIDE),
        ("left", -90, NEAR_SIDE),
    ):
        nearest = np.degrees(np.arccos(np.clip((rays @ unit_rays(wanted, 0)).max(), -1, 1)))
        if nearest > within + 0.01:
            raise ValueError(
                f"no direction within {within:g}° of straight {place} (nearest {nearest:.0f}°); "
                "choose a file with a wider grid"
            )


def _check_head(azimuth: np.ndarray, elevation: np.ndarray, impulses: np.ndarray, rate: float) -> None:
    """Refuse responses, left ear first, that are too loud or soft, or louder at the far ear."""
    rays = unit_rays(azimuth, elevation)
    level = 20 * math.log10(max(frontal_level(rays, impulses, rate), 1e-30))
    if not LEVELS[0] <= level <= LEVELS[1]:
        raise ValueError(
            f"response ahead is {level:+.0f} dB; expected {LEVELS[0]:g} to {LEVELS[1]:+g} dB; scale Data.IR"
        )
    left, right = 10 * np.log10((impulses**2).sum(2)).T
    ild = float((rays[:, 0] * (right - left)).sum() / (rays[:, 0] ** 2).sum())
    if ild < LEAST_ILD:
        raise ValueError(
            f"a source at the right is {ild:+.1f} dB at the right ear against the left; expected more than "
            f"{LEAST_ILD:+g}; left and right are exchanged, or both ears the same"
        )
