"""Mels of sounds in blocks and of files are those of the whole sound."""

from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.utils import audio, mel_stream
from DiffBinaural.utils.audio import resample, write_wav
from DiffBinaural.utils.mel import mel_spectrogram
from DiffBinaural.utils.mel_stream import MelStream, mels_of_file

CFG = MelConfig()


def noise(samples, seed=0):
    return 0.1 * torch.randn(2, samples, generator=torch.Generator().manual_seed(seed))


def whole(wav):
    frames = -(-max(wav.shape[1], 385) // CFG.hop)
    return mel_spectrogram(torch.nn.functional.pad(wav, (0, frames * CFG.hop - wav.shape[1])), CFG)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 9000), min_size=1, max_size=6), st.integers(1, 40))
def test_in_blocks_it_is_what_it_is_at_once(blocks, frames):
    wav = noise(sum(blocks))
    made = []
    with patch.object(mel_stream, "BLOCK", frames):
        stream = MelStream(CFG)
        for k, block in enumerate(wav.split(blocks, -1)):
            made += stream.push(block, last=k == len(blocks) - 1)
    mel = torch.cat([mel for _, mel in made], -1)
    samples = torch.cat([samples for samples, _ in made], -1)
    assert torch.allclose(mel, whole(wav), atol=1e-5)
    assert torch.equal(samples[:, : wav.shape[1]], wav)
    assert not samples[:, wav.shape[1] :].any()
    assert samples.shape[1] == mel.shape[-1] * CFG.hop
    assert all(mel.shape[-1] <= frames for _, mel in made)


@pytest.mark.parametrize("rate", [8000, 22_050, 24_000, 48_000])
@pytest.mark.parametrize("seconds", [0.004, 2.345])
def test_a_file_at_any_rate(rate, seconds, tmp_path, monkeypatch):
    monkeypatch.setattr(mel_stream, "BLOCK", 30)
    monkeypatch.setattr(audio, "SOUND_BLOCK", 3000)
    wav = noise(round(seconds * rate)).numpy()
    write_wav(tmp_path / "a.wav", wav, rate)
    made = torch.cat([*mels_of_file(tmp_path / "a.wav", CFG)], -1)
    expected = whole(torch.from_numpy(resample(wav, rate, CFG.sample_rate)))
    assert made.shape == expected.shape
    loud = expected > -7  # a file's samples are rounded
    assert (made - expected)[loud].abs().max() < 0.05
