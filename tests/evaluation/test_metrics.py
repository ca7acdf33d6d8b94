"""The figures: published values, known answers, what must not matter, and what must fail."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.evaluation import interaural, mel_metrics, official, sound_quality
from DiffBinaural.evaluation.aggregation import format_table, joined, summarise
from DiffBinaural.evaluation.mel_metrics import MEL_METRICS
from DiffBinaural.evaluation.metric import NotMeasurable, measure
from DiffBinaural.evaluation.metrics import METRICS, WAV_METRICS
from DiffBinaural.utils.audio import resample
from DiffBinaural.utils.mel import band_centres, mel_spectrogram

MEL = MelConfig()
RATE = MEL.sample_rate
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "metrics.json").read_text())
CUES = ("ild_error", "itd_error", "iacc_error", "ipd_error", "si_sdr")


def noise(seconds=2.0, seed=0, level=0.1):
    """One ear of noise with slow bursts, (N,)."""
    x = level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return x * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * np.arange(len(x)) / RATE))


def placed(x, delay=8, gain=2.0):
    """A source on the right: in the left ear `delay` samples later and `gain` times weaker."""
    return np.stack([np.roll(x, delay) / gain, x])


def mel(pair):
    return mel_spectrogram(torch.from_numpy(pair).float(), MEL).numpy()


def golden_pair(rate, p):
    t = np.arange(3 * rate) / rate
    tones = enumerate((220, 440.5, 883, 1761, 3520))
    x = 0.15 * sum(np.sin(2 * np.pi * f * t + 0.1 * p * k) / (k + 1) for k, f in tones)
    x = x * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * t + p))
    return np.stack([x, 0.6 * np.roll(x, int(0.0004 * rate))])


@pytest.mark.parametrize(("rate", "key"), [(rate, key) for rate, values in GOLDEN.items() for key in values])
def test_the_official_implementations_say_the_same(rate, key):
    reference = golden_pair(int(rate), 0)
    estimate = 0.9 * golden_pair(int(rate), 0.5) * [[1], [1.1]]
    if key.endswith("_mono"):
        estimate = np.stack([reference.mean(axis=0)] * 2)
    figure = getattr(official, key.removesuffix("_mono").partition("_")[2])
    # Told 16 kHz, a figure takes the samples as they are: the 22,050 Hz records were made without resampling.
    assert figure(estimate, reference, 16_000) == pytest.approx(GOLDEN[rate][key], rel=1e-4)


def test_published_figures_are_taken_at_16_khz():
    estimate, reference = placed(noise()), placed(noise(seed=1))
    low = [resample(x, RATE, 16_000) for x in (estimate, reference)]
    for figure in (official.stft, official.env, official.wav, official.mag, official.dphase, official.snr):
        assert figure(estimate, reference, RATE) == pytest.approx(figure(*low, 16_000))


def test_the_truth_itself_is_ideal():
    x = placed(noise())
    ideal = {"si_sdr": 100, "pesq_wb": 4.644, "stoi": 1}
    figures = measure(WAV_METRICS, x, x, RATE) | measure(MEL_METRICS, mel(x), mel(x), MEL)
    power = (resample(x, RATE, 16_000) ** 2).mean()  # SNR's 1e-4 keeps even the truth from infinity
    assert figures.pop("snr") == pytest.approx(10 * np.log10(power / 1e-4 + 1))
    assert figures == pytest.approx({name: ideal.get(name, 0) for name in figures}, abs=1e-3)


def test_cues_over_time_lean_to_the_right_and_leave_silence_out():
    pair = placed(noise(2.0), delay=8, gain=2.0)  # later and weaker in the left ear
    pair[:, RATE:] = 0
    drawn = interaural.cues(pair, RATE)
    for title, value in (("ITD below 1.5 kHz, µs", 8e6 / RATE), ("ILD 1.5 to 6 kHz, dB", 6.02)):
        seconds, values = drawn[title]
        assert np.nanmedian(values[seconds < 0.9]) == pytest.approx(value, rel=0.03)
        assert np.isnan(values[seconds > 1.1]).all()


def test_an_interaural_delay_of_8_samples_is_363_microseconds():
    x = noise()
    assert interaural.itd_error(np.stack([x, x]), placed(x, 8, 1), RATE) == pytest.approx(363, abs=5)
    assert interaural.itd(placed(x, 8), RATE) * 1e6 == pytest.approx(363, abs=5)  # right leads: positive
    assert interaural.itd(placed(x, 8)[::-1], RATE) * 1e6 == pytest.approx(-363, abs=5)


def test_fractional_delays_are_measured():
    x, f = noise(), np.fft.rfftfreq(round(2 * RATE), 1 / RATE)
    for wanted in (-700e-6, 33e-6, 250e-6):
        late = np.fft.irfft(np.fft.rfft(x) * np.exp(-2j * np.pi * f * wanted), len(x))
        assert np.median(interaural.itd(np.stack([late, x]), RATE)) == pytest.approx(wanted, abs=5e-6)


def test_the_phase_of_a_delay_counts_below_its_limit():
    x = np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE)
    y = np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE - 0.7)
    high = np.sin(2 * np.pi * 4000 * np.arange(RATE) / RATE + np.array([[0], [2]]))
    assert interaural.ipd_error(np.stack([x, x]), np.stack([x, y]), RATE) == pytest.approx(0.7, abs=1e-3)
    assert interaural.ipd_error(np.stack([x, x]) + high, np.stack([x, x]), RATE) == pytest.approx(0, abs=1e-3)


def test_6_db_on_one_ear_is_6_db_in_every_band():
    x = noise()
    louder = np.stack([x, x * 10 ** (6 / 20)])
    power = np.abs(np.fft.rfft(interaural.frames(louder, 1024, 512))).swapaxes(1, 2) ** 2
    levels, weights = interaural.ild(power, np.fft.rfftfreq(1024, 1 / RATE))
    assert levels == pytest.approx(np.full((6, levels.shape[1]), 6), abs=1e-3)  # right is louder: positive
    assert weights == pytest.approx(np.array([0.5, 0.7, 1, 1.5, 1.5, 1.3]) / 6.5)
    assert interaural.ild_error(np.stack([x, x]), louder, RATE) == pytest.approx(6, abs=1e-3)
    assert mel_metrics.mel_ild_error(mel(np.stack([x, x])), mel(louder), MEL) == pytest.approx(6, abs=1e-3)


def test_mels_measure_levels_as_sounds_do():
    x, f = noise(), np.fft.rfftfreq(round(2 * RATE), 1 / RATE)
    shadow = 10 ** (-12 * f / RATE * 2 / 20)  # 0 dB at 0 Hz, -12 dB at the top
    true = np.stack([np.fft.irfft(np.fft.rfft(x) * shadow, len(x)), x])
    by_wav = interaural.ild_error(np.stack([x, x]), true, RATE)
    assert mel_metrics.mel_ild_error(mel(np.stack([x, x])), mel(true), MEL) == pytest.approx(by_wav, rel=0.1)


def test_errors_of_opposite_sign_do_not_cancel():
    flat = np.full((2, MEL.n_mels, 20), -2.0)
    true = flat.copy()
    true[1, band_centres(MEL) < 1500] += np.log(10) / 2  # 10 dB to the right below, to the left above
    true[0, band_centres(MEL) >= 1500] += np.log(10) / 2
    assert mel_metrics.mel_ild_error(flat, true, MEL) == pytest.approx(10, abs=1e-3)
    early, late = flat.copy(), flat.copy()
    early[1, :, :10] += 0.5  # the same over time
    late[1, :, 10:] += 0.5
    assert mel_metrics.mel_ild_error(early, late, MEL) == pytest.approx(0.5 * 20 / np.log(10), abs=1e-3)


@pytest.mark.parametrize("name", [*CUES[:2], *CUES[3:], "stft", "env", "dphase", "mcd"])
def test_swapped_ears_score_worse(name):
    true = np.stack([np.convolve(noise(), [0.2, 0.3, 0.2], "same"), noise()])
    true[0] = np.roll(true[0], 8)
    made = true + np.stack([noise(seed=1, level=0.02), noise(seed=2, level=0.02)])
    right, wrong = (METRICS[name].figure(x, true, RATE) for x in (made, made[::-1]))
    assert wrong > 1.1 * right if METRICS[name].better == "lower" else wrong < right - 1


@pytest.mark.parametrize("name", ["stft_peaknorm", "env_peaknorm", "dphase"])
def test_loudness_of_the_estimate_does_not_change_what_is_normalised(name):
    made, true = placed(noise(seed=1), 3, 1.5) + placed(noise()), placed(noise())
    figure = METRICS[name].figure
    assert figure(0.3 * made, true, RATE) == pytest.approx(figure(made, true, RATE), rel=1e-6)


def test_loudness_of_both_ears_does_not_change_the_mels_level_difference():
    made, true = mel(placed(noise(seed=1), 3, 1.5)), mel(placed(noise()))
    softer = mel_metrics.mel_ild_error(made - 0.7, true - 0.7, MEL)
    assert softer == pytest.approx(mel_metrics.mel_ild_error(made, true, MEL), rel=1e-6)


@pytest.mark.parametrize("name", CUES)
def test_loudness_does_not_change_cues(name):
    made, true = placed(noise(seed=1), 3, 1.5) + placed(noise()), placed(noise())
    figure = METRICS[name].figure
    assert figure(0.3 * made, 0.3 * true, RATE) == pytest.approx(figure(made, true, RATE), rel=1e-6)
    assert figure(0.3 * made, true, RATE) == pytest.approx(figure(made, true, RATE), rel=1e-6)


def test_coherence_falls_from_one_source_to_two_noises():
    one, two = placed(noise(), 5), np.stack([noise(), noise(seed=1)])
    assert interaural.iacc(one, RATE) == pytest.approx(1, abs=0.02)
    assert interaural.iacc_error(two, one, RATE) > 0.8


def test_quiet_frames_do_not_count():
    true = placed(noise())
    true[:, RATE:] *= 10 ** (-50 / 20)
    made = true.copy()
    made[:, RATE + 2048 :] = made[::-1, RATE + 2048 :]
    for name in CUES[:4]:
        assert METRICS[name].figure(made, true, RATE) == pytest.approx(0, abs=1e-6)


SILENCE_IS_DEFINED = {"stft", "env", "wav", "mag", "snr"}  # differences of samples: nothing to divide by


@pytest.mark.parametrize("name", [name for name in WAV_METRICS if name not in SILENCE_IS_DEFINED])
def test_silence_raises_and_is_never_zero(name):
    x = placed(noise(1))
    with pytest.raises(NotMeasurable):
        METRICS[name].figure(x, 0 * x, RATE)
    if name != "dphase":
        with pytest.raises(NotMeasurable):
            METRICS[name].figure(0 * x, x, RATE)


def test_a_silent_mel_has_no_level_difference():
    silent = np.full((2, MEL.n_mels, 8), np.log(1e-5))
    with pytest.raises(NotMeasurable):
        mel_metrics.mel_ild_error(silent, silent, MEL)
    assert mel_metrics.mel_rmse(silent, silent, MEL) == 0


@pytest.mark.parametrize("name", METRICS)
def test_unequal_lengths_are_a_mistake_not_a_missing_figure(name):
    shape = (2, 5000) if name in WAV_METRICS else (2, 80, 20)
    with pytest.raises(ValueError, match=f"{name}: shapes") as caught:
        METRICS[name].figure(np.ones(shape), np.ones(shape)[..., :-1], RATE)
    assert not isinstance(caught.value, NotMeasurable)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("broken", [0, 1])
def test_a_value_that_is_no_number_is_a_mistake_not_a_missing_figure(name, broken):
    pair = [np.ones((2, 5000) if name in WAV_METRICS else (2, 80, 20)) for _ in range(2)]
    pair[broken][1, 7] = np.nan
    with pytest.raises(ValueError, match=f"{name}: not all values are finite") as caught:
        METRICS[name].figure(*pair, RATE)
    assert not isinstance(caught.value, NotMeasurable)


def test_one_sample_allows_only_differences_of_samples():
    figures = measure(WAV_METRICS, np.array([[0.5], [0.2]]), np.array([[0.4], [0.4]]), RATE)
    assert {name for name, value in figures.items() if value is not None} == {
        "env",
        "env_peaknorm",
        "wav",
        "snr",
        "si_sdr",
    }
    drawn = interaural.cues(np.array([[0.5], [0.2]]), RATE)  # and it can be drawn
    assert all(len(values) == 1 for _, values in drawn.values())


def test_level_differences_over_time_are_the_same_from_mels():
    pair = placed(noise(1.0), delay=0, gain=2.0)
    ((_, values),) = mel_metrics.mel_cues(mel(pair), MEL).values()
    assert np.nanmedian(values) == pytest.approx(6.02, abs=0.05)


@pytest.mark.parametrize("size", [100, 1100, 3000])
def test_a_clip_too_short_for_a_figure_is_missing(size):
    figures = measure(WAV_METRICS, placed(noise())[:, :size], placed(noise(seed=1))[:, :size], RATE)
    assert figures["pesq_wb"] is None
    assert figures["stoi"] is None
    assert figures["wav"] > 0


def test_pesq_and_stoi_are_the_libraries_own():
    import pesq
    import pystoi

    made, true = placed(noise()) + placed(noise(seed=1), gain=0.9), placed(noise())
    ears = [resample(x, RATE, 16_000).clip(-1, 1) for x in (made, true)]
    wanted = np.mean([pesq.pesq(16_000, ears[1][k], ears[0][k], "wb") for k in (0, 1)])
    assert sound_quality.pesq_wb(made, true, RATE) == pytest.approx(wanted)
    wanted = np.mean([pystoi.stoi(true[k], made[k], RATE) for k in (0, 1)])
    assert sound_quality.stoi(made, true, RATE) == pytest.approx(wanted)


def test_mcd_counts_librosas_coefficients():
    import librosa

    made, true = placed(noise(seed=1)), placed(noise())

    def cepstra(x):  # its MFCC is 10 log10 of the same power
        return librosa.feature.mfcc(y=x, sr=RATE, n_mfcc=14)[..., 1:, :] * np.log(10) / 10

    wanted = 10 / np.log(10) * np.sqrt(2 * ((cepstra(made) - cepstra(true)) ** 2).sum(axis=1)).mean()
    assert sound_quality.mcd(made, true, RATE) == pytest.approx(wanted, rel=1e-3)


def test_half_the_level_has_a_known_multi_resolution_distance():
    x = placed(noise(level=0.3))
    assert sound_quality.mrstft(x / 2, x, RATE) == pytest.approx(0.5 + np.log(2), rel=1e-2)


def test_half_the_level_is_ln_2_nepers_from_the_whole():
    x = placed(noise(level=0.3))
    assert sound_quality.mel_spec_error(x / 2, x, RATE) == pytest.approx(np.log(2), rel=1e-4)


def test_mel_errors_by_ear_and_band():
    true = np.zeros((2, 80, 10))
    made = true + np.array([1.0, 3.0])[:, None, None]
    made[0, 5] += 1
    figures = measure(MEL_METRICS, made, true, MEL)
    assert figures["mel_rmse_right"] == figures["mel_l1_right"] == 3
    assert figures["mel_l2_left"] == pytest.approx((79 + 4) / 80)
    assert figures["mel_rmse"] == pytest.approx((3 + np.sqrt(83 / 80)) / 2)
    bands = mel_metrics.band_errors(made, true)
    assert bands["l2"].shape == (2, 80)
    assert bands["rmse"][0, 5] == 2


def test_what_is_missing_is_left_out_and_counted():
    rows = [
        {"id": name, "system": "model", "stoi": value, "pesq_wb": None}
        for name, value in (("a", 0.5), ("b", None), ("c", 0.9))
    ]
    found = summarise(rows)
    assert found["clips"] == rows
    assert found["systems"]["model"]["stoi"] == pytest.approx(
        {"mean": 0.7, "std": 0.2 * 2**0.5, "se": 0.2, "n": 2, "missing": 1}
    )
    nothing = {"mean": None, "std": None, "se": None, "n": 0, "missing": 3}
    assert found["systems"]["model"]["pesq_wb"] == nothing
    table = format_table(found["systems"], METRICS)
    assert "n = 3" in table
    assert "0.7±0.2 (n=2)" in table
    assert "- (n=0)" in table


def test_rows_join_by_clip_and_system():
    ours = [{"id": "a", "system": "model", "wav": 1}, {"id": "b", "system": "swapped", "wav": 2}]
    theirs = [{"id": "c", "system": "new", "wav": 3}, {"id": "a", "system": "model", "mel_rmse": 4, "wav": 9}]
    both = {"id": "a", "system": "model", "wav": 1, "mel_rmse": 4}
    assert joined(ours, theirs) == [both, ours[1], theirs[0]]
