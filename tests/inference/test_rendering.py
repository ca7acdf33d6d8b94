"""The phase between the ears, and the sound rendered with it: closed form, length, silence, swapped ears."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.evaluation.metrics import WAV_METRICS
from DiffBinaural.heads.sphere import sphere_response
from DiffBinaural.inference import rendering
from DiffBinaural.inference.rendering import RENDERERS, MonoPhaseRenderer, closed_form, render
from DiffBinaural.simulation.scenes import simulate
from DiffBinaural.utils.mel import band_centres, frame_spectra, interaural_phasor, mel_spectrogram, pad_to_hop

CFG = MelConfig()
SHORTEST = 385  # samples that the mel's reflection needs


def sounds(samples, seed=0):
    """Two ears that share some of their sound, (2, N)."""
    random = torch.Generator().manual_seed(seed)
    common, apart = torch.randn(2, samples, generator=random) * 0.1
    return torch.stack((common + 0.3 * apart, 0.6 * common.roll(3) - 0.2 * apart))


def truth(pair):
    """What a perfect stage 1 would make of a pair (2, N): (4, M, T)."""
    pair = pad_to_hop(pair, CFG.hop)
    return torch.cat((mel_spectrogram(pair, CFG), interaural_phasor(pair, CFG)))


def plain(frames):
    """Mels of mono's own level in both ears and no angle between them, for a mono whose mel is 0 nepers."""
    return torch.cat((torch.zeros(2, 80, frames), torch.ones(1, 80, frames), torch.zeros(1, 80, frames)))


def level(x):
    """dB."""
    return 10 * math.log10(float((x.double() ** 2).mean()) + 1e-30)


# --- the phasor ---------------------------------------------------------------------------------------------


def test_a_delay_turns_the_phasor_by_its_phase_and_keeps_it_long():
    """The right ear leads by two samples: the phase of L R* is -2π f ITD."""
    wav = torch.randn(1, 30_000, generator=torch.Generator().manual_seed(0))[0] * 0.1
    phasor = torch.complex(*interaural_phasor(torch.stack((wav.roll(2), wav)), CFG))[:, 2:-2]
    low = torch.from_numpy(band_centres(CFG)) < 3000
    turn = torch.from_numpy(-2 * np.pi * band_centres(CFG) * 2 / CFG.sample_rate).float()[:, None]
    assert (phasor[low] * torch.polar(torch.ones_like(turn), -turn)[low]).angle().abs().max() < 0.1
    assert phasor[low].abs().min() > 0.95
    assert phasor.abs().max() <= 1 + 1e-5


def test_independent_ears_have_a_short_phasor_and_silence_has_none():
    pair = torch.randn(2, 60_000, generator=torch.Generator().manual_seed(0))
    assert interaural_phasor(pair, CFG)[:, 40:].norm(dim=0).mean() < 0.5
    assert not interaural_phasor(torch.zeros(2, 4096), CFG).any()
    assert not interaural_phasor(torch.stack((pair[0], torch.zeros(60_000))), CFG).any()


def test_swapped_ears_have_the_conjugate_phasor():
    pair = sounds(9000)
    here, there = (torch.complex(*interaural_phasor(x, CFG)) for x in (pair, pair.flip(0)))
    assert torch.allclose(here.conj(), there, atol=1e-6)


# --- the closed form ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("azimuth", [-55, -10, 0, 25, 90])
def test_the_closed_form_is_exact_for_one_source_without_a_room(azimuth):
    """True magnitudes and angle of every bin; mono = (L + R)/2."""
    dry = frame_spectra(torch.randn(1, 20_000, dtype=torch.float32), CFG)[0].to(torch.complex128)
    common, differing = sphere_response(np.sin(np.radians([azimuth])), CFG.sample_rate, CFG.n_fft)
    left, right = ((common + sign * differing)[0, :, None] * dry for sign in (-1, 1))
    mono = (left + right) / 2
    gain = torch.stack((left, right)).abs() / mono.abs()
    made = closed_form(mono, gain, left * right.conj())
    assert (made - torch.stack((left, right))).abs().max() < 1e-6 * left.abs().max()


@pytest.mark.parametrize("how", RENDERERS.values())
def test_spectra_of_swapped_ears_are_swapped(how):
    random = torch.Generator().manual_seed(0)
    mono, phasor = (torch.randn(2, 513, 20, dtype=torch.complex64, generator=random) for _ in range(2))
    gain = torch.rand(2, 513, 20, generator=random) * 2
    phasor = phasor[0] / (1 + phasor[0].abs())
    here, there = how(mono[0], gain, phasor), how(mono[0], gain.flip(0), phasor.conj())
    assert torch.allclose(here.flip(0), there, atol=1e-4)


# --- sounds -------------------------------------------------------------------------------------------------


@given(st.integers(SHORTEST, 6000))
@settings(max_examples=60, deadline=None)
def test_the_stft_on_the_mels_frames_is_inverted_without_loss(samples):
    """Equal ears with the mono's own mel give the mono back, both ends included, whatever the length."""
    mono = sounds(samples)[0]
    made = render(mono, truth(torch.stack((mono, mono))), CFG)
    assert made.shape == (2, -(-samples // CFG.hop) * CFG.hop)
    assert (made[:, :samples] - mono).abs().max() < 2e-5


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("samples", [SHORTEST, 512, 5000, 30_001])
def test_chunks_change_nothing(renderer, samples):
    pair = sounds(samples)
    whole, *parts = (render(pair.mean(0), truth(pair), CFG, renderer, chunk=n) for n in (10_000, 1, 7, 64))
    assert whole.isfinite().all()
    for part in parts:
        assert torch.allclose(part, whole, atol=1e-5)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_silence_stays_silence_and_swapped_ears_are_swapped(renderer):
    pair, loud = sounds(9000), plain(20)
    assert not render(torch.zeros(5120), loud, CFG, renderer).any()
    here, there = (render(pair.mean(0), truth(x), CFG, renderer) for x in (pair, pair.flip(0)))
    assert torch.allclose(here.flip(0), there, atol=1e-5)
    half = torch.cat((sounds(8192), torch.zeros(2, 8192)), dim=1)
    made = render(half.mean(0), truth(half), CFG, renderer)
    assert not made[:, 8192 + CFG.n_fft :].any()


@pytest.mark.parametrize(("renderer", "exact"), [("mono_phase", True), ("wiener", False)])
def test_the_mean_of_the_ears_is_the_mono_to_60_db(renderer, exact):
    pair, wrong = sounds(20_000), truth(sounds(20_000, seed=1))  # even with another sound's mels
    mono = pair.mean(0)
    made = render(mono, wrong, CFG, renderer, exact_downmix=exact)[:, :20_000]
    assert level(made.mean(0) - mono) < level(mono) - 60
    assert level(made[0] - made[1]) > level(mono) - 20
    loose = render(mono, wrong, CFG, "mono_phase")[:, :20_000]
    assert level(loose.mean(0) - mono) > level(mono) - 40


def powers(wav):
    """Of each bin, summed over time and channels."""
    return (frame_spectra(wav, CFG).abs() ** 2).sum((0, -1))


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_of_a_microphones_sound_both_ears_have_the_power(renderer, strength):
    """At every frequency, while the difference between the ears stays; as a downmix it becomes coloured."""
    pair = sounds(40_000)
    voice, mel = torch.randn(40_192, generator=torch.Generator().manual_seed(7)) * 0.1, truth(pair)
    ears, coloured = (
        render(voice, mel, CFG, renderer, microphone=yes, strength=strength) for yes in (True, False)
    )
    one, other = (10 * (powers(x) / 2 / powers(voice[None])).log10()[2:-2].abs() for x in (ears, coloured))
    assert one.max() < 0.5
    assert one.mean() < 0.1
    assert other.max() > 2
    heard, kept = (10 * (powers(x[:1]) / powers(x[1:])).log10()[2:-2] for x in (ears, coloured))
    assert (heard - kept).abs().median() < 0.5


@given(
    st.sampled_from(list(RENDERERS)),
    st.booleans(),
    st.integers(1, 40),
    st.lists(st.integers(1, 30), min_size=1, max_size=8),
)
@settings(max_examples=60, deadline=None)
def test_blocks_of_any_size_give_the_clip_at_once(renderer, exact, chunk, sizes):
    """What overlaps from block to block is kept, and no more than a chunk waits."""
    sizes = [sizes[0] + 1, *sizes[1:]]
    pair = sounds(sum(sizes) * CFG.hop)
    mono, mel = pair.mean(0), truth(pair)
    blocks = list(zip(mono.split([n * CFG.hop for n in sizes]), mel.split(sizes, dim=-1), strict=True))
    how = dict(renderer=renderer, exact_downmix=exact)
    by_block = MonoPhaseRenderer(CFG, chunk=chunk, **how)
    made = [by_block.push(*block, last=k == len(blocks)) for k, block in enumerate(blocks, start=1)]
    made = torch.cat(made, dim=-1)
    assert torch.allclose(made, render(mono, mel, CFG, chunk=10_000, **how), atol=1e-5)


def test_memory_does_not_grow_beyond_the_sound_itself(monkeypatch):
    """However long the sound, no more than a chunk's frames and what they overlap is transformed at once."""
    sizes = []
    monkeypatch.setattr(
        rendering, "frame_spectra", lambda wav, cfg: sizes.append(wav.shape) or frame_spectra(wav, cfg)
    )
    for frames in (300, 1000):
        render(torch.zeros(frames * CFG.hop), plain(frames), CFG, chunk=128)
    assert max(sizes) == (1, (128 + 2 * 4 - 1) * CFG.hop + CFG.n_fft)


# --- the ceiling --------------------------------------------------------------------------------------------

# Figures of a first trial with true mels and phasor: stft (rounded up), env, itd_error (µs), ild_error (dB)
CEILING = {(1, False): 0.00015, (1, True): 0.027, (2, False): 0.024, (2, True): 0.21, (3, True): 0.18}
WORST = {"env": 0.07, "itd_error": 180, "ild_error": 0.8}


@pytest.mark.parametrize(("sources", "room"), CEILING)
def test_true_mels_and_phasor_come_near_the_truth(sources, room):
    """The median scene, within 1.5 times what a first trial found; and far below the mono copy."""
    rows = []
    for seed in range(5):
        pair = simulate(7_000 + seed, seconds=2.0, sources=(sources, sources), room=room).binaural
        mono = pair.mean(0)
        made = render(torch.from_numpy(mono), truth(torch.from_numpy(pair)), CFG, "mono_phase").numpy()
        systems = (made[:, : len(mono)], np.stack([mono, mono]))
        rows.append(
            [
                [WAV_METRICS[name].figure(sound, pair, CFG.sample_rate) for name in ("stft", *WORST)]
                for sound in systems
            ]
        )
    (stft, *others), (copied, *_) = np.median(rows, axis=0)
    assert stft < min(1.5 * CEILING[sources, room], copied / 3)
    for (name, worst), figure in zip(WORST.items(), others, strict=True):
        assert figure < 1.5 * worst, name
