"""Sounds at given positions: the picture of the source, and the measured levels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import spherical_jn, spherical_yn

from DiffBinaural.configs.advanced_diffusion_config import FOV, MelConfig, preset_config
from DiffBinaural.dataset.frame_sources import FrameSource
from DiffBinaural.dataset.trajectories import Waypoint
from DiffBinaural.evaluation.placement import curves, level, rises, sphere_level
from DiffBinaural.inference.config import PlacementConfig
from DiffBinaural.inference.placement import PlacedSources, position_of, waypoint_at
from DiffBinaural.position_utils import x_to_azimuth
from DiffBinaural.utils.mel import band_centres

CFG = MelConfig()


VIEW = replace(preset_config("tiny", id="a", data_root="none").view, slots=3, image_size=32)


class Discs(FrameSource):
    """Pictures, dark; their sources, a bright disc and a grey one, where so many were detected."""

    def __init__(self, detected, count=4, fps=2.0):
        super().__init__(count, fps, VIEW)
        self.detected = detected

    def picture(self, k):
        objects = torch.full((3, 3, 32, 32), 20, dtype=torch.uint8)
        objects[1], objects[2] = 240, 130
        box = torch.tensor([[0, 0, 1, 1], [0.7, -0.2, 0.25, 0.125], [-0.7, 0.1, 0.125, 0.25]])
        return {"objects": objects, "box": box, "mask": torch.arange(3) > self.detected}

    def directions(self, times):
        return torch.full((2, 3, len(times)), 7.0)


def centre(picture, least=100, most=255):
    """x, y in [-1, 1] of what is as bright as that."""
    rows, columns = torch.nonzero((picture[0] > least) & (picture[0] <= most), as_tuple=True)
    size = picture.shape[-1]
    return (columns.float().mean() + 0.5) / size * 2 - 1, 1 - (rows.float().mean() + 0.5) / size * 2


@pytest.mark.parametrize(("x", "y"), [(-0.5, 0.0), (0.5, 0.5), (0.0, -0.5)])
def test_picture_and_box_show_the_source_where_it_is_put(x, y):
    source = Discs(detected=1)
    placed = PlacedSources(source, [waypoint_at(x, y)]).picture(1)
    assert placed["box"][1].tolist() == pytest.approx([x, y, 0.25, 0.125])
    assert placed["mask"].tolist() == [False, False, True]
    assert [float(v) for v in centre(placed["objects"][0])] == pytest.approx([x, y], abs=1e-6)
    assert (placed["objects"][0] > 100).float().mean() == pytest.approx(0.25 * 0.125)
    assert torch.equal(placed["objects"][1], source.picture(1)["objects"][1])


@pytest.mark.parametrize("x", [-1.0, 1.0])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_at_the_edge_half_of_it_is_visible(x, y):
    placed = PlacedSources(Discs(detected=1), [waypoint_at(x, y)]).picture(0)
    assert (placed["objects"][0] > 100).float().mean() == pytest.approx(0.25 * 0.125 / (4 if y else 2))
    assert placed["box"][1, :2].tolist() == [x, y]


def test_without_a_detection_the_whole_picture_stands_for_the_source():
    source = Discs(detected=0)
    placed = PlacedSources(source, [waypoint_at(0.5, 0.0)]).picture(0)
    assert placed["box"][1].tolist() == [0.5, 0.0, 0.25, 0.25]
    assert torch.equal(placed["objects"][1], source.picture(0)["objects"][0])


def test_picture_and_direction_follow_a_trajectory_in_time():
    far = float(x_to_azimuth(0.5, FOV))
    placed = PlacedSources(Discs(detected=1), [Waypoint(0.5, "a", -far), Waypoint(1.5, "a", far)])
    across = [float(placed.picture(k)["box"][1, 0]) for k in range(4)]  # at 0, 0.5, 1, 1.5 s
    assert across == pytest.approx([-0.5, -0.5, 0, 0.5], abs=1e-6)
    azimuth, elevation, sounding = placed.directions(np.array([0.0, 0.75, 9.0]))[0]
    assert azimuth.tolist() == pytest.approx([-far, -far / 2, far], abs=1e-4)
    assert (elevation.tolist(), sounding.tolist()) == ([0] * 3, [1] * 3)


def test_each_track_looks_like_the_source_of_its_slot():
    """The likelier one has the first slot, and is in front where both are in one place."""
    here, there = (float(x_to_azimuth(x, FOV)) for x in (-0.5, 0.5))
    points = [Waypoint(0, "a", here, sounding=0.2), Waypoint(0, "b", there, sounding=0.9)]
    placed = PlacedSources(Discs(detected=2), points).picture(0)
    assert placed["mask"].tolist() == [False] * 3
    assert float(centre(placed["objects"][0], least=200)[0]) == pytest.approx(0.5)
    assert float(centre(placed["objects"][0], most=200)[0]) == pytest.approx(-0.5)
    assert placed["box"][:, 0].tolist() == pytest.approx([0, 0.5, -0.5])
    points = [replace(point, azimuth=0.0) for point in points]
    whole = PlacedSources(Discs(detected=2), points).picture(0)["objects"][0]
    assert (whole > 200).float().mean() == pytest.approx(0.25 * 0.125)


@pytest.mark.parametrize(("azimuth", "elevation"), [(60.1, 0), (-100, 0), (180, 0), (0, 60), (0, -90)])
def test_outside_of_the_picture_only_the_direction_is_known(azimuth, elevation):
    placed = PlacedSources(Discs(detected=2), [Waypoint(0, "a", azimuth, elevation)])
    picture = placed.picture(0)
    assert picture["mask"].tolist() == [False, True, True]
    assert not (picture["objects"][0] > 100).any()
    assert not picture["box"][1:].any()
    found = placed.directions(np.array([0.0]))
    assert abs(found[0, 0]) == pytest.approx(abs(azimuth))
    assert found[0, 1:, 0].tolist() == pytest.approx([elevation, 1])
    assert not found[1].any()


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_positions_are_directions(x, y):
    point = waypoint_at(x, y)
    assert position_of(point.azimuth, point.elevation) == pytest.approx((x, y), abs=1e-8)


def test_the_mean_azimuth_is_that_of_the_likeliest_track_even_behind_the_head():
    points = [
        Waypoint(0, "a", 170),
        Waypoint(2, "a", -150),
        Waypoint(0, "b", 10, sounding=0.5),
    ]
    placed = PlacedSources(Discs(detected=0), points)
    assert placed.mean_azimuth(np.linspace(0, 2, 101)) == pytest.approx(-170, abs=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sweep": True, "trajectory_in": "a.csv"},
        {"override_pos": (0.0, 0.0), "trajectory_in": "a.csv"},
        {"override_pos": (0.0, 0.0), "sweep": True},
        {"override_pos": (0.0, 0.0), "sweep": True, "trajectory_in": "a.csv"},
    ],
)
def test_exactly_one_way_to_say_where(options):
    with pytest.raises(ValueError, match="--trajectory_in"):
        PlacementConfig(data_root="d", output_dir="o", **options)


def test_levels_are_in_decibels_and_change_sign_with_the_ears():
    mel = np.random.default_rng(0).normal(-3, 1, (1, 80, 50)).repeat(2, 0)
    mel[1] += 6 / 8.685889638
    assert level(mel, CFG) == pytest.approx(6, abs=1e-6)
    assert level(mel[::-1], CFG) == pytest.approx(-6, abs=1e-6)


def test_the_sphere_is_louder_on_the_sources_side_as_its_series_says():
    """One mel band alone, so that the level is a single frequency's: against the series summed here."""
    hz = 3000.0
    mel = np.full((1, 80, 4), -11.5)
    k = int(np.abs(band_centres(CFG) - hz).argmin())
    hz = band_centres(CFG)[k]
    mel[0, k] = 0.0
    mu, m = 2 * np.pi * hz * 0.0875 / 343, np.arange(60)
    slope = spherical_jn(m, mu, derivative=True) - 1j * spherical_yn(m, mu, derivative=True)
    legendre = [np.polynomial.legendre.legval(side * np.sin(np.radians(50)), np.eye(60)) for side in (-1, 1)]
    left, right = (abs(np.sum(1j ** (m - 1) * (2 * m + 1) * p / (mu**2 * slope))) for p in legendre)
    assert sphere_level(mel, 50.0, CFG) == pytest.approx(20 * np.log10(right / left), abs=0.3)
    assert sphere_level(mel, -50.0, CFG) == pytest.approx(-sphere_level(mel, 50.0, CFG), abs=1e-4)


def test_rising_and_falling_levels_have_opposite_correlation():
    rows = [
        {"id": name, "x": x, "ild_db": sign * (x + 0.1 * x**3)}
        for name, sign in (("a", 1), ("b", 1), ("c", -1))
        for x in (-1.0, -0.3, 0.2, 1.0)
    ]
    assert rises(rows[:8]) == pytest.approx(1)
    assert rises(rows) == pytest.approx(1 / 3)
    assert curves(rows, "x").shape == (3, 4)
