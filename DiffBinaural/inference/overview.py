"""What was found in a video, as panels above the mels of its sound."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.dataset.trajectories import TrajectoryPaths
from DiffBinaural.inference.video_frames import VideoFrames
from DiffBinaural.utils.mel_stream import Columns, mels_of_file
from DiffBinaural.utils.plots import Panel, draw_generated
from DiffBinaural.utils.source_plots import Ways, azimuth_panel, strip_panel

MOMENTS = 500  # at which a trajectory is drawn


def draw_overview(
    path: str | Path, mono: Columns, sound: str | Path, video: VideoFrames, seconds: float, cfg: MelConfig
) -> None:
    """Draw what was found in a video, where that was, and the mels of the mono and of the sound made of it.

    mono   its mel (1, M, T)
    sound  the file with both ears: what is heard, not what the network asks for
    """
    draw_generated(path, mono, mels_of_file(sound, cfg), cfg, source_panels(video, seconds))


def source_panels(video: VideoFrames, seconds: float) -> list[Panel]:
    """Pictures of a video with the sources in them, and where those are over time, if there are any.

    video    that has been read, with a strip
    seconds  from its start on that are shown
    """
    if video.strip is None or not video.strip.stills:
        return []
    ways = source_ways(video, seconds)
    stills = video.strip.chosen(video.start, seconds)
    panels = [strip_panel(stills, video.start, title_of(video, ways))]
    return [*panels, azimuth_panel(ways, video.start)] if ways else panels


def source_ways(video: VideoFrames, seconds: float) -> Ways:
    """Where each source was, in seconds of the video; of a trajectory also between its rows."""
    if isinstance(video.paths, TrajectoryPaths):
        times = np.linspace(video.start, video.start + seconds, MOMENTS)
        every = video.paths.at(times)
        return {name: np.stack([times, *every[slot, [0, 3]]]) for slot, name in enumerate(video.paths.labels)}
    tracks = defaultdict(list)
    for point in video.whereabouts():
        tracks[point.track].append((point.time, point.azimuth, point.sounding))
    return {name: np.array(points).T for name, points in tracks.items()}


def title_of(video: VideoFrames, ways: Ways) -> str:
    """What was done about the sources."""
    if video.finder:
        return video.sources.sentence()
    return "sources as they were given" if ways else "no sources were looked for: the whole picture alone"
