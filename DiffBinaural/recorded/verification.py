"""Comparison of a dataset with the recordings that it was made of."""

import csv
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np

from DiffBinaural.dataset.recordings import DETECTIONS
from DiffBinaural.inference.discovery import COLUMNS
from DiffBinaural.preparation.clips import ClipFiles
from DiffBinaural.preparation.faults import (
    collect_faults,
    finished_settings,
    folder_faults,
    picture_faults,
    sound_faults,
)
from DiffBinaural.recorded.config import RecordingsConfig
from DiffBinaural.recorded.dataset import claimed_settings, lists_of_takes, rows_found
from DiffBinaural.recorded.preparation import (
    PreparedTake,
    recorded_take,
    take_frames,
    take_record,
    take_sound,
)
from DiffBinaural.recorded.takes import LISTS, Take, takes_of
from DiffBinaural.utils.processes import parallel_map


def verify_recordings(cfg: RecordingsConfig) -> tuple[list[str], list[str]]:
    """Compare a dataset with its recordings, except for those that are left out; write nothing.

    Detections are compared with those that were found when it was made: sources are not sought again.
    -> lines for the user, and one line for each fault
    """
    root, done = Path(cfg.out), finished_settings(Path(cfg.out), claimed_settings(cfg))
    takes = [take for take in takes_of(cfg)[0] if take.name not in done["left_out"]]
    made = [(take, recorded_take(root, take.name)) for take in takes]
    faults = collect_faults(partial(folder_faults, root, {take.name for take in takes}, done["clips"]))
    faults += [f"{take_record(root, take.name)}: missing or damaged" for take, found in made if not found]
    good = [(take, found) for take, found in made if found]
    faults += collect_faults(partial(table_faults, cfg, takes, [found for _, found in good]))
    faults += chain(*parallel_map(partial(take_faults, cfg=cfg), good, cfg.workers))
    left_out = [f"left out when they were made: {', '.join(done['left_out'])}"] if done["left_out"] else []
    return [f"{root}: {len(takes)} recordings compared with {cfg.input}", *left_out], faults


def table_faults(cfg: RecordingsConfig, takes: list[Take], good: list[PreparedTake]) -> Iterator[str]:
    """Lists, detections that are not those of the recordings."""
    root, lists = Path(cfg.out), lists_of_takes(takes, good, cfg)
    header = "video_id,start_time,end_time,action_label"
    for name in LISTS:
        path = root / f"splits/{name}.csv"
        if (name in lists or path.exists()) and csv_cells(path) != as_csv_cells(header, lists.get(name, [])):
            yield f"{path}: has other clips; do --seconds, --held_out and --seed say the same as before?"
    if csv_cells(root / DETECTIONS) != as_csv_cells(COLUMNS, rows_found(good)):
        yield f"{root / DETECTIONS}: has other rows than were found"


def csv_cells(path: Path) -> list[list[str]]:
    """Rows of a CSV file, its header among them."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def as_csv_cells(header: str, rows: list[tuple]) -> list[list[str]]:
    """What :func:`csv_cells` reads of these rows."""
    return [header.split(","), *([str(cell) for cell in row] for row in rows)]


def take_faults(compared: tuple[Take, PreparedTake], cfg: RecordingsConfig) -> list[str]:
    """Differences of a recording's wavs, of its pictures.

    compared  the recording, and what was made of it
    """
    take, made = compared
    files = ClipFiles.of(Path(cfg.out), take.name)

    def shown() -> Iterator[np.ndarray]:
        return islice(take_frames(take, cfg.fps, made.frame_size), made.pictures)

    return [
        *collect_faults(partial(take_sound_faults, files, take, made, cfg)),
        *collect_faults(lambda: picture_faults(files, shown())),
    ]


def take_sound_faults(
    files: ClipFiles, take: Take, made: PreparedTake, cfg: RecordingsConfig
) -> Iterator[str]:
    """Differences of a recording's wavs from its sound, as far as that was kept."""
    sound = take_sound(take, cfg.audio_track).until(made.pictures / cfg.fps)
    yield from sound_faults(files, sound.pair, sound.mono)
