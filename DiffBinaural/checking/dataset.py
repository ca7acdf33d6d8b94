"""The check of a whole dataset, kept beside it so that nothing is checked twice."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from DiffBinaural.checking.config import PAGE, STORED, CheckConfig
from DiffBinaural.checking.lists import Lists, lists_in, shared_recordings
from DiffBinaural.checking.page import write_page
from DiffBinaural.checking.recording import RecordingCheck, RecordingChecker, stamp_of
from DiffBinaural.checking.remarks import MILD, Remark, suspects, worst_first
from DiffBinaural.dataset.recordings import FRAMES, LATE, Recordings
from DiffBinaural.utils.files import read_json, write_text
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.packed_index import is_packed
from DiffBinaural.utils.processes import parallel_map

Checks = dict[str, RecordingCheck]


def check_dataset(cfg: CheckConfig) -> list[str]:
    """Check every recording of a dataset, write the page.  -> lines for the user, the worst first"""
    root = Path(cfg.data_root)
    if is_packed(root):
        raise ValueError(f"{root}: is packed; check the folder that it was made of")
    recordings = Recordings(root)
    grouped = lists_in(root / "splits" / cfg.split)
    every: Lists = {
        f"{group}/{name}": clips for group, some in grouped.items() for name, clips in some.items()
    }
    ids = sorted({clip.video_id for clip in chain(*every.values())} or recordings.ids())
    if not ids:
        raise FileNotFoundError(f"{root / FRAMES}: no recordings there, and no lists in {root / 'splits'}")
    with locked(cfg.folder):
        checks = checked_recordings(recordings, ids, cfg)
        remarks = [
            *(Remark(one.video_id, *found) for one in checks.values() for found in one.remarks),
            *twice(checks.values()),
            *(remark for some in grouped.values() for remark in shared_recordings(some)),
            *late_clips(every, checks),
        ]
        about = [f"{root}: {len(ids)} recordings, {len(suspects(remarks))} suspect", recordings.rows_used()]
        write_text(
            cfg.folder / STORED,
            json.dumps({"ears": cfg.ears, "head": cfg.head, "checks": [asdict(c) for c in checks.values()]}),
        )
        write_page(cfg.folder / PAGE, recordings, worst_first(remarks), [line for line in about if line])
    return [*filter(None, about), *printed(remarks, cfg), f"{cfg.folder / PAGE} shows all of them"]


def checked_recordings(recordings: Recordings, ids: Sequence[str], cfg: CheckConfig) -> Checks:
    """Checks of recordings: those that are stored and still hold, and new ones of the rest."""
    known = stored_checks(cfg.folder, ears=cfg.ears, head=cfg.head)
    table = {video_id: recordings.table.get(video_id, []) for video_id in ids}
    kept = {
        video_id: known[video_id]
        for video_id, rows in table.items()
        if video_id in known and known[video_id].stamp == stamp_of(recordings, video_id, rows)
    }
    rest = [(video_id, rows) for video_id, rows in table.items() if video_id not in kept]
    checker = RecordingChecker(recordings.root, cfg.ears, cfg.head)
    made = parallel_map(checker, rest, cfg.workers) if rest else []
    found = kept | {check.video_id: check for check in made}
    return {video_id: found[video_id] for video_id in ids}


def stored_checks(folder: Path, **settings) -> Checks:
    """Checks that an earlier call has stored, with these settings where some are given; {} where none are."""
    path = folder / STORED
    try:
        stored = read_json(path) if path.exists() else {}
        if not stored or any(stored.get(name) != value for name, value in settings.items()):
            return {}
        made = [RecordingCheck.stored(one) for one in stored["checks"]]
    except (ValueError, LookupError, TypeError, AttributeError):  # of another version: check anew
        return {}
    return {check.video_id: check for check in made}


def twice(checks: Sequence[RecordingCheck]) -> list[Remark]:
    """Recordings with the mono sound of an earlier one."""
    first: dict[int, str] = {}
    pairs = [(one.video_id, first.setdefault(one.digest, one.video_id)) for one in checks if one.digest]
    return [Remark(name, "twice", f"has the sound of {other}") for name, other in pairs if name != other]


def late_clips(lists: Lists, checks: Checks) -> list[Remark]:
    """Clips that end after their sound."""
    return [
        Remark(clip.video_id, "late end", f"{name} ends it at {clip.end:g} s of {seconds:.2f} s")
        for name, clips in lists.items()
        for clip in clips
        if (seconds := checks[clip.video_id].seconds) and seconds + LATE < clip.end < float("inf")
    ]


def printed(remarks: list[Remark], cfg: CheckConfig) -> list[str]:
    """A line for each suspect recording, the worst first, and one for what is mild."""
    found, names = worst_first(remarks), suspects(remarks)
    lines = [f"  {name}: {'; '.join(r.reason for r in found[name])}: {found[name][0].cure}" for name in names]
    mild = [f"  {kind}: {count}" for kind in MILD if (count := sum(r.kind == kind for r in remarks))]
    more = [f"  and {len(lines) - cfg.printed} more"] if len(lines) > cfg.printed else []
    return [*lines[: cfg.printed], *more, *mild]
