"""FAIR-Play from a prepared split to the table of results."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from BigVGAN.bigvgan import BigVGAN
from BigVGAN.env import load_config
from BigVGAN.utils import save_generator
from DiffBinaural.configs.advanced_diffusion_config import MelConfig, ViewConfig
from DiffBinaural.dataset.fairplay_pos import FairPlayPos
from DiffBinaural.dataset.fairplay_pos_left import FairPlayPosLeft
from DiffBinaural.dataset.fairplay_pos_right import FairPlayPosRight
from DiffBinaural.utils.files import write_json

VIEW = ViewConfig(frames=2, slots=2, image_size=32)
RUN = ("--preset", "tiny", "--windows_per_clip", 2, "--batch_size_per_gpu", 2, "--num_epoch", 1)


@pytest.fixture(scope="module")
def prepared(scenes, tmp_path_factory):
    """The simulated scenes under the lists of a split alone, as prepare_fairplay.py leaves them."""
    root = tmp_path_factory.mktemp("fairplay") / "data"
    shutil.copytree(scenes, root)
    for name in ("split1", "five_split3"):
        shutil.copytree(scenes / "splits", root / "splits" / name)
    for name in ("train", "val", "test"):
        (root / "splits" / f"{name}.csv").unlink()
    return root


@pytest.fixture(scope="module")
def runs(prepared, scripts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for ears in ("both", "left", "right"):
        scripts(
            "DiffBinaural.train_fairplay",
            *RUN,
            "--id",
            ears,
            "--ckpt",
            folder,
            "--data_root",
            prepared,
            "--ears",
            ears,
        )
    return folder


def test_one_ear_samples_are_the_ears_of_the_pair_mirrored_ones_too(prepared):
    options = dict(split="split1", mirror=True, seed=1)
    pair, left, right = (
        kind(prepared, "train", MelConfig(), VIEW, **options)
        for kind in (FairPlayPos, FairPlayPosLeft, FairPlayPosRight)
    )
    flips = 0
    for n in range(9):
        both = pair[n]
        assert torch.equal(both["binaural_mel"][:1], left[n]["binaural_mel"])
        assert torch.equal(both["binaural_mel"][1:], right[n]["binaural_mel"])
        assert torch.equal(both["objects"], left[n]["objects"])
        plain = FairPlayPos(prepared, "train", MelConfig(), VIEW, split="split1", seed=1)[n]
        flips += bool(torch.equal(plain["binaural_mel"].flip(0), both["binaural_mel"]))
    assert 0 < flips < 9


def test_runs_store_their_split_and_their_ear(runs):
    history = json.loads((runs / "left/training_history.json").read_text())[-1]
    assert history["val/mel_rmse"] > 0
    assert history["val/mono_copy_mel_rmse"] > 0
    assert "val/mel_ild_error" not in history, "one ear has no level difference"
    config = json.loads((runs / "left/config.json").read_text())
    assert (config["split"], config["ears"]) == ("split1", "left")


def test_two_one_ear_runs_make_a_pair_in_any_order(prepared, scripts, runs, tmp_path):
    words = ("--data_root", prepared, "--sampling_timesteps", 1)
    for name, chosen in (("a", ("left", "right")), ("b", ("right", "left"))):
        scripts(
            "DiffBinaural.test_fairplay",
            *words,
            "--run",
            *(runs / ear for ear in chosen),
            "--output_dir",
            tmp_path / name,
        )
    for path in (tmp_path / "a").glob("*.npy"):
        assert np.array_equal(np.load(path), np.load(tmp_path / "b" / path.name))
    left, right = (np.load(next((tmp_path / "a").glob(f"*_{side}.npy"))) for side in ("left", "right"))
    assert not np.array_equal(left, right)
    for chosen, message in ((("left",), "left makes left"), (("left", "both"), "one run of both ears")):
        with pytest.raises(ValueError, match=message):
            scripts(
                "DiffBinaural.test_fairplay",
                *words,
                "--run",
                *(runs / ear for ear in chosen),
                "--output_dir",
                tmp_path / "none",
            )


def test_another_split_can_be_named_and_a_missing_one_is_refused(prepared, scripts, runs, tmp_path):
    words = ("--run", runs / "both", "--data_root", prepared, "--sampling_timesteps", 1)
    scripts("DiffBinaural.test_fairplay", *words, "--split", "five_split3", "--output_dir", tmp_path / "five")
    assert len(list((tmp_path / "five").glob("*.npy"))) == 2
    with pytest.raises(FileNotFoundError, match=r"split7/test\.csv"):
        scripts("DiffBinaural.test_fairplay", *words, "--split", "split7", "--output_dir", tmp_path / "none")


# --- the official layout ------------------------------------------------------------------------------------


def official_stft(made, true):
    """FAIR-Play's script in other words: STFT 512/160/400 as librosa's, squared distance, sum over ears."""
    window = np.pad(np.hanning(401)[:-1], 56)
    total = 0.0
    for a, b in zip(made, true, strict=True):
        spectra = []
        for x in (a, b):
            padded = np.pad(x, 256)
            starts = range(0, len(padded) - 511, 160)
            spectra.append(np.array([np.fft.rfft(padded[s : s + 512] * window) for s in starts]))
        off = spectra[0] - spectra[1]
        total += np.mean(np.stack([off.real, off.imag]) ** 2)
    return total


def official_env(made, true):
    """And its envelope distance: Hilbert transform by FFT, RMS difference, summed over ears."""

    def envelope(x):
        spectrum, n = np.fft.fft(x), len(x)
        gain = np.zeros(n)
        gain[0], gain[1 : (n + 1) // 2] = 1, 2
        gain[n // 2] = 1 if n % 2 == 0 else gain[n // 2]
        return np.abs(np.fft.ifft(spectrum * gain))

    return sum(np.sqrt(np.mean((envelope(a) - envelope(b)) ** 2)) for a, b in zip(made, true, strict=True))


def test_the_official_layout_scores_as_our_table_does(prepared, scripts, runs, tmp_path):
    config = Path(__file__).parents[2] / "BigVGAN/configs/bigvgan_binaural_tiny.json"
    torch.manual_seed(0)
    save_generator(tmp_path / "voc/g_best.pth", BigVGAN(load_config(config)))
    shutil.copyfile(config, tmp_path / "voc/config.json")
    scripts(
        "DiffBinaural.test_fairplay",
        "--run",
        runs / "both",
        "--data_root",
        prepared,
        "--sampling_timesteps",
        1,
        "--output_dir",
        tmp_path / "mels",
    )
    truth, mono = (prepared / f"processed/{kind}_audios_22050Hz" for kind in ("binaural", "mono"))
    words = ("--checkpoint_file", tmp_path / "voc/g_best.pth", "--mels_dir", tmp_path / "mels")
    scripts(
        "BigVGAN.inference_diffbinaural_mels",
        *words,
        "--output_dir",
        tmp_path / "official",
        "--layout",
        "fairplay",
        "--gt_dir",
        truth,
        "--mono_dir",
        mono,
    )
    scripts("BigVGAN.inference_diffbinaural_mels", *words, "--output_dir", tmp_path / "flat")
    scripts(
        "DiffBinaural.evaluate_binaural_22050",
        "--pred_dir",
        tmp_path / "flat",
        "--gt_dir",
        truth,
        "--mono_dir",
        mono,
        "--output_json",
        tmp_path / "split1/metrics.json",
    )
    ours = json.loads((tmp_path / "split1/metrics.json").read_text())["clips"]
    (folder,) = (tmp_path / "official").iterdir()
    assert folder.name == ours[0]["id"].rpartition("_")[0]
    names = {path.stem for path in folder.glob("*.wav")}
    assert names == {"predicted_binaural", "input_binaural", "mixed_mono"}
    sounds = {}
    for path in folder.iterdir():
        wav, rate = soundfile.read(path, always_2d=True)
        assert (rate, wav.shape[1]) == (16_000, 1 if path.stem == "mixed_mono" else 2)
        sounds[path.stem] = wav.T
    assert np.abs(sounds["mixed_mono"] - sounds["input_binaural"].mean(0)).max() < 2e-4
    for name, official in (("stft", official_stft), ("env", official_env)):
        made = official(sounds["predicted_binaural"], sounds["input_binaural"])
        copied = official(np.repeat(sounds["mixed_mono"], 2, 0), sounds["input_binaural"])
        by_system = {row["system"]: row[name] for row in ours}
        assert made == pytest.approx(by_system["model"], abs=1e-4)
        assert copied == pytest.approx(by_system["mono_copy"], abs=1e-4)
        assert made > 1e-3


def test_options_of_the_official_layout_need_one_another(scripts, tmp_path):
    words = ("--checkpoint_file", "g", "--mels_dir", tmp_path, "--output_dir", tmp_path)
    for more, message in (
        (("--layout", "fairplay"), "give --gt_dir"),
        (("--gt_dir", "x"), "is for --layout"),
    ):
        with pytest.raises(ValueError, match=message):
            scripts("BigVGAN.inference_diffbinaural_mels", *words, *more)


# --- the table ----------------------------------------------------------------------------------------------


def test_the_two_rows_are_means_over_splits(scripts, tmp_path, capsys):
    for split, values in {
        "split1": (1.0, 3.0),
        "split2": (4.0, 4.0),
        "split10": (6.0, None),
        "five_split1": (9.0, 9.0),
    }.items():
        rows = [
            {"id": f"c{k}", "system": system, "stft": None if v is None else v + bias}
            for system, bias in (("model", 0), ("mono_copy", 1))
            for k, v in enumerate(values)
        ]
        write_json(tmp_path / split / "metrics.json", {"systems": {}, "clips": rows})
    scripts(
        "DiffBinaural.experiments.evaluate_fairplay",
        "--results",
        tmp_path,
        "--output_json",
        tmp_path / "t.json",
    )
    rows = json.loads((tmp_path / "t.json").read_text())
    ten, five = rows["original splits, 10 in all"], rows["scene-disjoint splits, 5 in all"]
    assert ten["model"]["stft"]["mean"] == pytest.approx(4.0)
    assert ten["model"]["stft"]["se"] == pytest.approx(2 / 3**0.5)
    assert ten["mono_copy"]["stft"]["mean"] == pytest.approx(5.0)
    assert (five["model"]["stft"]["mean"], five["model"]["stft"]["n"]) == (9.0, 1)
    assert "3 original splits, 10 in all: split1, split2, split10" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError, match=r"split1/metrics\.json"):
        scripts("DiffBinaural.experiments.evaluate_fairplay", "--results", tmp_path / "t")
