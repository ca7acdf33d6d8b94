"""Spheres as heads, their names, and measured heads made of them."""

import numpy as np
import pytest
import torch

from DiffBinaural.heads.head import LEAST_COMMON, relative_difference
from DiffBinaural.heads.measured import MeasuredHead
from DiffBinaural.heads.named import head_named
from DiffBinaural.heads.sphere import Sphere, low_frequency_itd

RATE, FFT = 22050, 1024
HZ = np.arange(FFT // 2 + 1) * RATE / FFT


def anywhere(count):
    random = np.random.default_rng(5)
    return random.uniform(-180, 180, count), np.degrees(np.arcsin(random.uniform(-1, 1, count)))


@pytest.mark.parametrize(
    ("name", "radius", "ears"),
    [
        ("sphere", 0.0875, None),
        ("sphere:8.2", 0.082, None),
        ("sphere:10:7", 0.1, 7),
        ("sphere::3", 0.0875, 3),
    ],
)
def test_names(name, radius, ears):
    head = head_named(name)
    assert head.radius == pytest.approx(radius)
    assert head.ears == ears
    assert head_named(head.name).radius == pytest.approx(radius)
    assert head_named(name) is head


@pytest.mark.parametrize(
    "name", ["", "cube", "sphere:0", "sphere:nan", "sphere:8:x", "sphere:8:-1", "kemar:2"]
)
def test_wrong_names(name):
    with pytest.raises(ValueError, match="--head"):
        head_named(name)


def test_a_bare_sphere_is_its_mirror_image():
    azimuth, elevation = anywhere(20)
    pair = Sphere(0.08).responses(azimuth, elevation, RATE, FFT)
    mirrored = Sphere(0.08).responses(-azimuth, elevation, RATE, FFT)
    assert torch.allclose(pair, mirrored.flip(0), atol=1e-5)


def test_modelled_ears_differ_from_each_other_and_from_front_to_back():
    head = head_named("sphere:8.75:4")
    ahead, behind = head.responses(np.array([0.0, 180.0]), np.zeros(2), RATE, FFT).unbind(1)
    high = HZ > 2000
    assert (ahead[0].abs() / ahead[1].abs()).log()[high].abs().max() > 0.05
    assert (ahead.abs() / behind.abs()).log()[:, high].abs().max() > 0.2
    again = head_named("sphere:8.75:5").responses(np.zeros(1), np.zeros(1), RATE, FFT)[:, 0]
    assert not torch.allclose(ahead, again, atol=0.05)


def test_low_frequencies_pass_a_sphere():
    azimuth, elevation = anywhere(20)
    pair = Sphere().responses(azimuth, elevation, RATE, FFT)
    assert torch.allclose(pair[..., 0], torch.ones_like(pair[..., 0]), atol=1e-5)
    low = 4
    itd = torch.angle(pair[1, :, low] * pair[0, :, low].conj()).numpy() / (2 * np.pi * HZ[low])
    lateral = np.degrees(np.arcsin(np.sin(np.radians(azimuth)) * np.cos(np.radians(elevation))))
    assert np.abs(itd - low_frequency_itd(lateral)).max() < 1e-5


def test_relative_difference_gives_the_ears_back():
    pair = head_named("sphere:9:2").responses(*anywhere(30), RATE, FFT)
    d, middle = relative_difference(pair), pair.mean(0)
    enough = (2 * middle).abs() ** 2 > LEAST_COMMON * 2 * (pair.abs() ** 2).sum(0)
    assert enough.float().mean() > 0.5
    assert torch.allclose(((1 + d) * middle)[enough], pair[0][enough], atol=1e-5)
    assert torch.allclose(((1 - d) * middle)[enough], pair[1][enough], atol=1e-5)
    assert d.abs().max() <= 1.01 / LEAST_COMMON**0.5
    assert (
        relative_difference(torch.stack([pair[0], -pair[0]])).abs().max() < 1e-6
    )  # nothing in common: taken for centred
    assert not relative_difference(torch.zeros(2, 3, dtype=torch.complex64)).abs().any()


@pytest.mark.parametrize(
    ("step", "most"), [pytest.param(2.5, 1.5e-4, marks=pytest.mark.slow), (5, 3e-4), (10, 2e-3)]
)
def test_a_sampled_sphere_gives_the_series_between_its_directions(sampled, step, most):
    """Measured: 8.0e-5, 1.8e-4, 1.1e-3 of the mean power below 8 kHz."""
    head = MeasuredHead("sampled", *sampled(step, 44100, 512), 44100)
    azimuth, elevation = anywhere(300)
    found, true = (one.responses(azimuth, elevation, RATE, FFT)[..., HZ < 8000] for one in (head, Sphere()))
    assert ((found - true).abs() ** 2).mean() < most * (true.abs() ** 2).mean()
