"""What tells voices from other sounds, on sounds that its fit has not heard."""

import numpy as np
import pytest

from DiffBinaural.detection.loudness import Loudness
from DiffBinaural.detection.voice import odds_of_kinds, voice_probability
from DiffBinaural.simulation.signals import bell, blown, plucked
from DiffBinaural.simulation.speech import Utterance, synthesise

RATE = 22_050
TEXT = "The harbour was quiet. Nobody had seen the yellow boat, nor heard who took it away so early."


def bands_of(sound):
    loudness = Loudness(RATE)
    loudness.push(sound)
    return loudness.bands()


def notes(kind, seed):
    """Six seconds of notes."""
    rng = np.random.default_rng(seed)
    return np.concatenate([kind(rng, rng.uniform(110, 440), RATE // 2, RATE) for _ in range(12)])


@pytest.fixture(scope="module")
def speech():
    return synthesise(Utterance(TEXT, "en-us+f3", 160, 55, 60))


def test_speech_is_a_voice_at_any_gain_in_any_part(speech):
    whole = voice_probability(bands_of(speech))
    assert whole > 0.7  # of a synthesiser; of people it is surer
    assert voice_probability(bands_of(1e-3 * speech)) == pytest.approx(whole, abs=1e-3)
    assert voice_probability(bands_of(speech[: 2 * RATE])) > 0.6
    assert voice_probability(bands_of(np.concatenate([np.zeros(4 * RATE), speech]))) > 0.7


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", [plucked, blown, bell])
def test_notes_are_none(kind, seed):
    assert voice_probability(bands_of(notes(kind, seed))) < 0.2


def test_noise_is_none():
    sound = np.random.default_rng(0).normal(size=6 * RATE)
    assert voice_probability(bands_of(sound)) < 0.2


@pytest.mark.parametrize("sound", [np.zeros(0), np.zeros(6 * RATE), np.ones(RATE // 2)])
def test_of_nothing_nothing_is_known(sound):
    assert voice_probability(bands_of(sound)) == 0.5


def test_bands_between_two_times(speech):
    loudness = Loudness(RATE)
    loudness.push(speech)
    np.testing.assert_array_equal(loudness.bands(-np.inf, np.inf), loudness.bands())
    np.testing.assert_array_equal(loudness.bands(1, 2), loudness.bands()[100:200])
    assert len(loudness.bands(1e3, 2e3)) == len(loudness.bands(-2, -1)) == 0


def test_a_voice_speaks_for_people_another_sound_against_them():
    labels = ["person", "dog", "car", "tv", "violin"]
    person, dog, car, tv, violin = odds_of_kinds(labels, 1.0)
    assert person > 1 > dog == car
    assert tv == violin == 1  # a television plays anything; violin is no name of a detector's
    person, dog, car, tv, violin = odds_of_kinds(labels, 0.0)
    assert person < 1 < dog == car
    assert tv == violin == 1
    np.testing.assert_allclose(odds_of_kinds(labels, 0.5), 1)
    assert odds_of_kinds([], 0.5).shape == (0,)
