"""Pictures of what was found in a video, over time."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from PIL import Image

from DiffBinaural.utils.lists import Detection
from DiffBinaural.utils.plots import Panel

LIKELIEST, OTHER = "#ff6a00", "0.6"  # colours of the source that is likeliest to sound, of the others
SHOWN = 6  # pictures in a strip
CELL = 1.95  # inches, width of a picture in a strip
THUMBNAIL = 240  # pixels: larger pictures are shrunk, but not below this
POINTS = 6000  # of all lines in a panel, about: more are not seen
LETTERS = 24  # of a name
NAMED = 8  # tracks whose name is written
Ways = dict[str, np.ndarray]  # track -> (3, K): seconds, azimuth in degrees, probability to sound


class Still(NamedTuple):
    """A picture of a video with the sources in it."""

    time: float  # seconds
    picture: np.ndarray  # (H, W, 3) uint8
    found: list[Detection]  # boxes in pixels of this picture


class FilmStrip:
    """Some pictures of a video of any length, evenly over time: of too many, every second one goes.

    limit  greatest number of pictures
    """

    def __init__(self, limit: int = 32):
        self.limit, self.stride, self.latest = limit, 1, -1
        self.stills: dict[int, Still] = {}  # by number of the picture

    def takes(self, number: int) -> bool:
        """Whether a picture of the video would be kept; numbers rise."""
        return number > self.latest and number % self.stride == 0

    def add(self, number: int, time: float, picture: Image.Image, found: Sequence[Detection]) -> None:
        """Keep a picture, shrunk, with the sources in it, boxes in its pixels."""
        factor = max(max(picture.size) // THUMBNAIL, 1)
        self.stills[number] = Still(
            time, np.asarray(picture.reduce(factor)), [_shrunk(d, factor) for d in found]
        )
        self.latest = number
        while len(self.stills) > self.limit:
            self.stride *= 2
            self.stills = {k: still for k, still in self.stills.items() if k % self.stride == 0}

    def chosen(self, begin: float, seconds: float, count: int = SHOWN) -> list[Still]:
        """The pictures nearest to the middles of `count` equal parts of a span of time."""
        kept = sorted(self.stills.values(), key=lambda still: still.time)
        middles = begin + (np.arange(count) + 0.5) / count * seconds
        return [min(kept, key=lambda still: abs(still.time - middle)) for middle in middles]


def strip_panel(stills: Sequence[Still], begin: float, title: str) -> Panel:
    """Pictures side by side, equally long parts of the time axis, with the boxes of their sources."""
    high, wide = stills[0].picture.shape[:2]
    return Panel(
        float(np.clip(CELL * high / wide, 0.8, 3.2)) + 0.4,
        partial(draw_strip, stills=stills, begin=begin, title=title),
    )


def draw_strip(axes, stills: Sequence[Still], begin: float, title: str) -> None:
    """Draw :func:`strip_panel` on matplotlib axes."""
    axes.set_axis_off()
    axes.set_title(title, fontsize=9, loc="left")
    for k, still in enumerate(stills):
        cell = axes.inset_axes([k / len(stills), 0, 1 / len(stills), 0.92])
        cell.set_anchor("C")
        draw_still(cell, still)
        cell.set_title(f"{still.time - begin:.1f} s", fontsize=7, pad=2)


def draw_still(axes, still: Still) -> None:
    """Draw a picture with the boxes, names, probabilities of its sources; a mark below each direction."""
    from matplotlib.patches import Rectangle

    high, wide = still.picture.shape[:2]
    axes.imshow(still.picture, extent=(0, wide, high, 0), interpolation="bilinear")
    most = max((d.sounding for d in still.found), default=0.0)
    for d in sorted(still.found, key=lambda d: d.sounding):  # the likeliest in front
        (x1, y1, x2, y2), best = d.box, d.sounding == most
        colour, width = (LIKELIEST, 2.2) if best else (OTHER, 1.0)
        axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=width))
        axes.text(
            np.clip(x1, 0, 0.7 * wide),
            max(y1, 0.12 * high),
            f"{one_line(name_of(d))} {d.sounding:.2f}",
            fontsize=6.5,
            color="white" if best else "black",
            verticalalignment="bottom",
            bbox=dict(facecolor=colour, edgecolor="none", pad=1, alpha=0.85),
            clip_on=True,
            parse_math=False,
        )
        middle, size = np.clip((x1 + x2) / 2, 0, wide), 7 if best else 5
        axes.plot(middle, high, "^", color=colour, markersize=size, clip_on=False)
    axes.set_xlim(0, wide)
    axes.set_ylim(high, 0)
    axes.set_axis_off()


def name_of(found: Detection) -> str:
    """The track's name, which says what it is: "person 2"."""
    if not found.track or found.track.startswith(found.label):
        return found.track or found.label
    return f"{found.label} {found.track}"


def one_line(name: str) -> str:
    """A name in one line of at most LETTERS characters: in a file that was given it may be anything."""
    line = " ".join(name.split())
    return line if len(line) <= LETTERS else f"{line[: LETTERS - 1]}…"


def azimuth_panel(ways: Ways, begin: float) -> Panel:
    """Azimuth over time of every track; at each moment the likeliest in colour, the likelier the thicker."""
    return Panel(1.9, partial(draw_azimuths, ways=ways, begin=begin))


def draw_azimuths(axes, ways: Ways, begin: float) -> None:
    """Draw :func:`azimuth_panel` on matplotlib axes."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgb
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    stride = sum(way.shape[1] for way in ways.values()) // POINTS + 1
    for way, best in zip(ways.values(), likeliest(list(ways.values())), strict=True):
        kept = np.union1d(np.arange(0, way.shape[1], stride), [way.shape[1] - 1])
        times, azimuth, sounding = way[:, kept]
        pure = np.where(best[kept, None], to_rgb(LIKELIEST), to_rgb(OTHER))
        colours = 1 - (1 - pure) * (0.4 + 0.6 * sounding[:, None])  # opaque: where lines join, none is darker
        points = np.stack([times - begin, azimuth], -1)
        whole = np.abs(np.diff(azimuth)) < 180  # not from edge to edge where a source goes round behind
        lines = np.stack([points[:-1], points[1:]], 1)[whole]
        widths = 0.8 + 3 * sounding[:-1][whole]
        axes.add_collection(
            LineCollection(lines, colors=colours[:-1][whole], linewidths=widths, capstyle="round")
        )
        if len(times) == 1:
            axes.plot(*points[0], "o", color=colours[0], markersize=4)
    for name in sorted(ways, key=lambda name: -ways[name][2].sum())[:NAMED]:
        times, azimuth, _ = ways[name]
        start = times[0] - begin, azimuth[0]
        style = dict(textcoords="offset points", fontsize=7, color="0.25", parse_math=False)
        axes.annotate(one_line(name), start, (3, 4), **style)
    widest = max(30.0, 1.25 * max(np.abs(way[1]).max() for way in ways.values()))
    axes.set_ylim(-min(widest, 185), min(widest, 185))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 1.5, 3, 4.5, 9, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda degrees, _: direction_name(degrees)))
    axes.tick_params(axis="y", labelsize=7)
    axes.axhline(0, color="0.5", linewidth=0.5, zorder=0)
    axes.set_title("azimuth; in colour, thick: the likeliest to sound", fontsize=9, loc="left")


def likeliest(ways: Sequence[np.ndarray]) -> list[np.ndarray]:
    """For each way (3, K), whether no other is likelier to sound at the same moment, (K,) bool."""
    times, _, sounding = np.concatenate(ways, axis=1)
    _, moment = np.unique(np.round(times, 3), return_inverse=True)
    most = np.zeros(moment.max() + 1)
    np.maximum.at(most, moment, sounding)
    return np.split(sounding >= most[moment], np.cumsum([way.shape[1] for way in ways])[:-1])


def direction_name(degrees: float) -> str:
    """An azimuth in words: "30° left", "ahead"."""
    if not round(degrees):
        return "ahead"
    return f"{abs(degrees):.0f}° {'right' if degrees > 0 else 'left'}"


def _shrunk(found: Detection, factor: float) -> Detection:
    x1, y1, x2, y2 = (side / factor for side in found.box)
    return replace(found, box=(x1, y1, x2, y2))
