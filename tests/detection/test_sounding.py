import cv2
import numpy as np
import pytest

from DiffBinaural.detection.correlation import GRID, without_drift
from DiffBinaural.detection.loudness import Loudness
from DiffBinaural.detection.motion import LOOK, Look
from DiffBinaural.detection.sounding import chance_of_sounding

SAMPLE_RATE = 22_050

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


def moved(level: np.ndarray, seed: int, noise: float = 0.05) -> Look:
    """Looks of a mouth that opens with a loudness."""
    rng = np.random.default_rng(seed)
    mouth, others = rng.normal(0, 1, (2, LOOK * LOOK))
    opened = np.interp(TIMES, np.arange(len(level)) / 100, cv2.GaussianBlur(level[:, None], (1, 31), 5)[:, 0])
    values = others + opened[:, None] * mouth + noise * rng.normal(0, 1, (len(TIMES), LOOK * LOOK))
    return Look(TIMES, values.astype(np.float32), TIMES[0] == TIMES)


def both(seed: int) -> list[Look]:
    """Looks of what sounds as syllables(seed), of another."""
    return [moved(syllables(seed), seed), moved(syllables(seed + 1000), seed + 1)]


def until(look: Look, time: float) -> Look:
    return Look(*(values[look.times <= time] for values in look))


def test_the_one_whose_motion_follows_the_sound_comes_first():
    right = [
        np.mean(np.subtract(*chance_of_sounding(both(seed), heard(syllables(seed)), TIMES)) > 0)
        for seed in range(8)
    ]
    assert np.mean(right) > 0.9


def test_confidence_falls_with_another_sound():
    own = [chance_of_sounding(both(seed), heard(syllables(seed)), TIMES).max(0).mean() for seed in range(5)]
    other = [
        chance_of_sounding(both(seed), heard(syllables(seed + 500)), TIMES).max(0).mean() for seed in range(8)
    ]
    assert np.median(own) > 0.8
    assert np.median(other) < 0.5


def test_probabilities_of_exclusive_hypotheses():
    found = chance_of_sounding(both(1), heard(syllables(1)), TIMES)
    assert found.shape == (2, len(TIMES))
    assert (found >= 0).all()
    assert (found.sum(0) <= 1 + 1e-9).all()


def test_swapped_tracks_have_swapped_probabilities():
    loudness = heard(syllables(2))
    np.testing.assert_allclose(
        chance_of_sounding(both(2)[::-1], loudness, TIMES)[::-1],
        chance_of_sounding(both(2), loudness, TIMES),
        atol=1e-12,
    )


@pytest.mark.parametrize("gain", [1e-4, 30.0])
def test_the_level_of_the_sound_changes_nothing(gain):
    found = chance_of_sounding(both(3), heard(syllables(3), gain), TIMES)
    np.testing.assert_allclose(found, chance_of_sounding(both(3), heard(syllables(3)), TIMES), atol=1e-3)


def test_the_sound_may_come_in_pieces():
    loudness = heard(syllables(4), piece=777)
    np.testing.assert_allclose(
        chance_of_sounding(both(4), loudness, TIMES),
        chance_of_sounding(both(4), heard(syllables(4)), TIMES),
        atol=1e-5,
    )


def chance_before(tracks):
    """Of each of so many alike, before anything is known: more than two share the odds of two."""
    return 7 / (7 * tracks + 3) if tracks <= 2 else 14 / 17 / tracks


@pytest.mark.parametrize("tracks", [1, 2, 3, 7])
def test_without_a_sound_the_prior_stays(tracks):
    motions = [moved(syllables(0), 0)] * tracks
    prior = chance_before(tracks)
    for loudness in (heard(np.zeros(SECONDS * 100)), Loudness()):
        np.testing.assert_allclose(chance_of_sounding(motions, loudness, TIMES), prior, atol=1e-9)


def test_without_a_sound_the_livelier_comes_first():
    still = Look(TIMES, np.ones((len(TIMES), LOOK * LOOK), np.float32), TIMES[0] == TIMES)
    calm, lively = chance_of_sounding([still, moved(syllables(0), 0)], Loudness(), TIMES)
    assert lively.min() > 0.5 > 0.3 > calm.max() > 0.01


def test_tracks_that_follow_one_another_are_not_many():
    """Four, one after the other, as cuts make them: of each the chance of one that is seen alone."""
    motions = [moved(syllables(0), 0)] * 4
    seen = np.array([(k * 3 <= TIMES) & (k * 3 + 3 > TIMES) for k in range(4)])
    found = chance_of_sounding(motions, Loudness(), TIMES, seen=seen)
    np.testing.assert_allclose(found[seen], 0.7, atol=1e-9)


def test_what_a_track_loses_as_it_goes_the_others_get_gradually():
    """Its chance falls to 0 with its presence, and no other one jumps."""
    presence = np.clip((6 - TIMES) / 0.25, 0, 1)
    seen = np.stack([presence, np.ones(len(TIMES))])
    found = chance_of_sounding(both(9), heard(syllables(9)), TIMES, seen=seen)
    assert found[0, TIMES < 5.7].min() > 0.5 > 0.3 > found[1, TIMES < 5.7].max()
    assert (found[0, TIMES > 6] == 0).all()
    steps = np.diff(TIMES).max() / 0.25
    assert np.abs(np.diff(found, axis=1)).max() < 1.1 * steps
    assert (found.sum(0) <= 1 + 1e-9).all()


@pytest.mark.parametrize("tracks", [1, 2, 3, 7])
def test_without_motion_the_prior_stays(tracks):
    still = Look(TIMES, np.ones((len(TIMES), LOOK * LOOK), np.float32), TIMES[0] == TIMES)
    found = chance_of_sounding([still] * tracks, heard(syllables(5)), TIMES)
    np.testing.assert_allclose(found, chance_before(tracks), atol=1e-3)


def test_nothing_changes_in_a_pause():
    found = chance_of_sounding(both(6), heard(syllables(6, pause=True)), TIMES)
    pause = found[:, (TIMES > 5.6) & (TIMES < 6.6)]
    assert np.ptp(pause, axis=1).max() < 1e-9


def test_turns_are_followed():
    first, second = syllables(7), syllables(8)
    first[len(first) // 2 :] = 0
    second[: len(second) // 2] = 0
    motions = [moved(first, 1), moved(second, 2)]
    found = chance_of_sounding(motions, heard(first + second), TIMES)
    early, late = found[:, TIMES < 3].mean(1), found[:, TIMES > 9].mean(1)
    assert early[0] > early[1]
    assert late[1] > late[0]


def test_a_track_that_is_not_seen_does_not_sound():
    motions = both(9)
    motions[1] = until(motions[1], 6)
    found = chance_of_sounding(motions, heard(syllables(9)), TIMES)
    assert np.isfinite(found).all()
    assert (found[1, TIMES > 6.6] == 0).all()
    assert (found[1, TIMES < 6] > 0).all()


@pytest.mark.parametrize("shape", [(200,), (3, 200), (2, 3, 40)])
def test_without_drift_leaves_what_is_fast(shape):
    """A straight line, and what is 10 times slower than DRIFT, goes; 5 Hz stays; gaps stay gaps."""
    t = np.arange(shape[-1]) / GRID
    curves = np.broadcast_to(np.sin(2 * np.pi * 5 * t) + 3 + 2 * t + np.sin(2 * np.pi * t / 6), shape).copy()
    curves[..., 17] = np.nan
    found = without_drift(curves)
    assert (np.isnan(found) == np.isnan(curves)).all()
    inner = np.abs(found - np.sin(2 * np.pi * 5 * t))[..., 20:-20]
    assert np.nanmax(inner, initial=0) < 0.15


def test_few_samples_and_no_tracks():
    loudness = heard(syllables(1))
    for count in (1, 2, 3):
        short = [until(look, TIMES[count - 1]) for look in both(1)]
        np.testing.assert_allclose(chance_of_sounding(short, loudness, TIMES[:count]), 7 / 17, atol=0.02)
    assert chance_of_sounding([], loudness, TIMES[:5]).shape == (0, 5)
    assert chance_of_sounding(both(1), loudness, TIMES[:0]).shape == (2, 0)
    with pytest.raises(ValueError, match="seen"):
        chance_of_sounding(both(1), loudness, TIMES[:4], seen=np.ones((1, 4), bool))


def test_what_is_seen_without_looks_keeps_the_prior():
    none = Look(np.zeros(0), np.zeros((0, LOOK * LOOK), np.float32), np.zeros(0, bool))
    seen = np.ones((2, len(TIMES)), bool)
    found = chance_of_sounding([none, none], heard(syllables(1)), TIMES, seen=seen)
    np.testing.assert_allclose(found, 7 / 17)


@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_the_sample_rate_changes_little(rate):
    level = syllables(2)
    noise = np.random.default_rng(1).standard_normal(SECONDS * rate)
    loudness = Loudness(rate)
    loudness.push(noise * np.interp(np.arange(len(noise)) / rate, np.arange(len(level)) / 100, level))
    found = chance_of_sounding(both(2), loudness, TIMES)
    assert found[0].mean() > found[1].mean()
