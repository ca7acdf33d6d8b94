"""Every kind of bad input for every script that reads such input: processed as documented, or refused.

A reader returns a script and its words, and the files that must not exist after a refusal.
"""

import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from inputs import BOXES, JSONS, MELS, PICTURES, SOUNDS, SPLITS, VIDEOS, plain, tone, video
from scripted import dump_words, e2e_words, stage1_words, vocoder_words

from DiffBinaural.dataset.recordings import DETECTIONS, FRAMES

MAX_MB, MAX_SECONDS = 1500, 100

# Inputs that all readers refuse, and that single readers refuse; SECURITY.md, Limits, documents the rest.
NO_SOUND = {
    "nothing in it",
    "a header alone",
    "half a header",
    "no samples",
    "claims nothing",
    "claims 2^36 samples",
    "text",
    "noise bytes",
    "all NaN",
    "a few NaN",
    "a few inf",
    "3 Hz",
    "44101 Hz",
}
SHORT, CHANNELS = {"one sample", "seven samples"}, {"6 channels", "one channel"}
NO_SOUND_FOR = {
    "e2e": set(),
    "copy": SHORT | CHANNELS,
    "evaluate": {"breaks off"} | SHORT | CHANNELS,
    "dump": set(SOUNDS) - {"one channel"},
    "stage1": {"breaks off"} | SHORT | CHANNELS,
    "vocoder": SHORT | CHANNELS,
    "simulate": {"one sample", "DC", "silence"},
    "prepare": {"breaks off"} | CHANNELS,
}
NO_VIDEO = {
    "nothing in it",
    "text",
    "noise bytes",
    "breaks off",
    "half a header",
    "index lost",
    "holes",
    "no picture",
    "67 million pixels",
    "a wav",
}
SILENT = {"no sound", "changing size", "a picture"}
NO_VIDEO_FOR = {"e2e": SILENT, "e2e with a wav": {"changing size", "a picture"}, "prepare": set()}
NO_PICTURE = {"nothing in it", "text", "breaks off", "20,000 pixels"}
LIST = {
    "a byte-order mark",
    "semicolons",
    "UTF-16",
    "Windows line ends",
    "blank lines",
    "a short row",
    "the same clip twice",
    "no ends",
    "an end of inf",
    "an end past the sound",
}
BOX = {
    "half a frame",
    "an unknown id",
    "an id that climbs",
    "a byte-order mark",
    "Windows line ends",
}
MEL = {"float64", "float16"}


@pytest.fixture
def dataset(scenes, tmp_path):
    """A copy of the scenes, whose files may be replaced."""
    return Path(shutil.copytree(scenes, tmp_path / "data", copy_function=os.link))


def first_of(dataset, split):
    return (dataset / f"splits/{split}.csv").read_text().splitlines()[1].split(",")[0]


def replaced(path):
    path.unlink(missing_ok=True)  # a hard link to the session's dataset
    return path


class World:
    """Fixtures, requested when a reader uses them."""

    def __init__(self, request, tmp_path):
        self.value, self.tmp = request.getfixturevalue, tmp_path

    def __getattr__(self, name):
        return self.value(name)


@pytest.fixture
def its(request, tmp_path):
    return World(request, tmp_path)


@pytest.fixture
def check(ends, tally, tmp_path):
    """Run a script on a bad input, and check its result."""

    def run(script, *words, accepted, named, leaves=()):
        outcome = ends(script, *words, seconds=MAX_SECONDS)
        assert outcome.peak_mb < MAX_MB, outcome.peak_mb
        assert not list(tmp_path.rglob(".*.part")), "left half-written"
        assert outcome.status == (0 if accepted else 2), outcome.output
        if not accepted:
            errors = [line for line in outcome.output.splitlines() if line.startswith("error: ")]
            assert errors, outcome.output
            said = outcome.output[outcome.output.index("error: ") :]
            assert any(name in said for name in named), said
            assert max(map(len, errors)) < 600, errors
            assert not [path for path in leaves if path.exists()], "it refused, and wrote"
        tally("inputs tried")

    return run


# --- sounds -------------------------------------------------------------------------------------------------


def sound_to_e2e(its, write):
    write(its.tmp / "bad.wav")
    video(its.tmp / "good.mp4")
    return (
        "BigVGAN.inference_e2e",
        (
            "--input_wav",
            its.tmp / "bad.wav",
            *e2e_words(its.tmp / "good.mp4", its.stage1, its.vocoder, its.tmp / "o/out.wav"),
        ),
    ), [its.tmp / "o/out.wav"]


def sound_to_copy(its, write):
    (its.tmp / "in").mkdir()
    write(its.tmp / "in/bad.wav")
    return (
        "BigVGAN.inference_binaural",
        (
            "--input_wavs_dir",
            its.tmp / "in",
            "--checkpoint_file",
            its.vocoder / "g_best.pth",
            "--output_dir",
            its.tmp / "o",
        ),
    ), [its.tmp / "o/bad.wav"]


def sound_to_evaluate(its, write):
    for name in ("true", "made", "mono"):
        (its.tmp / name).mkdir()
    write(its.tmp / "true/bad.wav")
    plain(its.tmp / "made/bad.wav")
    plain(its.tmp / "mono/bad.wav", tone(channels=1))
    return (
        "DiffBinaural.evaluate_binaural_22050",
        (
            "--gt_dir",
            its.tmp / "true",
            "--pred_dir",
            its.tmp / "made",
            "--mono_dir",
            its.tmp / "mono",
            "--output_json",
            its.tmp / "o.json",
            "--workers",
            1,
        ),
    ), [its.tmp / "o.json"]


def sound_to_dump(its, write):
    name = first_of(its.dataset, "test")
    write(replaced(its.dataset / f"processed/mono_audios_22050Hz/{name}.wav"))
    return (
        "DiffBinaural.test_realBinaural",
        dump_words(its.stage1, its.dataset, its.tmp / "o"),
    ), [its.tmp / f"o/{name}_000000_left.npy"]


def sound_to_stage1(its, write):
    name = first_of(its.dataset, "train")
    write(replaced(its.dataset / f"processed/binaural_audios_22050Hz/{name}.wav"))
    return ("DiffBinaural.train_realBinaural", stage1_words(its.dataset, its.tmp / "o", "--num_epoch", 1)), [
        its.tmp / "o/run/unet_best.pth"
    ]


def sound_to_vocoder(its, write):
    name = first_of(its.dataset, "train")
    write(replaced(its.dataset / f"processed/binaural_audios_22050Hz/{name}.wav"))
    return (
        "BigVGAN.train_binaural_mel",
        vocoder_words(its.dataset, its.tmp / "o", its.config, "--training_steps", 1),
    ), [its.tmp / "o/g_best.pth"]


def sound_to_simulate(its, write):
    (its.tmp / "in").mkdir()
    write(its.tmp / "in/bad.wav")
    return (
        "DiffBinaural.simulate_dataset",
        (
            "--out",
            its.tmp / "o",
            "--clips",
            3,
            "--seconds",
            1,
            "--sources",
            "1",
            "--workers",
            1,
            "--audio_dir",
            its.tmp / "in",
        ),
    ), [its.tmp / "o/splits/train.csv"]


def sound_to_prepare(its, write):
    its.download(its.tmp / "down")
    write(replaced(its.tmp / "down/binaural_audios/000001.wav"))
    return (
        "DiffBinaural.prepare_fairplay",
        ("--fairplay_root", its.tmp / "down", "--out", its.tmp / "o", "--workers", 1, "--fps", 5),
    ), [its.tmp / "o/processed/mono_audios_22050Hz/000001.wav"]


@pytest.fixture(scope="session")
def fairplay(scripts, tmp_path_factory):
    root = tmp_path_factory.mktemp("fairplay") / "down"
    scripts(
        "DiffBinaural.simulate_dataset", "--out", root, "--layout", "fairplay", "--clips", 3, "--workers", 1
    )
    return root


@pytest.fixture
def download(fairplay):
    return partial(shutil.copytree, fairplay, copy_function=os.link)


SOUND_READERS = {
    "e2e": sound_to_e2e,
    "copy": sound_to_copy,
    "evaluate": sound_to_evaluate,
    "dump": sound_to_dump,
    "stage1": sound_to_stage1,
    "vocoder": sound_to_vocoder,
    "simulate": sound_to_simulate,
    "prepare": sound_to_prepare,
}


@pytest.mark.parametrize("reader", SOUND_READERS)
@pytest.mark.parametrize("kind", SOUNDS)
def test_sounds(kind, reader, its, check):
    (script, words), leaves = SOUND_READERS[reader](its, SOUNDS[kind])
    check(
        script,
        *words,
        accepted=kind not in NO_SOUND | NO_SOUND_FOR[reader],
        named=("bad.wav", "scene_0", "000001"),
        leaves=leaves,
    )


# --- videos and pictures ------------------------------------------------------------------------------------


def video_to_e2e(its, write):
    write(its.tmp / "bad.mp4")
    return (
        "BigVGAN.inference_e2e",
        (
            *e2e_words(its.tmp / "bad.mp4", its.stage1, its.vocoder, its.tmp / "o/out.wav"),
            "--mux",
            its.tmp / "o/out.mkv",
            "--sampling_timesteps",
            1,
        ),
    ), [its.tmp / "o/out.wav", its.tmp / "o/out.mkv"]


def video_to_silent_e2e(its, write):
    """With --input_wav, the video needs no sound track."""
    (script, words), leaves = video_to_e2e(its, write)
    plain(its.tmp / "good.wav")
    return (script, (*words, "--input_wav", its.tmp / "good.wav")), leaves[
        1:
    ]  # the sound is complete before the video is read


def video_to_prepare(its, write):
    its.download(its.tmp / "down")
    write(replaced(its.tmp / "down/videos/000001.mp4"))
    return (
        "DiffBinaural.prepare_fairplay",
        ("--fairplay_root", its.tmp / "down", "--out", its.tmp / "o", "--workers", 1, "--fps", 5),
    ), [its.tmp / "o" / FRAMES / "000001"]


VIDEO_READERS = {"e2e": video_to_e2e, "e2e with a wav": video_to_silent_e2e, "prepare": video_to_prepare}


@pytest.mark.parametrize("reader", VIDEO_READERS)
@pytest.mark.parametrize("kind", VIDEOS)
def test_videos(kind, reader, its, check):
    (script, words), leaves = VIDEO_READERS[reader](its, VIDEOS[kind])
    check(
        script,
        *words,
        accepted=kind not in NO_VIDEO | NO_VIDEO_FOR[reader],
        named=("bad.mp4", "000001"),
        leaves=leaves,
    )


def first_picture(dataset, name):
    return min((dataset / FRAMES / name).iterdir())


def picture_to_stage1(its, write):
    replaced(its.dataset / DETECTIONS)  # whose boxes are in pixels of pictures of another size
    write(replaced(first_picture(its.dataset, first_of(its.dataset, "train"))))
    return ("DiffBinaural.train_realBinaural", stage1_words(its.dataset, its.tmp / "o", "--num_epoch", 1)), [
        its.tmp / "o/run/unet_best.pth"
    ]


def picture_to_dump(its, write):
    """All pictures are bad, because only a few of them are read."""
    replaced(its.dataset / DETECTIONS)
    name = first_of(its.dataset, "test")
    for path in (its.dataset / FRAMES / name).iterdir():
        write(replaced(path))
    return (
        "DiffBinaural.test_realBinaural",
        dump_words(its.stage1, its.dataset, its.tmp / "o"),
    ), [its.tmp / f"o/{name}_000000_left.npy"]


def picture_to_e2e(its, write):
    name = first_of(its.dataset, "test")
    write(replaced(first_picture(its.dataset, name)))
    return (
        "BigVGAN.inference_e2e",
        (
            *e2e_words(its.dataset / FRAMES / name, its.stage1, its.vocoder, its.tmp / "o/out.wav"),
            *("--fps", 10, "--input_wav", its.dataset / f"processed/mono_audios_22050Hz/{name}.wav"),
        ),
    ), [its.tmp / "o/out.wav"]


PICTURE_READERS = {"stage1": picture_to_stage1, "dump": picture_to_dump, "e2e": picture_to_e2e}


@pytest.mark.parametrize("reader", PICTURE_READERS)
@pytest.mark.parametrize("kind", PICTURES)
def test_pictures(kind, reader, its, check):
    (script, words), leaves = PICTURE_READERS[reader](its, PICTURES[kind])
    check(script, *words, accepted=kind not in NO_PICTURE, named=("frame_0",), leaves=leaves)


# --- lists --------------------------------------------------------------------------------------------------


def rewritten(path, change):
    text = change(path.read_text())
    replaced(path).write_bytes(text if isinstance(text, bytes) else text.encode())


def list_to_stage1(its, change):
    rewritten(its.dataset / "splits/train.csv", change)
    return ("DiffBinaural.train_realBinaural", stage1_words(its.dataset, its.tmp / "o", "--num_epoch", 1)), [
        its.tmp / "o/run/unet_best.pth"
    ]


def list_to_dump(its, change):
    rewritten(its.dataset / "splits/train.csv", change)
    return (
        "DiffBinaural.test_realBinaural",
        (
            *dump_words(its.stage1, its.dataset, its.tmp / "o"),
            "--list_test",
            "train",
        ),
    ), []


def list_to_vocoder(its, change):
    rewritten(its.dataset / "splits/train.csv", change)
    return (
        "BigVGAN.train_binaural_mel",
        vocoder_words(its.dataset, its.tmp / "o", its.config, "--training_steps", 1),
    ), [its.tmp / "o/g_best.pth"]


LIST_READERS = {"stage1": list_to_stage1, "dump": list_to_dump, "vocoder": list_to_vocoder}


@pytest.mark.parametrize("reader", LIST_READERS)
@pytest.mark.parametrize("kind", SPLITS)
def test_lists(kind, reader, its, check):
    (script, words), leaves = LIST_READERS[reader](its, SPLITS[kind])
    check(script, *words, accepted=kind in LIST, named=("train.csv", "scene_0", "nobody"), leaves=leaves)


DETECTED = "action_detection_results/detection_results.csv"


def boxes_to_stage1(its, change):
    rewritten(its.dataset / DETECTED, change)
    return ("DiffBinaural.train_realBinaural", stage1_words(its.dataset, its.tmp / "o", "--num_epoch", 1)), [
        its.tmp / "o/run/unet_best.pth"
    ]


def boxes_to_e2e(its, change):
    path = replaced(its.tmp / "detection_results.csv")
    name = first_of(its.dataset, "train")
    shutil.copy(its.dataset / DETECTED, path)
    rewritten(path, change)
    return (
        "BigVGAN.inference_e2e",
        (
            "--input_video",
            its.dataset / f"videos/{name}.mp4",
            "--detections",
            path,
            "--run",
            its.stage1,
            "--checkpoint_file",
            its.vocoder / "g_best.pth",
            "--output",
            its.tmp / "o/out.wav",
            "--sampling_timesteps",
            1,
        ),
    ), [its.tmp / "o/out.wav"]


def test_ids_of_any_script_are_ids(its, ends, tally):
    """An unusual id in a good list whose files have the same name."""
    old, new = first_of(its.dataset, "test"), "zażółć_日本 'x'"
    for path in sorted(its.dataset.rglob(f"{old}*")):
        path.rename(path.with_name(path.name.replace(old, new)))
    for path in its.dataset.rglob("*.csv"):
        rewritten(path, lambda text: text.replace(old, new))
    words = dump_words(its.stage1, its.dataset, its.tmp / "o")
    outcome = ends("DiffBinaural.test_realBinaural", *words, "--list_test", "test")
    assert outcome.status == 0, outcome.output
    assert np.load(its.tmp / f"o/{new}_000000_left.npy").shape[0] == 80
    tally("inputs tried")


BOX_READERS = {"stage1": boxes_to_stage1, "e2e": boxes_to_e2e}


@pytest.mark.parametrize("reader", BOX_READERS)
@pytest.mark.parametrize("kind", BOXES)
def test_boxes(kind, reader, its, check):
    (script, words), leaves = BOX_READERS[reader](its, BOXES[kind])
    check(
        script,
        *words,
        accepted=kind in BOX or (kind, reader) == ("no boxes", "stage1"),
        named=("detection_results.csv",),
        leaves=leaves,
    )


# --- mels and settings --------------------------------------------------------------------------------------


def bad_mel(its, write):
    mels = Path(shutil.copytree(its.dumped, its.tmp / "mels"))
    stem = f"{first_of(its.dataset, 'train')}_000000"
    write(mels / f"{stem}_left.npy")
    return mels, stem


def mel_to_vocode(its, write):
    mels, stem = bad_mel(its, write)
    return (
        "BigVGAN.inference_diffbinaural_mels",
        ("--mels_dir", mels, "--checkpoint_file", its.vocoder / "g_best.pth", "--output_dir", its.tmp / "o"),
    ), [its.tmp / f"o/{stem}.wav"]


def mel_to_both(its, write):
    mels, _ = bad_mel(its, write)
    return (
        "BigVGAN.train_binaural_both",
        vocoder_words(
            its.dataset,
            its.tmp / "o",
            its.config,
            "--training_steps",
            1,
            "--mel_pred_dir",
            mels,
            "--stage1_checkpoint_path",
            its.vocoder,
        ),
    ), [its.tmp / "o/g_best.pth"]


def mel_to_evaluate(its, write):
    mels, _ = bad_mel(its, write)
    return (
        "DiffBinaural.evaluate_mel_spectrogram_rmse",
        (
            "--pred_dir",
            mels,
            "--gt_dir",
            its.dataset / "processed/binaural_audios_22050Hz",
            "--mono_dir",
            its.dataset / "processed/mono_audios_22050Hz",
            "--output_json",
            its.tmp / "o.json",
        ),
    ), [its.tmp / "o.json"]


MEL_READERS = {"vocode": mel_to_vocode, "both": mel_to_both, "evaluate": mel_to_evaluate}


@pytest.mark.parametrize("reader", MEL_READERS)
@pytest.mark.parametrize("kind", MELS)
def test_mels(kind, reader, its, check):
    (script, words), leaves = MEL_READERS[reader](its, MELS[kind])
    check(script, *words, accepted=kind in MEL, named=("_left.npy",), leaves=leaves)


def settings_of_a_run(its, content):
    run = Path(shutil.copytree(its.stage1, its.tmp / "run"))
    (run / "config.json").write_bytes(content)
    return (
        "DiffBinaural.test_realBinaural",
        dump_words(run, its.dataset, its.tmp / "o"),
    ), [its.tmp / "o"]


def settings_of_a_resumed_run(its, content):
    run = Path(shutil.copytree(its.stage1, its.tmp / "o/run"))
    (run / "config.json").write_bytes(content)
    return ("DiffBinaural.train_realBinaural", stage1_words(its.dataset, its.tmp / "o")), []


def settings_of_a_vocoder(its, content):
    run = Path(shutil.copytree(its.vocoder, its.tmp / "run"))
    (run / "config.json").write_bytes(content)
    return (
        "BigVGAN.inference_diffbinaural_mels",
        ("--mels_dir", its.dumped, "--checkpoint_file", run / "g_best.pth", "--output_dir", its.tmp / "o"),
    ), [its.tmp / "o"]


def settings_to_train_a_vocoder(its, content):
    (its.tmp / "config.json").write_bytes(content)
    return (
        "BigVGAN.train_binaural_mel",
        vocoder_words(its.dataset, its.tmp / "o", its.tmp / "config.json"),
    ), [its.tmp / "o"]


def settings_of_mels(its, content):
    mels = Path(shutil.copytree(its.dumped, its.tmp / "mels"))
    (mels / "mel_config.json").write_bytes(content)
    return (
        "BigVGAN.inference_diffbinaural_mels",
        ("--mels_dir", mels, "--checkpoint_file", its.vocoder / "g_best.pth", "--output_dir", its.tmp / "o"),
    ), [its.tmp / "o"]


def settings_of_a_dataset(its, content):
    replaced(its.dataset / "dataset.json").write_bytes(content)
    return ("DiffBinaural.train_realBinaural", stage1_words(its.dataset, its.tmp / "o", "--num_epoch", 1)), [
        its.tmp / "o/run/unet_best.pth"
    ]


JSON_READERS = {
    "run": settings_of_a_run,
    "resumed run": settings_of_a_resumed_run,
    "vocoder": settings_of_a_vocoder,
    "vocoder to train": settings_to_train_a_vocoder,
    "mels": settings_of_mels,
    "dataset": settings_of_a_dataset,
}


@pytest.mark.parametrize("reader", JSON_READERS)
@pytest.mark.parametrize("kind", JSONS)
def test_settings(kind, reader, its, check):
    content = JSONS[kind]
    (script, words), leaves = JSON_READERS[reader](
        its, content if isinstance(content, bytes) else content.encode()
    )
    check(script, *words, accepted=False, named=(".json",), leaves=leaves)
