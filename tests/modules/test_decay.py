"""What decays tell: depth of falls, level over what has decayed."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.modules.decay import (
    DECAY_FEATURES,
    GAP,
    LAGS,
    REVERBERATION_TIMES,
    decay_features,
    excess,
    steepest_falls,
)
from DiffBinaural.utils.mel import mel_spectrogram

CFG = MelConfig()


def bursts(reverberation_time: float | None, ratio: float = 0.0) -> torch.Tensor:
    """Log mel (1, 1, M, 80) of bursts of noise, with a tail of exponential noise `ratio` dB below."""
    random, n = np.random.default_rng(0), 80 * CFG.hop
    dry = random.standard_normal(n) * (np.arange(n) // 2500 % 2 == 0)
    if reverberation_time:
        seconds = np.arange(CFG.sample_rate) / CFG.sample_rate
        tail = random.standard_normal(len(seconds)) * 10 ** (-3 * seconds / reverberation_time)
        tail *= 10 ** (-ratio / 20) / np.sqrt((tail**2).sum())
        dry = dry + np.convolve(dry, tail)[:n]
    return mel_spectrogram(torch.from_numpy(0.1 * dry).float()[None], CFG)[None]


def test_a_room_makes_falls_shallow_the_more_it_reverberates():
    depth = [
        -float(steepest_falls(bursts(*room), LAGS[1])[..., 10:70, :].mean())
        for room in ((None,), (0.2, 15), (0.5, 5), (1.0, 0))
    ]
    assert depth == sorted(depth, reverse=True)
    assert depth[0] > 2 * depth[1]


def test_an_exponential_decay_falls_as_fast_as_it_does_and_exceeds_nothing():
    slope = 0.3  # nepers a frame
    mel = (-slope * torch.arange(12.0)).expand(1, 1, 4, 12)
    for lag in LAGS:
        assert float(steepest_falls(mel, lag).mean()) == pytest.approx(-slope * lag, rel=1e-5)
    assert torch.allclose(excess(mel, slope)[..., GAP:], torch.zeros(1, 1, 4, 12 - GAP), atol=1e-5)
    assert (excess(mel, slope / 2)[..., GAP:] < 0).all()


def test_an_onset_exceeds_what_has_decayed_by_all_that_it_rises():
    mel = torch.full((1, 1, 2, 30), -8.0)
    mel[..., 20:] = -3.0
    found = excess(mel, 0.1)
    assert torch.allclose(found[..., 20], torch.full((1, 1, 2), 5.0))
    assert float(found[..., 20 + GAP :].max()) <= GAP * 0.1 + 1e-5


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 100), st.floats(-12, 12))
def test_features_are_bounded_and_blind_to_the_volume(count, frames, volume):
    mel = torch.randn(count, 1, 80, frames, generator=torch.Generator().manual_seed(frames)) - 4
    found = decay_features(mel, CFG)
    assert found.shape == (count, DECAY_FEATURES, 80, frames)
    assert len(LAGS) + len(REVERBERATION_TIMES) == DECAY_FEATURES
    assert float(found.abs().max()) <= 1
    assert torch.allclose(decay_features(mel + volume, CFG), found, atol=1e-4)
