"""The two evaluate scripts, run as a user runs them, on three clips of one recording each."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.evaluation import interaural, metrics
from DiffBinaural.evaluation.aggregation import format_table, rows_of, summarise
from DiffBinaural.evaluation.comparison import compared_mels, compared_wavs, with_phase_of
from DiffBinaural.evaluation.config import EvaluateWavConfig
from DiffBinaural.evaluation.paired import compare, format_paired, ratio
from DiffBinaural.evaluation.pairing import ORACLE, mels, notices, predictions, unmatched, wavs, wavs_or_mels
from DiffBinaural.utils.audio import read_wav, write_wav
from DiffBinaural.utils.files import write_json
from DiffBinaural.utils.mel import mel_spectrogram, pad_to_hop
from DiffBinaural.utils.mel_files import save_mel_pair, write_mel_config

ROOT = Path(__file__).parents[2]
MEL = MelConfig()
RATE, HOP = MEL.sample_rate, MEL.hop
START, SIZE = 0.5, 2 * RATE  # the clip "beta_000500" of the longer recording "beta"


def sound(seconds, seed, delay, gain):
    """Bursts of coloured noise, `delay` samples later and `gain` times weaker in the left ear."""
    x = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    bursts = 0.55 + 0.45 * np.sin(2 * np.pi * 3 * np.arange(len(x)) / RATE)
    x = 0.15 * bursts * np.convolve(x, [0.3, 0.4, 0.3], "same")
    return np.stack([np.roll(x, delay) / gain, x])


def mel(wav):
    wav = torch.from_numpy(np.ascontiguousarray(wav)).float()
    return mel_spectrogram(pad_to_hop(wav, HOP), MEL).numpy()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Truth: alpha, beta, and gamma that nobody predicts.  Predictions: alpha, and 2 s of beta from 0.5 s."""
    root = tmp_path_factory.mktemp("evaluate")
    for seed, (name, seconds) in enumerate({"alpha": 2, "beta": 3, "gamma": 1}.items()):
        write_wav(root / "truth" / f"{name}.wav", sound(seconds, seed, 8, 2), RATE)
    for folder, hiss in (("model", 0.002), ("worse", 0.05)):
        for name, stem, start in (("alpha", "alpha", 0), ("beta", "beta_000500", round(START * RATE))):
            true, _ = read_wav(root / "truth" / f"{name}.wav")
            made = true[:, start : start + SIZE] + hiss * np.random.default_rng(9).standard_normal((2, SIZE))
            write_wav(root / folder / f"{stem}.wav", made, RATE)
            save_mel_pair(root / f"{folder}_mels", stem, mel(made))
        write_mel_config(root / f"{folder}_mels", MEL)
    return root


def script(name, *words, ok=True):
    done = subprocess.run(
        [sys.executable, ROOT / "DiffBinaural" / name, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (0 if ok else 2), done.stderr
    return done


@pytest.fixture(scope="module")
def results(data):
    """Both scripts' output: the mel script first, its figures merged into the wav script's."""
    run_mel = script(
        "evaluate_mel_spectrogram_rmse.py",
        "--pred_dir",
        data / "model_mels",
        "--gt_dir",
        data / "truth",
        "--output_json",
        data / "mels.json",
    )
    run_wav = script(
        "evaluate_binaural_22050.py",
        "--pred_dir",
        data / "model",
        f"worse={data / 'worse'}",
        "--gt_dir",
        data / "truth",
        "--output_csv",
        data / "all.csv",
        "--output_json",
        data / "all.json",
        "--merge_json",
        data / "mels.json",
        "--metrics",
        "stft",
        "mel_rmse",
    )
    return run_mel, run_wav


def printed_names(done):
    """Metrics in the table that a script printed."""
    return [name for name in done.stdout.split() if name in metrics.METRICS]


def read(path):
    return json.loads(path.read_text())


def test_the_json_has_the_documented_form(data, results):
    content = read(data / "all.json")
    assert list(content["systems"]) == ["model", "mono_copy", "swapped", "worse"]
    for figures in content["systems"].values():
        assert set(metrics.WAV_METRICS) <= set(figures)
        assert all(set(f) == {"mean", "std", "se", "n", "missing"} for f in figures.values())
    assert {(row["id"], row["system"]) for row in content["clips"]} == {
        (clip, system) for clip in ("alpha", "beta_000500") for system in content["systems"]
    }


def test_figures_are_those_of_the_clip_at_its_position(data, results):
    made, _ = read_wav(data / "model" / "beta_000500.wav")
    true, _ = read_wav(data / "truth" / "beta.wav")
    true = true[:, round(START * RATE) :][:, :SIZE]
    (row,) = (
        r for r in read(data / "all.json")["clips"] if (r["id"], r["system"]) == ("beta_000500", "model")
    )
    for name in ("stft", "itd_error", "si_sdr", "stoi"):
        assert row[name] == pytest.approx(metrics.METRICS[name].figure(made, true, RATE), rel=1e-4, abs=1e-4)


def test_anchors_are_what_they_should_be(data, results):
    of = read(data / "all.json")["systems"]
    assert of["mono_copy"]["itd_error"]["mean"] == pytest.approx(363, abs=5)  # 8 samples
    assert of["mono_copy"]["ild_error"]["mean"] == pytest.approx(6.02, abs=0.1)  # twice as loud
    assert of["swapped"]["itd_error"]["mean"] == pytest.approx(2 * 363, abs=10)
    assert of["swapped"]["ild_error"]["mean"] == pytest.approx(2 * 6.02, abs=0.7)
    assert of["mono_copy"]["dphase"]["mean"] == pytest.approx(np.pi / 2, abs=0.05)
    for name in ("stft", "itd_error", "ild_error", "mel_rmse", "mel_ild_error"):
        assert of["model"][name]["mean"] < 0.7 * min(of[x][name]["mean"] for x in ("mono_copy", "swapped"))
    assert of["model"]["si_sdr"]["mean"] > of["worse"]["si_sdr"]["mean"] > of["swapped"]["si_sdr"]["mean"]


def test_the_other_scripts_figures_join_table_csv_and_json(data, results):
    run_mel, run_wav = results
    alone, merged = read(data / "mels.json"), read(data / "all.json")
    assert list(alone["systems"]) == ["model", "mono_copy", "swapped"]
    for system, figures in alone["systems"].items():
        assert merged["systems"][system].items() >= figures.items()
    assert "mel_rmse" not in merged["systems"]["worse"]
    assert np.shape(alone["bands"]["swapped"]["rmse"]) == (2, MEL.n_mels)
    with open(data / "all.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert float(rows[0]["mel_rmse"]) == alone["clips"][0]["mel_rmse"]
    assert printed_names(run_wav) == ["stft", "mel_rmse"]
    ears = ["mel_rmse_left", "mel_rmse_right"]
    assert printed_names(run_mel) == ["mel_rmse", "mel_ild_error", *ears]
    for done in results:
        assert "no prediction for 1 of 3 truths: gamma" in done.stderr


def test_mels_are_compared_at_the_same_frame(data, tmp_path):
    """The truth's own mels are perfect; truth as mels gives the same figures as truth as wavs."""
    true, _ = read_wav(data / "truth" / "beta.wav")
    start = 20 * HOP  # whole frames, so that both truths have the same ones
    stem = f"beta_{round(1000 * start / RATE):06d}"
    save_mel_pair(tmp_path / "made", stem, mel(true[:, start : start + 40 * HOP]))
    save_mel_pair(tmp_path / "truth", "beta", mel(true))
    for folder in ("made", "truth"):
        write_mel_config(tmp_path / folder, MEL)
    # At a clip's ends windows reach beyond it; and 20 frames are 232.2 ms, the name says 232: 4 samples off.
    for truth, close in (("truth", 1e-3), (data / "truth", 0.2)):
        (clip,) = predictions((str(tmp_path / "made"),), mels, wavs_or_mels(tmp_path / truth))
        estimate, reference = compared_mels(clip, MEL)["model"]
        assert estimate.shape == reference.shape == (2, MEL.n_mels, 40)
        assert np.abs(estimate - reference)[..., 2:-2].mean() < close


def test_mono_comes_from_its_folder(data, tmp_path):
    for name in ("alpha", "beta"):
        true, _ = read_wav(data / "truth" / f"{name}.wav")
        write_wav(tmp_path / f"{name}.wav", 0.5 * true[1:], RATE)
    clips = predictions((str(data / "model"),), wavs, wavs(data / "truth"), str(tmp_path))
    for clip in clips:
        copy, true = compared_wavs(clip, RATE, HOP)["mono_copy"]
        assert copy == pytest.approx(np.stack([0.5 * true[1]] * 2), abs=1e-4)
    by_mel = predictions((str(data / "model_mels"),), mels, mels(data / "worse_mels"), str(tmp_path))
    copy, _ = compared_mels(by_mel[0], MEL)["mono_copy"]
    assert copy[0] == pytest.approx(mel(read_wav(tmp_path / "alpha.wav")[0])[0], abs=1e-3)


def test_without_any_mono_there_is_no_mono_copy(data):
    truths = mels(data / "worse_mels")
    clips = predictions((str(data / "model_mels"),), mels, truths)
    assert list(compared_mels(clips[0], MEL)) == ["model", "swapped"]
    alone = predictions((str(data / "model_mels"),), mels, truths, anchors=False)
    assert list(compared_mels(alone[0], MEL)) == ["model"]
    lost = unmatched((str(data / "model_mels"),), mels, truths, clips)
    assert notices(clips, truths, lost) == ["no mono copy: the truth is mels; give --mono_dir to have one\n"]


@pytest.mark.parametrize("samples", [0, -HOP, HOP, -HOP - 1, HOP + 1])
def test_up_to_one_hop_is_trimmed(data, tmp_path, samples):
    made = np.tile(read_wav(data / "model" / "alpha.wav")[0], 2)[:, : SIZE + samples]
    write_wav(tmp_path / "alpha.wav", made, RATE)
    (clip,) = predictions((str(tmp_path),), wavs, wavs(data / "truth"))
    if abs(samples) <= HOP:
        assert compared_wavs(clip, RATE, HOP)["swapped"][0].shape == (2, SIZE + min(samples, 0))
    else:
        with pytest.raises(ValueError, match=r"alpha: the prediction has .* samples.*alpha.wav has 44100"):
            compared_wavs(clip, RATE, HOP)


def refused(words, expected, name="evaluate_binaural_22050.py"):
    done = script(name, *words, ok=False)
    (line,) = done.stderr.splitlines()[-1:]
    assert line.startswith("error: ")
    assert expected in line
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_mistakes_end_as_one_line(data, tmp_path):
    write_wav(tmp_path / "made" / "delta_000000.wav", sound(1, 0, 0, 1), RATE)
    to = tmp_path / "result.json"
    words = ["--pred_dir", tmp_path / "made", "--gt_dir", data / "truth", "--output_json", to]
    refused(words, "delta_000000")
    save_mel_pair(tmp_path / "mels", "alpha", np.zeros((2, MEL.n_mels, 9), dtype=np.float32))
    write_mel_config(tmp_path / "mels", MelConfig(fmax=8000))
    words = ["--pred_dir", tmp_path / "mels", "--gt_dir", data / "truth", "--output_json", to]
    refused(words, "fmax 8000", "evaluate_mel_spectrogram_rmse.py")
    assert not to.exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("model", "worse"), "taken"),
        (("model", "swapped=worse"), "taken"),
        (("nowhere",), "no such folder"),
    ],
)
def test_systems_have_names_of_their_own(data, words, expected, monkeypatch):
    monkeypatch.chdir(data)
    with pytest.raises((ValueError, FileNotFoundError), match=expected):
        predictions(words, wavs, wavs(data / "truth"))


def test_only_an_evaluate_scripts_json_is_merged(tmp_path):
    write_json(tmp_path / "history.json", [{"epoch": 1}])
    with pytest.raises(ValueError, match=r"history.json: no list `clips`"):
        rows_of(tmp_path / "history.json")


def test_the_oracle_has_the_truths_magnitudes_on_the_monos_phase(data, tmp_path):
    true, _ = read_wav(data / "truth" / "alpha.wav")
    mono = true.mean(axis=0, keepdims=True)
    same = with_phase_of(mono, np.concatenate([mono, mono]), MEL)
    assert same == pytest.approx(np.concatenate([mono, mono]), abs=1e-5)  # a round trip
    made = with_phase_of(mono, true, MEL)
    assert made.shape == true.shape
    assert interaural.ild_error(made, true, RATE) < 1.5  # of 6 dB: the level difference is there
    copy = interaural.itd_error(np.concatenate([mono, mono]), true, RATE)
    assert interaural.itd_error(made, true, RATE) == pytest.approx(copy, rel=0.05)  # the time difference not
    assert with_phase_of(mono[:, :1], true[:, :1], MEL).shape == (2, 1)
    for name in ("alpha", "beta"):
        wav, _ = read_wav(data / "truth" / f"{name}.wav")
        write_wav(tmp_path / f"{name}.wav", wav.mean(axis=0, keepdims=True), RATE)
    folders = (str(data / "model"), f"b={data / 'worse'}")
    clips = predictions(folders, wavs, wavs(data / "truth"), str(tmp_path))
    systems = [list(compared_wavs(clip, RATE, HOP)) for clip in clips]
    assert systems == [["model", "mono_copy", "swapped", ORACLE]] * 2 + [["b"]] * 2


def test_what_has_no_partner_is_listed_and_left_out(data, tmp_path):
    for stem in ("alpha", "delta", "epsilon_000100"):
        write_wav(tmp_path / "made" / f"{stem}.wav", read_wav(data / "model" / "alpha.wav")[0], RATE)
    done = script(
        "evaluate_binaural_22050.py",
        "--pred_dir",
        tmp_path / "made",
        f"all={data / 'model'}",
        "--gt_dir",
        data / "truth",
        "--output_json",
        tmp_path / "all.json",
        "--workers",
        1,
    )
    assert "model: no truth for 2 predictions, left out: delta, epsilon_000100" in done.stderr
    assert "model: lacks 1 of 2 clips: beta_000500" in done.stderr
    assert "no prediction for 1 of 3 truths: gamma" in done.stderr
    content = read(tmp_path / "all.json")
    lost = {"predictions": {"model": ["delta", "epsilon_000100"], "all": []}, "truths": ["gamma"]}
    assert content["unmatched"] == lost
    assert {row["id"] for row in content["clips"]} == {"alpha", "beta_000500"}
    clips = predictions((str(data / "model"),), wavs, wavs(data / "truth"))
    everything = {"predictions": {"model": []}, "truths": ["gamma"]}
    assert unmatched((str(data / "model"),), wavs, wavs(data / "truth"), clips) == everything


def test_a_clip_without_its_mono_is_an_error(data, tmp_path):
    write_wav(tmp_path / "alpha.wav", sound(1, 0, 0, 1)[:1], RATE)
    with pytest.raises(ValueError, match="no mono in --mono_dir for beta_000500"):
        predictions((str(data / "model"),), wavs, wavs(data / "truth"), str(tmp_path))


def test_figures_do_not_depend_on_the_number_of_workers(data, results, tmp_path):
    for workers in (1, 3):
        script(
            "evaluate_binaural_22050.py",
            "--pred_dir",
            data / "model",
            "--gt_dir",
            data / "truth",
            "--output_csv",
            tmp_path / f"{workers}.csv",
            "--workers",
            workers,
        )
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "3.csv").read_bytes()


def test_two_systems_are_compared_clip_by_clip(data, results, tmp_path):
    done = script(
        "evaluate_binaural_22050.py",
        "--pred_dir",
        data / "model",
        "--pred_dir_b",
        data / "worse",
        "--gt_dir",
        data / "truth",
        "--output_json",
        tmp_path / "all.json",
        "--metrics",
        "all",
    )
    assert printed_names(done) == 2 * list(metrics.WAV_METRICS)  # the table, then the differences
    paired = read(tmp_path / "all.json")["paired"]
    assert (paired["a"], paired["b"], paired["resamples"]) == ("model", "model_b", 10_000)
    by = {(row["id"], row["system"]): row for row in read(tmp_path / "all.json")["clips"]}
    apart = [by[clip, "model"]["si_sdr"] - by[clip, "model_b"]["si_sdr"] for clip in ("alpha", "beta_000500")]
    found = paired["metrics"]["si_sdr"]
    assert found["mean"] == pytest.approx(np.mean(apart))
    assert [found["low"], found["high"]] == pytest.approx(sorted(apart))  # of two clips: the two
    assert (found["n"], found["better"]) == (2, "model")
    assert "model - model_b" in done.stdout
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("si_sdr ↑ dB"))
    assert line.split()[-1] == "model"


def test_the_printed_table_fits_a_terminal(data):
    """Six systems of 200 clips with figures of usual sizes; every metric of every script."""
    random, rows = np.random.default_rng(0), []
    sizes = {name: {"pesq_wb": 2.5, "itd_error": 150}.get(name, 0.0123) for name in metrics.METRICS}
    for system in ("model", "mono_copy", "swapped", ORACLE, "whole_frames", "vocoder"):
        for clip in range(200):
            figures = {name: size * random.lognormal() for name, size in sizes.items()}
            rows.append({"id": f"{clip}", "system": system, **figures})
    table = format_table(summarise(rows)["systems"], metrics.METRICS).splitlines()
    assert max(map(len, table)) <= 100
    assert table[0] == "Mean ± standard error, n = 200"
    assert sum(line.startswith("vocoder") for line in table) == -(-len(metrics.METRICS) // 5)
    with pytest.raises(ValueError, match="--metrics sftf: expected all or any of stft, env"):
        EvaluateWavConfig(pred_dir=("a",), gt_dir="b", metrics=("sftf",))


def scores(system, values, name="stft"):
    return [{"id": f"{k}", "system": system, name: value} for k, value in enumerate(values)]


def test_a_ratio_of_errors_knows_which_clips_belong_together():
    others = np.random.default_rng(3).lognormal(size=40)
    assert ratio(others / 4, others, seed=0) == pytest.approx((0.25, 0.25, 0.25))
    mean, low, high = ratio(others[::-1].copy(), others, seed=0)  # the same clips, wrongly paired
    assert mean == pytest.approx(1)
    assert low < 0.8
    assert high > 1.25


def test_the_interval_is_that_of_the_mean():
    random = np.random.default_rng(5)
    values = random.normal(0.3, 1, 200)
    rows = scores("a", values) + scores("b", np.zeros(200))
    found = compare(rows, "a", "b", seed=0)["metrics"]["stft"]
    half = 1.96 * values.std() / 200**0.5  # as the normal distribution has it
    wanted = [values.mean() - half, values.mean() + half]
    assert [found["low"], found["high"]] == pytest.approx(wanted, abs=0.02)
    assert compare(rows, "a", "b", seed=0)["metrics"]["stft"] == found
    assert compare(rows, "a", "b", seed=1)["metrics"]["stft"] != found


@pytest.mark.parametrize(
    ("shift", "name", "better"),
    [(1, "stft", "b"), (-1, "stft", "a"), (1, "si_sdr", "a"), (-1, "si_sdr", "b"), (0, "stft", None)],
)
def test_better_is_said_only_when_it_is_sure(shift, name, better):
    noise = np.random.default_rng(0).normal(0, 0.5, 30)
    noise -= noise.mean()
    rows = scores("a", shift + noise, name) + scores("b", 0 * noise, name)
    paired = compare(rows, "a", "b", seed=0)
    assert paired["metrics"][name]["better"] == better
    *_, line = format_paired(paired, [name]).splitlines()
    assert line.split()[-1] == (better or "30")  # without a better one the number of clips ends the line


def test_a_missing_figure_leaves_its_pair_out_and_one_pair_has_no_interval():
    rows = scores("a", [1, None, 3, 7]) + scores("b", [0, 1, None])
    assert compare(rows, "a", "b", seed=0)["metrics"] == {
        "stft": {"mean": 1, "low": None, "high": None, "n": 1, "better": None}
    }
    assert "stft ↓" in format_paired(compare(rows, "a", "b", seed=0), ["stft", "env"])
    with pytest.raises(ValueError, match="no clip in common"):
        compare([{**row, "id": row["system"] + row["id"]} for row in rows], "a", "b", seed=0)


@pytest.mark.parametrize(
    ("wav", "expected"),
    [
        (np.zeros((1, SIZE)), "1 channel(s); expected 2"),
        (np.full((2, SIZE), np.nan), "non-finite"),
        (np.zeros((2, 0)), "is empty"),
        (np.zeros((2, 1)), "the prediction has 1 samples"),
    ],
)
def test_a_sound_that_cannot_be_measured_is_named(data, tmp_path, wav, expected):
    import soundfile

    (tmp_path / "made").mkdir()
    soundfile.write(tmp_path / "made" / "alpha.wav", wav.T, RATE, subtype="FLOAT")
    to = tmp_path / "result.json"
    refused(["--pred_dir", tmp_path / "made", "--gt_dir", data / "truth", "--output_json", to], expected)
    assert not to.exists()


def test_a_silent_prediction_is_counted_not_scored(data, tmp_path):
    write_wav(tmp_path / "made" / "alpha.wav", np.zeros((2, SIZE)), RATE)
    script(
        "evaluate_binaural_22050.py",
        "--pred_dir",
        tmp_path / "made",
        "--gt_dir",
        data / "truth",
        "--output_json",
        tmp_path / "all.json",
        "--report",
        tmp_path / "page.html",
        "--plots",
        tmp_path / "plots",
    )
    of = read(tmp_path / "all.json")["systems"]["model"]
    differences = {"stft", "env", "wav", "mag", "snr", "dphase"}  # dphase: as the mono copy, no L - R
    assert {name for name, figure in of.items() if figure["n"]} == differences
    assert all(figure["missing"] == 1 - figure["n"] for figure in of.values())
    assert (tmp_path / "plots" / "model" / "alpha.png").stat().st_size > 5000
