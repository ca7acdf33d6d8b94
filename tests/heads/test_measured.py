"""Measured heads: KEMAR, and where they are at hand a human and another dummy."""

from pathlib import Path

import numpy as np
import pytest
import torch

from DiffBinaural.heads.measured import KEMAR, MeasuredHead, save_compact
from DiffBinaural.heads.named import head_named

RATE, FFT = 22050, 1024
HZ = np.arange(FFT // 2 + 1) * RATE / FFT
FOLDER = Path(__file__).parents[3] / "shared" / "hrtf"
NAMES = [
    "kemar",
    *(
        pytest.param(str(path), marks=pytest.mark.skipif(not path.is_file(), reason="no such file here"))
        for path in (FOLDER / "hrtf_c_nh898.sofa", FOLDER / "FHK_HRIR_L2354.sofa")
    ),
]
EDGES = np.geomspace(200, 8000, 17)


def bands(spectra):
    """Levels (..., 16) in dB of spectra, in third octaves."""
    power = np.abs(np.asarray(spectra)) ** 2
    return 10 * np.log10(
        np.stack([power[..., (low <= HZ) & (high > HZ)].mean(-1) for low, high in zip(EDGES, EDGES[1:])], -1)
    )


def itd(pair):
    """Left behind right in microseconds (T,), 300 to 1500 Hz, of spectra (2, T, F)."""
    here = (HZ > 300) & (HZ < 1500)
    turns = np.unwrap(np.angle(pair[1] * pair[0].conj())[..., here]) / (2 * np.pi)
    return 1e6 * (turns * HZ[here]).sum(-1) / (HZ[here] ** 2).sum()


def as_measured(head, which):
    """Spectra (2, T, F) of the responses themselves, with the file's level and delays, not windowed."""
    waves = np.exp(-2j * np.pi * np.outer(np.arange(head.impulses.shape[2]) / head.rate, HZ))
    spectra = head.impulses[which] @ waves / head.level
    late = head.delays[which] - head.onset[which]
    return (spectra * np.exp(-2j * np.pi * late[..., None] * HZ)).transpose(1, 0, 2)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", [90, -90])
def test_the_near_ear_leads_and_is_louder(name, side):
    pair = head_named(name).responses(np.array([side]), np.zeros(1), RATE, FFT).numpy()
    power = (np.abs(pair[..., (HZ > 200) & (HZ < 8000)]) ** 2).sum(-1)[:, 0]
    assert 8 < np.sign(side) * 10 * np.log10(power[1] / power[0]) < 22
    assert 600 < np.sign(side) * itd(pair)[0] < 900


@pytest.mark.parametrize("name", NAMES)
def test_measured_directions_are_kept(name):
    head = head_named(name)
    which = np.arange(0, len(head.rays), 13)
    found = head.responses(head.azimuth[which], head.elevation[which], RATE, FFT).numpy()
    true = as_measured(head, which)
    error = bands(found) - bands(true)
    assert np.sqrt((error**2).mean()) < 0.35
    assert np.sqrt(((error[1] - error[0]) ** 2).mean()) < 0.3
    ours, theirs = itd(found), itd(true)
    assert np.sqrt(((ours - theirs) ** 2).mean()) < 5


@pytest.mark.parametrize(
    ("name", "level", "ild", "time"),
    [(name, 1.0, 1.3, 8) for name in NAMES[:1]]
    + [pytest.param(*param.values, 1.0, 1.3, 10, marks=param.marks) for param in NAMES[1:]],
)
def test_a_direction_left_out_is_like_its_neighbours(name, level, ild, time):
    whole = head_named(name)
    inside = np.flatnonzero((whole.elevation > -28) & (whole.elevation < 62))
    out = inside[:: max(len(inside) // 40, 1)]
    rest = np.setdiff1d(np.arange(len(whole.rays)), out)
    head = MeasuredHead(
        "rest",
        *(x[rest] for x in (whole.azimuth, whole.elevation, whole.impulses)),
        whole.rate,
        whole.starts[rest],
    )
    found = head.responses(whole.azimuth[out], whole.elevation[out], RATE, FFT).numpy()
    true = whole.responses(whole.azimuth[out], whole.elevation[out], RATE, FFT).numpy()
    error = bands(found) - bands(true)
    error -= np.median(error)  # the level is that ahead, which may be left out
    wrong = np.angle(found[1] * found[0].conj() * (true[1] * true[0].conj()).conj())[
        :, (HZ > 300) & (HZ < 1500)
    ]
    hz = HZ[(HZ > 300) & (HZ < 1500)]
    late = 1e6 * (wrong * hz).sum(-1) / (2 * np.pi * (hz**2).sum())
    figures = [np.sqrt((x**2).mean()) for x in (error, error[1] - error[0], late)]
    print(f"{name[-12:]}: level {figures[0]:.2f} dB, ILD {figures[1]:.2f} dB, ITD {figures[2]:.1f} µs (rms)")
    assert figures[0] < level
    assert figures[1] < ild
    assert figures[2] < time


def test_kemar_is_what_was_measured():
    head = head_named("kemar")
    assert KEMAR.stat().st_size < 500_000
    at = int(np.flatnonzero((np.abs(head.azimuth - 90) < 0.01) & (head.elevation == 0))[0])
    left, right = head.impulses[at].astype(float)
    assert 10 * np.log10((right**2).sum() / (left**2).sum()) == pytest.approx(11.8, abs=0.1)
    lag = np.correlate(left, right, "full").argmax() - (len(right) - 1) + np.diff(head.starts[at, ::-1])[0]
    assert lag / head.rate == pytest.approx(723e-6, abs=12e-6)  # half a sample


def test_kemar_is_its_mirror_image():
    azimuth, elevation = np.array([20.0, 75, -130]), np.array([10.0, -20, 40])
    pair = head_named("kemar").responses(azimuth, elevation, RATE, FFT)
    mirrored = head_named("kemar").responses(-azimuth, elevation, RATE, FFT).flip(0)
    assert ((pair - mirrored).abs() ** 2).mean() < 2e-3 * (pair.abs() ** 2).mean()  # cells are cut unlike


def test_compact_form_keeps_every_bit(tmp_path):
    save_compact(head_named("kemar"), tmp_path / "again.npz")
    with np.load(KEMAR) as first, np.load(tmp_path / "again.npz") as second:
        for key in first.files:
            assert np.array_equal(first[key], second[key]), key


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_fft", [1024, 1536])
def test_responses_are_short_and_centred(name, n_fft):
    random = np.random.default_rng(1)
    azimuth, elevation = random.uniform(-180, 180, 200), random.uniform(-90, 90, 200)
    pair = head_named(name).responses(azimuth, elevation, RATE, n_fft)
    assert pair.shape == (2, 200, n_fft // 2 + 1)
    assert pair.dtype == torch.complex64
    assert torch.isfinite(torch.view_as_real(pair)).all()
    energy = (torch.fft.irfft(pair, n_fft) ** 2).sum((0, 1))
    within = 1024 // 6
    assert (
        energy[within : n_fft - within].sum() < 3e-4 * energy.sum()
    )  # fractional delays ring at half the rate
    assert abs(head_named(name).delays[head_named(name).rays[:, 1].argmax()].mean()) < 1e-9
    assert torch.equal(pair, head_named(name).responses(azimuth, elevation, RATE, n_fft))


def test_other_rates_and_lengths_agree():
    head, azimuth, elevation = head_named("kemar"), np.array([0.0, 33, -100]), np.array([0.0, 12, -60])
    usual = head.responses(azimuth, elevation, RATE, FFT)
    finer = head.responses(azimuth, elevation, RATE, 2 * FFT)
    assert torch.allclose(usual, finer[..., ::2], atol=1e-4)
    double = head.responses(azimuth, elevation, 2 * RATE, 2 * FFT)
    inside = (HZ > 200) & (HZ < 9000)
    error = ((double[..., : FFT // 2 + 1] - usual).abs() ** 2)[..., inside].mean()
    assert error < 1e-4 * (usual.abs() ** 2)[..., inside].mean()
    coarse = head.responses(azimuth, elevation, RATE, 128)  # shorter than the responses
    assert torch.allclose(coarse, usual[..., ::8], atol=1e-4)


def test_holes_take_the_nearest_edge():
    """KEMAR has nothing below -40°; what is there is near, smooth, and keeps to its side."""
    head = head_named("kemar")
    elevation = np.arange(-90.0, -39)
    pair = head.responses(np.full(len(elevation), 60.0), elevation, RATE, FFT).numpy()
    level = bands(pair)
    assert (level[1] - level[0]).mean(-1)[elevation > -75].min() > 0
    assert np.abs(np.diff(level, axis=1)).mean() < 1


def test_a_ring_at_ear_height_is_enough(sampled):
    azimuth, elevation, impulses = sampled(5, 44100, 256)
    ring = elevation == 0
    head = MeasuredHead("ring", azimuth[ring], elevation[ring], impulses[ring], 44100)
    sphere = head_named("sphere")
    found, true = (
        one.responses(np.array([3.0, 47, -88]), np.zeros(3), RATE, FFT)[..., HZ < 8000]
        for one in (head, sphere)
    )
    assert ((found - true).abs() ** 2).mean() < 1e-3 * (true.abs() ** 2).mean()
    above = head.responses(np.array([90.0]), np.array([80.0]), RATE, FFT).numpy()
    assert abs(itd(above)[0]) < 250  # nearly overhead, not at the side
