"""What a training says of its data before it starts."""

from collections.abc import Mapping, Sequence

from DiffBinaural.checking.config import FOLDER, PAGE
from DiffBinaural.checking.dataset import stored_checks
from DiffBinaural.checking.lists import shared_line
from DiffBinaural.checking.recording import RecordingChecker, stamp_of
from DiffBinaural.checking.remarks import Remark, suspects
from DiffBinaural.dataset.base import BinauralDataset
from DiffBinaural.dataset.recordings import Recordings

LISTENED = 100  # recordings without a stored check whose sounds are looked at, a few seconds in all
NAMED = 3  # recordings that are named


def starting_lines(datasets: Mapping[str, BinauralDataset]) -> list[str]:
    """Lines about the datasets of a training by their lists: what they have in common, what is suspect.

    Nothing is said of packed ones, which were checked when they were packed.
    """
    sources = {name: data.recordings for name, data in datasets.items() if hasattr(data, "recordings")}
    if any(source.packed for source in sources.values()) or not sources:
        return []
    lines = [shared_line({name: datasets[name].clips for name in sources})]
    ids = list(dict.fromkeys(clip.video_id for name in sources for clip in datasets[name].clips))
    return [line for line in (*lines, data_line(next(iter(sources.values())), ids)) if line]


def data_line(recordings: Recordings, ids: Sequence[str]) -> str:
    """Counts of a dataset's recordings, and which of them are suspect.

    By what check_dataset.py has stored; of the others at most LISTENED are checked, without the ears.
    """
    known, rows = stored_checks(recordings.root / FOLDER), recordings.table
    checks = [
        known[name]
        for name in ids
        if name in known and known[name].stamp == stamp_of(recordings, name, rows.get(name, []))
    ]
    there = {check.video_id for check in checks}
    new = [name for name in ids if name not in there]
    checker = RecordingChecker(recordings.root, ears=False)
    checks += [checker((name, rows.get(name, []))) for name in new[:: -(-len(new) // LISTENED) or 1]]
    names = suspects([Remark(one.video_id, *found) for one in checks for found in one.remarks])
    seen = sum(bool(rows.get(name)) for name in ids)
    which = f": {', '.join(names[:NAMED])}{', …' * (len(names) > NAMED)}" if names else ""
    page = recordings.root / FOLDER / PAGE
    how = f"python DiffBinaural/check_dataset.py --data_root {recordings.root} tells more" if new else page
    return (
        f"{recordings.root}: {len(ids)} recordings, {seen} with detections; {len(names)} of {len(checks)} "
        f"checked are suspect{which} ({how})"
    )
