"""Clips of recordings, divided into lists."""

import zlib
from collections.abc import Mapping

from DiffBinaural.recorded.config import WINDOW_SECONDS
from DiffBinaural.recorded.takes import LISTS

ONE_IN = 10  # recordings are held out in each list
LEAST = 3  # recordings: one for each list


def spans(begin: float, end: float, seconds: float) -> list[tuple[float, float]]:
    """Clips of a recording from begin to end (s), so long each; a rest below a window joins the last one."""
    count = max(int((end - begin) / seconds + 1e-6), 1)
    borders = [begin + k * seconds for k in range(count)]
    if end - borders[-1] - seconds >= WINDOW_SECONDS:
        borders.append(borders[-1] + seconds)
    return list(zip(borders, [*borders[1:], end], strict=True))


def divided(named: Mapping[str, str], held_out: int | None, seed: int) -> dict[str, str]:
    """The list of every recording.

    named     recording -> the list that it is meant for; "" for any. Where none is meant for one, lists are
              drawn: hardly another one where a recording is added; else those for any are trained on
    held_out  recordings each to validate and to test with; None: one in ten
    Raises ValueError for too few recordings.
    """
    if any(named.values()):
        stated = {name: split or "train" for name, split in named.items()}
        if held_out is not None:
            raise ValueError("--held_out: the CSV's column split states the lists; leave one of them out")
        if lacking := {"train", "val"} - set(stated.values()):
            raise ValueError(
                f"no recording is left for {' and '.join(sorted(lacking))}; see the column split"
            )
        return stated
    count = max(round(len(named) / ONE_IN), 1) if held_out is None else held_out
    if len(named) < max(2 * count + 1, LEAST):
        raise ValueError(
            f"{len(named)} recording(s) for three lists, {count} each to validate and to test with; "
            "add recordings, or state the lists in a CSV, column split"
        )
    drawn = sorted(named, key=lambda name: (zlib.crc32(f"{seed} {name}".encode()), name))
    lists = dict.fromkeys(drawn[:count], "test") | dict.fromkeys(drawn[-count:], "val")
    return {name: lists.get(name, "train") for name in named}


def lists_of(
    named: Mapping[str, str], parts: Mapping[str, list[tuple[float, float]]], held_out: int | None, seed: int
) -> dict[str, list[tuple[str, float, float, str]]]:
    """Rows of each list: recording, start and end in seconds, label; lists without any are left out.

    parts  clips of each recording, from :func:`spans`
    """
    chosen = divided(named, held_out, seed)
    rows: dict[str, list[tuple[str, float, float, str]]] = {split: [] for split in LISTS}
    for name, split in chosen.items():
        rows[split] += [(name, round(start, 6), round(end, 6), "") for start, end in parts[name]]
    return {split: clips for split, clips in rows.items() if clips}
