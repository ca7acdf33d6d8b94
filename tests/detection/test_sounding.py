import cv2
import numpy as np
import pytest

from DiffBinaural.detection.sounding import SAMPLE_RATE, Loudness, sounding

SECONDS = 12
TIMES = np.arange(0.04, SECONDS - 0.04, 0.08)


def syllables(seed: int, pause: bool = False) -> np.ndarray:
    """Loudness (N,) of something like speech, 100 a second: bursts of random length and strength."""
    rng, level = np.random.default_rng(seed), np.zeros(SECONDS * 100)
    at = 10
    while at < len(level) - 40:
        size = int(rng.integers(10, 25))
        level[at : at + size] = rng.uniform(0.3, 1) * np.sin(np.linspace(0, np.pi, size)) ** 2
        at += size + int(rng.integers(2, 50))
    if pause:
        level[500:700] = 0
    return level


def heard(level: np.ndarray, gain: float = 1.0, piece: int = 10**9) -> Loudness:
    noise = np.random.default_rng(99).standard_normal(SECONDS * SAMPLE_RATE)
    sound = gain * noise * np.interp(np.arange(len(noise)) / SAMPLE_RATE, np.arange(len(level)) / 100, level)
    loudness = Loudness()
    for start in range(0, len(sound), piece):
        loudness.push(sound[start : start + piece])
    return loudness


def moved(level: np.ndarray, seed: int, noise: float = 0.05) -> np.ndarray:
    """Speeds (T,) of a mouth that opens with a loudness."""
    rng = np.random.default_rng(seed)
    speed = np.abs(np.gradient(cv2.GaussianBlur(level[:, None], (1, 31), 5)[:, 0])) * 10
    return np.interp(TIMES, np.arange(len(level)) / 100, speed) + noise * rng.uniform(0.5, 1.5, len(TIMES))


def both(seed: int) -> np.ndarray:
    """Motions (2, T): of what sounds as syllables(seed), of another."""
    return np.stack([moved(syllables(seed), seed), moved(syllables(seed + 1000), seed + 1)])


def test_the_one_whose_motion_follows_the_sound_comes_first():
    right = [
        np.mean(np.subtract(*sounding(both(seed), heard(syllables(seed)), TIMES)) > 0) for seed in range(12)
    ]
    assert np.mean(right) > 0.9


def test_confidence_falls_with_another_sound():
    own = [sounding(both(seed), heard(syllables(seed)), TIMES).max(0).mean() for seed in range(8)]
    other = [sounding(both(seed), heard(syllables(seed + 500)), TIMES).max(0).mean() for seed in range(8)]
    assert np.median(own) > 0.8
    assert np.median(other) < 0.5


def test_probabilities_of_exclusive_hypotheses():
    found = sounding(both(1), heard(syllables(1)), TIMES)
    assert found.shape == (2, len(TIMES))
    assert (found >= 0).all()
    assert (found.sum(0) <= 1 + 1e-9).all()


def test_swapped_tracks_have_swapped_probabilities():
    loudness = heard(syllables(2))
    np.testing.assert_allclose(
        sounding(both(2)[::-1], loudness, TIMES)[::-1], sounding(both(2), loudness, TIMES), atol=1e-12
    )


@pytest.mark.parametrize("gain", [1e-4, 30.0])
def test_the_level_of_the_sound_changes_nothing(gain):
    found = sounding(both(3), heard(syllables(3), gain), TIMES)
    np.testing.assert_allclose(found, sounding(both(3), heard(syllables(3)), TIMES), atol=1e-3)


def test_the_sound_may_come_in_pieces():
    loudness = heard(syllables(4), piece=777)
    np.testing.assert_allclose(
        sounding(both(4), loudness, TIMES), sounding(both(4), heard(syllables(4)), TIMES), atol=1e-5
    )


@pytest.mark.parametrize("tracks", [1, 2, 3])
def test_without_a_sound_the_prior_stays(tracks):
    motions = np.stack([moved(syllables(k), k) for k in range(tracks)])
    prior = 7 / (7 * tracks + 3)
    for loudness in (heard(np.zeros(SECONDS * 100)), Loudness()):
        np.testing.assert_allclose(sounding(motions, loudness, TIMES), prior, atol=1e-9)


@pytest.mark.parametrize("tracks", [1, 2, 3])
def test_without_motion_the_prior_stays(tracks):
    found = sounding(np.full((tracks, len(TIMES)), 0.1), heard(syllables(5)), TIMES)
    np.testing.assert_allclose(found, 7 / (7 * tracks + 3), atol=1e-3)


def test_nothing_changes_in_a_pause():
    found = sounding(both(6), heard(syllables(6, pause=True)), TIMES)
    pause = found[:, (TIMES > 5.6) & (TIMES < 6.6)]
    assert np.ptp(pause, axis=1).max() < 1e-9


def test_turns_are_followed():
    first, second = syllables(7), syllables(8)
    first[len(first) // 2 :] = 0
    second[: len(second) // 2] = 0
    motions = np.stack([moved(first, 1), moved(second, 2)])
    found = sounding(motions, heard(first + second), TIMES)
    early, late = found[:, TIMES < 3].mean(1), found[:, TIMES > 9].mean(1)
    assert early[0] > early[1]
    assert late[1] > late[0]


def test_a_track_that_is_not_seen_does_not_sound():
    motions = both(9)
    motions[1, TIMES > 6] = np.nan
    found = sounding(motions, heard(syllables(9)), TIMES)
    assert np.isfinite(found).all()
    assert (found[1, TIMES > 6] == 0).all()
    assert (found[1, TIMES < 6] > 0).all()


def test_few_samples_and_no_tracks():
    loudness = heard(syllables(1))
    for count in (1, 2, 3):
        found = sounding(np.full((2, count), 0.1), loudness, TIMES[:count])
        np.testing.assert_allclose(found, 7 / 17, atol=0.02)
    assert sounding(np.zeros((0, 5)), loudness, TIMES[:5]).shape == (0, 5)
    assert sounding(np.zeros((2, 0)), loudness, TIMES[:0]).shape == (2, 0)
    with pytest.raises(ValueError, match="motions"):
        sounding(np.zeros((2, 5)), loudness, TIMES[:4])
