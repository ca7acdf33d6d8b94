"""Griffin and Lim's iterations after the vocoder: equal to a plain loop, and what they leave as it is."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import BigVGAN.griffin_lim as griffin_lim_module
from BigVGAN import bigvgan
from BigVGAN.bigvgan import BigVGAN
from BigVGAN.env import load_config
from BigVGAN.griffin_lim import LARGEST_GAIN, MOMENTUM, bin_magnitudes, frames_reached, griffin_lim
from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.utils.mel import frame_spectra, inverted, mel_basis, mel_spectrogram, reflected

CFG = MelConfig()
OTHER = MelConfig(16000, 512, 128, 40, 0, 7000)
TINY = Path(bigvgan.__file__).parent / "configs/bigvgan_binaural_tiny.json"


def noise(frames, cfg=CFG, level=0.1, seed=0, sounds=2):
    return level * torch.randn(
        sounds, frames * cfg.hop, generator=torch.Generator().manual_seed(seed), dtype=torch.float32
    )


def chord(frames, cfg=CFG):
    t = torch.arange(frames * cfg.hop) / cfg.sample_rate
    tones = [0.2 * torch.sin(2 * math.pi * hz * t + hz) for hz in (220.0, 331.0, 1250.0)]
    return torch.stack((sum(tones), 0.5 * sum(tones)))


def generator(iterations, seed=0):
    torch.manual_seed(seed)
    model = BigVGAN(replace(load_config(TINY), griffin_lim_iterations=iterations))
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4)  # loud enough to have a phase
    return model.eval()


@pytest.fixture(scope="module")
def mel():
    return mel_spectrogram(chord(48) + noise(48, level=0.01), CFG)


def frame_by_frame(wav, wanted, iterations):
    """The iterations as a plain loop in float64, of one sound."""
    window = np.hanning(CFG.n_fft + 1)[:-1]
    pad, before = (CFG.n_fft - CFG.hop) // 2, None
    for _ in range(iterations):
        around = np.pad(wav, pad, mode="reflect")
        starts = range(0, len(around) - CFG.n_fft + 1, CFG.hop)
        spectra = np.array([np.fft.rfft(window * around[at : at + CFG.n_fft]) for at in starts]).T
        ahead = spectra if before is None else spectra + MOMENTUM * (spectra - before)
        before = spectra
        ahead = wanted * ahead / np.hypot(np.abs(ahead), wanted / LARGEST_GAIN)
        total, weight = np.zeros(len(around)), np.zeros(len(around))
        for at, frame in zip(starts, ahead.T, strict=True):
            total[at : at + CFG.n_fft] += window * np.fft.irfft(frame)
            weight[at : at + CFG.n_fft] += window**2
        wav = (total / np.maximum(weight, 1e-12))[pad:-pad]
    return wav


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_it_is_the_plain_loop(iterations, mel):
    start = noise(48, seed=3)
    got = griffin_lim(start, mel, CFG, iterations)
    wanted = bin_magnitudes(mel, CFG).double().numpy()
    for ear in range(2):
        plain = frame_by_frame(start[ear].double().numpy(), wanted[ear], iterations)
        assert np.abs(got[ear].numpy() - plain).max() < 1e-4 * np.abs(plain).max()


@given(frames=st.integers(4, 60), level=st.sampled_from([1e-3, 0.1, 1.0]), cfg=st.sampled_from([CFG, OTHER]))
@settings(max_examples=15, deadline=None)
def test_the_bins_have_the_bands_of_noise(frames, level, cfg):
    mel = mel_spectrogram(noise(frames, cfg, level, seed=frames), cfg)
    bins = bin_magnitudes(mel, cfg)
    assert (bins >= 0).all()
    assert ((mel_basis(cfg, mel.device) @ bins).log() - mel).abs().mean() < 0.005


def test_the_bins_have_the_bands_of_tones_more_nearly_with_updates(monkeypatch):
    mel = mel_spectrogram(chord(60) + noise(60, level=0.01), CFG)
    errors = []
    for updates in (0, 3, griffin_lim_module.UPDATES):
        monkeypatch.setattr(griffin_lim_module, "UPDATES", updates)
        errors.append(
            float(((mel_basis(CFG, mel.device) @ bin_magnitudes(mel, CFG)).log() - mel).abs().mean())
        )
    assert errors[2] < 0.8 * errors[1] < 0.6 * errors[0]


def test_bands_without_a_bin_have_no_magnitude():
    narrow = MelConfig(22050, 256, 64, 80)
    mel = mel_spectrogram(noise(30, narrow), narrow)
    assert griffin_lim(noise(30, narrow, seed=1), mel, narrow, 3).isfinite().all()


def test_every_iteration_brings_the_mel_nearer():
    mel = mel_spectrogram(chord(60) + noise(60, level=0.01), CFG)
    errors = [
        float((mel_spectrogram(griffin_lim(noise(60, seed=3), mel, CFG, n), CFG) - mel).abs().mean())
        for n in (0, 1, 3, 5, 8)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[1] < 0.5 * errors[0]


def test_a_sound_with_the_mel_already_keeps_phase_and_place():
    wav = chord(60)
    got = griffin_lim(wav, mel_spectrogram(wav, CFG), CFG, 4)
    for ear in range(2):
        assert np.corrcoef(got[ear, 2048:-2048], wav[ear, 2048:-2048])[0, 1] > 0.97
    assert float((got[0] - 2 * got[1]).abs().max()) < 1e-3  # and the ears stay in step


def test_swapped_ears_come_out_swapped(mel):
    start = noise(48, seed=3)
    swapped = griffin_lim(start.flip(0), mel.flip(0), CFG, 4)
    assert torch.allclose(swapped.flip(0), griffin_lim(start, mel, CFG, 4), atol=1e-6)


def test_silence_stays_silence():
    mel = mel_spectrogram(torch.zeros(1, 20 * CFG.hop), CFG)
    assert griffin_lim(noise(20, sounds=1), mel, CFG, 4).abs().max() < 1e-3
    assert griffin_lim(torch.zeros(1, 20 * CFG.hop), mel, CFG, 4).abs().max() == 0


@pytest.mark.parametrize("iterations", [0, 4])
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_the_shortest_sounds_pass(frames, iterations):
    wav = noise(frames)
    got = griffin_lim(wav, torch.full((2, 80, frames), -4.0), CFG, iterations)
    assert got.shape == wav.shape
    assert got.isfinite().all()
    assert torch.equal(got, wav) == (frames == 1 or iterations == 0)


@pytest.mark.parametrize(("level", "largest"), [(0.0, 0.0), (1e-6, 1e3), (0.1, 0.05)])
def test_gradients_do_not_explode(level, largest, mel):
    with torch.inference_mode():
        griffin_lim(noise(48, level=level), mel, CFG, 1)  # what it caches serves trainings, too
    wav = noise(48, level=level).requires_grad_()
    (mel_spectrogram(griffin_lim(wav, mel, CFG, 4), CFG) - mel).abs().mean().backward()
    assert wav.grad.isfinite().all()
    assert wav.grad.abs().max() <= largest
    assert (wav.grad.abs().max() > 0) == (level > 0)


# --- as a part of the generator -----------------------------------------------------------------------------


def test_the_iterations_follow_the_network(mel):
    plain, refined = generator(0), generator(3)
    assert load_config(TINY).griffin_lim_iterations == 0
    assert plain.state_dict().keys() == refined.state_dict().keys()
    with torch.no_grad():
        wanted = griffin_lim(plain(mel)[:, 0], mel, CFG, 3)[:, None].clamp(-1, 1)
        assert torch.allclose(refined(mel), wanted, atol=1e-6)


@pytest.mark.parametrize("iterations", [0, 1, 2, 4])
def test_the_overlap_is_the_true_reach_rounded_up(iterations):
    model, centre = generator(iterations), 40
    touched = torch.randn(1, 80, 81, generator=torch.Generator().manual_seed(0)) - 4
    touched[..., centre] = math.nan  # reaches exactly what depends on this frame
    with torch.no_grad():
        frames = model(touched)[0, 0].view(-1, CFG.hop).isnan().any(1).nonzero().flatten()
    for reached in (centre - int(frames[0]), int(frames[-1]) - centre):
        assert model.overlap - (iterations > 0) <= reached <= model.overlap


@pytest.mark.parametrize(("iterations", "frames"), [(0, 0), (1, 4), (2, 7), (4, 13)])
def test_frames_reached(iterations, frames):
    assert frames_reached(iterations, CFG) == frames


@pytest.mark.parametrize(("frames", "chunk"), [(1, 1), (2, 1), (9, 8), (48, 4), (48, 13), (48, 512)])
def test_chunks_equal_the_whole(frames, chunk, mel):
    model, part = generator(4), mel[..., :frames]
    with torch.no_grad():
        whole = model(part)
    assert whole.abs().max() > 1e-3
    # float32 rounds, and bins that are all but empty grow: how far it all reaches is tested above
    assert (model.vocode(part, chunk) - whole).norm() < 1e-4 * whole.norm()


def test_under_autocast_it_all_stays_float32(mel):
    for iterations, same in ((4, True), (0, False)):
        model = generator(iterations)
        with torch.no_grad():
            wanted = model(mel)
            with torch.autocast("cpu", torch.bfloat16):
                got = model(mel)
        assert got.dtype == torch.float32
        assert torch.equal(got, wanted) == same


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"griffin_lim_iterations": -1}, "griffin_lim_iterations is -1; 0 or more"),
        ({"griffin_lim_iterations": 1, "n_fft": 1023, "win_size": 1023}, "n_fft 1023, hop_size 256"),
        ({"griffin_lim_iterations": 1, "n_fft": 510, "win_size": 510}, "n_fft 510, hop_size 256"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(changes, message, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(TINY.read_text()), **changes}))
    with pytest.raises(ValueError, match=rf"config\.json: .*{message}"):
        load_config(path)


@pytest.mark.parametrize("hop", [128, 200, 256, 300, 512])
def test_spectra_and_their_inverse(hop):
    cfg = MelConfig(22050, 1024, hop)
    wav = noise(30, cfg)
    spectra = frame_spectra(reflected(wav, cfg), cfg)
    assert torch.allclose(inverted(spectra, wav.shape[1], cfg), wav, atol=1e-6)
