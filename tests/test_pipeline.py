"""The whole way through the real scripts on tiny data: what they write, what they refuse, how they go on."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch

from BigVGAN.training import pred_mel_probability
from DiffBinaural.utils.lists import read_clips
from DiffBinaural.utils.media import write_video
from DiffBinaural.utils.runs import RunLog

ROOT = Path(__file__).parents[1]
TINY = ROOT / "BigVGAN/configs/bigvgan_binaural_tiny.json"


def train_words(scenes, folder, *more):
    return ("--preset", "tiny", "--id", "run", "--ckpt", folder, "--data_root", scenes,
            "--windows_per_clip", 2, "--batch_size_per_gpu", 2, "--num_epoch", 2, "--eval_epoch", 1, *more)


@pytest.fixture(scope="module")
def stage1(scenes, scripts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stage1")
    scripts("DiffBinaural.train_realBinaural", *train_words(scenes, folder))
    return folder / "run"


@pytest.fixture(scope="module")
def mels(scenes, scripts, stage1):
    out = stage1.parent / "mels"
    for split in ("train", "val", "test"):
        scripts("DiffBinaural.test_realBinaural", "--run", stage1, "--data_root", scenes, "--output_dir", out,
                "--sampling_timesteps", 1, "--list_test", split)
    return out


def vocoder_words(scenes, folder, config, *more):
    return ("--audio_dir", scenes / "processed/binaural_audios_22050Hz",
            "--list_train", scenes / "splits/train.csv", "--list_val", scenes / "splits/val.csv",
            "--checkpoint_path", folder, "--config", config, *more)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """The demo's vocoder, narrower still."""
    path = tmp_path_factory.mktemp("config") / "c.json"
    small = {**json.loads(TINY.read_text()), "upsample_initial_channel": 16, "resblock_kernel_sizes": [3],
             "resblock_dilation_sizes": [[1]], "batch_size": 4, "segment_size": 4096, "mpd_reshapes": [2, 3]}
    path.write_text(json.dumps(small))
    return path


@pytest.fixture(scope="module")
def vocoder(scenes, scripts, mels, config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vocoder")
    scripts("BigVGAN.train_binaural_mel", *vocoder_words(scenes, folder / "a", config, "--training_steps", 3,
            "--freeze_step", 1))
    scripts("BigVGAN.train_binaural_both", *vocoder_words(scenes, folder / "b", config, "--training_steps", 2,
            "--mel_pred_dir", mels, "--stage1_checkpoint_path", folder / "a", "--pred_mel_end_step", 1))
    return folder / "b" / "g_best.pth"


# --- what is left behind ------------------------------------------------------------------------------------

def test_a_run_explains_itself(stage1):
    assert {p.name for p in stage1.iterdir()} == {
        "config.json", "unet_latest.pth", "unet_best.pth", "frame_latest.pth", "frame_best.pth",
        "state_latest.pth", "training_history.json", "runs"}
    history = json.loads((stage1 / "training_history.json").read_text())
    assert [row["step"] for row in history] == [3, 6]
    assert {"val/loss", "val/mel_rmse", "val/mono_copy_mel_rmse", "val/mel_ild_error"} <= set(history[0])


def test_mels_are_float32_pairs_with_their_recipe(scenes, mels):
    for split in ("train", "val", "test"):
        for clip in read_clips(scenes / f"splits/{split}.csv"):
            for side in ("left", "right"):
                mel = np.load(mels / f"{clip.stem}_{side}.npy", allow_pickle=False)
                assert mel.dtype == np.float32
                assert mel.shape == (80, -(-33_075 // 256))
    assert json.loads((mels / "mel_config.json").read_text())["sample_rate"] == 22_050


def test_a_vocoder_run_holds_nvidias_names(vocoder):
    folder = vocoder.parent
    assert {p.name for p in folder.iterdir()} == {
        "config.json", "g_00000002", "do_00000002", "g_best.pth", "logs", "training_history.json"}
    state = torch.load(folder / "do_00000002", weights_only=True)
    assert {"mpd", "mrd", "optim_g", "optim_d", "steps", "epoch"} <= set(state)
    assert "conv_pre.weight_g" in torch.load(folder / "g_00000002", weights_only=True)["generator"]


def test_resuming_at_the_end_changes_nothing(scenes, scripts, stage1):
    before = (stage1 / "unet_latest.pth").read_bytes()
    scripts("DiffBinaural.train_realBinaural", *train_words(scenes, stage1.parent))
    assert (stage1 / "unet_latest.pth").read_bytes() == before


def test_a_stopped_and_resumed_run_ends_with_the_same_weights(scenes, scripts, stage1, tmp_path):
    """Epochs are not enough to compare: they set the schedule. The run stops at its first validation."""
    import DiffBinaural.training as training

    class Stop(Exception):
        pass

    def validate_and_stop(run, *args):
        kept(run, *args)
        raise Stop
    kept, training.validate = training.validate, validate_and_stop
    try:
        with pytest.raises(Stop):
            scripts("DiffBinaural.train_realBinaural", *train_words(scenes, tmp_path))
    finally:
        training.validate = kept
    scripts("DiffBinaural.train_realBinaural", *train_words(scenes, tmp_path))
    for weights in ("unet_latest.pth", "frame_latest.pth"):
        a, b = (torch.load(folder / weights, weights_only=True) for folder in (stage1, tmp_path / "run"))
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_other_settings_are_not_mixed_into_a_run(scenes, scripts, stage1):
    with pytest.raises(ValueError, match="--lr_unet"):
        scripts("DiffBinaural.train_realBinaural", *train_words(scenes, stage1.parent, "--lr_unet", 5))


def test_the_vocoder_goes_on_where_it_stopped(scenes, scripts, config, tmp_path):
    def weights(folder, *steps):
        for total in steps:
            words = ("--training_steps", total, "--freeze_step", 1, "--validation_interval", 1)
            scripts("BigVGAN.train_binaural_mel", *vocoder_words(scenes, folder, config, *words))
        return torch.load(folder / "g_00000004", weights_only=True)["generator"]
    once, twice = weights(tmp_path / "once", 4), weights(tmp_path / "twice", 2, 4)
    assert all(torch.equal(once[name], twice[name]) for name in once)
    history = json.loads((tmp_path / "twice" / "training_history.json").read_text())
    assert [row["step"] for row in history] == [1, 2, 3, 4]


def test_a_vocoder_run_is_not_resumed_with_another_config(scenes, scripts, config, vocoder, tmp_path):
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**json.loads(config.read_text()), "learning_rate": 0.5}))
    with pytest.raises(ValueError, match="another config"):
        scripts("BigVGAN.train_binaural_mel", *vocoder_words(scenes, vocoder.parent, other))


def test_the_log_forgets_steps_that_are_lost(tmp_path):
    log = RunLog(tmp_path, "runs", step=0)
    for step in (5, 10, 15):
        log(step, loss=float(step))
    log.close()
    again = RunLog(tmp_path, "runs", step=10)
    assert [row["step"] for row in again.rows] == [5, 10]
    again.close()


def test_a_time_budget_ends_a_run(scenes, scripts, tmp_path):
    scripts("DiffBinaural.train_realBinaural", *train_words(scenes, tmp_path, "--time_budget", 0.01))
    assert json.loads((tmp_path / "run" / "training_history.json").read_text())[-1]["step"] <= 1


def test_a_few_clips_are_drawn_and_other_eyes_give_other_mels(scenes, scripts, stage1, mels, tmp_path):
    words = ("--run", stage1, "--data_root", scenes, "--sampling_timesteps", 1, "--list_test", "train")
    scripts("DiffBinaural.test_realBinaural_few", *words, "--output_dir", tmp_path / "few", "--limit", 1)
    stem = read_clips(scenes / "splits/train.csv")[0].stem
    assert {p.name for p in (tmp_path / "few").iterdir()} == {
        "mel_config.json", f"{stem}.png", f"{stem}_left.npy", f"{stem}_right.npy"}
    usual = np.load(mels / f"{stem}_left.npy")
    assert np.array_equal(np.load(tmp_path / "few" / f"{stem}_left.npy"), usual)
    for flag in ("--shuffle_vision", "--no-detections"):
        scripts("DiffBinaural.test_realBinaural", *words, "--output_dir", tmp_path / flag, flag, "--limit", 1)
        assert not np.array_equal(np.load(tmp_path / flag / f"{stem}_left.npy"), usual), flag


# --- from end to end ----------------------------------------------------------------------------------------

def e2e_words(stage1, vocoder, video, out, *more):
    return ("--input_video", video, "--run", stage1, "--checkpoint_file", vocoder, "--output", out,
            "--sampling_timesteps", 1, *more)


@pytest.mark.parametrize(("seconds", "notice"), [
    (1.4, "the last picture is held for 0.40 s"),
    (0.6, "the last 0.40 s of the video are not heard"),
    (1.0, "")])
def test_any_wav_and_video(scripts, stage1, vocoder, tmp_path, capsys, seconds, notice):
    """48 kHz stereo and 30 pictures a second, not ours, of unequal length."""
    samples = round(seconds * 48_000)
    sound = np.random.default_rng(0).normal(0, 0.1, (samples, 2)).astype(np.float32)
    soundfile.write(tmp_path / "in.wav", sound, 48_000)
    picture = np.random.default_rng(1).integers(0, 255, (30, 96, 128, 3), dtype=np.uint8)
    write_video(tmp_path / "in.mp4", picture, 30, sound.T[:, :1000], 48_000)
    scripts("BigVGAN.inference_e2e", *e2e_words(stage1, vocoder, tmp_path / "in.mp4", tmp_path / "out.wav",
            "--input_wav", tmp_path / "in.wav", "--mux", tmp_path / "out.mp4",
            "--plot", tmp_path / "out.png"))
    wav, rate = soundfile.read(tmp_path / "out.wav")
    assert (rate, wav.shape) == (22_050, (-(-samples * 22_050 // 48_000), 2))
    said = capsys.readouterr().err
    assert notice in said if notice else "the sound lasts" not in said
    with av.open(str(tmp_path / "out.mp4")) as box:
        assert box.streams.audio[0].channels == 2
        assert sum(1 for _ in box.decode(video=0)) == 30
    assert (tmp_path / "out.png").stat().st_size > 10_000


def test_a_simulated_scene_with_its_detections_and_own_sound(scenes, scripts, stage1, vocoder, tmp_path):
    name = read_clips(scenes / "splits/test.csv")[0].video_id
    table = scenes / "action_detection_results/detection_results.csv"
    video, sound = scenes / f"videos/{name}.mp4", scenes / f"processed/mono_audios_22050Hz/{name}.wav"
    for out, more in (("a", ("--input_wav", sound, "--detections", table)), ("b", ())):
        scripts("BigVGAN.inference_e2e", *e2e_words(stage1, vocoder, video, tmp_path / f"{out}.wav", *more))
    a, b = (soundfile.read(tmp_path / f"{out}.wav")[0] for out in "ab")
    assert a.shape == (33_075, 2)
    assert abs(len(b) - len(a)) <= 1024, "AAC keeps whole blocks"


def test_vocoded_folders_are_judged(scenes, scripts, mels, vocoder, tmp_path):
    truth, test = scenes / "processed/binaural_audios_22050Hz", scenes / "splits/test.csv"
    stem = read_clips(test)[0].stem
    scripts("BigVGAN.inference_diffbinaural_mels", "--checkpoint_file", vocoder, "--mels_dir", mels,
            "--output_dir", tmp_path / "all")
    scripts("BigVGAN.inference_binaural", "--checkpoint_file", vocoder, "--input_wavs_dir", truth,
            "--list", test, "--output_dir", tmp_path / "copy")
    assert len(list((tmp_path / "all").iterdir())) == 5
    assert [p.name for p in (tmp_path / "copy").iterdir()] == [f"{stem.rpartition('_')[0]}.wav"]
    assert soundfile.info(tmp_path / "all" / f"{stem}.wav").frames == -(-33_075 // 256) * 256


def test_cues_are_drawn(scenes, scripts, mels, vocoder, tmp_path):
    truth = scenes / "processed/binaural_audios_22050Hz"
    scripts("BigVGAN.inference_diffbinaural_mels", "--checkpoint_file", vocoder, "--mels_dir", mels,
            "--output_dir", tmp_path / "wavs")
    scripts("DiffBinaural.evaluate_binaural_22050", "--pred_dir", tmp_path / "wavs", "--gt_dir", truth,
            "--plots", tmp_path / "cues")
    assert len(list((tmp_path / "cues" / "model").glob("*.png"))) == 5


# --- refusals -----------------------------------------------------------------------------------------------

def test_a_missing_sound_is_named_at_once(scenes, scripts, tmp_path):
    clips = tmp_path / "list.csv"
    clips.write_text("video_id\nscene_00000\nnobody\n")
    with pytest.raises(FileNotFoundError, match=r"nobody\.wav: missing"):
        scripts("DiffBinaural.train_realBinaural", *train_words(scenes, tmp_path, "--list_train", clips))


def test_sounds_of_different_length_are_named(scenes, scripts, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(scenes, root)
    wav, rate = soundfile.read(root / "processed/mono_audios_22050Hz/scene_00000.wav")
    soundfile.write(root / "processed/mono_audios_22050Hz/scene_00000.wav", wav[:20_000], rate)
    with pytest.raises(ValueError, match=r"scene_00000\.wav: 33075 samples .* mono has 20000"):
        scripts("DiffBinaural.train_realBinaural", *train_words(root, tmp_path))


def test_training_wants_the_truth_and_generation_does_not(scenes, scripts, stage1, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(scenes, root)
    shutil.rmtree(root / "processed/binaural_audios_22050Hz")
    with pytest.raises(FileNotFoundError, match="binaural_audios_22050Hz"):
        scripts("DiffBinaural.train_realBinaural", *train_words(root, tmp_path))
    scripts("DiffBinaural.test_realBinaural_few", "--run", stage1, "--data_root", root,
            "--output_dir", tmp_path / "out", "--sampling_timesteps", 1)
    assert len(list((tmp_path / "out").glob("*.png"))) == 1


def test_a_missing_picture_is_named(scenes, scripts, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(scenes, root)
    (root / "processed/frames/scene_00000/frame_000003.jpg").unlink()
    with pytest.raises(ValueError, match=r"frame_000004\.jpg follows picture 2; expected number 3"):
        scripts("DiffBinaural.train_realBinaural", *train_words(root, tmp_path))


def test_a_sound_that_is_not_finite_is_refused(scripts, stage1, vocoder, tmp_path):
    sound = np.full(30_000, np.nan, dtype=np.float32)
    soundfile.write(tmp_path / "in.wav", sound, 22_050, subtype="FLOAT")
    words = e2e_words(stage1, vocoder, tmp_path / "in.mp4", tmp_path / "out.wav")
    with pytest.raises(ValueError, match="non-finite"):
        scripts("BigVGAN.inference_e2e", *words, "--input_wav", tmp_path / "in.wav")


def test_mels_of_another_recipe_are_refused(scenes, scripts, mels, vocoder, tmp_path):
    for path in mels.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    recipe = json.loads((mels / "mel_config.json").read_text())
    (tmp_path / "mel_config.json").write_text(json.dumps({**recipe, "fmax": 8000.0}))
    with pytest.raises(ValueError, match="fmax 8000"):
        scripts("BigVGAN.inference_diffbinaural_mels", "--checkpoint_file", vocoder, "--mels_dir", tmp_path,
                "--output_dir", tmp_path / "out")


def test_a_script_ends_with_status_2_and_one_line(scenes, stage1, vocoder, tmp_path):
    done = subprocess.run([sys.executable, ROOT / "BigVGAN/inference_e2e.py", *map(str, e2e_words(
        stage1, vocoder, tmp_path / "none.mp4", tmp_path / "out.wav"))], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "none.mp4" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


# --- the schedule of predicted mels -------------------------------------------------------------------------

def test_predicted_mels_come_in_linearly_and_never_take_over():
    share = [pred_mel_probability(step, 100, 300, 0.8) for step in (0, 100, 150, 200, 300, 10_000)]
    assert share == pytest.approx([0, 0, 0.2, 0.4, 0.8, 0.8])
    assert pred_mel_probability(5, 5, 5, 0.5) == 0.5
    assert pred_mel_probability(4, 5, 5, 0.5) == 0.0
