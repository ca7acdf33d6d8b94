"""Sounds at given positions: the picture of the source, and the measured levels."""

import numpy as np
import pytest
import torch
from scipy.special import spherical_jn, spherical_yn

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.evaluation.placement import curves, level, rises, sphere_level
from DiffBinaural.inference.placement import move_source
from DiffBinaural.utils.mel import band_centres

CFG = MelConfig()


def source_clip(detected, size=32):
    """Two pictures, dark; their source a bright disc of half-size (0.25, 0.125), where one was detected."""
    objects = torch.full((2, 3, 3, size, size), 20, dtype=torch.uint8)
    objects[:, 1] = 240
    box = torch.zeros(2, 3, 4)
    box[:, 0, 2:], box[:, 1] = 1.0, torch.tensor([0.7, -0.2, 0.25, 0.125])
    mask = torch.tensor([[False, not detected, True]] * 2)
    return {"objects": objects, "box": box, "mask": mask, "stem": "a", "directions": torch.zeros(1, 2, 3, 9)}


def centre(picture):
    """x, y in [-1, 1] of what is bright."""
    rows, columns = torch.nonzero(picture[0] > 100, as_tuple=True)
    size = picture.shape[-1]
    return (columns.float().mean() + 0.5) / size * 2 - 1, 1 - (rows.float().mean() + 0.5) / size * 2


@pytest.mark.parametrize(("x", "y"), [(-0.5, 0.0), (0.5, 0.5), (0.0, -0.5)])
def test_picture_and_box_show_the_source_where_it_is_put(x, y):
    clip = source_clip(detected=True)
    placed = move_source(clip, x, y)
    assert placed["box"][0, 1].tolist() == pytest.approx([x, y, 0.25, 0.125])
    assert placed["mask"].tolist() == [[False, False, True]] * 2
    assert [float(v) for v in centre(placed["objects"][0, 0])] == pytest.approx([x, y], abs=1e-6)
    assert (placed["objects"][0, 0] > 100).float().mean() == pytest.approx(0.25 * 0.125)
    assert torch.equal(placed["objects"][:, 1], clip["objects"][:, 1])
    assert (clip["box"][0, 1, 0] - 0.7).abs() < 1e-6, "the caller's clip was changed"


@pytest.mark.parametrize("x", [-1.0, 1.0])
def test_at_the_edge_half_of_it_is_visible(x):
    placed = move_source(source_clip(detected=True), x, 0.0)
    assert (placed["objects"][0, 0] > 100).float().mean() == pytest.approx(0.25 * 0.125 / 2)
    assert placed["box"][0, 1, 0] == x


def test_without_a_detection_the_whole_picture_stands_for_the_source():
    clip = source_clip(detected=False)
    clip["objects"][:, 0, :, 8:24, 8:24] = 240
    placed = move_source(clip, 0.5, 0.0)
    assert placed["box"][0, 1].tolist() == [0.5, 0.0, 0.25, 0.25]
    assert torch.equal(placed["objects"][:, 1], clip["objects"][:, 0])
    assert float(centre(placed["objects"][0, 0])[0]) == pytest.approx(0.5, abs=1e-6)


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
