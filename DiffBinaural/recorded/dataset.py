"""A dataset of recordings: all of them prepared, then its lists written."""

from collections import Counter
from functools import partial
from pathlib import Path

from DiffBinaural.dataset.dataset_real_binaural import RATE, write_split
from DiffBinaural.dataset.recordings import DETECTIONS
from DiffBinaural.inference.discovery import COLUMNS
from DiffBinaural.preparation.clips import PATTERNS, SETTINGS, write_settings
from DiffBinaural.recorded.config import RecordingsConfig
from DiffBinaural.recorded.preparation import PreparedTake, discard_take, prepare_take
from DiffBinaural.recorded.splits import lists_of, spans
from DiffBinaural.recorded.takes import LISTS, Take, takes_of
from DiffBinaural.simulation.writer import common_value
from DiffBinaural.utils.distributed import SINGLE_PROCESS
from DiffBinaural.utils.files import claim, discard, write_rows
from DiffBinaural.utils.lens import AUTO_FOV
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.processes import parallel_map

Lists = dict[str, list[tuple[str, float, float, str]]]


def claimed_settings(cfg: RecordingsConfig) -> dict:
    """Settings that another preparation of the same folder must have too."""
    names = ("fps", "width", "detector")
    return {"dataset": "recordings", **{name: getattr(cfg, name) for name in names}, "sample_rate": RATE}


def prepare_recordings(cfg: RecordingsConfig) -> tuple[list[str], list[str]]:
    """Make a dataset; one with counts in its dataset.json is complete.

    -> lines for the user, and one line for each recording that cannot be used
    """
    takes, said = takes_of(cfg)
    root, settings = Path(cfg.out), claimed_settings(cfg)
    with locked(root, SINGLE_PROCESS, *PATTERNS):
        claim(root / SETTINGS, settings, "processed", "splits")
        made = without_copies(root, parallel_map(partial(prepare_take, cfg=cfg), takes, cfg.workers))
        good = [take for take in made if not take.fault]
        faults = [f"{take.name}: {take.fault.replace(f'{cfg.input}/', '')}" for take in made if take.fault]
        try:
            lists = lists_of_takes(takes, good, cfg)
        except ValueError as error:
            raise ValueError(
                "\n  ".join([f"{error}; not used:" if faults else str(error), *faults])
            ) from None
        for name in LISTS:
            if name in lists:
                write_split(root, name, lists[name])
            else:
                discard(root / f"splits/{name}.csv")
        write_rows(root / DETECTIONS, COLUMNS, rows_found(good))
        facts = {
            "frame_size": common_value({take.name: take.frame_size for take in good}),
            "fov": common_value({take.name: stated_fov(take, cfg) for take in good}),
            "head": cfg.head,
            "seconds": cfg.seconds,
            "seed": cfg.seed,
        }
        write_settings(
            root, settings | facts, made, {name: len(rows) for name, rows in lists.items()}, "torch"
        )
    return [*recordings_summary(cfg, good, lists), *said], faults


def without_copies(root: Path, made: list[PreparedTake]) -> list[PreparedTake]:
    """Refuse a recording with the sound of an earlier one, which could be in another list."""
    first: dict[str, str] = {}
    kept = []
    for take in made:
        other = take.name if take.fault else first.setdefault(take.digest, take.name)
        if other == take.name:
            kept.append(take)
        else:
            discard_take(root, take.name)
            why = f"has the same sound as {other}; keep one of them"
            kept.append(PreparedTake(name=take.name, made_of={}, fault=why))
    return kept


def lists_of_takes(takes: list[Take], good: list[PreparedTake], cfg: RecordingsConfig) -> Lists:
    """Rows of each list, of the recordings that can be used."""
    meant = {take.name: take.split for take in takes}
    named = {take.name: meant[take.name] for take in good}
    parts = {take.name: spans(take.begin, take.end, cfg.seconds) for take in good}
    return lists_of(named, parts, cfg.held_out, cfg.seed)


def rows_found(good: list[PreparedTake]) -> list[tuple]:
    """Rows of the detections of all recordings."""
    return [row for take in good for row in take.detections]


def stated_fov(take: PreparedTake, cfg: RecordingsConfig) -> float:
    """Field of view of a recording, degrees."""
    return round(take.fov if cfg.fov == AUTO_FOV else float(cfg.fov), 2)


def recordings_summary(cfg: RecordingsConfig, good: list[PreparedTake], lists: Lists) -> list[str]:
    """Lines for the user: counts, and what was done with each recording, what was found in it."""
    split = {row[0]: name for name, rows in lists.items() for row in rows}
    counts = Counter(row[0] for rows in lists.values() for row in rows)
    lines = [
        f"{cfg.out}: {len(good)} recordings, {sum(take.pictures for take in good)} pictures, "
        f"{sum(take.samples for take in good) / RATE / 60:.1f} minutes; "
        + ", ".join(f"{len(rows)} clips in {name}" for name, rows in lists.items())
    ]
    for take in good:
        lines.append(f"  {take.name}: {take.end:.1f} s, {counts[take.name]} clip(s) in {split[take.name]}")
        lines += [f"    {remark.removeprefix(f'{take.name}: ')}" for remark in take.remarks]
    if cfg.fov == AUTO_FOV:
        seen = Counter((take.fov, take.fov_reason) for take in good)
        lines += [
            f"{count} recording(s) {degrees:.0f} degrees wide: {why}; --fov states another"
            for (degrees, why), count in seen.items()
        ]
    return lines
