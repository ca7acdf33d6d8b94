"""Mel pairs on disk."""

from dataclasses import asdict
from pathlib import Path
from tokenize import TokenError

import numpy as np

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.configs.fields import from_dict
from DiffBinaural.utils.files import UNREADABLE, read_json, replacing, write_json

MEL_CONFIG = "mel_config.json"


def save_mel_pair(
    folder: str | Path,
    stem: str,
    pair: np.ndarray,
    directions: np.ndarray | None = None,
    head: str = "sphere",
) -> None:
    """Write a log mel pair as <stem>_left.npy and <stem>_right.npy, float32, and what else there is of it.

    pair        (2, M, T), or (4 + S, M, T): rows 2 and 3 are written as <stem>_phasor.npy, later ones, the
                shares of sources, as <stem>_shares.npy
    directions  (S, 3, T) of these, written as <stem>_directions.npy, and the head as <stem>_head.json
    Older files of what there is not are deleted.
    """
    parts = {"left": pair[0], "right": pair[1], "phasor": pair[2:4], "shares": pair[4:]}
    parts["directions"] = pair[:0] if directions is None else directions
    head_file = Path(folder) / f"{stem}_head.json"
    if len(parts["directions"]):
        write_json(head_file, {"head": head})
    else:
        head_file.unlink(missing_ok=True)
    for name, rows in parts.items():
        path = Path(folder) / f"{stem}_{name}.npy"
        if not len(rows):
            path.unlink(missing_ok=True)  # of mels that are replaced
            continue
        with replacing(path) as partial, open(partial, "wb") as file:
            np.save(file, np.asarray(rows, dtype=np.float32), allow_pickle=False)


def load_array(path: str | Path) -> np.ndarray:
    """Read an .npy of floating-point numbers as data, never as code.  Raises ValueError naming the file."""
    try:  # mapped: a header with a wrong size costs no memory
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            raise ValueError(f"of {array.dtype}" if isinstance(array, np.ndarray) else "several in one file")
        return np.array(array)
    except FileNotFoundError:
        raise
    except (*UNREADABLE, SyntaxError, TokenError) as error:  # of its header
        raise ValueError(f"{path}: not a readable .npy array of floating-point numbers ({error})") from None


def load_mel_pair(paths: tuple[Path, Path], n_mels: int) -> np.ndarray:
    """Read a pair's two files as (2, M, T) float32; ValueError names a file of another shape or content."""
    ears = []
    for path in paths:
        mel = load_array(path)
        if mel.ndim != 2 or mel.shape[0] != n_mels or not np.isfinite(mel).all():
            raise ValueError(
                f"{path}: shape {mel.shape} or its values are wrong; expected a finite ({n_mels}, T) log mel"
            )
        ears.append(mel.astype(np.float32))
    left, right = (mel.shape[1] for mel in ears)
    if left != right:
        raise ValueError(f"{paths[0]}: {left} frames, {paths[1].name} has {right}; expected equal lengths")
    return np.stack(ears)


def load_sources(
    stem: str, folder: str | Path, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, str] | None:
    """Read what is known of a pair's sources: shares (S, M, T), directions (S, 3, T), name of the head.

    shape  (M, T) of the pair
    None where stage 1 was trained without --direct_path.  ValueError where a file is anything else.
    """
    paths = {name: Path(folder) / f"{stem}_{name}.npy" for name in ("shares", "directions")}
    head_file = Path(folder) / f"{stem}_head.json"
    if not any(path.is_file() for path in (*paths.values(), head_file)):
        return None
    shares, directions = (load_array(path) for path in paths.values())
    slots = len(shares) if shares.ndim else 1
    expected = {"shares": (slots, *shape), "directions": (slots, 3, shape[1])}
    for name, array in (("shares", shares), ("directions", directions)):
        if array.shape != expected[name] or not np.isfinite(array).all() or (abs(array) > 360).any():
            raise ValueError(
                f"{paths[name]}: shape {array.shape} or its values are wrong; expected {expected[name]}, "
                "as its mels have; make them again"
            )
    facts = read_json(head_file)
    if not isinstance(facts, dict) or not isinstance(facts.get("head"), str):
        raise ValueError(f'{head_file}: expected {{"head": name}}')
    return shares.astype(np.float32), directions.astype(np.float32), facts["head"]


def load_phasor(stem: str, folder: str | Path, shape: tuple[int, int]) -> np.ndarray:
    """Read <stem>_phasor.npy as (2, M, T) float32, shape: (M, T); ValueError where it is anything else."""
    path = Path(folder) / f"{stem}_phasor.npy"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: missing; stage 1 writes it where it was trained with "
            "--interaural_phase; --renderer vocoder does not need it"
        )
    phasor = load_array(path)
    if phasor.shape != (2, *shape) or not np.isfinite(phasor).all() or (np.abs(phasor) > 1 + 1e-5).any():
        raise ValueError(
            f"{path}: shape {phasor.shape} or its values are wrong; expected {(2, *shape)}, as "
            "its mels have, within [-1, 1]; make mels and phasor again"
        )
    return phasor.astype(np.float32)


def write_mel_config(folder: str | Path, cfg: MelConfig) -> None:
    """Write how a folder's mels were made to its mel_config.json."""
    write_json(Path(folder) / MEL_CONFIG, asdict(cfg))


def check_mel_config(source: str | Path, cfg: MelConfig) -> None:
    """Compare a mel folder's mel_config.json with our own; ValueError names every difference."""
    path = Path(source) / MEL_CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; the test scripts write it: how the mels were made")
    same_mel(from_dict(MelConfig, read_json(path), str(path)), cfg, str(path))


def same_mel(theirs: MelConfig, ours: MelConfig, source: str) -> None:
    """Raise ValueError for a different mel config; an fmax of None is half the sample rate."""

    def plain(cfg):
        return {**asdict(cfg), "fmax": cfg.fmax or cfg.sample_rate / 2}

    made = plain(theirs)
    if wrong := [f"{k} {made[k]} (here {v})" for k, v in plain(ours).items() if made[k] != v]:
        raise ValueError(f"{source}: another mel: {', '.join(wrong)}; make the mels again with this config")
