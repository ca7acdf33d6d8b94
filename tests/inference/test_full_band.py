"""Ears at the rate of the input: below 11 kHz as the model makes them, above by the head; their strength."""

import math

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from BigVGAN.batch import videos_of
from BigVGAN.pipeline import Pipeline
from BigVGAN.request import E2EConfig
from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.heads.direct_path import direct_path, in_bands, levels, statistics
from DiffBinaural.heads.named import head_named
from DiffBinaural.inference.audio_source import AudioSource
from DiffBinaural.inference.full_band import FullBand, ear_gains
from DiffBinaural.inference.rendering import GEOMETRY, RENDERERS, keeps_mono, render
from DiffBinaural.utils import audio, mel_stream
from DiffBinaural.utils.audio import resample, usual_rate
from DiffBinaural.utils.media_writing import write_video
from DiffBinaural.utils.mel import interaural_phasor, mel_spectrogram, pad_to_hop

CFG = MelConfig()
STEP = 2**-15  # of 16 bits
RATES = (8_000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000)


def through(head, azimuth, rate, seconds=0.7, seed=0):
    """White noise at two ears (2, N) from a direction, through a head's responses at this rate."""
    size = round(seconds * rate)
    dry = torch.from_numpy(np.random.default_rng(seed).normal(0, 0.05, size + 4096).astype(np.float32))
    response = head_named(head).responses(np.array([azimuth]), np.zeros(1), rate, 4096)[:, 0]
    taps = torch.fft.irfft(response, 4096).roll(512, -1)
    n = size + 2 * 4096
    return torch.fft.irfft(torch.fft.rfft(dry, n) * torch.fft.rfft(taps, n))[:, 4096 : 4096 + size]


def known(pair, rate, azimuth):
    """What a perfect stage 1 would make of one source: (5, M, T) with its share; its directions (1, 3, T)."""
    low = pad_to_hop(torch.from_numpy(resample(pair.numpy(), rate, CFG.sample_rate)), CFG.hop)
    mel = torch.cat((mel_spectrogram(low, CFG), interaural_phasor(low, CFG)))
    frames = mel.shape[-1]
    directions = torch.tensor([azimuth, 0.0, 1.0])[None, :, None].expand(1, 3, frames)
    return torch.cat((mel, torch.ones(1, CFG.n_mels, frames))), directions


def carried(mono, rate, made, directions=None, renderer="levelled", head="kemar", sizes=None, **how):
    """The ears (2, N) of a mono (N,) at a rate, in blocks, and those at the model's rate."""
    low = torch.from_numpy(resample(mono[None].numpy(), rate, CFG.sample_rate))[0]
    low = torch.cat((low, torch.zeros(made.shape[-1] * CFG.hop - len(low))))
    ears = render(low, made, CFG, renderer, directions, head=head_named(head), **how)
    band, sizes = FullBand(CFG, rate, renderer, head_named(head), **how), sizes or [made.shape[-1]]
    given, out, first = 0, [], 0
    for k, frames in enumerate(sizes, start=1):
        last, end = k == len(sizes), first + frames
        fresh = len(mono) if last else min(round(end * CFG.hop * rate / CFG.sample_rate), len(mono))
        late = ears.shape[1] if last else max(end - 4, 0) * CFG.hop  # a renderer gives what it knows
        done = 0 if k == 1 else max(first - 4, 0) * CFG.hop
        places = None if directions is None else directions[..., first:end]
        block = (low[first * CFG.hop : end * CFG.hop], ears[:, done:late], made[..., first:end], places)
        out.append(band.push(mono[given:fresh], *block, last=last))
        given, first = fresh, end
    return torch.cat(out, dim=-1), ears


def ratio(one, other):
    """dB."""
    return 10 * math.log10(float(one) / float(other))


def decibel(x):
    return 10 * math.log10(float((x.double() ** 2).mean()) + 1e-30)


def above(wav, rate, low=11_500.0, high=15_500.0):
    """Powers (…,) between two frequencies."""
    spectrum = torch.fft.rfft(wav.double() * torch.hann_window(wav.shape[-1]))
    hz = torch.linspace(0, rate / 2, spectrum.shape[-1])
    return (spectrum.abs() ** 2)[..., (hz > low) & (hz < high)].sum(-1)


def broad_ild(pair, rate):
    """dB from 1 to 10 kHz, positive right."""
    left, right = above(pair, rate, 1000, 10_000)
    return ratio(right, left)


def broad_itd(pair, rate):
    """Seconds, positive right: the slope of the phase between the ears up to 600 Hz."""
    left, right = torch.fft.rfft(pair.double() * torch.hann_window(pair.shape[-1]))
    hz = torch.linspace(0, rate / 2, len(left))
    low = (hz > 100) & (hz < 600)
    bands = [(left * right.conj())[low & (hz >= f) & (hz < f + 50)].sum() for f in range(100, 600, 50)]
    centres = torch.arange(125, 625, 50)
    return float(-(torch.stack(bands).angle() / (2 * math.pi * centres)).mean())


# --- another rate -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(
    ("renderer", "how"),
    [("wiener", {}), ("geometry", {}), ("levelled", {"exact_downmix": True}), ("wiener", {"strength": 2.0})],
)
def test_the_mean_of_the_ears_is_the_mono_at_any_rate(rate, renderer, how):
    pair = through("kemar", 50, rate)
    mono = pair.mean(0)
    ears, _ = carried(mono, rate, *known(pair, rate, 50), renderer, **how)
    assert ears.shape[1] >= len(mono)
    ears = ears[:, : len(mono)]
    assert (ears.mean(0) - mono).abs().max() < 2e-6 < STEP / 2
    assert decibel(ears[1] - ears[0]) > decibel(mono) - 10


@pytest.mark.parametrize("rate", [8_000, 16_000, 32_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("renderer", [*RENDERERS, GEOMETRY])
def test_below_10_khz_it_is_what_the_model_makes(rate, renderer):
    """The same samples to -60 dB; where a rate ends below, up to nine tenths of it."""
    pair = through("kemar", -35, rate)
    ears, low = carried(pair.mean(0), rate, *known(pair, rate, -35), renderer)
    back = torch.from_numpy(resample(ears.numpy(), rate, CFG.sample_rate))
    inner = slice(600, low.shape[1] - 900)  # the last frame's silence is not carried over
    window = torch.hann_window(inner.stop - inner.start)
    got, wanted = (torch.fft.rfft(x[:, inner] * window) for x in (back, low))
    heard = torch.linspace(0, CFG.sample_rate / 2, got.shape[-1]) < min(10_000, 0.45 * rate)
    error, there = (x[:, heard].abs().square().sum() for x in (got - wanted, wanted))
    assert error < 1e-6 * there


@pytest.mark.parametrize("azimuth", [-55, -40, -10, 0, 25, 60])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_above_11_khz_it_has_the_energy_of_the_input_and_the_heads_level_difference(rate, azimuth):
    """As a sum of the ears and in the mean of their powers; the mono is (L + R)/2 of KEMAR's."""
    pair = through("kemar", azimuth, rate)
    mono, (left, right) = pair.mean(0), above(pair, rate)
    true = ratio(left, right)
    for renderer in (*RENDERERS, GEOMETRY):
        ears = carried(mono, rate, *known(pair, rate, azimuth), renderer)[0][:, : len(mono)]
        left, right = above(ears, rate)
        assert ratio(left, right) == pytest.approx(true, abs=0.5 + 0.15 * abs(true))
        energy = above(mono, rate)
        if keeps_mono(renderer):
            assert abs(ratio(above(ears.mean(0), rate), energy)) < 0.01
            assert -0.01 < ratio((left + right) / 2, energy) < 2
        else:
            assert abs(ratio(above(ears.mean(0), rate), energy)) < 1
            assert abs(ratio((left + right) / 2, energy)) < 1


def test_without_directions_the_top_bands_are_continued():
    """A source 6 dB to the right in all bands is so above them, too; and the model corrects the head."""
    rate, noise = 48_000, through("sphere", 0, 48_000)[0]
    pair = torch.stack((noise, 2 * noise))
    made, directions = known(pair, rate, 0)
    for rows, places in ((made[:4], None), (made, directions)):
        ears, _ = carried(pair.mean(0), rate, rows, places, "wiener")
        assert ratio(*above(ears[:, : pair.shape[1]], rate)) == pytest.approx(-6.02, abs=0.1)


@pytest.mark.parametrize("rate", [44_100, 48_000])
@pytest.mark.parametrize("renderer", ["levelled", "geometry"])
@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_of_a_microphones_sound_both_ears_have_the_power_at_all_frequencies(rate, renderer, strength):
    """Of a source far to one side, in octaves from 200 Hz to 16 kHz."""
    mono = through("sphere", 0, rate)[0]
    ears, _ = carried(
        mono, rate, *known(through("kemar", 70, rate), rate, 70), renderer, microphone=True, strength=strength
    )
    ears = ears[:, : len(mono)]
    for low in (200, 400, 800, 1600, 3200, 6400, 8000):
        both, one = above(ears, rate, low, 2 * low).sum(), 2 * above(mono, rate, low, 2 * low)
        assert ratio(both, one) == pytest.approx(0, abs=0.5), low
    assert broad_ild(ears, rate) > 5 * min(strength, 1)


@pytest.mark.parametrize("azimuth", [-9, 9, 60])
@pytest.mark.parametrize("renderer", ["levelled", "geometry"])
def test_a_microphones_sound_has_the_heads_levels_where_a_downmix_would_cancel(azimuth, renderer):
    """From 5 to 9 kHz the mean of the ears of a source at 9° almost vanishes; no ear does.

    The mels are those of a model that takes the mono for a downmix.
    """
    rate, head = CFG.sample_rate, "sphere"
    mono, truth = through(head, 0, rate)[0], through(head, azimuth, rate)
    _, places = known(mono[None].expand(2, -1), rate, azimuth)
    told = levels(in_bands(statistics(direct_path(head_named(head), places, CFG)), CFG))[0]
    told[:2] += mel_spectrogram(pad_to_hop(mono[None], CFG.hop), CFG)
    made = torch.cat((told, torch.ones(1, *told.shape[1:])))
    found, _ = carried(mono, rate, made, places, renderer, head=head, microphone=True)
    for low in range(500, 9500, 250):
        ours, true = (
            ratio(*above(x[:, 600 : len(mono) - 900], rate, low, low + 250)) for x in (found, truth)
        )
        assert ours == pytest.approx(true, abs=1.5), low
        both, one = (above(x[..., 600 : len(mono) - 900], rate, low, low + 250).sum() for x in (found, mono))
        assert ratio(both, 2 * one) == pytest.approx(0, abs=0.3), low


def test_both_gains_are_a_compromise_or_keep_the_mono():
    lean = torch.linspace(-1.5, 1.5, 301)
    exact, fair, loud = (ear_gains(lean, kept) for kept in (1.0, 0.5, 0.0))
    assert torch.allclose(exact.mean(0), torch.ones(301))
    assert torch.allclose(loud.square().mean(0), torch.ones(301))
    for pair in (exact, fair, loud):
        assert torch.allclose((pair[0] / pair[1]).log(), 2 * lean, atol=1e-5)
    usual = lean.abs() < 17 / 20 * math.log(10) / 2
    for loud in (fair.mean(0), fair.square().mean(0).sqrt()):
        assert (20 * loud[usual].log10()).abs().max() < 1


@given(st.sampled_from([16_000, 44_100, 48_000]), st.lists(st.integers(1, 60), min_size=1, max_size=6))
@settings(max_examples=12, deadline=None)
def test_blocks_of_any_size_give_the_clip_at_once(rate, sizes):
    sizes = [sizes[0] + 3, *sizes[1:]]
    pair = through("sphere", 30, rate, seconds=sum(sizes) * CFG.hop / CFG.sample_rate - 0.001)
    made, directions = known(pair, rate, 30)
    made, directions = made[..., : sum(sizes)], directions[..., : sum(sizes)]
    directions = directions + torch.arange(sum(sizes)) * torch.tensor([0.2, 0, 0])[:, None]  # it moves
    mono = pair.mean(0)
    parts, whole = (carried(mono, rate, made, directions, sizes=s)[0] for s in (sizes, None))
    assert parts.shape[1] >= len(mono)
    assert torch.allclose(parts[:, : len(mono)], whole[:, : len(mono)], atol=1e-5)


@pytest.mark.parametrize("samples", [1, 300, 2000])
@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
def test_the_shortest_sounds_have_their_samples(rate, samples):
    mono = through("sphere", 0, rate, seconds=1)[0, :samples]
    frames = max(-(-math.ceil(samples * CFG.sample_rate / rate) // CFG.hop), 2)
    made = torch.zeros(4, CFG.n_mels, frames)
    made[2] = 1
    ears, _ = carried(mono, rate, made, renderer="wiener")
    assert ears.isfinite().all()
    assert (ears[:, :samples].mean(0) - mono).abs().max() < 2e-6


# --- strength -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [22_050, 48_000])
@pytest.mark.parametrize("renderer", [*RENDERERS, GEOMETRY])
def test_strength_goes_from_the_mono_over_the_ears_as_made_to_wider_ones(rate, renderer):
    """Nothing jumps, levels and times between the ears grow, the far ear keeps its sound."""
    pair = through("kemar", 35, rate)
    mono, given = pair.mean(0), (*known(pair, rate, 35), renderer)
    steps = np.linspace(0, 2, 21)
    made = {s: carried(mono, rate, *given, strength=s)[0][:, : len(mono)] for s in (*steps, 1.0)}
    assert torch.equal(made[0.0], mono.expand(2, -1))
    assert torch.equal(made[1.0], carried(mono, rate, *given)[0][:, : len(mono)])
    jumps = [decibel(made[b] - made[a]) for a, b in zip(steps, steps[1:], strict=False)]
    assert max(jumps) < decibel(mono) - 15
    ilds, itds = ([cue(made[s], rate) for s in steps] for cue in (broad_ild, broad_itd))
    assert ilds == sorted(ilds)
    assert ilds[20] > ilds[10] + 2 > ilds[0] + 6
    assert itds[0] == pytest.approx(0, abs=1e-6)
    assert itds[5] < itds[10] - 1e-4 < itds[20]
    for s in steps:
        assert min(decibel(ear) for ear in made[s]) > decibel(mono) - 20
        assert max(decibel(ear) for ear in made[s]) < decibel(mono) + 7


def test_no_ear_is_emptied_however_far_the_sound_is_to_the_side():
    """A level difference of 9.5 dB, of which twice the difference signal would leave nothing in one ear."""
    noise = through("sphere", 0, 22_050)[0]
    pair = torch.stack((1.5 * noise, 0.5 * noise))
    for how in ({}, {"exact_downmix": True}):
        ears, _ = carried(noise, 22_050, known(pair, 22_050, 0)[0][:4], strength=2.0, **how)
        assert decibel(ears[1]) > decibel(noise) - 18
        assert ratio(*ears.square().sum(-1)) > 14


# --- files --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A folder with a video, its sound at 48 kHz, and where the source is."""
    folder = tmp_path_factory.mktemp("clip")
    pair = through("kemar", 30, 48_000, seconds=1.4)
    pictures = [np.full((48, 64, 3), 100, np.uint8)] * 15
    write_video(folder / "in.mp4", pictures, 10, pair.mean(0, keepdim=True).numpy(), 48_000)
    soundfile.write(folder / "in.wav", pair.mean(0).numpy(), 48_000)
    (folder / "where.csv").write_text("time,track,azimuth\n0,1,30\n")
    return folder


def words(clip, out, *more):
    given = ("--input_video", clip / "in.mp4", "--input_wav", clip / "in.wav", "--device", "cpu")
    return (*given, "--trajectory_in", clip / "where.csv", "--output", out, *more)


def test_files_have_the_rate_of_the_input_and_its_sum(scripts, clip, tmp_path):
    """By the real script, with the limiter: gain aside, to half a 16-bit step."""
    loud = tmp_path / "loud.wav"
    mono, _ = soundfile.read(clip / "in.wav")
    soundfile.write(loud, np.round(0.9 / np.abs(mono).max() * mono / STEP) * STEP, 48_000)
    call = words(clip, tmp_path / "a.wav", "--renderer", "wiener", "--mux", tmp_path / "a.mkv")
    scripts("BigVGAN.inference_e2e", *call, "--input_wav", loud, "--mux_codec", "flac")
    made, rate = soundfile.read(tmp_path / "a.wav")
    mono, _ = soundfile.read(loud)
    assert rate == 48_000
    assert len(made) == len(mono)
    gain = (made.mean(1) @ mono) / (mono @ mono)
    assert gain < 0.99, "the nearer ear would pass full scale"
    assert np.abs(made.mean(1) - gain * mono).max() < 0.51 * STEP
    for wanted in (8_000, 22_050, 44_100, 96_000):
        scripts("BigVGAN.inference_e2e", *words(clip, tmp_path / "b.wav", "--output_rate", wanted))
        info = soundfile.info(tmp_path / "b.wav")
        assert (info.samplerate, info.frames) == (wanted, -(-len(mono) * wanted // 48_000))


def test_a_file_in_blocks_is_the_file_at_once(scripts, clip, tmp_path, monkeypatch):
    """Read in blocks of 0.1 s, rendered in blocks of half a second."""
    call = ("--renderer", "geometry", "--strength", 1.5)
    scripts("BigVGAN.inference_e2e", *words(clip, tmp_path / "whole.wav", *call))
    monkeypatch.setattr(audio, "SOUND_BLOCK", 4_800)
    monkeypatch.setattr(mel_stream, "BLOCK", 43)
    scripts("BigVGAN.inference_e2e", *words(clip, tmp_path / "blocks.wav", *call))
    whole, blocks = (soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("whole", "blocks"))
    assert whole.shape == blocks.shape == (round(1.4 * 48_000), 2)
    assert np.abs(whole - blocks).max() <= 2 * STEP


def test_strength_by_the_script(scripts, clip, tmp_path):
    for name, strength in (("none", 0), ("made", 1), ("plain", None)):
        more = () if strength is None else ("--strength", strength)
        scripts("BigVGAN.inference_e2e", *words(clip, tmp_path / f"{name}.wav", *more))
    mono = soundfile.read(clip / "in.wav", dtype="int16")[0]
    ears = soundfile.read(tmp_path / "none.wav", dtype="int16")[0]
    assert np.array_equal(ears, np.stack([mono, mono], 1))
    assert (tmp_path / "made.wav").read_bytes() == (tmp_path / "plain.wav").read_bytes()
    with pytest.raises(ValueError, match=r"--strength is 2\.1; expected 0 to 2"):
        scripts("BigVGAN.inference_e2e", *words(clip, tmp_path / "no.wav", "--strength", 2.1))


def test_what_the_vocoder_cannot_do_is_refused(scripts, clip, tmp_path):
    vocoder = ("--renderer", "vocoder")
    for more, message in (
        (("--output_rate", 48_000), "--renderer vocoder makes 22050 Hz"),
        (("--strength", 0.5), "--strength is of no use with --renderer vocoder"),
        (("--output_rate", 47_999), "--output_rate is 47999; expected one of 8000"),
    ):
        with pytest.raises(ValueError, match=message):
            scripts("BigVGAN.inference_e2e", *words(clip, tmp_path / "no.wav", *vocoder, *more))
    scripts("BigVGAN.inference_e2e", *words(clip, tmp_path / "a.wav", *vocoder))
    assert soundfile.info(tmp_path / "a.wav").samplerate == CFG.sample_rate


def test_python_gives_an_array_at_the_rate_of_the_model_or_as_asked(clip):
    pipe = Pipeline.from_pretrained(renderer="geometry", device="cpu")
    given = (clip / "in.wav", clip / "in.mp4")
    seconds = soundfile.info(clip / "in.wav").frames / 48_000
    for more, rate in (({}, pipe.sample_rate), ({"output_rate": 48_000}, 48_000)):
        wav = pipe(*given, trajectory_in=str(clip / "where.csv"), **more)
        assert wav.shape == (2, math.ceil(seconds * rate))


def test_a_row_of_a_batch_has_its_track_rate_and_strength(tmp_path):
    table = tmp_path / "batch.csv"
    table.write_text("input_video,audio_track,output_rate,strength\na.mp4,1,44100,0.5\nb.mp4,,,\n")
    first, second = videos_of(E2EConfig(input_video=str(table), output=str(tmp_path)))
    assert (first.audio_track, first.output_rate, first.strength) == (1, 44_100, 0.5)
    assert (second.audio_track, second.output_rate, second.strength) == (None, None, 1.0)
    table.write_text("input_video,audio_track\na.mp4,0.5\n")
    with pytest.raises(ValueError, match=r"audio_track is '0\.5'; expected a whole number"):
        videos_of(E2EConfig(input_video=str(table), output=str(tmp_path)))


def test_the_sound_is_kept_at_the_output_rate_while_it_is_read(tmp_path):
    """From `start` on, with the gain that keeps floats within full scale."""
    rate = 44_100
    sound = through("sphere", 0, rate, seconds=1.2)[0]
    soundfile.write(tmp_path / "in.wav", (3 * sound / sound.abs().max()).numpy(), rate, subtype="FLOAT")
    source, last, kept = AudioSource(tmp_path / "in.wav", 0.2, 1.0, CFG.sample_rate, None, rate), False, []
    while not last:
        _, last = source.read()
        kept.append(source.whole.take())
    assert source.samples == source.expected == round(0.8 * rate)
    assert source.seconds == pytest.approx(0.8)
    part = sound[round(0.2 * rate) : rate]
    assert torch.allclose(torch.cat(kept), part / part.abs().max(), atol=1e-6)
    assert source.gain == pytest.approx(float(sound.abs().max() / part.abs().max()) / 3)


def test_rates_that_players_take():
    assert [usual_rate(rate) for rate in (6_000, 22_050, 37_800, 48_000, 192_000)] == [
        8_000,
        22_050,
        44_100,
        48_000,
        96_000,
    ]
