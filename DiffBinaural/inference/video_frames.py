"""The pictures of a video, read as far as windows ask for them."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import ViewConfig
from DiffBinaural.dataset.detections import check_boxes, check_times, film_detections, held_between
from DiffBinaural.dataset.frame_sources import RecordedFrames
from DiffBinaural.dataset.tracks import SourcePaths
from DiffBinaural.dataset.trajectories import TrajectoryPaths, Waypoint, waypoints_of
from DiffBinaural.detection.finding import SourceFinder
from DiffBinaural.detection.report import SourcesFound
from DiffBinaural.detection.tracking import AHEAD
from DiffBinaural.inference.remarks import PICTURE_RATE, early_end_notice
from DiffBinaural.position_utils import FOV
from DiffBinaural.utils.lens import field_of_view
from DiffBinaural.utils.lists import Detection
from DiffBinaural.utils.media import frame_rate, picture_seconds, pictures, read_picture
from DiffBinaural.utils.source_plots import FilmStrip
from DiffBinaural.utils.streams import film_start
from DiffBinaural.utils.tables import read_rows

MIN_WIDTH = 480  # pixels: a wider video is shrunk, but not below this
KEPT = 150.0  # seconds behind the latest picture that a source's way is known: two blocks of sound, and more
IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


class VideoFrames(RecordedFrames):
    """The pictures of a video, or of a folder of images, from a moment on.

    Times are those of the film, which begins with its picture or its sound, whichever is first; until the
    picture begins, its first one is shown.
    No picture is kept once the windows, which come in order of time, have gone past it.

    start, end  seconds of the video
    fps         pictures a second of a folder of images
    detections  CSV whose column `frame` counts the video's own pictures
    finder      finds the sources in the pictures themselves, as they are read
    trajectory  where the sources are, known beforehand
    fov         degrees from a picture's left edge to its right one; "auto": as the video says

    notices     what was assumed of the video, in lines
    """

    def __init__(
        self,
        video: str | Path,
        view: ViewConfig,
        *,
        start: float = 0.0,
        end: float = float("inf"),
        fps: float = PICTURE_RATE,
        detections: str | None = None,
        finder: SourceFinder | None = None,
        trajectory: Sequence[Waypoint] | None = None,
        fov: float | str = FOV,
    ):
        self.video, self.start, self.end = Path(video), start, end
        self.finder, self.trajectory, self.sources = finder, trajectory, SourcesFound()
        self.notices: list[str] = []
        self.strip: FilmStrip | None = None  # keeps pictures for a plot
        self.images = images_of(self.video) if self.video.is_dir() else []
        self.zero, self.delay = (0.0, 0.0) if self.images else film_start(self.video)
        rate = fps if self.images else PICTURE_RATE
        if self.delay > 1 / PICTURE_RATE:
            late = f"its picture begins {self.delay:.2f} s after its sound; the first one is shown until then"
            self.notices.append(f"{video}: {late}")
        degrees = self._degrees(fov)
        self.settled = first = int(start * rate)  # pictures whose sources are known
        self.coming, self.ended, self.shrunk = self._read(first, rate), False, 1
        super().__init__([], rate, self._detected(detections, fps), view, fov=degrees)
        self.pictures: dict[int, Image.Image] = {}  # type: ignore[assignment]  # by number
        self.count = first
        self.picture = self._picture  # type: ignore[method-assign]  # each is needed once: no cache

    def _degrees(self, fov: float | str) -> float:
        if not isinstance(fov, str):
            return fov
        degrees, why = field_of_view(self.video)
        self.notices.append(f"{self.video}: {degrees:.0f} degrees wide: {why}; --fov states another")
        return degrees

    def scene(self, times: list[float], seconds: float) -> dict[str, Tensor]:
        """:meth:`FrameSource.scene`; reads the video as far as the last window goes."""
        until = times[-1] + seconds
        self._read_to(until + (AHEAD if self.finder else 0))
        if self.finder:
            self._find(self.finder, until)
        if self.strip:
            self._keep_some(self.strip)
        scene = super().scene(times, seconds)
        oldest = self.chosen(times[-1], seconds)[0]
        self.pictures = {k: picture for k, picture in self.pictures.items() if k >= oldest}
        return scene

    def _keep_some(self, strip: FilmStrip) -> None:
        """Put some of the pictures whose sources are known on a strip, with all that was found in them."""
        known = self.settled if self.finder else self.count
        for k, picture in self.pictures.items():
            if k < known and strip.takes(k):
                time = k / self.fps
                found = self.detections if self.finder else self.paths.detected(time)
                strip.add(k, time, picture, [d for d in found if d and abs(d.time - time) <= 0.6 / self.fps])

    @cached_property
    def paths(self) -> SourcePaths | TrajectoryPaths:  # type: ignore[override]
        """The sources, slot by slot: of the trajectory, else as they are found or were detected."""
        size, count = self.first_picture().size if self.pictures else (1, 1), self.view.slots - 1
        if self.trajectory is not None:
            return TrajectoryPaths(self.trajectory, size, self.fov, count)
        return SourcePaths(self.detections, self.fps, size, self.fov, count)

    def _read_to(self, until: float) -> None:
        """Read pictures up to a time (s), or to the end."""
        while not self.ended and self.count <= until * self.fps + 1:
            picture = next(self.coming, None)
            if picture is None:
                self.ended = True
            else:
                self.shrunk = max(picture.width // MIN_WIDTH, 1)
                self.pictures[self.count] = picture.reduce(self.shrunk)
                if self.finder:
                    self.finder.look(self.count / self.fps, np.asarray(self.pictures[self.count]))
                self.count += 1

    def _find(self, finder: SourceFinder, until: float) -> None:
        """Take what the finder knows of the pictures up to a time (s)."""
        last = self.count if self.ended else min(math.ceil(until * self.fps) + 1, self.count)
        times = [k / self.fps for k in range(self.settled, last)]
        self.settled = max(last, self.settled)
        self.detections = finder.found(times, ended=self.ended)  # the latest
        self.sources.add(
            [d.label for d in self.detections],
            waypoints_of(self.detections, self.first_picture().size, self.fov),
        )
        assert isinstance(self.paths, SourcePaths), "a trajectory needs no finder"
        self.paths.forget(until - KEPT)
        self.paths.add(self.detections)

    def sources_found(self, seconds: float = 60.0) -> Iterator[list[Detection]]:
        """Read the whole video; the sources in it, some seconds at a time, boxes in pixels of the video."""
        assert self.finder, "without a finder nothing is found"
        while not self.ended:
            until = self.settled / self.fps + seconds
            self._read_to(until + AHEAD)
            self._find(self.finder, until)
            self.pictures = {k: picture for k, picture in self.pictures.items() if k >= self.settled - 1}
            yield [replace(d, box=_scaled(d.box, self.shrunk)) for d in self.detections]

    def first_picture(self) -> Image.Image:
        """The first of those that are held: earlier ones are gone, or were never read."""
        return next(iter(self.pictures.values()))

    @property
    def may_show_nothing(self) -> bool:
        """Whether the sources are known so well that where there are none, nothing in the picture sounds."""
        return self.finder is not None or self.trajectory is not None

    def present(self, times: np.ndarray, reach: int) -> Tensor:
        """Whether a source is there at times (T,) in seconds, and at `reach` steps more to either side.

        -> (T + 2 reach,) bool
        """
        step = times[1] - times[0] if len(times) > 1 else 0.0
        more = np.arange(1, reach + 1) * step
        wider = np.concatenate([times[:1] - more[::-1], times, times[-1:] + more])
        return (self.directions(wider)[:, 2] > 0).any(0)

    def whereabouts(self) -> list[Waypoint]:
        """Where the sources were in the pictures that have been read, by time."""
        if not isinstance(self.paths, SourcePaths):
            return list(self.trajectory or ())
        if self.finder:
            return self.sources.points
        size, made = self.first_picture().size, []
        for number, track in enumerate((t for slot in self.paths.slots for t in slot), start=1):
            name = track[0].track or f"{track[0].label or 'source'} {number}"
            made += waypoints_of([replace(d, track=name) for d in track], size, self.fov)
        return sorted(made, key=lambda point: point.time)

    def seconds(self) -> float:
        """How long the part between start and end lasts."""
        if self.images:
            whole = len(self.images) / self.fps
        else:
            whole = self.count / self.fps if self.ended else picture_seconds(self.video, self.zero)
        return max(min(whole, self.end) - self.start, 0)

    def _read(self, first: int, rate: float) -> Iterator[Image.Image]:
        watch = self.finder.watch if self.finder else None
        if not self.images:
            shown = pictures(self.video, rate, first=first, zero=self.zero, watch=watch)
            return map(Image.fromarray, shown)
        files = self.images[min(first, len(self.images) - 1) :]
        return map(read_picture, files) if watch is None else self._watched(files, first, rate, watch)

    def _watched(self, files: list[Path], first: int, rate: float, watch: Callable) -> Iterator[Image.Image]:
        """Images that are shown to the finder, too."""
        for k, path in enumerate(files, first):
            picture = read_picture(path)
            watch(k / rate, np.asarray(picture.convert("L")))
            yield picture

    def _detected(self, path: str | None, fps: float) -> list[Detection]:
        if not path:
            return []
        rate = fps if self.images else frame_rate(self.video)
        found, remark = film_detections(path, self.video.stem, rate)
        self.notices += [remark] * bool(remark)
        if self.delay and not any(row.get("time") for row in read_rows(path, ())):  # it counts pictures
            found = [replace(d, time=d.time + self.delay) for d in found]
        opening = next(self.coming)
        self.coming, factor = chain([opening], self.coming), max(opening.width // MIN_WIDTH, 1)
        check_boxes(str(path), found, opening.size)
        shown = len(self.images) / fps if self.images else picture_seconds(self.video, self.zero)
        check_times(str(path), found, shown + 1 / rate)
        self.notices += [line for line in [early_end_notice(path, found[-1].time, shown)] if line]
        return [
            replace(d, box=_scaled(d.box, 1 / factor))
            for d in held_between(found, fps if self.images else PICTURE_RATE)
        ]


def _scaled(box: tuple[float, ...], factor: float) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (side * factor for side in box)
    return x1, y1, x2, y2


def images_of(folder: Path) -> list[Path]:
    """The images of a folder by name, numbers in it by value.  Raises ValueError where there are none."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGES]
    if not found:
        raise ValueError(f"{folder}: neither videos nor pictures in this folder")
    return sorted(
        found,
        key=lambda path: [
            (len(part), part) if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path.name)
        ],
    )
