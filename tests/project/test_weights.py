"""The bundled models: what their card says, and how well they localise sources."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from DiffBinaural.evaluation.interaural import cues
from DiffBinaural.evaluation.metric import measure
from DiffBinaural.evaluation.metrics import WAV_METRICS as METRICS
from DiffBinaural.evaluation.placement import measure_position
from DiffBinaural.export_weights import averaged
from DiffBinaural.inference.config import ExportConfig
from DiffBinaural.utils.audio import read_wav, write_wav
from DiffBinaural.utils.bundled import BUNDLED
from DiffBinaural.utils.files import load_tensors

FILES = sorted(BUNDLED.rglob("*.pth"))
FOREIGN = sorted(BUNDLED.rglob("*.onnx"))


@pytest.fixture(scope="module")
def scene(scripts, tmp_path_factory):
    """Scenes of one source that are in no training set, in rooms as their training had them.

    Its rooms had direct sound 8 to 15 dB above the reverberation and RT60 0.15 to 0.3 s: as this seed's.
    """
    root = tmp_path_factory.mktemp("fresh") / "data"
    scripts(
        "DiffBinaural.simulate_dataset",
        "--out",
        root,
        "--clips",
        3,
        "--seconds",
        3,
        "--sources",
        1,
        "--seed",
        133,
        "--workers",
        1,
    )
    return root


def test_the_card_names_every_file_by_its_hash_and_they_are_small():
    card = (BUNDLED / "MODEL_CARD.md").read_text()
    assert len(FILES) == 3
    for path in (*FILES, *FOREIGN):
        assert f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(BUNDLED)}" in card
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*")) < 20e6


def test_they_are_tensors_in_half_precision():
    for path in FILES:
        state = torch.load(path, weights_only=True)
        state = state.get("generator", state)
        assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float16}


def test_end_to_end_the_source_is_on_the_right_side(scene, scripts, tmp_path):
    name = "scene_00000"
    mono, rate = read_wav(scene / f"processed/mono_audios_22050Hz/{name}.wav")
    truth, _ = read_wav(scene / f"processed/binaural_audios_22050Hz/{name}.wav")
    out = tmp_path / "out.wav"
    scripts(
        "BigVGAN.inference_e2e",
        "--input_video",
        scene / f"videos/{name}.mp4",
        "--output",
        out,
        "--input_wav",
        scene / f"processed/mono_audios_22050Hz/{name}.wav",
        "--detections",
        scene / "action_detection_results/detection_results.csv",
    )
    made, _ = read_wav(out)
    chosen = {key: METRICS[key] for key in ("stft", "env", "itd_error", "ild_error")}
    model, copy = (measure(chosen, x, truth, rate) for x in (made, mono.repeat(2, axis=0)))
    for key, fraction in (("stft", 0.6), ("env", 0.8), ("itd_error", 0.4), ("ild_error", 0.7)):
        assert model[key] < fraction * copy[key], (key, model, copy)
    azimuth = np.array(json.loads((scene / "scenes.json").read_text())[name]["sources"][0]["azimuth"])
    seconds, itd = cues(made, rate)["ITD below 1.5 kHz, µs"]
    true = azimuth[np.minimum((10 * seconds).astype(int), len(azimuth) - 1)]
    clear = (np.abs(true) > 10) & np.isfinite(itd)
    assert (np.sign(itd) == np.sign(true))[clear].mean() > 0.9


def test_the_vocoder_keeps_the_level_difference(scene, scripts, tmp_path):
    sounds = scene / "processed/binaural_audios_22050Hz"
    scripts("BigVGAN.inference_binaural", "--input_wavs_dir", sounds, "--output_dir", tmp_path)
    for path in sorted(sounds.glob("*.wav")):
        truth, rate = read_wav(path)
        made, _ = read_wav(next(tmp_path.glob(f"{path.stem}*.wav")))
        chosen = {"ild_error": METRICS["ild_error"]}
        both = truth.mean(0, keepdims=True).repeat(2, axis=0)
        model, copy = (measure(chosen, x, truth, rate)["ild_error"] for x in (made, both))
        assert model < 0.7 * copy


@pytest.mark.parametrize(("x", "wrong"), [(0.5, False), (-0.5, True), (0.02, False)])
def test_a_sound_on_the_other_side_is_counted(x, wrong, tmp_path):
    noise = np.random.default_rng(0).standard_normal((1, 44_100)).astype(np.float32) * 0.1
    late = np.pad(noise, ((0, 0), (6, 0)))[:, : noise.shape[1]] / 2  # 272 µs, 6 dB
    write_wav(tmp_path / "mono/a.wav", noise, 22_050)
    folder = tmp_path / f"x_{x:+.2f}"
    write_wav(folder / "a_000000.wav", np.concatenate([late, noise]), 22_050)
    [row] = measure_position(folder, Path(tmp_path / "mono"))
    assert row["itd_us"] == pytest.approx(6 / 22_050 * 1e6, abs=10)
    assert row["ild_db"] == pytest.approx(6.02, abs=0.1)
    assert row["wrong"] is wrong


def test_an_average_lies_between_two_runs_of_one_network():
    two = [{"a": torch.randn(4, 3), "n": torch.tensor(7)} for _ in range(2)]
    for share in (0.0, 0.3, 1.0):
        made = averaged(*two, share)
        assert torch.allclose(made["a"], (1 - share) * two[0]["a"] + share * two[1]["a"])
        assert made["n"] == 7
    with pytest.raises(ValueError, match="--average_with"):
        averaged(two[0], {"a": torch.randn(4, 2), "n": torch.tensor(7)}, 0.3)


def test_a_run_that_is_averaged_with_itself_is_exported_as_it_is(scripts, tmp_path):
    run, generator = BUNDLED / "stage1", BUNDLED / "vocoder/g_best.pth"
    words = ("--run", run, "--average_with", run, "--share", 0.3, "--checkpoint_file", generator)
    scripts("DiffBinaural.export_weights", *words, "--out", tmp_path)
    for path in FILES:
        made, shipped = (load_tensors(folder / path.relative_to(BUNDLED)) for folder in (tmp_path, BUNDLED))
        made, shipped = (state.get("generator", state) for state in (made, shipped))
        assert made.keys() == shipped.keys()
        assert all(torch.equal(made[name], shipped[name]) for name in made)


def test_shares_beyond_both_runs_are_refused():
    with pytest.raises(ValueError, match="--share"):
        ExportConfig(run="a", checkpoint_file="b", out="c", average_with="d", share=1.2)
