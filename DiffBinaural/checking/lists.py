"""What lists of clips have in common that should have nothing in common."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from DiffBinaural.checking.remarks import Remark
from DiffBinaural.utils.lists import Clip, read_clips

Lists = Mapping[str, Sequence[Clip]]


def lists_in(folder: Path) -> dict[str, Lists]:
    """Lists that belong together, by the name of their folder: those of a folder, else of each inside it."""
    folders = [folder] if any(folder.glob("*.csv")) else sorted(p for p in folder.glob("*") if p.is_dir())
    return {one.name: {path.stem: read_clips(path) for path in sorted(one.glob("*.csv"))} for one in folders}


def shared_recordings(lists: Lists) -> Iterator[Remark]:
    """Recordings that are in two lists, and whether their clips overlap."""
    by_id: dict[str, dict[str, list[Clip]]] = {name: {} for name in lists}
    for name, clips in lists.items():
        for clip in clips:
            by_id[name].setdefault(clip.video_id, []).append(clip)
    for one, other in combinations(by_id, 2):
        for video_id in sorted(by_id[one].keys() & by_id[other].keys()):
            same = any(
                a.start < b.end and b.start < a.end
                for a in by_id[one][video_id]
                for b in by_id[other][video_id]
            )
            what = "the same part of it" if same else "parts of it"
            yield Remark(video_id, "shared", f"{one} and {other} both have {what}")


def shared_line(lists: Lists) -> str:
    """Recordings that are in two lists, in a line; "" where there are none."""
    found = list(shared_recordings(lists))
    if not found:
        return ""
    first, same = found[0], sum("same part" in remark.reason for remark in found)
    return (
        f"{' and '.join(lists)} share {len(found)} recording(s), {same} of them clips too, such as "
        f"{first.video_id}: {first.cure}"
    )
