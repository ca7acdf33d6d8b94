"""The field of view of a camera, from what a video says of it."""

import math
from pathlib import Path

from DiffBinaural.configs.advanced_diffusion_config import FOV
from DiffBinaural.utils.streams import first_matrix, is_turned, open_media, picture_stream

AUTO_FOV = "auto"
PHONE_FOV = 65.0  # degrees; between a phone's 45 upright and 75 across
FULL_FRAME = 36.0  # mm: width of the picture that a 35 mm equivalent refers to
FOCAL_LENGTH = "focal_length.35mm_equivalent"  # end of Apple's key com.apple.quicktime.camera.…
PHONES = ("com.android.", "com.apple.quicktime.make", "com.apple.quicktime.model")  # keys that phones write
LENSES = (5.0, 500.0)  # mm: what is believed
FOV_HELP = (
    "horizontal field of view of the camera, degrees; auto: from the video's metadata where it states the "
    f"lens, {PHONE_FOV:g} for a video that looks like a phone's (by its metadata, upright, or turned by its "
    f"display matrix), else {FOV:g}"
)


def fov_or_auto(text: str) -> float | str:
    """A number of degrees, or the word auto."""
    return AUTO_FOV if text == AUTO_FOV else float(text)


def check_fov(fov: float | str) -> None:
    """Raises ValueError for a field of view that no camera has."""
    if fov != AUTO_FOV and not (isinstance(fov, int | float) and 0 < fov < 180):
        raise ValueError(f"--fov is {fov}; expected degrees above 0, below 180, or {AUTO_FOV}")


def field_of_view(video: str | Path) -> tuple[float, str]:
    """Degrees from the left edge to the right one of a video, or of a folder's pictures, as shown.

    -> degrees, why
    """
    if Path(video).is_dir():
        return FOV, "pictures say nothing of the camera"
    with open_media(video) as box:
        stream = picture_stream(box, video)
        tags = {**box.metadata, **stream.metadata}
        width, height, matrix = stream.width, stream.height, first_matrix(box, stream)
    width, height = (height, width) if is_turned(matrix) else (width, height)
    if focal := _focal_length(tags):
        return full_frame_fov(focal, width, height), f"a {focal:g} mm lens, by the video's metadata"
    named = any(key.lower().startswith(PHONES) for key in tags)
    if named or height > width or _turns(matrix):
        return PHONE_FOV, "it looks like a phone's video"
    return FOV, "the video says nothing of the camera"


def full_frame_fov(focal: float, width: int, height: int) -> float:
    """Degrees across a picture of this shape whose longer side is that of a 36 mm wide frame.

    focal  35 mm equivalent of the focal length, mm
    """
    return 2 * math.degrees(math.atan(FULL_FRAME / 2 / focal * width / max(width, height)))


def _focal_length(tags: dict[str, str]) -> float | None:
    for key, value in tags.items():
        if key.lower().endswith(FOCAL_LENGTH):
            try:
                focal = float(value)
            except ValueError:
                continue
            if LENSES[0] <= focal <= LENSES[1]:
                return focal
    return None


def _turns(matrix: tuple[int, int, int, int]) -> bool:
    return is_turned(matrix) or matrix[0] < 0 or matrix[3] < 0
