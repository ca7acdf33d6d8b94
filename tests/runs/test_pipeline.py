"""The real scripts from end to end on tiny data: what they write, what they refuse, how they resume."""

import io
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
from PIL import Image

from BigVGAN.training import pred_mel_probability
from DiffBinaural import training
from DiffBinaural.configs.advanced_diffusion_config import preset_config
from DiffBinaural.dataset.dataset_real_binaural import RealBinaural
from DiffBinaural.dataset.genaudio_realBinaural import GenAudioRealBinaural
from DiffBinaural.dataset.video_transforms import normalised
from DiffBinaural.inference import sampler
from DiffBinaural.inference.placement import waypoint_at
from DiffBinaural.modules.models import ModelBuilder
from DiffBinaural.runs.loading import precompute
from DiffBinaural.utils import mel_stream
from DiffBinaural.utils.distributed import world
from DiffBinaural.utils.lists import read_clips
from DiffBinaural.utils.media_writing import write_video
from DiffBinaural.utils.run_log import RunLog
from DiffBinaural.utils.tables import read_rows

ROOT = Path(__file__).parents[2]
TINY = ROOT / "BigVGAN/configs/bigvgan_binaural_tiny.json"


def train_words(scenes, folder, *more):
    return (
        "--preset",
        "tiny",
        "--id",
        "run",
        "--ckpt",
        folder,
        "--data_root",
        scenes,
        "--windows_per_clip",
        2,
        "--batch_size_per_gpu",
        2,
        "--num_epoch",
        2,
        "--eval_epoch",
        1,
        *more,
    )


@pytest.fixture(scope="module")
def stage1(scenes, scripts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stage1")
    scripts("DiffBinaural.train_realBinaural", *train_words(scenes, folder))
    return folder / "run"


@pytest.fixture(scope="module")
def mels(scenes, scripts, stage1):
    out = stage1.parent / "mels"
    for split in ("train", "val", "test"):
        scripts(
            "DiffBinaural.test_realBinaural",
            "--run",
            stage1,
            "--data_root",
            scenes,
            "--output_dir",
            out,
            "--sampling_timesteps",
            1,
            "--list_test",
            split,
        )
    return out


def vocoder_words(scenes, folder, config, *more):
    return (
        "--audio_dir",
        scenes / "processed/binaural_audios_22050Hz",
        "--list_train",
        scenes / "splits/train.csv",
        "--list_val",
        scenes / "splits/val.csv",
        "--checkpoint_path",
        folder,
        "--config",
        config,
        *more,
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """The demo's vocoder with fewer channels."""
    path = tmp_path_factory.mktemp("config") / "c.json"
    small = {
        **json.loads(TINY.read_text()),
        "upsample_initial_channel": 16,
        "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1]],
        "batch_size": 4,
        "segment_size": 4096,
        "mpd_reshapes": [2, 3],
    }
    path.write_text(json.dumps(small))
    return path


@pytest.fixture(scope="module")
def vocoder(scenes, scripts, mels, config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vocoder")
    scripts(
        "BigVGAN.train_binaural_mel",
        *vocoder_words(scenes, folder / "a", config, "--training_steps", 3, "--freeze_step", 1),
    )
    scripts(
        "BigVGAN.train_binaural_both",
        *vocoder_words(
            scenes,
            folder / "b",
            config,
            "--training_steps",
            2,
            "--mel_pred_dir",
            mels,
            "--stage1_checkpoint_path",
            folder / "a",
            "--pred_mel_end_step",
            1,
        ),
    )
    return folder / "b" / "g_best.pth"


# --- what is left behind ------------------------------------------------------------------------------------


def test_a_run_explains_itself(stage1):
    assert {p.name for p in stage1.iterdir()} == {
        "config.json",
        "unet_latest.pth",
        "unet_best.pth",
        "frame_latest.pth",
        "frame_best.pth",
        "state_latest.pth",
        "state_previous.pth",
        "training_history.json",
        "runs",
    }
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
        "config.json",
        "g_00000002",
        "do_00000002",
        "g_best.pth",
        "logs",
        "training_history.json",
        "training_history.png",
    }
    state = torch.load(folder / "do_00000002", weights_only=True)
    assert {"mpd", "mrd", "optim_g", "optim_d", "steps", "epoch"} <= set(state)
    assert "conv_pre.weight_g" in torch.load(folder / "g_00000002", weights_only=True)["generator"]


def test_resuming_at_the_end_changes_nothing(scenes, scripts, stage1):
    before = (stage1 / "unet_latest.pth").read_bytes()
    scripts("DiffBinaural.train_realBinaural", *train_words(scenes, stage1.parent))
    assert (stage1 / "unet_latest.pth").read_bytes() == before


def test_a_stopped_and_resumed_run_ends_with_the_same_weights(scenes, scripts, stage1, tmp_path):
    """Epochs are not enough to compare: they set the schedule. The run stops at its first validation."""

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


def test_a_run_starts_from_the_weights_of_another_that_is_built_alike(scenes, scripts, stage1, tmp_path):
    words = train_words(scenes, tmp_path, "--init_from", stage1)
    with pytest.raises(ValueError, match=r"--init_from .*: that run has interaural_phase False"):
        scripts("DiffBinaural.train_realBinaural", *words, "--interaural_phase")
    assert not (tmp_path / "run").exists()
    scripts("DiffBinaural.train_realBinaural", *words, "--time_budget", 1e-9)  # no step
    for name in ("unet", "frame"):
        made, given = (
            torch.load(run / f"{name}_best.pth", weights_only=True) for run in (tmp_path / "run", stage1)
        )
        assert all(torch.equal(made[key], given[key]) for key in given)


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


@pytest.mark.parametrize("kind", ["mpd", "mrd"])
def test_an_empty_list_leaves_the_discriminators_of_a_kind_out(scenes, scripts, config, tmp_path, kind):
    key, other = {"mpd": ("mpd_reshapes", "mrd"), "mrd": ("resolutions", "mpd")}[kind]
    path = tmp_path / "c.json"
    path.write_text(json.dumps({**json.loads(config.read_text()), key: []}))
    for total in (1, 2):  # and the run goes on without them
        scripts(
            "BigVGAN.train_binaural_mel",
            *vocoder_words(scenes, tmp_path / "run", path, "--training_steps", total),
        )
    state = torch.load(tmp_path / "run/do_00000002", weights_only=True)
    assert kind not in state
    assert state[other]
    assert set(state["optim_d"]) == {other}


def test_a_vocoder_run_is_not_resumed_with_another_config(scenes, scripts, config, vocoder, tmp_path):
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**json.loads(config.read_text()), "learning_rate": 0.5}))
    with pytest.raises(ValueError, match="another config"):
        scripts("BigVGAN.train_binaural_mel", *vocoder_words(scenes, vocoder.parent, other))


def test_a_resumed_log_drops_the_steps_that_are_repeated(tmp_path):
    log = RunLog(tmp_path, "runs", step=0)
    for step in (5, 10, 15):
        log(step, loss=float(step))
    log.close()
    again = RunLog(tmp_path, "runs", step=10)
    assert [row["step"] for row in again.rows] == [5, 10]
    again.close()


def test_a_batch_that_is_not_a_number_leaves_the_weights_alone_and_is_counted(scenes, tmp_path):
    torch.manual_seed(0)
    cfg = preset_config(
        "tiny",
        id="run",
        data_root=str(scenes),
        ckpt=str(tmp_path),
        batch_size_per_gpu=3,
        windows_per_clip=1,
        num_epoch=2,
        eval_epoch=1,
    )

    class Poisoned(RealBinaural):
        def __getitem__(self, n):
            sample = super().__getitem__(n)
            return {**sample, "mono_mel": sample["mono_mel"] * torch.nan} if n < 3 else sample

    model = ModelBuilder(cfg).build()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    val = GenAudioRealBinaural(scenes, "val", cfg.mel, cfg.view)
    seen = []

    def compare_weights(run, *args):
        same = all(
            torch.equal(start[k], v)
            for net in (run.model, run.ema.shadow)
            for k, v in net.state_dict().items()
        )
        seen.append((run.progress["step"], same, run.safe_step.skipped))
        kept(run, *args)

    kept, training.validate = training.validate, compare_weights
    try:
        training.fit(model, Poisoned(scenes, "train", cfg.mel, cfg.view), val, cfg)
    finally:
        training.validate = kept
    assert seen[:2] == [(1, True, 1), (2, False, 1)]
    history = json.loads((tmp_path / "run" / "training_history.json").read_text())
    assert [row["train/skipped"] for row in history] == [1, 1]
    assert history[-1]["train/loss_epoch"] > 0


def test_broken_files_are_named_before_the_first_step(scenes, scripts, tmp_path):
    for broken in (
        "processed/frames/scene_00001/frame_000007.jpg",
        "processed/binaural_audios_22050Hz/scene_00002.wav",
    ):
        root = tmp_path / broken.split("/")[1]
        shutil.copytree(scenes, root)
        (root / broken).write_bytes((root / broken).read_bytes()[:30])
        for trunk in ("--train_trunk", "--no-train_trunk"):
            with pytest.raises(ValueError, match=rf"{broken.rpartition('/')[2]}: cannot be read"):
                scripts("DiffBinaural.train_realBinaural", *train_words(root, tmp_path / trunk, trunk))
            assert not list((tmp_path / trunk).rglob("*.pth"))


def test_a_frozen_resnet_is_read_in_eval_mode_and_a_list_may_repeat_a_clip(scenes, tmp_path):
    """In training mode a BatchNorm makes a picture's maps depend on its neighbours, and drifts."""
    torch.manual_seed(0)
    how = dict(arch_frame="resnet18", train_trunk=False, ckpt=str(tmp_path))
    cfg = preset_config("tiny", id="r", data_root=str(scenes), **how)
    listing = tmp_path / "twice.csv"
    listing.write_text("video_id,start_time,end_time\n" + 3 * "scene_00000,0,1.5\n" + "scene_00001,0,1.5\n")
    model, data = ModelBuilder(cfg).build(), RealBinaural(scenes, str(listing), cfg.mel, cfg.view)
    before = {name: value.clone() for name, value in model.frame.trunk.state_dict().items()}
    with world("cpu") as job:
        precompute(data, model, tmp_path / "cache", job)
    assert all(torch.equal(before[name], v) for name, v in model.frame.trunk.state_dict().items())
    assert len(list((tmp_path / "cache").glob("*.mels.pt"))) == 2
    window = data[0]
    plain = RealBinaural(scenes, str(listing), cfg.mel, cfg.view)[0]
    with torch.no_grad():
        maps = model.eval().frame.features(normalised(plain["objects"]), plain["mask"])
    assert torch.allclose(window["maps"].float(), maps, atol=1e-2, rtol=1e-2)


def test_a_run_keeps_the_number_of_windows_of_a_step(scenes, scripts, tmp_path):
    words = train_words(scenes, tmp_path, "--num_epoch", 1)
    scripts("DiffBinaural.train_realBinaural", *words)
    scripts("DiffBinaural.train_realBinaural", *words, "--batch_size_per_gpu", 1, "--accumulate", 2)
    with pytest.raises(ValueError, match="its steps take 2 windows, now 4"):
        scripts("DiffBinaural.train_realBinaural", *words, "--accumulate", 2)


def test_frozen_trunks_and_mixed_scenes_train_too(scenes, scripts, tmp_path):
    other = ("--objective", "pred_v", "--loss_weight", "min_snr", "--schedule", "linear")
    for name, more in (
        ("frozen", ("--no-train_trunk",)),
        ("other", other),
        ("mixed", ("--mix_sources", 2, "--accumulate", 2)),
    ):
        words = train_words(scenes, tmp_path / name, "--num_epoch", 1, *more)
        scripts("DiffBinaural.train_realBinaural", *words)
        history = json.loads((tmp_path / name / "run" / "training_history.json").read_text())
        assert np.isfinite(history[-1]["val/mel_rmse"])
        assert not (tmp_path / name / "run" / "cache").exists()
    with pytest.raises(ValueError, match="--loss_weight"):
        scripts(
            "DiffBinaural.train_realBinaural",
            *train_words(scenes, tmp_path / "other", "--num_epoch", 1, *other[:3], "p2", *other[4:]),
        )


def test_guidance_0_ignores_the_video_and_1_is_the_plain_model(scenes, scripts, stage1, tmp_path):
    def mel(*more):
        out = tmp_path / "-".join(map(str, more or ("plain",)))
        scripts(
            "DiffBinaural.test_realBinaural",
            "--run",
            stage1,
            "--data_root",
            scenes,
            "--limit",
            1,
            "--list_test",
            "train",
            "--sampling_timesteps",
            2,
            "--output_dir",
            out,
            *more,
        )
        return np.load(next(out.glob("*_left.npy")))

    blind = mel("--guidance_scale", 0)
    assert np.array_equal(mel("--guidance_scale", 1), mel())
    assert not np.array_equal(blind, mel())
    assert np.array_equal(mel("--guidance_scale", 0, "--shuffle_vision"), blind)
    assert not np.array_equal(mel("--guidance_scale", 1, "--shuffle_vision"), mel())


def test_sources_are_moved_to_given_positions(scenes, scripts, stage1, tmp_path):
    words = ("--run", stage1, "--data_root", scenes, "--list_test", "train", "--sampling_timesteps", 1)
    scripts("DiffBinaural.test_pos", *words, "--output_dir", tmp_path / "one", "--override_pos", "-0.5,0.1")
    stems = [clip.stem for clip in read_clips(scenes / "splits/train.csv")]
    assert {p.name for p in (tmp_path / "one").glob("*.npy")} == {
        f"{stem}_{side}.npy" for stem in stems for side in ("left", "right")
    }
    rows = (tmp_path / "one" / "positions.csv").read_text().splitlines()
    assert rows[0] == "id,x,azimuth,ild_db,sphere_db"
    assert float(rows[1].split(",")[2]) == pytest.approx(-40.89, abs=0.01)
    scripts(
        "DiffBinaural.test_pos",
        *words,
        "--output_dir",
        tmp_path / "sweep",
        "--sweep",
        "--positions",
        3,
        "--limit",
        2,
    )
    assert len((tmp_path / "sweep" / "positions.csv").read_text().splitlines()) == 7
    assert (tmp_path / "sweep" / "sweep.png").stat().st_size > 10_000
    assert {p.name for p in (tmp_path / "sweep").iterdir() if p.is_dir()} == {"x_-1.00", "x_+0.00", "x_+1.00"}
    with pytest.raises(ValueError, match="either --override_pos X,Y or --sweep"):
        scripts("DiffBinaural.test_pos", *words, "--output_dir", tmp_path / "none")


def test_a_trajectory_of_one_row_is_a_position(scenes, scripts, stage1, tmp_path):
    """The same mels, to the bit; a file that goes to the other side makes other ones."""
    words = ("--run", stage1, "--data_root", scenes, "--list_test", "train", "--sampling_timesteps", 1)
    words = ("DiffBinaural.test_pos", *words, "--limit", 1, "--output_dir")
    scripts(*words, tmp_path / "xy", "--override_pos", "-0.5,0.1")
    point = waypoint_at(-0.5, 0.1)
    (tmp_path / "one.csv").write_text(
        f"time,track,azimuth,elevation\n0,v,{point.azimuth},{point.elevation}\n"
    )
    (tmp_path / "two.csv").write_text("time,track,azimuth\n0,a,-40\n1,a,40\n0,b,175\n1,b,-175\n")
    for name in ("one", "two"):
        scripts(*words, tmp_path / name, "--trajectory_in", tmp_path / f"{name}.csv")
    (left,) = (path.name for path in (tmp_path / "xy").glob("*_left.npy"))
    fixed, one, two = (np.load(tmp_path / name / left) for name in ("xy", "one", "two"))
    assert np.array_equal(fixed, one)
    assert not np.array_equal(fixed, two)
    (row,) = read_rows(tmp_path / "one" / "positions.csv", ("azimuth",))
    assert float(row["azimuth"]) == pytest.approx(point.azimuth)
    assert "x" not in row
    (row,) = read_rows(tmp_path / "two" / "positions.csv", ("azimuth",))
    assert -40 < float(row["azimuth"]) < 40
    assert len(list((tmp_path / "two").glob("*.png"))) == 1


def test_errors_are_drawn_over_frequency(scenes, scripts, mels, tmp_path):
    scripts(
        "DiffBinaural.evaluate_mel_spectrogram_rmse",
        "--pred_dir",
        mels,
        "--gt_dir",
        scenes / "processed/binaural_audios_22050Hz",
        "--plot",
        tmp_path / "bands.png",
    )
    with Image.open(tmp_path / "bands.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 100


def test_quality_and_time_against_steps(scenes, scripts, stage1, tmp_path, capsys):
    scripts(
        "DiffBinaural.experiments.evaluate_steps",
        "--run",
        stage1,
        "--data_root",
        scenes,
        "--output_dir",
        tmp_path,
        "--steps",
        1,
        5,
        "--samplers",
        "ddim",
        "dpm++",
        "--list_test",
        "train",
    )
    content = json.loads((tmp_path / "steps.json").read_text())
    rows, clips = content["rows"], content["clips"]
    assert rows[1]["dpm++/mel_rmse"] == pytest.approx(
        np.mean([clip["mel_rmse"] for clip in clips if clip["system"] == "dpm++, 5"])
    )
    assert [row["step"] for row in rows] == [1, 5]
    # one step of either sampler is the network's first estimate; the mono copy does not depend on steps
    assert rows[0]["ddim/mel_rmse"] == pytest.approx(rows[0]["dpm++/mel_rmse"], rel=1e-5)
    assert rows[1]["ddim/mel_rmse"] != rows[1]["dpm++/mel_rmse"]
    assert rows[0]["mono copy/mel_ild_error"] == rows[1]["mono copy/mel_ild_error"] > 0
    assert rows[1]["ddim/seconds a second"] > rows[0]["ddim/seconds a second"] > 0
    assert capsys.readouterr().out.count("\n") == 4
    with Image.open(tmp_path / "steps.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 100


def test_a_time_budget_ends_a_run(scenes, scripts, tmp_path):
    scripts("DiffBinaural.train_realBinaural", *train_words(scenes, tmp_path, "--time_budget", 0.01))
    assert json.loads((tmp_path / "run" / "training_history.json").read_text())[-1]["step"] <= 1


def test_a_few_clips_are_drawn_and_other_pictures_give_other_mels(scenes, scripts, stage1, mels, tmp_path):
    words = ("--run", stage1, "--data_root", scenes, "--sampling_timesteps", 1, "--list_test", "train")
    scripts("DiffBinaural.test_realBinaural_few", *words, "--output_dir", tmp_path / "few", "--limit", 1)
    stem = read_clips(scenes / "splits/train.csv")[0].stem
    assert {p.name for p in (tmp_path / "few").glob("[!.]*")} == {
        "mel_config.json",
        f"{stem}.png",
        f"{stem}_left.npy",
        f"{stem}_right.npy",
    }
    usual = np.load(mels / f"{stem}_left.npy")
    assert np.array_equal(np.load(tmp_path / "few" / f"{stem}_left.npy"), usual)
    for flag in ("--shuffle_vision", "--no-detections"):
        scripts("DiffBinaural.test_realBinaural", *words, "--output_dir", tmp_path / flag, flag, "--limit", 1)
        assert not np.array_equal(np.load(tmp_path / flag / f"{stem}_left.npy"), usual), flag


# --- from end to end ----------------------------------------------------------------------------------------


def e2e_words(stage1, vocoder, video, out, *more):
    return (
        "--input_video",
        video,
        "--run",
        stage1,
        "--checkpoint_file",
        vocoder,
        "--output",
        out,
        "--sampling_timesteps",
        1,
        *(() if "--detections" in more else ("--detections", "none")),
        *more,
    )


@pytest.mark.parametrize(
    ("seconds", "notice"),
    [
        (1.4, "the last picture is held for 0.40 s"),
        (0.6, "the last 0.40 s of the video are not used"),
        (1.0, ""),
    ],
)
def test_any_wav_and_video(scripts, stage1, vocoder, tmp_path, capsys, seconds, notice):
    """48 kHz stereo and 30 pictures a second, not ours, of unequal length."""
    samples = round(seconds * 48_000)
    sound = np.random.default_rng(0).normal(0, 0.1, (samples, 2)).astype(np.float32)
    soundfile.write(tmp_path / "in.wav", sound, 48_000)
    picture = np.random.default_rng(1).integers(0, 255, (30, 96, 128, 3), dtype=np.uint8)
    write_video(tmp_path / "in.mp4", picture, 30, sound.T[:, :1000], 48_000)
    scripts(
        "BigVGAN.inference_e2e",
        *e2e_words(
            stage1,
            vocoder,
            tmp_path / "in.mp4",
            tmp_path / "out.wav",
            "--input_wav",
            tmp_path / "in.wav",
            "--mux",
            tmp_path / "out.mp4",
            "--plot",
            tmp_path / "out.png",
        ),
    )
    wav, rate = soundfile.read(tmp_path / "out.wav")
    assert (rate, wav.shape) == (22_050, (-(-samples * 22_050 // 48_000), 2))
    printed = capsys.readouterr().err
    assert notice in printed if notice else "the sound lasts" not in printed
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


def test_folders_are_vocoded(scenes, scripts, mels, vocoder, tmp_path):
    truth, test = scenes / "processed/binaural_audios_22050Hz", scenes / "splits/test.csv"
    stem = read_clips(test)[0].stem
    scripts(
        "BigVGAN.inference_diffbinaural_mels",
        "--checkpoint_file",
        vocoder,
        "--mels_dir",
        mels,
        "--output_dir",
        tmp_path / "all",
    )
    scripts(
        "BigVGAN.inference_binaural",
        "--checkpoint_file",
        vocoder,
        "--input_wavs_dir",
        truth,
        "--list",
        test,
        "--output_dir",
        tmp_path / "copy",
    )
    assert len(list((tmp_path / "all").iterdir())) == 5
    assert [p.name for p in (tmp_path / "copy").iterdir()] == [f"{stem.rpartition('_')[0]}.wav"]
    assert soundfile.info(tmp_path / "all" / f"{stem}.wav").frames == -(-33_075 // 256) * 256


def test_what_is_there_is_skipped_until_told_otherwise(scenes, scripts, mels, vocoder, tmp_path, capsys):
    def vocode(*more):
        scripts(
            "BigVGAN.inference_diffbinaural_mels",
            "--checkpoint_file",
            vocoder,
            "--mels_dir",
            mels,
            "--output_dir",
            tmp_path,
            *more,
        )
        return {path.name: path.read_bytes() for path in sorted(tmp_path.glob("*.wav"))}

    first = vocode("--wav_format", "float")
    assert len(first) == 5
    name = next(iter(first))
    assert soundfile.info(tmp_path / name).subtype == "FLOAT"
    (tmp_path / name).unlink()
    capsys.readouterr()
    second = vocode()
    assert "4 of 5 are there already and are skipped" in capsys.readouterr().err
    assert [n for n in first if first[n] != second[n]] == [name]
    rounded = soundfile.read(tmp_path / name)[0]
    assert len(vocode("--wav_format", "float", "--overwrite")) == 5
    exact = soundfile.read(tmp_path / name)[0]
    assert np.array_equal(exact, soundfile.read(io.BytesIO(first[name]))[0])
    assert 0.4 / 32768 < np.abs(exact - rounded).max() <= 0.5 / 32768


def test_folds_divide_the_training_list_and_train_on_the_rest(scenes, scripts, tmp_path):
    clips = read_clips(scenes / "splits/train.csv")
    seen = set()
    for k in (1, 2):
        scripts(
            "DiffBinaural.train_realBinaural",
            *train_words(scenes, tmp_path, "--fold", f"{k}/2"),
            "--id",
            f"fold{k}",
            "--num_epoch",
            1,
        )
        scripts(
            "DiffBinaural.test_realBinaural",
            "--run",
            tmp_path / f"fold{k}",
            "--data_root",
            scenes,
            "--list_test",
            "train",
            "--fold",
            f"{k}/2",
            "--output_dir",
            tmp_path / "mels",
            "--sampling_timesteps",
            1,
        )
        cfg = preset_config("tiny", id="x", data_root=str(scenes))
        data = RealBinaural(scenes, "train", cfg.mel, cfg.view, fold=f"{k}/2")
        trained = {clip.stem for clip in data.clips}
        made = {path.name.removesuffix("_left.npy") for path in (tmp_path / "mels").glob("*_left.npy")} - seen
        assert not trained & made
        assert trained | made == {clip.stem for clip in clips}
        seen |= made
    assert seen == {clip.stem for clip in clips}


def test_bf16_comes_close_to_float32(scenes, scripts, scalars, config, tmp_path):
    # the first step: the rate's first steps go by the gradient's sign, and part from any rounding
    for amp in ("off", "bf16"):
        scripts(
            "BigVGAN.train_binaural_mel",
            *vocoder_words(scenes, tmp_path / amp, config, "--amp", amp, "--training_steps", 1),
        )
    for name, near in (
        ("mel_spec_error", 0.01),
        ("fm_loss_mrd", 0.02),
        ("disc_loss_mpd", 0.02),
        ("interaural", 0.02),
    ):
        exact, narrow = (scalars(tmp_path / amp, f"training/{name}", "logs") for amp in ("off", "bf16"))
        assert narrow == pytest.approx(exact, rel=near), name
        assert narrow != exact, name


def test_cues_are_drawn(scenes, scripts, mels, vocoder, tmp_path):
    truth = scenes / "processed/binaural_audios_22050Hz"
    scripts(
        "BigVGAN.inference_diffbinaural_mels",
        "--checkpoint_file",
        vocoder,
        "--mels_dir",
        mels,
        "--output_dir",
        tmp_path / "wavs",
    )
    scripts(
        "DiffBinaural.evaluate_binaural_22050",
        "--pred_dir",
        tmp_path / "wavs",
        "--gt_dir",
        truth,
        "--plots",
        tmp_path / "cues",
    )
    assert len(list((tmp_path / "cues" / "model").glob("*.png"))) == 5


# --- the phasor between the ears ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def phasor_run(scenes, scripts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("phasor")
    scripts(
        "DiffBinaural.train_realBinaural",
        *train_words(scenes, folder, "--interaural_phase", "--num_epoch", 1, "--mix_sources", 2),
    )
    return folder / "run"


@pytest.fixture(scope="module")
def phasor_mels(scenes, scripts, phasor_run):
    scripts(
        "DiffBinaural.test_realBinaural",
        "--run",
        phasor_run,
        "--data_root",
        scenes,
        "--output_dir",
        phasor_run.parent / "mels",
        "--sampling_timesteps",
        1,
    )
    return phasor_run.parent / "mels"


def test_the_best_of_a_phasor_run_is_chosen_by_the_rendered_sound(phasor_run):
    (row,) = json.loads((phasor_run / "training_history.json").read_text())
    assert {
        "val/mel_rmse",
        "val/phasor_error",
        "val/stft",
        "val/itd_error",
        "val/mono_copy_stft",
        "val/mono_copy_itd_error",
    } <= set(row)
    assert (phasor_run / "unet_best.pth").exists()


def test_scripts_that_draw_and_move_sources_take_a_phasor_run_too(scenes, scripts, phasor_run, tmp_path):
    words = ("--run", phasor_run, "--data_root", scenes, "--sampling_timesteps", 1)
    scripts("DiffBinaural.test_realBinaural_few", *words, "--output_dir", tmp_path / "few")
    scripts("DiffBinaural.test_pos", *words, "--output_dir", tmp_path / "moved", "--override_pos", "0.5,0")
    for folder in ("few", "moved"):
        kinds = sorted(path.stem.rpartition("_")[2] for path in (tmp_path / folder).glob("*.npy"))
        assert kinds == ["left", "phasor", "right"]


def test_phasors_are_dumped_and_go_with_their_mels(scenes, scripts, stage1, phasor_mels, tmp_path):
    (clip,) = read_clips(scenes / "splits/test.csv")
    phasor = np.load(phasor_mels / f"{clip.stem}_phasor.npy", allow_pickle=False)
    assert (phasor.dtype, phasor.shape) == (np.float32, (2, 80, -(-33_075 // 256)))
    assert np.hypot(*phasor).max() <= 1 + 1e-5
    shutil.copytree(phasor_mels, tmp_path / "mels")
    scripts(
        "DiffBinaural.test_realBinaural",
        "--run",
        stage1,
        "--data_root",
        scenes,
        "--output_dir",
        tmp_path / "mels",
        "--sampling_timesteps",
        1,
    )
    assert not list((tmp_path / "mels").glob("*_phasor.npy")), "of other mels"


@pytest.mark.parametrize("more", [("wiener",), ("mono_phase",), ("mono_phase", "--exact_downmix")])
def test_mels_are_rendered_on_the_monos_phase(scenes, scripts, phasor_mels, tmp_path, more):
    (clip,) = read_clips(scenes / "splits/test.csv")
    folder = scenes / "processed/mono_audios_22050Hz"
    scripts(
        "BigVGAN.inference_diffbinaural_mels",
        "--renderer",
        *more,
        "--mels_dir",
        phasor_mels,
        "--mono_dir",
        folder,
        "--output_dir",
        tmp_path,
    )
    made, rate = soundfile.read(tmp_path / f"{clip.stem}.wav")
    mono, _ = soundfile.read(folder / f"{clip.video_id}.wav")
    assert (rate, made.shape) == (22_050, (-(-33_075 // 256) * 256, 2))
    off = made[: len(mono)].mean(1) - mono
    exact = (off**2).mean() < 1e-6 * (mono**2).mean()
    assert exact == (more != ("mono_phase",))


def test_copy_synthesis_on_the_monos_phase_comes_near_the_truth(scenes, scripts, tmp_path):
    truth = scenes / "processed/binaural_audios_22050Hz"
    scripts(
        "BigVGAN.inference_binaural",
        "--renderer",
        "mono_phase",
        "--input_wavs_dir",
        truth,
        "--output_dir",
        tmp_path,
    )
    for path in truth.iterdir():
        made, true = (soundfile.read(folder / path.name)[0] for folder in (tmp_path, truth))
        assert made.shape == true.shape
        assert ((made - true) ** 2).mean() < 0.3 * ((true.mean(1, keepdims=True) - true) ** 2).mean()


def test_from_end_to_end_the_run_determines_the_renderer(
    scenes, scripts, stage1, phasor_run, vocoder, tmp_path
):
    name = read_clips(scenes / "splits/test.csv")[0].video_id
    video, sound = scenes / f"videos/{name}.mp4", scenes / f"processed/mono_audios_22050Hz/{name}.wav"
    words = ("--input_video", video, "--input_wav", sound, "--sampling_timesteps", 1, "--detections", "none")
    for out, more in (
        ("auto", ("--run", phasor_run, "--exact_downmix")),
        ("vocoder", ("--run", phasor_run, "--renderer", "vocoder", "--checkpoint_file", vocoder)),
        ("plain", ("--run", stage1, "--checkpoint_file", vocoder)),
    ):
        scripts("BigVGAN.inference_e2e", *words, *more, "--output", tmp_path / f"{out}.wav")
    auto, spoken, plain = (soundfile.read(tmp_path / f"{o}.wav")[0] for o in ("auto", "vocoder", "plain"))
    mono, _ = soundfile.read(sound)
    assert auto.shape == spoken.shape == plain.shape == (33_075, 2)
    assert np.abs(auto.mean(1) - mono).max() < 1e-3
    assert np.abs(spoken.mean(1) - mono).max() > 1e-2
    for more, message in (
        (("--run", stage1, "--renderer", "mono_phase"), "makes no phase between the ears"),
        (
            ("--run", phasor_run, "--renderer", "vocoder", "--exact_downmix", "--checkpoint_file", vocoder),
            "of no use",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            scripts("BigVGAN.inference_e2e", *words, *more, "--output", tmp_path / "none.wav")
    assert not (tmp_path / "none.wav").exists()


def test_a_videos_own_sound_is_a_microphones_and_one_given_beside_it_a_downmix(
    scenes, scripts, phasor_run, tmp_path
):
    """The choice can be told, too; and where the mean of the ears is to be the mono, it is a downmix."""
    name = read_clips(scenes / "splits/test.csv")[0].video_id
    sound = tmp_path / "mono.wav"
    film = ("--input_video", scenes / f"videos/{name}.mp4", "--detections", "none", "--no-limit")
    scripts("BigVGAN.inference_e2e", *film, "--renderer", "geometry", "--strength", 0, "--output", sound)
    words, made = (*film, "--run", phasor_run, "--sampling_timesteps", 1), {}
    for case, more in {
        "own": (),
        "own, microphone": ("--mono", "microphone"),
        "own, downmix": ("--mono", "downmix"),
        "own, exact": ("--exact_downmix",),
        "own, wiener": ("--renderer", "wiener"),
        "beside": ("--input_wav", sound),
        "beside, downmix": ("--input_wav", sound, "--mono", "downmix"),
        "beside, microphone": ("--input_wav", sound, "--mono", "microphone"),
    }.items():
        scripts("BigVGAN.inference_e2e", *words, *more, "--output", tmp_path / f"{case}.wav")
        made[case] = soundfile.read(tmp_path / f"{case}.wav")[0]
    assert (made["own"] == made["own, microphone"]).all()
    assert (made["beside"] == made["beside, downmix"]).all()
    assert np.abs(made["own"] - made["own, downmix"]).max() > 1e-3
    assert np.abs(made["beside, microphone"] - made["own"]).max() < 1e-3
    table, film = tmp_path / "batch.csv", words[1]
    table.write_text(f"input_video,output,mono\n{film},a.wav,downmix\n{film},b.wav,\n")
    scripts("BigVGAN.inference_e2e", "--input_video", table, *words[2:], "--output", tmp_path / "batch")
    for case, file in (("own, downmix", "a.wav"), ("own", "b.wav")):
        assert (soundfile.read(tmp_path / "batch" / file)[0] == made[case]).all()
    mono = soundfile.read(sound)[0].mean(1)
    for case in ("own, exact", "own, wiener"):
        assert np.abs(made[case].mean(1) - mono).max() < 1e-3
    power = {case: (x**2).sum() for case, x in made.items()}
    for case in ("own", "beside, microphone"):
        assert 10 * np.log10(power[case] / 2 / (mono**2).sum()) == pytest.approx(0, abs=1)
    for more in ("--exact_downmix",), ("--renderer", "vocoder"):
        with pytest.raises(ValueError, match="--mono microphone"):
            scripts(
                "BigVGAN.inference_e2e",
                *words,
                "--mono",
                "microphone",
                *more,
                "--output",
                tmp_path / "no.wav",
            )
    assert not (tmp_path / "no.wav").exists()


@pytest.mark.parametrize("more", [("wiener",), ("mono_phase",), ("mono_phase", "--exact_downmix")])
def test_a_phasor_run_in_blocks_is_the_clip_at_once(scenes, scripts, phasor_run, tmp_path, monkeypatch, more):
    name = read_clips(scenes / "splits/test.csv")[0].video_id
    words = (
        "--input_video",
        scenes / f"videos/{name}.mp4",
        "--run",
        phasor_run,
        "--renderer",
        *more,
        "--sampling_timesteps",
        2,
        "--detections",
        "none",
        "--input_wav",
        scenes / f"processed/mono_audios_22050Hz/{name}.wav",
    )
    monkeypatch.setattr(sampler, "BLOCK", 100)  # frames of a noise tile, the same in both
    scripts("BigVGAN.inference_e2e", *words, "--output", tmp_path / "whole.wav")
    monkeypatch.setattr(mel_stream, "BLOCK", 43)  # half a second
    scripts("BigVGAN.inference_e2e", *words, "--output", tmp_path / "blocks.wav")
    whole, blocks = (soundfile.read(tmp_path / f"{made}.wav")[0] for made in ("whole", "blocks"))
    assert np.abs(whole[:, 0] - whole[:, 1]).max() > 0.01
    assert np.abs(whole - blocks).max() <= 2 / 32768


def test_what_the_renderer_lacks_is_named(scenes, scripts, mels, phasor_mels, tmp_path):
    (clip,) = read_clips(scenes / "splits/test.csv")
    words = ("--renderer", "mono", "--output_dir", tmp_path / "out")
    mono = scenes / "processed/mono_audios_22050Hz"
    with pytest.raises(ValueError, match="give their folder, --mono_dir"):
        scripts("BigVGAN.inference_diffbinaural_mels", *words, "--mels_dir", phasor_mels)
    with pytest.raises(FileNotFoundError, match=r"_phasor\.npy: missing.*--interaural_phase"):
        scripts("BigVGAN.inference_diffbinaural_mels", *words, "--mels_dir", mels, "--mono_dir", mono)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=f"no mono of {clip.stem}"):
        scripts(
            "BigVGAN.inference_diffbinaural_mels",
            *words,
            "--mels_dir",
            phasor_mels,
            "--mono_dir",
            tmp_path / "empty",
        )
    soundfile.write(tmp_path / "empty" / f"{clip.video_id}.wav", np.zeros(20_000), 22_050)
    with pytest.raises(ValueError, match="20000 samples from 0 s on"):
        scripts(
            "BigVGAN.inference_diffbinaural_mels",
            *words,
            "--mels_dir",
            phasor_mels,
            "--mono_dir",
            tmp_path / "empty",
        )
    shutil.copytree(phasor_mels, tmp_path / "mels")
    np.save(tmp_path / "mels" / f"{clip.stem}_phasor.npy", np.full((2, 80, 3), 0.5, dtype=np.float32))
    with pytest.raises(ValueError, match=r"shape \(2, 80, 3\).*expected \(2, 80, 130\)"):
        scripts(
            "BigVGAN.inference_diffbinaural_mels", *words, "--mels_dir", tmp_path / "mels", "--mono_dir", mono
        )
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_run_from_before_there_was_a_phasor_goes_on(scenes, scripts, stage1, tmp_path):
    shutil.copytree(stage1, tmp_path / "run")
    path = tmp_path / "run/config.json"
    config = json.loads(path.read_text())
    del config["model"]["interaural_phase"], config["diffusion"]["phase_weight"]
    path.write_text(json.dumps(config))
    scripts("DiffBinaural.train_realBinaural", *train_words(scenes, tmp_path))
    with pytest.raises(ValueError, match="--interaural_phase"):
        scripts("DiffBinaural.train_realBinaural", *train_words(scenes, tmp_path, "--interaural_phase"))


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
    scripts(
        "DiffBinaural.test_realBinaural_few",
        "--run",
        stage1,
        "--data_root",
        root,
        "--output_dir",
        tmp_path / "out",
        "--sampling_timesteps",
        1,
    )
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
        scripts(
            "BigVGAN.inference_diffbinaural_mels",
            "--checkpoint_file",
            vocoder,
            "--mels_dir",
            tmp_path,
            "--output_dir",
            tmp_path / "out",
        )


def test_a_script_ends_with_status_2_and_one_line(scenes, stage1, vocoder, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "BigVGAN/inference_e2e.py",
            *map(str, e2e_words(stage1, vocoder, tmp_path / "none.mp4", tmp_path / "out.wav")),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "none.mp4" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


# --- the schedule of predicted mels -------------------------------------------------------------------------


def test_predicted_mels_come_in_linearly_and_never_take_over():
    probabilities = [pred_mel_probability(step, 100, 300, 0.8) for step in (0, 100, 150, 200, 300, 10_000)]
    assert probabilities == pytest.approx([0, 0, 0.2, 0.4, 0.8, 0.8])
    assert pred_mel_probability(5, 5, 5, 0.5) == 0.5
    assert pred_mel_probability(4, 5, 5, 0.5) == 0.0
