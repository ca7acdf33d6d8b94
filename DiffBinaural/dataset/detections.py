"""Tables of detections: whether they fit their recordings, what lies between their rows."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from DiffBinaural.dataset.tracks import GAP, LEAP, Track, linked
from DiffBinaural.utils.lists import Detection, read_detections

SUFFIX = re.compile(r"\.[a-z0-9]{2,4}$")
SHOWN = 5  # ids that are named


def check_boxes(source: str, found: Sequence[Detection], size: tuple[int, int]) -> None:
    """Raise ValueError where boxes cannot be in pixels of pictures of a size (width, height).

    source  names them in the message
    """
    if not found:
        return
    boxes, (width, height) = np.array([d.box for d in found], dtype=np.float64), size
    if (boxes[:, 2:] <= 1).all():
        raise ValueError(
            f"{source}: boxes lie in 0..1, {shown_box(found[0])} for example; expected pixels: multiply by "
            f"the size of the pictures, {width} x {height}"
        )
    sides = boxes[:, 2:] - boxes[:, :2]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    for wrong, what in (
        (sides.min(1) < 1, "is smaller than a pixel"),
        (
            ((centres < 0) | (centres > size)).any(1),
            f"lies outside the pictures of {width} x {height} pixels",
        ),
    ):
        if wrong.any():
            first = found[int(wrong.argmax())]
            raise ValueError(
                f"{source}: a box {shown_box(first)} at {first.time:.2f} s {what}, {int(wrong.sum())} of "
                f"{len(found)} do; expected boxes in pixels of these pictures"
            )


def shown_box(d: Detection) -> str:
    """A box, for a message."""
    return "(" + ", ".join(f"{side:g}" for side in d.box) + ")"


def check_times(source: str, found: Sequence[Detection], end: float) -> None:
    """Raise ValueError where a detection, of several by time, comes after the end (s) of its recording."""
    if found and found[-1].time > end - 1e-6:
        late = sum(d.time > end - 1e-6 for d in found)
        raise ValueError(
            f"{source}: {late} of {len(found)} boxes come after the recording's end at {end:.2f} s, the last "
            f"one at {found[-1].time:.2f} s; do `frame` and dataset.json count the same pictures a second? A "
            "column `time`, in seconds, takes precedence"
        )


def held_between(found: Sequence[Detection], fps: float) -> list[Detection]:
    """Detections, by time, with those that lie between the rows of a table which has few.

    fps  pictures a second, at which a source is held

    Rows farther apart than GAP do not come from a detector that looked at every picture: between them a box
    moves on a straight line.  A named track goes on from row to row; without names a source is known again
    where the rows come at longer intervals.
    """
    moments = sorted({d.time for d in found})
    steps = np.diff(moments)
    usual = float(np.median(steps)) if len(steps) else 0.0
    if not len(steps) or steps.max() <= GAP:
        return list(found)
    if usual > GAP:
        tracks = linked(found, gap=1.5 * usual, leap=LEAP * usual / GAP)
    else:
        tracks = linked([d for d in found if d.track])
    between = [d for track in tracks for d in _between(track, fps)]
    return sorted([*found, *between], key=lambda d: d.time)


def _between(track: Track, fps: float) -> list[Detection]:
    made = []
    for before, after in zip(track, track[1:], strict=False):
        gap = after.time - before.time
        if gap <= GAP + 1e-6:
            continue
        for time in before.time + np.arange(1, round(gap * fps)) / fps:
            part = (time - before.time) / gap
            box = tuple(a + part * (b - a) for a, b in zip(before.box, after.box, strict=True))
            sounding = before.sounding + part * (after.sounding - before.sounding)
            made.append(replace(before, time=float(time), box=box, sounding=sounding))
    return made


def rows_used(table: str | Path, rows: Mapping[str, Sequence], ids: Iterable[str]) -> str:
    """How many rows of a table, by their ids, belong to recordings, in a line; "" where all do.

    ids  of the recordings that there are
    Raises ValueError where none does.  Ids that differ only in zeros, spaces, a suffix, upper or lower case
    from those of recordings are named.
    """
    known = set(ids)
    strange = [name for name in rows if name not in known]
    if not strange:
        return ""
    plain = {_plain(name): name for name in known}
    near = [f"{name!r} for {plain[_plain(name)]}" for name in strange if _plain(name) in plain]
    hint = f"; is {', '.join(near[:SHOWN])} meant?" if near else f", such as {strange[0]!r}"
    every, used = sum(map(len, rows.values())), sum(len(rows[name]) for name in known.intersection(rows))
    if not used:
        raise ValueError(f"{table}: none of its {every} rows is of a recording that is there{hint}")
    count = len(known.intersection(rows))
    return (
        f"{table}: {used} of {every} rows are used, {count} of {len(known)} recordings have some; "
        f"{len(strange)} id(s) belong to none{hint}"
    )


def _plain(name: str) -> str:
    plain = SUFFIX.sub("", name.strip().casefold())
    return plain.lstrip("0") if plain.isdigit() else plain


def film_detections(path: str | Path, video_id: str, fps: float) -> tuple[list[Detection], str]:
    """A video's rows of a table, and a line where not all of its rows are the video's.

    In a table of a single video its id may be any.
    """
    found = read_detections(path, fps)
    if len(found) == 1 and video_id not in found:
        ((other, rows),) = found.items()
        return rows, f"{path}: its rows are of {other!r}, and are used for {video_id}"
    if video_id not in found:
        rows_used(path, found, [video_id])
        raise ValueError(f"{path}: has no rows")
    return found[video_id], rows_used(path, found, [video_id])
