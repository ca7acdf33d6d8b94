"""What can be wrong with a recording of a dataset, worst first, with what helps."""

from dataclasses import dataclass

# kind -> what helps, the worst kind first
CURES = {
    "unusable": "mend or delete it, and take it off the lists: training refuses it",
    "silent": "take it off the lists, or record it again",
    "one sound": "take it off the lists: between equal channels there is nothing to learn",
    "another sound": "put the two sounds of one recording under its name",
    "swapped": "exchange the channels: left is channel 0",
    "inverted": "multiply one of the sounds by -1",
    "late": "cut the later sound by this much",
    "level": "bring both sounds to one level; (L+R)/2 should be the mono",
    "twice": "keep one of them, or both in one list",
    "shared": "take it off one of the lists: what was trained on proves nothing",
    "late end": "correct end_time; the clip ends with its sound",
    "few boxes": "add rows: a source is held between its rows, not beyond them",
    "no boxes": "run find_sources.py, or leave it: only the whole picture is seen",
}
MILD = ("late end", "few boxes", "no boxes")  # said, and nothing to worry about


@dataclass(frozen=True)
class Remark:
    """Something that is wrong with a recording, or doubtful."""

    video_id: str
    kind: str  # of CURES
    reason: str

    @property
    def cure(self) -> str:
        """What helps."""
        return CURES[self.kind]

    @property
    def rank(self) -> int:
        """Small for what is bad."""
        return list(CURES).index(self.kind)


def worst_first(remarks: list[Remark]) -> dict[str, list[Remark]]:
    """Remarks by recording: those with the worst remark first, and of each the worst one first."""
    found: dict[str, list[Remark]] = {}
    for remark in sorted(remarks, key=lambda r: (r.rank, r.video_id)):
        found.setdefault(remark.video_id, []).append(remark)
    return found


def suspects(remarks: list[Remark]) -> list[str]:
    """Recordings with more than mild remarks, the worst first."""
    grave = [r for r in remarks if r.kind not in MILD]
    return list(worst_first(grave))
