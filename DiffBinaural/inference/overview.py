"""What was found in a video, as panels above its mels."""

from collections import defaultdict

import numpy as np

from DiffBinaural.dataset.trajectories import TrajectoryPaths
from DiffBinaural.inference.video_frames import VideoFrames
from DiffBinaural.utils.plots import Panel
from DiffBinaural.utils.source_plots import Ways, azimuth_panel, strip_panel

MOMENTS = 500  # at which a trajectory is drawn


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
