"""The camera of a scene: how it shakes, what it makes of light."""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from DiffBinaural.position_utils import FOV
from DiffBinaural.simulation.config import FRAME

SHAKES = (0.3, 6.0)  # Hz, of a hand
SHAKING = 0.008  # frame widths, at most, of each of its swings: all together a degree or two
SWINGS = 3
NOISE = 8.0  # grey levels at most: standard deviation of a sensor's noise
BLUR = 1.2  # pixels at most, in a picture of FRAME's height: standard deviation
QUALITY = (15, 70)  # of JPEG
TILE = 64  # pixels by which the noise is larger than a picture, so that it can be moved


class Swing(NamedTuple):
    """One part of a camera's shake: a sine."""

    pixels: tuple[float, float]  # amplitude to the right, downwards
    hertz: float
    phase: float  # radians


class Light(NamedTuple):
    """What a camera makes of light, the same for all of a scene's pictures but for a flicker."""

    gains: tuple[float, float, float]  # of red, green, blue
    gamma: float
    flicker: Swing  # of all gains
    blur: float  # pixels
    noise: float  # grey levels
    quality: int  # of JPEG; 0: uncompressed
    seed: int  # of the noise


@dataclass(frozen=True)
class Camera:
    """A camera that stands still and sees without error, unless told otherwise."""

    fov: float = FOV  # degrees
    frame: tuple[int, int] = FRAME  # width, height in pixels
    shake: tuple[Swing, ...] = ()
    light: Light | None = None

    def offsets(self, times: np.ndarray) -> np.ndarray:
        """By how many pixels (K, 2), x and y, the picture is off at times (K,) in seconds."""
        moved = np.zeros((len(times), 2))
        for swing in self.shake:
            moved += np.outer(np.sin(2 * np.pi * swing.hertz * times + swing.phase), swing.pixels)
        return moved

    def developed(self, frames: np.ndarray, times: np.ndarray) -> np.ndarray:
        """What becomes of pictures (K, H, W, 3) uint8 that are taken at times (K,) in seconds."""
        if self.light is None:
            return frames
        rough = grain(self.light, self.frame)
        return np.stack([seen(*pair, self.light, rough) for pair in zip(frames, times, strict=True)])


def grain(light: Light, frame: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Noise to add and to subtract, (H + TILE, W + TILE, 3) uint8 each."""
    shape = frame[1] + TILE, frame[0] + TILE, 3
    noise = light.noise * np.random.default_rng(light.seed).standard_normal(shape, np.float32)
    return tuple(np.rint(np.clip(part, 0, 255)).astype(np.uint8) for part in (noise, -noise))


def seen(picture: np.ndarray, time: float, light: Light, rough: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """A picture (H, W, 3) uint8 as a camera sees it at a time (s).  rough: noise of :func:`grain`"""
    flicker = 1 + light.flicker.pixels[0] * np.sin(
        2 * np.pi * light.flicker.hertz * time + light.flicker.phase
    )
    curve = (np.arange(256) / 255) ** light.gamma
    table = np.clip(255 * flicker * np.outer(curve, light.gains), 0, 255)
    picture = cv2.LUT(picture, np.rint(table).astype(np.uint8)[None].reshape(256, 1, 3))
    if light.blur:
        picture = cv2.GaussianBlur(picture, (0, 0), light.blur)
    if light.noise:
        # by the time, so that the frames and the video show the same
        down, across = np.random.default_rng([light.seed, round(time * 1e6)]).integers(TILE, size=2)
        here = slice(down, down + picture.shape[0]), slice(across, across + picture.shape[1])
        picture = cv2.subtract(cv2.add(picture, rough[0][here]), rough[1][here])
    if light.quality:
        _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, light.quality])
        picture = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return picture


def draw_camera(rng: np.random.Generator, fov: float, frame: tuple[int, int]) -> Camera:
    """Draw a camera that shakes, a light, a sensor; each fault is absent from a third to a half of them."""

    def sometimes(chance: float) -> bool:
        return bool(rng.random() < chance)

    swings = []
    for hertz in np.exp(rng.uniform(*np.log(SHAKES), SWINGS)):
        reach = frame[0] * SHAKING * rng.uniform() / max(1.0, hertz)  # slow swings are wide
        swings.append(Swing(tuple(reach * rng.uniform(-1, 1, 2)), float(hertz), rng.uniform(0, 2 * np.pi)))
    shake = tuple(swings) if sometimes(0.6) else ()
    flicker = Swing((rng.uniform(0, 0.12) * sometimes(0.4), 0.0), rng.uniform(0.1, 4), rng.uniform(0, 6))
    light = Light(
        gains=tuple(rng.uniform(0.6, 1.3) * rng.uniform(0.85, 1.15, 3)),
        gamma=float(np.exp(rng.uniform(-0.5, 0.5))),
        flicker=flicker,
        blur=rng.uniform(0.3, BLUR) * frame[1] / FRAME[1] * sometimes(0.5),
        noise=rng.uniform(1, NOISE) * sometimes(0.5),
        quality=int(rng.integers(*QUALITY)) * sometimes(0.5),
        seed=int(rng.integers(1 << 31)),
    )
    return Camera(fov, frame, shake, light)
