"""The reliability of the predicted coherence: of drawn phasors of known coherence, and as a user runs it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.evaluation.pairing import mels, predictions, wavs
from DiffBinaural.evaluation.reliability import (
    BINS,
    binned_cells,
    calibration,
    draw_reliability,
    phasor_cells,
    reliability,
    reliability_lines,
)
from DiffBinaural.utils.audio import read_wav, write_wav
from DiffBinaural.utils.mel import FLOOR, band_centres, interaural_phasor, mel_spectrogram
from DiffBinaural.utils.mel_files import save_mel_pair, write_mel_config

ROOT = Path(__file__).parents[2]
MEL = MelConfig()
RATE, HOP = MEL.sample_rate, MEL.hop
HZ = band_centres(MEL)
FRAMES = 2000
ALL, LOW, HIGH = range(3)


def drawn(seed=0):
    """A prediction, truths of which it is the mean, levels of the cells."""
    random = np.random.default_rng(seed)
    length, phase = (
        random.uniform(0, 1, (MEL.n_mels, FRAMES)),
        random.uniform(-np.pi, np.pi, (2, MEL.n_mels, FRAMES)),
    )
    made = length * np.exp(1j * phase[0])
    # Of length 1: along the prediction with probability r, anywhere otherwise.
    sure = random.uniform(size=length.shape) < length
    true = np.exp(1j * np.where(sure, phase[0], phase[1]))
    level = random.normal(-3, 1, (1, MEL.n_mels, FRAMES))
    return np.stack([made.real, made.imag]), np.stack([true.real, true.imag]), level


def sums_of(estimate, reference, level):
    return binned_cells(phasor_cells(estimate, reference, level), HZ)


def test_a_prediction_that_is_the_mean_of_its_truths_lies_on_the_diagonal():
    for weight, length, agreement in sums_of(*drawn()):
        assert (length - agreement) / weight == pytest.approx(np.zeros(BINS), abs=0.03)
        assert length / weight == pytest.approx((np.arange(BINS) + 0.5) / BINS, abs=0.005)
        error, excess = calibration((weight, length, agreement))
        assert error < 0.02
        assert abs(excess) < 0.01


def test_lengths_of_another_size_are_found_with_their_sign():
    made, true, level = drawn()
    for sums in sums_of(0.7 * made, true, level):
        error, excess = calibration(sums)
        assert excess == pytest.approx(0.7 * 0.5 - 0.5, abs=0.01)
        assert error == pytest.approx(-excess, abs=0.01)  # in every bin the same sign
        assert sums[0, 7:].sum() == 0
    for sums in sums_of(made / np.hypot(*made), true, level):  # as sure as can be, and right by half
        assert calibration(sums) == pytest.approx((0.5, 0.5), abs=0.01)
        assert sums[0, -1] == sums[0].sum()


def test_errors_of_both_signs_do_not_cancel_in_the_calibration_error():
    made, true, level = drawn()
    length = np.hypot(*made)
    steps = made / length * np.where(length < 0.5, 0.25, 0.75)  # coarser, and true
    assert calibration(sums_of(steps, true, level)[ALL])[0] < 0.02
    crossed, excess = calibration(sums_of(made / length * (1 - np.hypot(*steps)), true, level)[ALL])
    assert abs(excess) < 0.02
    assert crossed == pytest.approx(0.5, abs=0.02)


def test_with_its_ears_exchanged_a_prediction_agrees_less():
    made, true, level = drawn()
    conjugate = made * np.array([1, -1])[:, None, None]
    (kept, swapped) = (sums_of(x, true, level)[ALL] for x in (made, conjugate))
    assert swapped[:2] == pytest.approx(kept[:2])  # as sure as before
    assert swapped[2].sum() < 0.2 * kept[2].sum()
    both = sums_of(conjugate, true * np.array([1, -1])[:, None, None], level)[ALL]
    assert both == pytest.approx(kept)


def test_loud_cells_count_and_silent_ones_do_not():
    made, true, level = drawn()
    level[..., FRAMES // 2 :] = np.log(FLOOR)
    halves = [x[..., : FRAMES // 2] for x in (made, true, level)]
    assert sums_of(made, true, level) == pytest.approx(sums_of(*halves))
    wrong = true.copy()
    wrong[..., FRAMES // 2 :] *= -1
    assert np.array_equal(sums_of(made, wrong, level), sums_of(made, true, level))
    silent = np.full_like(level, np.log(np.float32(FLOOR)))
    assert not sums_of(made, true, silent).any()
    assert calibration(sums_of(made, true, silent)[ALL]) is None
    louder = sums_of(made, true, level + np.where(level > -11, 1, 0))
    assert louder == pytest.approx(sums_of(made, true, level), rel=1e-3)  # a loud clip is one clip


def test_bands_are_told_apart_at_1500_hz():
    made, true, level = drawn()
    upper = (HZ > 1500)[:, None]
    whole, low, high = sums_of(np.where(upper, made / np.hypot(*made), made), true, level)
    assert whole == pytest.approx(low + high)
    assert calibration(low)[0] < 0.02
    assert calibration(high) == pytest.approx((0.5, 0.5), abs=0.02)
    assert low[0].sum() == pytest.approx(np.mean(HZ < 1500), abs=0.02)


def test_a_phasor_without_length_is_unsure_of_nothing():
    made, true, level = drawn()
    weight, length, agreement = sums_of(0 * made, true, level)[ALL]
    assert weight[0] == pytest.approx(1)
    assert length.sum() == agreement.sum() == 0


# ---- as a user runs it ----


def noise(hops, seed):
    """Two ears of partly common noise, the left one 8 samples later."""
    ears = np.random.default_rng(seed).standard_normal((3, hops * HOP))
    common, own = np.stack([np.roll(ears[0], 8), ears[0]]), ears[1:]
    return 0.1 * (0.8 * common + 0.6 * own)


def phasor_pair(pair):
    """Mels and phasor of a sound, (4, M, T), as stage 1 would write them."""
    pair = torch.from_numpy(np.ascontiguousarray(pair)).float()
    return np.concatenate([mel_spectrogram(pair, MEL).numpy(), interaural_phasor(pair, MEL).numpy()])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """True phasors as `true`, of length 1 as `sure`: of alpha, of beta from 40 hops on, of silence."""
    root, start = tmp_path_factory.mktemp("reliability"), 40 * HOP
    for seed, (name, hops) in enumerate({"alpha": 100, "beta": 240}.items()):
        write_wav(root / "truth" / f"{name}.wav", noise(hops, seed), RATE)
    write_wav(root / "truth" / "silence.wav", np.zeros((2, 100 * HOP)), RATE)
    for name, stem, begin in (
        ("alpha", "alpha", 0),
        ("beta", f"beta_{round(1000 * start / RATE):06d}", start),
        ("silence", "silence", 0),
    ):
        wav, _ = read_wav(root / "truth" / f"{name}.wav")
        rows = phasor_pair(wav[:, begin : begin + 100 * HOP])
        save_mel_pair(root / "true", stem, rows)
        rows[2:] /= np.maximum(np.hypot(*rows[2:]), 1e-9)
        save_mel_pair(root / "sure", stem, rows)
    for folder in ("true", "sure"):
        write_mel_config(root / folder, MEL)
    return root


def script(*words):
    return subprocess.run(
        [sys.executable, ROOT / "DiffBinaural" / "evaluate_mel_spectrogram_rmse.py", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_clip_is_compared_with_its_own_part_of_the_truth(data, tmp_path):
    """The truth's own phasor agrees with the truth exactly; half a second later it agrees less."""
    clips = predictions((str(data / "true"),), mels, wavs(data / "truth"))
    (sums,) = reliability(clips, MEL).values()
    assert sums[ALL, 0].sum() == pytest.approx(2)  # two clips sound, the third counts nothing
    assert calibration(sums[ALL])[0] < 0.01
    (late,) = (p for p in clips if p.stem.startswith("beta"))
    for side in ("left", "right", "phasor"):
        (tmp_path / f"beta_{side}.npy").write_bytes((data / "true" / f"{late.stem}_{side}.npy").read_bytes())
    cut = read_wav(data / "truth" / "beta.wav")[0][:, : 100 * HOP]
    write_wav(tmp_path / "truth" / "beta.wav", cut, RATE)
    write_mel_config(tmp_path, MEL)
    (wrong,) = reliability(predictions((str(tmp_path),), mels, wavs(tmp_path / "truth")), MEL).values()
    assert calibration(wrong[ALL])[1] > 0.1


def test_the_script_draws_and_prints(data, tmp_path):
    to = tmp_path / "new" / "reliability.png"
    words = ["--pred_dir", data / "true", f"sure={data / 'sure'}", "--gt_dir", data / "truth"]
    done = script(*words, "--reliability", to)
    assert done.returncode == 0, done.stderr
    assert to.read_bytes().startswith(b"\x89PNG")
    lines = {line.split(":")[0]: line for line in done.stdout.splitlines() if "calibration" in line}
    assert list(lines) == ["model", "sure"]
    assert "calibration error 0.00" in lines["model"]
    assert float(lines["sure"].split("overconfidence ")[1].split(";")[0]) > 0.1
    without = script(*words)
    assert without.stdout.splitlines() == done.stdout.splitlines()[: len(without.stdout.splitlines())]


def test_mistakes_are_found_before_anything_is_measured(data, tmp_path):
    to = tmp_path / "made"
    for truth, folder, cure in (
        (data / "true", data / "sure", "wavs as --gt_dir"),
        (data / "truth", tmp_path / "plain", "--interaural_phase"),
    ):
        save_mel_pair(tmp_path / "plain", "alpha", phasor_pair(noise(100, 0))[:2])
        write_mel_config(tmp_path / "plain", MEL)
        words = ["--reliability", to / "r.png", "--output_json", to / "r.json"]
        done = script("--pred_dir", folder, "--gt_dir", truth, *words)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()[-1:]
        assert line.startswith("error: ")
        assert cure in line
        assert "Traceback" not in done.stderr
        assert not done.stdout
        assert not to.exists()


def test_where_nothing_sounds_there_is_no_figure(data, tmp_path):
    clips = [p for p in predictions((str(data / "true"),), mels, wavs(data / "truth")) if p.stem == "silence"]
    sums = reliability(clips, MEL)
    assert not sums["model"].any()
    (line,) = reliability_lines(sums)
    assert line.startswith("model: ")
    assert not any(character.isdigit() for character in line)
    draw_reliability(tmp_path / "empty.png", sums)
    assert (tmp_path / "empty.png").stat().st_size > 1000
