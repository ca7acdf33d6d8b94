"""The pictures of a video, read as far as windows ask for them."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from PIL import Image
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import ViewConfig
from DiffBinaural.dataset.frame_sources import RecordedFrames
from DiffBinaural.position_utils import FOV
from DiffBinaural.utils.lists import Detection, read_detections
from DiffBinaural.utils.media import frame_rate, picture_seconds, pictures, read_picture

MIN_WIDTH = 480  # pixels: a wider video is shrunk, but not below this
PICTURE_RATE = 10  # pictures a second that are taken from a video
IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


class VideoFrames(RecordedFrames):
    """The pictures of a video, or of a folder of images, from a moment on.

    No picture is kept once the windows, which come in order of time, have gone past it.

    start, end  seconds of the video
    fps         pictures a second of a folder of images
    detections  CSV whose column `frame` counts the video's own pictures
    fov         degrees from a picture's left edge to its right one
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
        fov: float = FOV,
    ):
        self.video, self.start, self.end = Path(video), start, end
        self.name = self.video.stem  # its seed: another name gives other noise
        self.images = images_of(self.video) if self.video.is_dir() else []
        rate = fps if self.images else PICTURE_RATE
        first = int(start * rate)
        self.coming, self.ended = self._read(first, rate), False
        super().__init__([], rate, self._detected(detections, fps), view, fov=fov)
        self.pictures: dict[int, Image.Image] = {}  # type: ignore[assignment]  # by number
        self.count = first
        self.picture = self._picture  # type: ignore[method-assign]  # each is needed once: no cache

    def scene(self, times: list[float], seconds: float) -> dict[str, Tensor]:
        """:meth:`FrameSource.scene`; reads the video as far as the last window goes."""
        while not self.ended and self.count <= (times[-1] + seconds) * self.fps + 1:
            picture = next(self.coming, None)
            if picture is None:
                self.ended = True
            else:
                self.pictures[self.count] = picture.reduce(max(picture.width // MIN_WIDTH, 1))
                self.count += 1
        scene = super().scene(times, seconds)
        oldest = self.chosen(times[-1], seconds)[0]
        self.pictures = {k: picture for k, picture in self.pictures.items() if k >= oldest}
        return scene

    def first_picture(self) -> Image.Image:
        """The first of those that are held: earlier ones are gone, or were never read."""
        return next(iter(self.pictures.values()))

    def seconds(self) -> float:
        """How long the part between start and end lasts."""
        if self.images:
            whole = len(self.images) / self.fps
        else:
            whole = self.count / self.fps if self.ended else picture_seconds(self.video)
        return max(min(whole, self.end) - self.start, 0)

    def _read(self, first: int, rate: float) -> Iterator[Image.Image]:
        if self.images:
            return map(read_picture, self.images[min(first, len(self.images) - 1) :])
        return map(Image.fromarray, pictures(self.video, rate, first=first))

    def _detected(self, path: str | None, fps: float) -> list[Detection]:
        if not path:
            return []
        found = detections_of(path, self.video.stem, fps if self.images else frame_rate(self.video))
        opening = next(self.coming)
        self.coming, factor = chain([opening], self.coming), max(opening.width // MIN_WIDTH, 1)
        return [
            replace(d, box=(d.box[0] / factor, d.box[1] / factor, d.box[2] / factor, d.box[3] / factor))
            for d in found
        ]


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


def length_notice(sound: float, picture: float) -> str:
    """What is done when sound and picture differ in length (seconds); empty when they agree to 0.1 s."""
    if abs(sound - picture) <= 1 / PICTURE_RATE:
        return ""
    what = (
        f"the last picture is held for {sound - picture:.2f} s"
        if sound > picture
        else f"the last {picture - sound:.2f} s of the video are not used"
    )
    return f"the sound lasts {sound:.2f} s, the video {picture:.2f} s: {what}"


def detections_of(path: str | Path, video_id: str, fps: float) -> list[Detection]:
    """A video's rows of a detection file; in a file about a single video its id may be any."""
    found = read_detections(path, fps)
    if video_id not in found and len(found) != 1:
        raise ValueError(f"{path}: no rows for {video_id}; it has {', '.join(sorted(found)[:5]) or 'none'}")
    return found.get(video_id) or next(iter(found.values()))
