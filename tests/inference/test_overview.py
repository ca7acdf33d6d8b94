"""The plot of what was found: some pictures with their boxes, azimuths over time, above the mels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from DiffBinaural.configs.advanced_diffusion_config import MelConfig, preset_config
from DiffBinaural.dataset.trajectories import Waypoint
from DiffBinaural.inference.overview import source_panels, source_ways
from DiffBinaural.inference.video_frames import VideoFrames
from DiffBinaural.utils import plots
from DiffBinaural.utils.lists import Detection
from DiffBinaural.utils.mel_stream import Columns
from DiffBinaural.utils.plots import draw_generated, mel_figure
from DiffBinaural.utils.source_plots import (
    LIKELIEST,
    FilmStrip,
    Still,
    azimuth_panel,
    draw_azimuths,
    draw_still,
    strip_panel,
)

VIEW = preset_config("tiny", id="a", data_root="none").view
SIZE = (64, 48)
COUNT = 100  # pictures of 0.1 s


def found_at(time, azimuths=(0.0,), sounding=(1.0,)):
    """Detections of 10 x 10 pixels, one beside the other."""
    return [
        Detection(time, (10 + 20 * k, 10, 20 + 20 * k, 20), 0.9, "person", f"person {k + 1}", p)
        for k, p in zip(range(len(azimuths)), sounding, strict=True)
    ]


class Known:
    """A finder that finds two people, of whom first one sounds, then the other."""

    watch, seconds = None, 0.0

    def look(self, time, picture):
        assert picture.shape == (SIZE[1], SIZE[0], 3)

    def found(self, times, *, ended=False):
        return [d for t in times for d in found_at(t, (0, 0), (0.9, 0.1) if t < 5 else (0.2, 0.8))]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A folder of pictures, each as grey as its number."""
    folder = tmp_path_factory.mktemp("film")
    for k in range(COUNT):
        Image.new("RGB", SIZE, (k, k, k)).save(folder / f"{k + 1:04d}.png")
    return folder


def watched(film, begin=0.0, seconds=9.5, **options):
    """The film, read in blocks as a conversion does, with a strip."""
    video = VideoFrames(film, VIEW, start=begin, **options)
    video.strip = FilmStrip()
    times = begin + np.arange(0, seconds - 0.9, 0.7)
    for block in np.array_split(times, 4):
        video.scene(block.tolist(), 0.93)
    return video


@given(st.integers(1, 4000), st.integers(0, 500), st.integers(2, 40))
@settings(max_examples=40, deadline=None)
def test_of_any_film_a_few_pictures_are_kept_evenly(count, first, limit):
    strip, grey = FilmStrip(limit), Image.new("RGB", (8, 6))
    for k in range(first, first + count):
        if strip.takes(k):
            strip.add(k, k / 10, grey, [])
    kept = sorted(strip.stills)
    assert len(kept) <= limit
    assert np.all(np.diff(kept) == strip.stride)
    if kept:
        assert kept[0] - first < strip.stride
        assert first + count - kept[-1] <= strip.stride
    assert len(kept) > limit / 2 - 2 or strip.stride == 1


def test_a_strip_is_of_the_middles_of_equal_parts():
    strip = FilmStrip(32)
    for k in range(20, 1020):
        if strip.takes(k):
            strip.add(k, k / 10, Image.new("RGB", (8, 6)), [])
    times = [still.time for still in strip.chosen(2.0, 100.0, count=5)]
    assert times == pytest.approx([12, 32, 52, 72, 92], abs=strip.stride / 20 + 1e-9)


def test_pictures_are_kept_small_with_their_boxes():
    strip, big = FilmStrip(), Image.new("RGB", (960, 480))
    strip.add(0, 0.0, big, [Detection(0, (480, 240, 960, 480), 1)])
    (still,) = strip.stills.values()
    high, wide = still.picture.shape[:2]
    assert wide <= 480
    assert still.found[0].box == pytest.approx((wide / 2, high / 2, wide, high))


@pytest.mark.parametrize("begin", [0.0, 2.0])
def test_each_picture_has_the_sources_of_its_own_moment(film, begin):
    video = watched(film, begin, 7.0, finder=Known())
    stills = list(video.strip.stills.values())
    assert len(stills) > 10
    for still in stills:
        assert still.picture[0, 0, 0] == round(still.time * 10)
        assert [d.time for d in still.found] == pytest.approx([still.time] * 2)
    assert stills[0].time == pytest.approx(begin, abs=0.2)
    assert stills[-1].time > begin + 6


def test_without_a_plot_no_picture_is_kept(film):
    video = VideoFrames(film, VIEW, finder=Known())
    video.scene([0.0, 0.5], 0.93)
    assert video.strip is None
    assert source_panels(video, 1.0) == []


def test_on_a_trajectory_boxes_and_lines_go_where_it_goes(film):
    points = [
        Waypoint(0, "voice", -20, width=20),
        Waypoint(8, "voice", 20, width=20),
        Waypoint(0, "far", 150),
    ]
    video = watched(film, trajectory=points, fov=70.0)
    for still in video.strip.stills.values():
        (d,) = still.found  # the other one is behind
        middle = 32 * (1 + np.tan(np.radians(-20 + 5 * still.time)) / np.tan(np.radians(35)))
        assert (d.box[0] + d.box[2]) / 2 == pytest.approx(middle if still.time < 8 else 48.64, abs=0.7)
    ways = source_ways(video, 10.0)
    assert ways.keys() == {"voice", "far"}
    assert ways["voice"][1, [0, -1]].tolist() == pytest.approx([-20, 20])
    assert ways["voice"][0, [0, -1]].tolist() == pytest.approx([0, 10])
    assert len(source_panels(video, 10.0)) == 2


def test_a_detection_file_gives_boxes_and_lines(film, tmp_path):
    rows = [f"f,{k + 1},10,10,20,20,0.9,dog" for k in range(40)]
    (tmp_path / "d.csv").write_text("\n".join(["video_id,frame,x1,y1,x2,y2,score,label", *rows]))
    video = watched(film, detections=str(tmp_path / "d.csv"))
    seen = {still.time: len(still.found) for still in video.strip.stills.values()}
    assert all(n == (time <= 3.9 + 1e-6) for time, n in seen.items() if abs(time - 4) > 0.11)
    (way,) = source_ways(video, 10.0).values()
    assert way[0].max() == pytest.approx(3.9)


def test_where_nothing_is_there_the_strip_is_alone(film):
    video = watched(film)
    assert not any(still.found for still in video.strip.stills.values())
    assert len(source_panels(video, 9.5)) == 1


def test_the_likeliest_is_drawn_in_colour_thicker_in_front():
    still = Still(0.0, np.zeros((48, 64, 3), np.uint8), found_at(0.0, (0, 0), (0.9, 0.3)))
    axes = Figure().subplots()
    draw_still(axes, still)
    other, likeliest = (p for p in axes.patches if isinstance(p, Rectangle))
    assert (likeliest.get_x(), other.get_x()) == (10, 30)
    assert to_hex(likeliest.get_edgecolor()) == LIKELIEST != to_hex(other.get_edgecolor())
    assert likeliest.get_linewidth() > other.get_linewidth()
    assert {text.get_text() for text in axes.texts} == {"person 1 0.90", "person 2 0.30"}
    assert sorted(float(line.get_xdata()[0]) for line in axes.lines) == [15, 35], "a mark below each middle"


def drawn(ways, begin=0.0):
    axes = Figure().subplots()
    draw_azimuths(axes, ways, begin)
    return axes


def test_a_line_is_coloured_while_its_source_is_the_likeliest():
    times = np.arange(0, 10, 0.1)
    first = np.where(times < 5, 0.9, 0.1)
    ways = {
        "a": np.stack([times, np.full(100, 20.0), first]),
        "b": np.stack([times, np.full(100, -30.0), 1 - first]),
    }
    axes = drawn(ways, begin=-2.0)
    for collection, early in zip(axes.collections, (True, False), strict=True):
        for segment, colour in zip(collection.get_segments(), collection.get_colors(), strict=True):
            coloured = colour[0] > colour[2] + 0.05  # grey is not
            assert coloured == ((segment[0, 0] - 2 < 5 - 1e-6) == early)
        widths = np.array(collection.get_linewidths())
        assert (widths[:49].min() > widths[51:].max()) == early
    assert axes.get_ylim()[0] == -axes.get_ylim()[1]
    assert axes.get_ylim()[1] > 30


def test_behind_the_head_no_line_crosses_the_panel():
    azimuth = (np.linspace(150, 210, 50) + 180) % 360 - 180
    axes = drawn({"a": np.stack([np.linspace(0, 5, 50), azimuth, np.ones(50)])})
    (collection,) = axes.collections
    assert len(collection.get_segments()) == 48
    assert max(abs(np.diff(segment[:, 1]))[0] for segment in collection.get_segments()) < 10
    assert axes.get_ylim()[1] >= 180


@pytest.mark.parametrize("name", ["$\\frac{$", "a\nb", "x" * 5000, "", "\\"])
def test_a_name_may_be_anything(name):
    found = [Detection(0.0, (10, 10, 20, 20), 1.0, name, name)]
    figure = Figure()
    pictures, lines = figure.subplots(2)
    draw_still(pictures, Still(0.0, np.zeros((48, 64, 3), np.uint8), found))
    draw_azimuths(lines, {name: np.zeros((3, 1))}, 0.0)
    FigureCanvasAgg(figure).draw()
    for text in (*pictures.texts, *lines.texts):
        assert len(text.get_text()) < 40
        assert text.get_window_extent().height < 20


def test_hours_of_a_hundred_tracks_are_drawn_with_a_few_thousand_lines():
    ways = {
        f"{k}": np.stack([np.arange(3000) / 10 + 60 * k, np.full(3000, k), np.full(3000, 0.5)])
        for k in range(-50, 50)
    }
    axes = drawn(ways)
    assert sum(len(c.get_segments()) for c in axes.collections) < 8000
    assert len(axes.texts) <= 10


def test_everything_is_on_the_time_axis_of_the_mels():
    cfg, seconds = MelConfig(), 6.0
    mel = np.zeros((80, round(seconds * cfg.sample_rate / cfg.hop)))
    stills = [Still(k + 0.5, np.zeros((48, 64, 3), np.uint8), found_at(k + 0.5)) for k in range(6)]
    ways = {"person 1": np.stack([np.arange(60) / 10, np.zeros(60), np.ones(60)])}
    panels = [strip_panel(stills, 0.0, "found"), azimuth_panel(ways, 0.0)]
    figure = mel_figure([("mono", mel)], cfg, above=panels)
    FigureCanvasAgg(figure).draw()
    strip, lines, mono = figure.axes[:3]
    assert strip.get_xlim() == lines.get_xlim() == mono.get_xlim() == pytest.approx((0, seconds), abs=0.01)
    for axes in (strip, lines):
        assert axes.get_position().intervalx == pytest.approx(mono.get_position().intervalx, abs=1e-3)
    middles = [
        strip.transData.inverted().transform((cell.get_window_extent().intervalx.mean(), 0))[0]
        for cell in strip.child_axes
    ]
    assert middles == pytest.approx([still.time for still in stills], abs=0.05)


def test_the_whole_plot_is_written(film, tmp_path):
    video, columns = watched(film, finder=Known()), Columns()
    columns.add(torch.zeros(1, 80, 800))
    ears = torch.zeros(2, 80, 800).split(300, -1)
    draw_generated(tmp_path / "plain.png", columns, ears, MelConfig())
    draw_generated(tmp_path / "all.png", columns, ears, MelConfig(), source_panels(video, 9.5))
    plain, whole = (Image.open(tmp_path / name) for name in ("plain.png", "all.png"))
    assert whole.height > plain.height + 150
    assert LIKELIEST in {to_hex(np.array(c[:3]) / 255) for _, c in whole.convert("RGB").getcolors(1 << 24)}


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_ears_and_mono_of_a_long_sound_are_drawn_beside_each_other(more, tmp_path, monkeypatch):
    """Four frames a column, and ears that are a frame shorter or longer than the mono."""
    ramp, drawn = torch.arange(402.0).expand(2, 80, -1), []
    monkeypatch.setattr(plots, "mel_figure", lambda rows, cfg, **_: drawn.append((rows, cfg)))
    monkeypatch.setattr(plots, "save_figure", lambda path, figure: None)
    columns = Columns(101)
    columns.add(ramp[:1, :, :401])
    draw_generated(tmp_path / "a.png", columns, ramp[..., : 401 + more].split(37, -1), MelConfig())
    [(rows, cfg)] = drawn
    mono, left, right, level = (row for _, row in rows)
    assert cfg.hop == 4 * MelConfig.hop
    assert mono.shape == (80, 100)
    assert (mono == left).all()
    assert (mono == right).all()
    assert not level.any()
