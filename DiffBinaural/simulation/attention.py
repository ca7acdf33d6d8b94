"""Which objects of a simulated scene seem to sound, as inference would find it in the video."""

import numpy as np

from DiffBinaural.detection.finding import BODY, Way, chances
from DiffBinaural.detection.loudness import Loudness
from DiffBinaural.detection.motion import Motion
from DiffBinaural.simulation.scenes import Scene

GREY = np.array([0.299, 0.587, 0.114], np.float32)  # weights of red, green, blue in luminance (ITU-R BT.601)


def seeming(scene: Scene, fps: int, video_fps: int) -> np.ndarray:
    """Probability (tracks, K) that each of a scene's detected tracks sounds, at its K pictures.

    fps, video_fps  pictures a second of the scene's frames, and of its video, whose motion counts
    """
    height, width = scene.video.shape[1:3]
    motion, loudness = Motion(width, height), Loudness()
    loudness.push(scene.binaural.mean(0))
    for k, picture in enumerate(scene.video):
        motion.push(k / video_fps, np.rint(picture @ GREY).astype(np.uint8))
    times = np.arange(len(scene.frames)) / fps
    ways = {
        str(one.track): Way(times[one.at], one.boxes, BODY, scene.objects[one.thing].label)
        for one in scene.detected
    }
    found = chances(ways, motion, loudness)
    return np.stack([chance(times) for chance in found.values()])
