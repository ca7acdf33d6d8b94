"""Which prediction belongs to which truth."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from DiffBinaural.configs.advanced_diffusion_config import MelConfig, ViewConfig
from DiffBinaural.dataset.recordings import Recordings
from DiffBinaural.inference.rendering import GEOMETRY
from DiffBinaural.utils.lists import match, mel_pairs
from DiffBinaural.utils.mel_files import check_mel_config

ORACLE = "oracle_mono_phase"  # the truth's magnitudes on the mono's phase
# mono in both ears; filtered by the directions of its sources; the first system's ears exchanged; oracle
ANCHORS = ("mono_copy", GEOMETRY, "swapped", ORACLE)
File = Path | tuple[Path, Path]  # a wav, or a mel pair


@dataclass(frozen=True)
class ClipSpan:
    """The position of a clip in a truth, or in its mono."""

    stem: str  # of the clip
    file: File
    start: float  # seconds
    whole: bool  # the clip is all of it, not a part of unknown end


@dataclass(frozen=True)
class Prediction:
    """One clip of one system."""

    system: str
    stem: str
    file: File
    truth: ClipSpan
    mono: ClipSpan | None  # None: (L+R)/2 of the truth
    anchored: bool  # of the first system, with anchors beside it
    # of its recording: times (T,) -> directions (S, 3, T) of the detected sources; name of the head
    sources: tuple[Callable, str] | None = None


def wavs(folder: str | Path) -> dict[str, Path]:
    """Wavs of a folder by stem.  Raises FileNotFoundError when there is none."""
    found = {path.stem: path for path in sorted(Path(folder).glob("*.wav"))}
    if not found:
        raise FileNotFoundError(f"{folder}: no .wav files there")
    return found


def mels(folder: str | Path) -> dict[str, tuple[Path, Path]]:
    """Mel pairs of a folder by stem; ValueError when its mel_config.json describes other mels."""
    found = mel_pairs(folder)
    check_mel_config(folder, MelConfig())
    return found


def wavs_or_mels(folder: str | Path) -> dict[str, File]:
    """Truths of a folder by stem: mel pairs where it holds any, else wavs."""
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


def clip_spans(stems, files: dict[str, File]) -> dict[str, ClipSpan]:
    """The position in a truth (or mono) of each prediction that has one."""
    found = {}
    for stem in stems:
        with suppress(ValueError):
            name, start = match(stem, files)
            found[stem] = ClipSpan(stem, files[name], start, whole=name == stem)
    return found


def shortened_list(names: list[str], limit: int = 10) -> str:
    """Names on one line: the first few, and how many more."""
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


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
    truth, form = clip_spans(every, truths), "expected its name, or <its name>_<milliseconds>"
    for files in systems.values():
        if not truth.keys() & files:
            raise ValueError(f"no truth in --gt_dir for {shortened_list(list(files))}; {form}")
    mono = clip_spans(truth, wavs(mono_dir)) if mono_dir else {}
    if mono_dir and len(mono) < len(truth):
        raise ValueError(f"no mono in --mono_dir for {shortened_list(sorted(truth.keys() - mono))}; {form}")
    first = next(iter(systems))
    return [
        Prediction(system, stem, file, truth[stem], mono.get(stem), anchors and system == first)
        for system, files in systems.items()
        for stem, file in files.items()
        if stem in truth
    ]


def with_sources(found: list[Prediction], data_root: str | None) -> list[Prediction]:
    """The predictions, with the sources that a dataset's detections show; without a dataset as they are."""
    if data_root is None:
        return found
    data, count = Recordings(data_root), ViewConfig.slots - 1

    @lru_cache
    def known(video_id):
        return data.source_directions(video_id, count), data.head(video_id)

    return [replace(p, sources=known(p.truth.file.stem)) if p.anchored else p for p in found]


def unmatched(words: tuple[str, ...], find: Callable, truths: dict, found: list[Prediction]) -> dict:
    """For the JSON: predictions without a truth, by system, and truths without a prediction."""
    known, used = {(p.system, p.stem) for p in found}, {p.truth.file for p in found}
    return {
        "predictions": {
            system: [stem for stem in find(folder) if (system, stem) not in known]
            for system, folder in named_folders(words).items()
        },
        "truths": [name for name, file in truths.items() if file not in used],
    }


def notices(found: list[Prediction], truths: dict[str, File], lost: dict) -> list[str]:
    """Lines for the user: what is :func:`unmatched`, and why there is no mono copy."""
    lines = []
    for system, stems in lost["predictions"].items():
        if stems:
            lines.append(
                f"{system}: no truth for {len(stems)} predictions, left out: {shortened_list(stems)}\n"
            )
    if left := lost["truths"]:
        lines.append(f"no prediction for {len(left)} of {len(truths)} truths: {shortened_list(left)}\n")
    clips = {system: {p.stem for p in found if p.system == system} for system in lost["predictions"]}
    every = set().union(*clips.values())
    for system, stems in clips.items():
        if missing := sorted(every - stems):
            lines.append(f"{system}: lacks {len(missing)} of {len(every)} clips: {shortened_list(missing)}\n")
    if any(isinstance(p.truth.file, tuple) and p.mono is None for p in found):
        lines.append("no mono copy: the truth is mels; give --mono_dir to have one\n")
    return lines


def by_clip(found: list[Prediction]) -> list[list[Prediction]]:
    """Predictions grouped by clip."""
    clips: dict[str, list[Prediction]] = {}
    for p in found:
        clips.setdefault(p.stem, []).append(p)
    return list(clips.values())
