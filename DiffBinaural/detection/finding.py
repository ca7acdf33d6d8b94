"""The finder of sources: what a video shows, which of it sounds, found while it is read."""

import time as clock
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import NamedTuple

import numpy as np

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.detection.detectors import CenterFace, Detector, detector_named, heads_of
from DiffBinaural.detection.found import PERSON, Found, colours_of, overlaps
from DiffBinaural.detection.loudness import Loudness
from DiffBinaural.detection.motion import Motion
from DiffBinaural.detection.sounding import chance_of_sounding
from DiffBinaural.detection.tracking import AHEAD, Tracker, TrackPoint
from DiffBinaural.detection.voice import odds_of_kinds, voice_probability
from DiffBinaural.utils.lists import Detection

LOOKS = 0.5  # seconds between two pictures that are looked at, for faces at least
HURRY = 0.25  # the same, while something moves
STILL = 0.6  # overlap of each box with one of the look before, where nothing moves
# Seconds between two pictures in which all kinds of sources are looked for: while there is something else
# than people, while some people do not show their faces, while all do, which alone tell where they are.
OFTEN, WHOLE, RARELY = 0.5, 1.0, 2.0
MOUTH = (0.0, 0.5, 1.0, 1.0)  # of a head: the lower half
BODY = (0.0, 0.0, 1.0, 1.0)
PAST = 12.0  # seconds before a moment whose motion says whether a track sounds
PENDING = 1  # pictures that are still looked at while the next is chosen


@dataclass(frozen=True)
class Spotted:
    """Sources in one picture."""

    time: float  # seconds
    found: list[Found]
    whole: bool  # all kinds were looked for
    people: bool  # there are some
    others: bool  # there is something else
    faces_tell: bool  # there are people only, and all show their faces
    still: bool  # all are where they were before
    seconds: float  # that it took


NETS = Lock()  # finders share their detector's net, which is not thread-safe


class SourceFinder:
    """Detects, links, listens: pictures and sound go in as they come, detections with their tracks come out.

    detector  name, of detectors.DETECTORS
    rate      samples a second of the sound
    begin     seconds of the video at which it begins
    """

    def __init__(self, detector: str = "ssd", rate: int = MelConfig.sample_rate, begin: float = 0.0):
        self.detector: Detector = detector_named(detector)
        self.faces, self.begin = CenterFace(), begin
        self.worker = ThreadPoolExecutor(max_workers=1)  # while the next pictures are decoded
        self.waiting: deque[Future[Spotted]] = deque()
        self.others: list[Found] = []  # beside people, when all kinds were last looked for
        self.people = 0  # at that time
        self.before: dict[str, list[Found]] = {}  # what either net found when it was last used
        self.still = True  # all kinds, the last two times that they were looked for
        self.last_look = self.last_whole = -np.inf  # their times
        self.looks = 0  # so far
        self.seen: deque[Spotted] = deque(maxlen=PENDING + 1)  # the last looks that are finished
        self.first: float | None = None  # time of the first picture
        self.loudness, self.seconds = Loudness(rate), 0.0
        self.tracker: Tracker
        self.motion: Motion
        self.past: dict[str, list[TrackPoint]] = {}

    def hear(self, samples: np.ndarray) -> None:
        """The next samples (n,) of the sound, mono."""
        self.loudness.push(samples)

    def watch(self, time: float, grey: np.ndarray) -> None:
        """The next picture at the video's own rate, at a time (s): luminance (H, W) uint8, of any size."""
        if hasattr(self, "motion"):
            self.motion.push(time, grey)

    def look(self, time: float, picture: np.ndarray) -> None:
        """The next picture (H, W, 3) uint8 RGB at a time (s); the size is the same for all."""
        if self.first is None:
            self.first = time
            size = picture.shape[1], picture.shape[0]
            self.tracker, self.motion = Tracker(size), Motion(*size)
        if time < self.last_look + HURRY - 1e-6:
            return
        while len(self.waiting) > PENDING:
            self._link()
        first = self.looks <= PENDING  # looked at wholly: so a short clip's sources are seen twice
        known = None if first else self.seen[len(self.waiting) - PENDING - 1]
        if time < self.last_look + (LOOKS if known and known.still else HURRY) - 1e-6:
            return
        pause = RARELY if known and known.faces_tell else OFTEN if known and known.others else WHOLE
        whole = first or time >= self.last_whole + pause - 1e-6
        if not (whole or (known and known.people)):
            return
        self.last_look, self.looks = time, self.looks + 1
        if whole:
            self.last_whole = time
        self.waiting.append(self.worker.submit(self._spot, time, picture, whole))

    def found(self, times: Sequence[float], *, ended: bool = False) -> list[Detection]:
        """What is at these times (s), which rise, and from call to call; pictures go AHEAD seconds farther.

        ended  the video has no more pictures
        """
        while self.waiting:
            self._link()
        if self.first is None or not len(times):
            return []
        start = clock.perf_counter()
        points = self.tracker.points(times, times[-1] - WHOLE if ended else None)
        for point in points:
            self.past.setdefault(point.track, []).append(point)
        chances = self._chances(times[-1])
        oldest = times[-1] - PAST
        self.motion.forget(read=times[-1], looks=oldest)
        kept = {name: [p for p in track if p.time >= oldest] for name, track in self.past.items()}
        self.past = {name: track for name, track in kept.items() if track}
        self.seconds += clock.perf_counter() - start
        return [
            Detection(p.time, p.box, p.score, p.label, p.track, float(chances[p.track](p.time)))
            for p in sorted(points, key=lambda p: p.time)
        ]

    def _spot(self, time: float, picture: np.ndarray, whole: bool) -> Spotted:
        start = clock.perf_counter()
        faces = self.faces(picture)
        with NETS:
            everything = self.detector(picture) if whole else []
        people = [one for one in everything if one.label == PERSON]
        if whole:
            self.others = [one for one in everything if one.label != PERSON]
            self.still = self._stayed("all kinds", everything)
        still = self._stayed("faces", faces) and self.still
        heads = heads_of(people, faces, self.others)
        if whole:
            self.people = len(heads)
        found = [*heads, *self.others] if whole else heads
        found = [one._replace(colours=colours_of(picture, one.box)) for one in found]
        faces_tell = not self.others and 0 < self.people == len(heads) == len(faces)
        return Spotted(
            time,
            found,
            whole,
            people=bool(heads),
            others=bool(self.others),
            faces_tell=faces_tell,
            still=still,
            seconds=clock.perf_counter() - start,
        )

    def _stayed(self, kind: str, found: list[Found]) -> bool:
        """Note what a net finds: whether all of it is where it was when that net was last used."""
        before, self.before[kind] = self.before.get(kind, found), found
        return _still(found, before)

    def _link(self) -> None:
        seen = self.waiting.popleft().result()
        self.seen.append(seen)
        self.tracker.push(seen.time, seen.found, whole=seen.whole)
        self.seconds += seen.seconds

    def _chances(self, until: float) -> dict[str, Callable]:
        """For each track a function of time (s): the probability that it sounds."""
        ways = {
            name: Way(
                np.array([point.time for point in track]),
                np.array([point.box for point in track]),
                MOUTH if track[0].label == PERSON else BODY,
                track[0].label,
                np.array([point.presence for point in track]),
            )
            for name, track in self.past.items()
        }
        span = until - 2 * PAST, until + AHEAD
        return chances(ways, self.motion, self.loudness, begin=self.begin, span=span)


def _still(now: Sequence[Found], before: Sequence[Found]) -> bool:
    """Whether every box of either look overlaps with one of the other."""
    if not now or not before:
        return not now and not before
    common = overlaps(*(np.array([one.box for one in look]) for look in (now, before))) >= STILL
    return bool(common.any(0).all() and common.any(1).all())


class Way(NamedTuple):
    """Where a track is."""

    times: np.ndarray  # (D,) seconds
    boxes: np.ndarray  # (D, 4) x1, y1, x2, y2 in pixels
    part: tuple[float, float, float, float]  # of the box that moves with the sound, as of Motion.follow
    label: str = ""  # what it is
    presence: np.ndarray | float = 1.0  # (D,), 0 to 1


def chances(
    ways: dict[str, Way],
    motion: Motion,
    loudness: Loudness,
    *,
    begin: float = 0.0,
    span: tuple[float, float] = (-np.inf, np.inf),
) -> dict[str, Callable]:
    """For each track a function of times (s): the probability that it sounds.

    begin  seconds of the video at which the sound begins
    span   seconds whose motion counts
    """
    if not ways:
        return {}
    looks = [motion.follow(name, *way[:3]) for name, way in ways.items()]
    at = np.unique(np.concatenate([*(look.times for look in looks), *(way.times for way in ways.values())]))
    at = at[(at >= span[0]) & (at <= span[1])]
    presences = [np.broadcast_to(way.presence, len(way.times)) for way in ways.values()]
    seen = np.stack(
        [np.interp(at, w.times, p, left=0, right=0) for w, p in zip(ways.values(), presences, strict=True)]
    )
    voice = voice_probability(loudness.bands(*(time - begin for time in span)))
    kinds = odds_of_kinds([way.label for way in ways.values()], voice)
    rows = chance_of_sounding(looks, loudness, at, kinds=kinds, seen=seen, begin=begin)
    return {name: partial(np.interp, xp=at, fp=row) for name, row in zip(ways, rows, strict=True)}
