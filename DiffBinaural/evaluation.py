"""From folders of predictions to one table of figures."""

import csv
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import torch

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.metrics import WAV_METRICS, measure
from DiffBinaural.utils.files import naming, read_json, replacing, write_json
from DiffBinaural.utils.helpers import check_mel_config, hann, load_mel_pair, mel_spectrogram, read_wav
from DiffBinaural.utils.lists import match, mel_pairs

ORACLE = "oracle_mono_phase"  # the truth's magnitudes on the mono's phase
ANCHORS = ("mono_copy", "swapped", ORACLE)  # mono in both ears; the first system's ears exchanged
File = Path | tuple[Path, Path]  # a wav, or a mel pair


# --- which file belongs to which ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where a clip lies in a truth, or in its mono."""

    stem: str  # of the clip
    file: File
    start: float  # seconds
    whole: bool  # the clip is all of it, not a part of unknown end


@dataclass(frozen=True)
class Prediction:
    """One clip as one system made it."""

    system: str
    stem: str
    file: File
    truth: Place
    mono: Place | None  # None: (L+R)/2 of the truth
    anchored: bool  # of the first system: the anchors are measured beside it, where wanted


def wavs(folder: str | Path) -> dict[str, Path]:
    """Wavs of a folder by stem.  Raises FileNotFoundError when there is none."""
    found = {path.stem: path for path in sorted(Path(folder).glob("*.wav"))}
    if not found:
        raise FileNotFoundError(f"{folder}: no .wav files there")
    return found


def mels(folder: str | Path) -> dict[str, tuple[Path, Path]]:
    """Mel pairs of a folder by stem; ValueError when its mel_config.json says another mel than ours."""
    found = mel_pairs(folder)
    check_mel_config(folder, MelConfig())
    return found


def wavs_or_mels(folder: str | Path) -> dict[str, File]:
    """Truth in either form: mel pairs where a folder holds any, else wavs."""
    return mels(folder) if any(Path(folder).glob("*.npy")) else wavs(folder)


def named_folders(words: tuple[str, ...]) -> dict[str, Path]:
    """Systems and their folders from --pred_dir's words: DIR is the system "model", NAME=DIR another."""
    folders: dict[str, Path] = {}
    for word in words:
        name, found, folder = word.partition("=")
        if not found or Path(word).is_dir():
            name, folder = "model", word
        if name in folders or name in ANCHORS or not name:
            raise ValueError(f"--pred_dir {word}: the name {name!r} is taken; choose another, NAME=DIR")
        if not Path(folder).is_dir():
            raise FileNotFoundError(f"--pred_dir {word}: no such folder")
        folders[name] = Path(folder)
    return folders


def places(stems, files: dict[str, File]) -> dict[str, Place]:
    """The place in a truth (or mono) of each prediction that has one."""
    found = {}
    for stem in stems:
        with suppress(ValueError):
            name, start = match(stem, files)
            found[stem] = Place(stem, files[name], start, whole=name == stem)
    return found


def some(names: list[str], most: int = 10) -> str:
    """Names on one line: the first few, and how many more."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def predictions(
    words: tuple[str, ...], find: Callable, truths: dict, mono_dir: str | None = None, anchors: bool = True
) -> list:
    """Every clip of every system with its truth and mono.

    words   of --pred_dir
    find    folder -> {stem: file}
    truths  stem -> file
    ->      list of Prediction, system by system, of those that have a truth; see :func:`unmatched`
    Raises ValueError for a system without any truth, and for a clip without its mono.
    """
    systems = {name: find(folder) for name, folder in named_folders(words).items()}
    every = list(dict.fromkeys(stem for files in systems.values() for stem in files))
    truth, form = places(every, truths), "expected its name, or <its name>_<milliseconds>"
    for files in systems.values():
        if not truth.keys() & files:
            raise ValueError(f"no truth in --gt_dir for {some(list(files))}; {form}")
    mono = places(truth, wavs(mono_dir)) if mono_dir else {}
    if mono_dir and len(mono) < len(truth):
        raise ValueError(f"no mono in --mono_dir for {some(sorted(truth.keys() - mono))}; {form}")
    first = next(iter(systems))
    return [
        Prediction(system, stem, file, truth[stem], mono.get(stem), anchors and system == first)
        for system, files in systems.items()
        for stem, file in files.items()
        if stem in truth
    ]


def unmatched(words: tuple[str, ...], find: Callable, truths: dict, found: list[Prediction]) -> dict:
    """What has no partner, for the JSON: predictions without a truth, by system, and truths without any."""
    known, seen = {(p.system, p.stem) for p in found}, {p.truth.file for p in found}
    return {
        "predictions": {
            system: [stem for stem in find(folder) if (system, stem) not in known]
            for system, folder in named_folders(words).items()
        },
        "truths": [name for name, file in truths.items() if file not in seen],
    }


def remarks(found: list[Prediction], truths: dict[str, File], lost: dict) -> list[str]:
    """Lines for the user: what :func:`unmatched` has left out, and why there may be no mono copy."""
    lines = []
    for system, stems in lost["predictions"].items():
        if stems:
            lines.append(f"{system}: no truth for {len(stems)} predictions, left out: {some(stems)}\n")
    if left := lost["truths"]:
        lines.append(f"no prediction for {len(left)} of {len(truths)} truths: {some(left)}\n")
    clips = {system: {p.stem for p in found if p.system == system} for system in lost["predictions"]}
    every = set().union(*clips.values())
    for system, stems in clips.items():
        if missing := sorted(every - stems):
            lines.append(f"{system}: lacks {len(missing)} of {len(every)} clips: {some(missing)}\n")
    if any(isinstance(p.truth.file, tuple) and p.mono is None for p in found):
        lines.append("no mono copy: the truth is mels; give --mono_dir to have one\n")
    return lines


# --- what is compared with what -----------------------------------------------------------------------------


def cut(place: Place, sound: np.ndarray, rate: float, size: int, *, slack: int, block: int = 1) -> np.ndarray:
    """The part of a truth (or mono) that a prediction stands for.

    sound  (C, N) samples, or (2, M, T) mel frames; `rate` of them a second
    size   the prediction's length; differing by up to `slack` is left to :func:`trim`, more is an error
    block  pad the end with zeros to whole blocks first, as whoever makes mels does
    ->     (..., n), n <= size
    """
    part = sound[..., round(place.start * rate) :]
    part = np.pad(part, [(0, 0)] * (part.ndim - 1) + [(0, -part.shape[-1] % block)])
    length, unit = part.shape[-1], "samples" if sound.ndim == 2 else "frames"
    if not length or size - length > slack or (place.whole and length - size > slack):
        file = place.file if isinstance(place.file, Path) else place.file[0]
        raise ValueError(
            f"{place.stem}: the prediction has {size} {unit}, {file} has {length} from "
            f"{place.start:g} s on; they may differ by {slack}"
        )
    return part[..., :size]


def trim(*arrays: np.ndarray) -> list[np.ndarray]:
    """All arrays at the length (last axis) of the shortest."""
    size = min(array.shape[-1] for array in arrays)
    return [array[..., :size] for array in arrays]


def with_anchors(p: Prediction, estimate, reference, mono) -> dict[str, tuple]:
    """(estimate, reference) of the prediction, and beside the first system's the anchors'.

    estimate, reference  (2, …) arrays
    mono                 (1, …), goes into both ears; (0, …) where there is none: then no mono copy
    """
    estimate, reference, mono = trim(estimate, reference, mono)
    pairs = {p.system: (estimate, reference)}
    if p.anchored and len(mono):
        pairs["mono_copy"] = np.concatenate([mono, mono]), reference
    if p.anchored:
        pairs["swapped"] = estimate[::-1], reference
    return pairs


def on_phase_of(mono: np.ndarray, wav: np.ndarray, cfg: MelConfig) -> np.ndarray:
    """The magnitudes of sounds (2, N) on the phase of a mono sound (1, N): STFT, exchange, inverse.

    The STFT is the mel's (1024/256, Hann, centred), so this is what perfect mels with the mono's phase give.
    """
    sizes = dict(n_fft=cfg.n_fft, hop_length=cfg.hop, window=hann(cfg.n_fft, torch.device("cpu")))
    true, heard = (
        torch.stft(
            torch.from_numpy(np.ascontiguousarray(x)), **sizes, pad_mode="constant", return_complex=True
        )
        for x in (wav, mono)
    )
    return torch.istft(torch.polar(true.abs(), heard.angle()), **sizes, length=wav.shape[1]).numpy()


def compared_wavs(p: Prediction, rate: int, slack: int) -> dict[str, tuple]:
    """Sounds to compare for one prediction: system -> (estimate, reference), (2, N) each, at `rate`.

    Where there is a mono file, the first system's oracle is the truth's magnitudes on that mono's phase.
    """
    estimate, _ = read_wav(p.file, rate, channels=2)
    size = estimate.shape[-1]
    reference = cut(p.truth, read_wav(p.truth.file, rate, channels=2)[0], rate, size, slack=slack)
    mono = reference.mean(axis=0, keepdims=True)
    if p.mono:
        mono = cut(p.mono, read_wav(p.mono.file, rate, channels=1)[0], rate, size, slack=slack)
    pairs = with_anchors(p, estimate, reference, mono)
    if p.anchored and p.mono:
        copy, reference = pairs["mono_copy"]
        pairs[ORACLE] = on_phase_of(copy[:1], reference, MelConfig()), reference
    return pairs


def by_clip(found: list[Prediction]) -> list[list[Prediction]]:
    """Predictions of the same clip together, clip by clip."""
    clips: dict[str, list[Prediction]] = {}
    for p in found:
        clips.setdefault(p.stem, []).append(p)
    return list(clips.values())


def heard(clip: list[Prediction], rate: int) -> dict[str, tuple]:
    """All systems of a clip: system -> (estimate, reference), as of :func:`compared_wavs`."""
    every = [compared_wavs(p, rate, slack=MelConfig.hop) for p in clip]
    return {system: pair for pairs in every for system, pair in pairs.items()}


def measured(clip: list[Prediction], rate: int) -> list[dict]:
    """Every figure of a clip, a row for each system."""
    return [
        {"id": clip[0].stem, "system": system, **measure(WAV_METRICS, *pair, rate)}
        for system, pair in heard(clip, rate).items()
    ]


def mels_at(place: Place, sound: np.ndarray, size: int, cfg: MelConfig) -> np.ndarray:
    """Log mels (C, M, T) of the place's part of a sound (C, N), for a prediction of `size` frames."""
    part = cut(place, sound, cfg.sample_rate, size * cfg.hop, slack=cfg.hop, block=cfg.hop)
    with naming(place.stem):
        return mel_spectrogram(torch.from_numpy(np.ascontiguousarray(part)), cfg).numpy()


def compared_mels(p: Prediction, cfg: MelConfig) -> dict[str, tuple]:
    """Log mels to compare for one prediction: system -> (estimate, reference), (2, M, T) each.

    Without --mono_dir and with mels for a truth there is no mono, and so no mono copy.
    """
    estimate = load_mel_pair(p.file, cfg.n_mels)
    size = estimate.shape[-1]
    if isinstance(p.truth.file, tuple):
        known = load_mel_pair(p.truth.file, cfg.n_mels)
        known = cut(p.truth, known, cfg.sample_rate / cfg.hop, size, slack=1)
    else:
        wav, _ = read_wav(p.truth.file, cfg.sample_rate, channels=2)
        known = mels_at(p.truth, np.concatenate([wav, wav.mean(axis=0, keepdims=True)]), size, cfg)
    mono = known[2:]
    if p.mono:
        mono = mels_at(p.mono, read_wav(p.mono.file, cfg.sample_rate, channels=1)[0], size, cfg)
    return with_anchors(p, estimate, known[:2], mono)


# --- figures of many clips ----------------------------------------------------------------------------------


def rows_of(path: str | Path) -> list[dict]:
    """The clips of a JSON that an evaluate script wrote."""
    content = read_json(path)
    rows = content.get("clips") if isinstance(content, dict) else None
    if not isinstance(rows, list) or any(not isinstance(r, dict) or {"id", "system"} - set(r) for r in rows):
        raise ValueError(f"{path}: no list `clips` with id and system; expected an evaluate script's JSON")
    return rows


def joined(rows: list[dict], others: list[dict] = ()) -> list[dict]:
    """Rows of the same clip and system as one, system by system; of a figure in both, the first stays."""
    by_clip: dict[tuple, dict] = {}
    for row in [*rows, *others]:
        key = row["system"], row["id"]
        by_clip[key] = {**row, **by_clip.get(key, {})}
    order = list(dict.fromkeys(system for system, _ in by_clip))
    return sorted(by_clip.values(), key=lambda row: order.index(row["system"]))


def summary(values: list[float | None]) -> dict:
    """Mean, sample standard deviation, standard error, n, and how many are missing; None for a small n."""
    found = [value for value in values if value is not None]
    n = len(found)
    std = stdev(found) if n > 1 else None
    return {
        "mean": fmean(found) if n else None,
        "std": std,
        "se": std / n**0.5 if n > 1 else None,
        "n": n,
        "missing": len(values) - n,
    }


def summarise(rows: list[dict]) -> dict:
    """The evaluate scripts' JSON from one row for each clip and system.

    rows  {"id", "system", metric: value}; None where a clip does not allow a figure
    ->    {"systems": {system: {metric: {"mean", "std", "se", "n", "missing"}}}, "clips": rows}
    """
    values: dict[str, dict[str, list]] = {}
    for row in rows:
        for name in row.keys() - {"id", "system"}:
            values.setdefault(row["system"], {}).setdefault(name, []).append(row[name])
    return {
        "systems": {
            system: {name: summary(named[name]) for name in sorted(named)} for system, named in values.items()
        },
        "clips": rows,
    }


def format_table(systems: dict, metrics: dict) -> str:
    """Text table: a row for each figure, a column for each system.

    systems  of :func:`summarise`
    metrics  name -> metrics.Metric (unit, direction, factor in print), in the order of the rows
    """
    rows = [["mean ± standard error (std)", *systems]]
    for name, m in metrics.items():
        if any(name in figures for figures in systems.values()):
            cells = [format_cell(figures.get(name), m.scale) for figures in systems.values()]
            rows.append([m.titled(name), *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def format_cell(figure: dict | None, scale: float) -> str:
    """One figure in print, with the number of clips behind it, and of how many where some are missing."""
    if figure is None:
        return "-"
    n, missing = figure["n"], figure["missing"]
    parts = [f"{scale * figure['mean']:.4g}"] if n else []
    parts += [f"± {scale * figure['se']:.2g} ({scale * figure['std']:.2g})"] if n > 1 else []
    return " ".join([*parts, f"n={n}" + (f" of {n + missing}" if missing else "")])


def write_csv(path: str | Path, rows: list[dict]) -> None:
    """Every clip and system on a line; an empty cell where there is no figure."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def over_splits(root: str | Path, family: str) -> tuple[dict, list[str]]:
    """Figures of a family of splits: mean and standard error over the splits' own means.

    root    folder with <split>/metrics.json
    family  split, FAIR-Play's original ones, or five_split, the scene-disjoint ones
    ->      systems as of :func:`summarise`, and the splits that were there
    """
    found = sorted(Path(root).glob(f"{family}[0-9]*/metrics.json"), key=lambda p: (len(p.parent.name), p))
    tables = [summarise(rows_of(path))["systems"] for path in found]
    means: dict[str, dict[str, list]] = {}
    for system, figures in (pair for table in tables for pair in table.items()):
        for name, figure in figures.items():
            means.setdefault(system, {}).setdefault(name, []).append(figure["mean"])
    systems = {
        system: {name: summary(values) for name, values in named.items()} for system, named in means.items()
    }
    return systems, [path.parent.name for path in found]


def band_means(rows: list[tuple[str, dict]]) -> dict[str, dict]:
    """Means over clips of arrays by system, as lists: from (system, metrics.band_errors of a clip) pairs."""
    clips: dict[str, list[dict]] = {}
    for system, errors in rows:
        clips.setdefault(system, []).append(errors)
    return {
        system: {kind: np.mean([e[kind] for e in every], axis=0).tolist() for kind in every[0]}
        for system, every in clips.items()
    }


def save(rows: list[dict], to_csv: str | None, to_json: str | None, **extra) -> dict:
    """Write what was asked for and return the systems' figures.  extra: further keys of the JSON."""
    content = summarise(rows)
    if to_csv:
        write_csv(to_csv, rows)
    if to_json:
        write_json(to_json, {**content, **extra})
    return content["systems"]
