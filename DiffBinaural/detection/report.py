"""What was found in a video, in a sentence."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from DiffBinaural.dataset.trajectories import Waypoint

PLURALS = {
    "person": "people",
    "sheep": "sheep",
    "mouse": "mice",
    "bus": "buses",
    "toothbrush": "toothbrushes",
}
SURE = 0.5  # a track that is likelier than that to sound is named as the one that does
NOTHING = "nothing found that could sound: the sound stays in the middle"


class SourcesFound:
    """Keeps where sources are found, counts them, and knows which of them is the likeliest to sound."""

    def __init__(self) -> None:
        self.points: list[Waypoint] = []  # by time
        self.most: Counter[str] = Counter()  # of a kind in one picture
        self.labels: dict[str, str] = {}  # of the tracks

    def add(self, labels: Sequence[str], points: Sequence[Waypoint]) -> None:
        """Sources of successive pictures, each with its label."""
        self.points += points
        pictures: dict[float, Counter[str]] = defaultdict(Counter)
        for label, point in zip(labels, points, strict=True):
            pictures[point.time][label] += 1
            self.labels[point.track] = label
        for counts in pictures.values():
            self.most |= counts

    def sentence(self) -> str:
        """How many of which kind; where the one is that sounds, and how likely that is."""
        if not self.points:
            return NOTHING
        tracks: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for point in self.points:
            tracks[point.track].append((point.azimuth, point.sounding))
        kinds = ", ".join(f"{n} {counted(label, n)}" for label, n in self.most.most_common())
        weight = {name: sum(sounding for _, sounding in track) for name, track in tracks.items()}
        best = max(weight, key=lambda name: weight[name])
        azimuth, sounding = np.array(tracks[best]).T
        label, where = self.labels[best], f"{np.average(azimuth, weights=sounding + 1e-6):+.0f}°"
        sure = float(sounding.mean())
        if sure >= SURE:
            return f"{kinds} found; the sound is taken from the {label} at {where} ({sure:.2f})"
        return f"{kinds} found; none is sure to sound, the likeliest is the {label} at {where} ({sure:.2f})"


def counted(label: str, n: int) -> str:
    """A label in the plural, where there are several."""
    return label if n == 1 else PLURALS.get(label, f"{label}s")
