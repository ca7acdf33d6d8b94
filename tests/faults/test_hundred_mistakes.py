"""A newcomer's mistakes: each is refused in one line that names it, or said, or handled; none is silent.

A mistake is a function of a :class:`World`: it spoils what is there and returns a script, its words, and what
the last line, or for `SAID` any line, must contain.
"""

import importlib
import json
import os
import shutil
import sys

import numpy as np
import pytest
import soundfile
from inputs import only_sound, plain, tone, video

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.dataset.recordings import BINAURAL, DETECTIONS, FRAMES, MONO
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.bundled import BUNDLED
from DiffBinaural.utils.mel_files import write_mel_config
from DiffBinaural.utils.tables import say_once

STAGE_1, VOCODER = BUNDLED / "stage1", BUNDLED / "vocoder/g_best.pth"
RESULTS = (".pth", ".npy", ".wav", ".flac", ".mp4", ".png", ".csv")


class World:
    """A dataset of one's own, whose files may be spoilt, and a folder for results."""

    def __init__(self, scenes, config, tmp):
        self.tmp, self.data, self.out, self.config = tmp, tmp / "data", tmp / "o", config
        shutil.copytree(scenes, self.data, copy_function=os.link)
        self.train, self.val, self.test = (self.ids(name)[0] for name in ("train", "val", "test"))

    def ids(self, name):
        lines = (self.data / f"splits/{name}.csv").read_text().splitlines()[1:]
        return [line.split(",")[0] for line in lines]

    def write(self, name, text):
        """A new text file."""
        path = self.tmp / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def edit(self, name, change):
        """Change a text file of the dataset."""
        path = self.data / name
        text = change(path.read_text())
        path.unlink()  # a link to the session's dataset
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def cells(self, name, **changes):
        """Change columns of a table by functions of a cell."""

        def change(text):
            head, *rows = [line.split(",") for line in text.splitlines()]
            for row in rows:
                for column, new in changes.items():
                    k = head.index(column)
                    row[k] = new(row[k])
            return "\n".join(",".join(row) for row in [head, *rows]) + "\n"

        self.edit(name, change)

    def facts(self, **changes):
        """Change what dataset.json states."""
        self.edit("dataset.json", lambda text: json.dumps({**json.loads(text), **changes}))

    def sound(self, folder, change, name=None):
        """Change a recording's sound (N, C)."""
        path = self.data / folder / f"{name or self.train}.wav"
        wav, rate = soundfile.read(path, always_2d=True)
        path.unlink()
        soundfile.write(path, change(wav), rate, subtype="FLOAT", format="WAV")

    def frames(self):
        return sorted((self.data / FRAMES / self.train).iterdir())

    def mels(self):
        """A folder for mels of the usual kind."""
        write_mel_config(self.tmp / "mels", MelConfig())
        return self.tmp / "mels"

    def film(self, name="clip.mp4", **more):
        """A video of 1.5 s at 10 pictures a second."""
        video(self.tmp / name, **more)
        return self.tmp / name

    def boxes(self, *boxes, ids=("clip",), frames=range(1, 16)):
        """A table of detections of videos."""
        rows = [f"{one},{k},{','.join(map(str, box))},0.9" for one in ids for k in frames for box in boxes]
        return self.write("boxes.csv", "\n".join(["video_id,frame,x1,y1,x2,y2,score", *rows]) + "\n")


# --- the scripts, with words that are right -----------------------------------------------------------------


def train(w, *words):
    own = ("--preset", "tiny", "--id", "run", "--ckpt", w.out, "--data_root", w.data, "--num_epoch", 1)
    sizes = ("--windows_per_clip", 2, "--batch_size_per_gpu", 2)
    return ("DiffBinaural.train_realBinaural", (*own, *sizes, *words))


def generate(w, *words):
    own = ("--data_root", w.data, "--output_dir", w.out, "--sampling_timesteps", 1)
    return ("DiffBinaural.test_realBinaural", (*own, *words))


def place(w, *words):
    return ("DiffBinaural.test_pos", ("--data_root", w.data, "--output_dir", w.out, *words))


def vocoder(w, *words):
    own = ("--checkpoint_path", w.out, "--config", w.config, "--training_steps", 1)
    return ("BigVGAN.train_binaural_mel", (*own, *words))


def vocode(w, *words):
    return ("BigVGAN.inference_diffbinaural_mels", ("--output_dir", w.out, *words))


def convert(w, *words, output="out.wav"):
    own = ("--input_video", w.tmp / "clip.mp4", "--output", w.out / output, "--sampling_timesteps", 1)
    return ("BigVGAN.inference_e2e", (*own, *words))


def evaluate(w, *words):
    return (
        "DiffBinaural.evaluate_binaural_22050",
        ("--workers", 1, "--output_json", w.out / "o.json", *words),
    )


def check(w, *words):
    return ("DiffBinaural.check_dataset", ("--data_root", w.data, "--workers", 1, "--no-ears", *words))


# --- what is refused ----------------------------------------------------------------------------------------

REFUSED = {}


def refused(*named):
    """Register a mistake by its function's name."""

    def register(function):
        REFUSED[function.__name__] = function, named
        return function

    return register


def refused_words(names, script, *words):
    """Register mistakes of words alone: {what is named: words}."""
    for name, given in names.items():
        title = f"{script.__name__} {' '.join(map(str, given))}"
        REFUSED[title] = (lambda w, given=given: script(w, *given, *words)), (name,)


refused_words(
    {
        "is --data_root meant": ("--dataroot", "x"),
        "invalid choice: 'huge'": ("--preset", "huge"),
        "--num_epoch is 0": ("--num_epoch", 0),
        "--lr_unet": ("--lr_unet", "fast"),
        "--lr_unet is -1": ("--lr_unet", -1),
        "split9": ("--split", "split9"),
        "--fold": ("--fold", "9/2"),
        "--fold 9/9": ("--fold", "9/9"),
        "--time_budget is 0": ("--time_budget", 0),
        "--batch_size_per_gpu is 0": ("--batch_size_per_gpu", 0),
        "--device gpu": ("--device", "gpu"),
        "nosuch/dataset.json": ("--data_root", "nosuch"),
        "vocoder/dataset.json": ("--data_root", VOCODER.parent),
        "config.json/dataset.json": ("--data_root", STAGE_1 / "config.json"),
        "nosuch": ("--list_train", "nosuch"),
        "nobody": ("--list_val", "nobody.csv"),
        "nosuchrun": ("--init_from", "nosuchrun"),
        "--preset small": ("--init_from", STAGE_1),
        "--mix_sources": ("--mix_sources", 0),
        "--ears": ("--ears", "middle"),
    },
    train,
)
refused_words(
    {
        "--limit is 0": ("--limit", 0),
        "neither": ("--list_test", "nosuch"),
        "sampling_timesteps is 0": ("--sampling_timesteps", 0),
        "nosuch.pth": ("--weights_unet", "nosuch.pth"),
        "config.json": ("--run", VOCODER.parent),
        "nosuch/config.json": ("--run", "nosuch"),
        "two recordings": ("--shuffle_vision", "--limit", 1),
    },
    generate,
)
refused_words(
    {
        "give either": (),
        "--override_pos is (3.0": ("--override_pos", "3,0"),
        "--override_pos": ("--override_pos", "left"),
        "--positions is 1": ("--sweep", "--positions", 1),
        "nosuch.csv": ("--trajectory_in", "nosuch.csv"),
    },
    place,
)
refused_words(
    {
        "--data_root": (),
        "nosuch": ("--data_root", "nosuch"),
        "nosuchfolder": ("--audio_dir", "nosuchfolder", "--list_train", "nosuch"),
        "expected one argument": ("--checkpoint_path",),
    },
    vocoder,
)
refused_words(
    {
        "nosuch": ("--mels_dir", "nosuch"),
        "nosuch.pth": ("--mels_dir", "nosuch", "--checkpoint_file", "nosuch.pth"),
        "--mono_dir": ("--mels_dir", "x", "--renderer", "mono_phase"),
        "--gt_dir is for": ("--mels_dir", "x", "--gt_dir", "y"),
        "--gt_dir": ("--mels_dir", "x", "--layout", "fairplay"),
        "invalid choice: 'wienner'": ("--mels_dir", "x", "--renderer", "wienner"),
        "--chunk is 0": ("--mels_dir", "x", "--chunk", 0),
    },
    vocode,
)
refused_words(
    {
        "clip.mp4: no such file": (),
        "nosuch.mov": ("--input_video", "nosuch.mov"),
        "--start is 3": ("--start", 3, "--end", 2),
        "--strength is 3": ("--strength", 3),
        "--output_rate is 44000": ("--output_rate", 44_000),
        "--fov": ("--fov", 200),
        "nosuch.sofa": ("--head", "nosuch.sofa"),
        "--trajectory_in": ("--trajectory_in", "x.csv", "--detections", "none"),
        "invalid choice: 'geometri'": ("--renderer", "geometri"),
        "is --input_video meant": ("--inputvideo", "x"),
        "vocoder/config.json": ("--run", VOCODER.parent),
        "--head": ("--head", "sphere:90"),
    },
    convert,
)
refused_words(
    {
        "required": ("--pred_dir", "x"),
        "nosuch": ("--pred_dir", "nosuch", "--gt_dir", "nosuch"),
        "--metrics stfft": ("--pred_dir", "x", "--gt_dir", "y", "--metrics", "stfft"),
        "nosuch.json": ("--pred_dir", "x", "--gt_dir", "y", "--merge_json", "nosuch.json"),
        "--workers is -1": ("--pred_dir", "x", "--gt_dir", "y", "--workers", -1),
    },
    evaluate,
)


@refused("dataset.json", "30")
def pictures_at_another_rate(w):
    w.facts(fps=30)
    return train(w)


@refused("pictures last", "5 a second")
def pictures_at_a_slower_rate(w):
    w.facts(fps=5)
    return train(w)


@refused("dataset.json: no fps")
def a_rate_in_words(w):
    w.facts(fps="ten")
    return train(w)


@refused("dataset.json: fov")
def a_field_of_view_of_190_degrees(w):
    w.facts(fov=190)
    return train(w)


@refused("dataset.json")
def an_unknown_head(w):
    w.facts(head="mine")
    return train(w)


@refused("dataset.json")
def broken_json(w):
    w.edit("dataset.json", lambda text: text[:20])
    return train(w)


SIDES = ("x1", "y1", "x2", "y2")


@refused("boxes lie in 0..1")
def boxes_as_fractions(w):
    w.cells(DETECTIONS, **{name: lambda cell: str(float(cell) / 1000) for name in SIDES})
    return train(w)


@refused("outside the pictures")
def boxes_of_1080p(w):
    w.cells(DETECTIONS, **{name: lambda cell: str(float(cell) * 8) for name in SIDES})
    return train(w)


@refused("is empty or endless")
def width_and_height_in_place_of_corners(w):
    w.cells(DETECTIONS, x2=lambda _: "5", y2=lambda _: "5")
    return train(w)


@refused("none of its", "for scene_")
def ids_with_a_suffix(w):
    w.cells(DETECTIONS, video_id=lambda cell: f"{cell}.mp4")
    return train(w)


@refused("none of its")
def detections_of_other_videos(w):
    w.cells(DETECTIONS, video_id=lambda cell: f"other{cell}")
    return train(w)


@refused("is not read", "detection_results.csv")
def detections_misnamed(w):
    path = w.data / DETECTIONS
    path.rename(path.with_name("detections.csv"))
    return train(w)


@refused("after the recording's end")
def frames_counted_at_another_rate(w):
    w.cells(DETECTIONS, frame=lambda cell: str(3 * int(cell)))
    return train(w)


@refused("frames count from 1")
def frames_from_0(w):
    w.cells(DETECTIONS, frame=lambda cell: str(int(cell) - 1))
    return train(w)


@refused("no column x1", "x_1")
def a_misspelt_column_of_boxes(w):
    w.edit(DETECTIONS, lambda text: text.replace("x1", "x_1", 1))
    return train(w)


@refused("sounding is 3")
def a_probability_of_3(w):
    head = "video_id,frame,x1,y1,x2,y2,score,sounding\n"
    w.edit(DETECTIONS, lambda text: f"{head}{w.train},1,10,10,40,40,1,3\n")
    return train(w)


TRAIN = "splits/train.csv"


def with_columns(w, head, *rows):
    w.edit(TRAIN, lambda text: "\n".join([head, *rows]) + "\n")
    return train(w)


@refused("unknown column 'start'", "start_time")
def columns_start_and_end(w):
    return with_columns(w, "video_id,start,end", f"{w.train},0,1")


@refused("no column video_id", "videoid")
def a_misspelt_id_column(w):
    return with_columns(w, "videoid", w.train)


@refused("more fields")
def decimal_commas(w):
    return with_columns(w, "video_id,start_time,end_time", f"{w.train},0,0,1,5")


@refused("decimal point")
def decimal_commas_in_quotes(w):
    return with_columns(w, "video_id,start_time,end_time", f'{w.train},"0,2",1')


@refused("or mm:ss")
def a_minute_of_75_seconds(w):
    return with_columns(w, "video_id,start_time,end_time", f"{w.train},0,1:75")


@refused("0 <= start < end")
def reversed_times(w):
    return with_columns(w, "video_id,start_time,end_time", f"{w.train},1,0.5")


@refused("expected 0 <= start < end")
def a_negative_start(w):
    return with_columns(w, "video_id,start_time,end_time", f"{w.train},-1,1")


@refused("lasts 1.50 s", "from 50.0 s")
def a_start_after_the_end_of_the_sound(w):
    return with_columns(w, "video_id,start_time,end_time", f"{w.train},50,51")


@refused("no clips")
def an_empty_list(w):
    return with_columns(w, "video_id")


@refused("is not an id")
def an_id_with_a_folder(w):
    return with_columns(w, "video_id", "videos/x")


@refused("nobody")
def an_id_of_nobody(w):
    return with_columns(w, "video_id", "nobody")


@refused("two columns")
def a_column_twice(w):
    return with_columns(w, "video_id,video_id", f"{w.train},{w.train}")


@refused("missing")
def no_mono(w):
    (w.data / MONO / f"{w.train}.wav").unlink()
    return train(w)


@refused("missing")
def no_ears(w):
    (w.data / BINAURAL / f"{w.train}.wav").unlink()
    return train(w)


@refused("missing")
def no_pictures(w):
    shutil.rmtree(w.data / FRAMES / w.train)
    return train(w)


@refused("without a gap")
def a_picture_lost(w):
    w.frames()[3].unlink()
    return train(w)


@refused("no pictures")
def an_empty_folder_of_pictures(w):
    for path in w.frames():
        path.unlink()
    return train(w)


@refused("frame_0")
def a_picture_that_breaks_off(w):
    path = w.frames()[2]
    content = path.read_bytes()[:200]
    path.unlink()
    path.write_bytes(content)
    return train(w)


@refused("channel(s); expected 1")
def a_mono_of_two_channels(w):
    w.sound(MONO, lambda wav: np.repeat(wav, 2, 1))
    return train(w)


@refused("channel(s); expected 2")
def ears_of_one_channel(w):
    w.sound(BINAURAL, lambda wav: wav[:, :1])
    return train(w)


@refused("non-finite")
def ears_with_nan(w):
    w.sound(BINAURAL, lambda wav: np.where(np.arange(len(wav))[:, None] == 7, np.nan, wav))
    return train(w)


@refused("pictures last")
def a_sound_twice_as_long(w):
    w.sound(MONO, lambda wav: np.concatenate([wav, wav]))
    w.sound(BINAURAL, lambda wav: np.concatenate([wav, wav]))
    return train(w)


@refused("cannot be read as a sound file")
def text_as_a_sound(w):
    path = w.data / MONO / f"{w.train}.wav"
    path.unlink()
    path.write_text("a sound, honestly")
    return train(w)


@refused("c.json: no such vocoder config")
def a_vocoders_config_that_is_not_there(w):
    return vocoder(w, "--data_root", w.data, "--config", w.tmp / "c.json")


@refused("c.json")
def a_misspelt_key_of_a_config(w):
    path = w.write("c.json", w.config.read_text().replace("upsample_rates", "upsample_rate"))
    return vocoder(w, "--data_root", w.data, "--config", path)


@refused("neither", "nosuch.csv")
def a_vocoders_list_of_nobody(w):
    return vocoder(w, "--data_root", w.data, "--list_train", "nosuch")


@refused("--data_root", "--audio_dir")
def sounds_named_twice(w):
    return vocoder(w, "--data_root", w.data, "--audio_dir", w.data / BINAURAL)


@refused("mono_audios", "channel(s)")
def a_vocoder_on_mono_sounds(w):
    return vocoder(w, "--audio_dir", w.data / MONO, "--list_train", "train", "--list_val", "val")


@refused("missing, but")
def a_vocoder_on_mels_of_other_clips(w):
    _, words = vocoder(w, "--data_root", w.data, "--mel_pred_dir", w.mels())
    return "BigVGAN.train_binaural_both", words


@refused("only one ear")
def mels_of_one_ear(w):
    np.save(w.mels() / "clip_left.npy", np.zeros((80, 20), np.float32))
    return vocode(w, "--mels_dir", w.mels())


@refused("vocoder config: unknown")
def stage_1_in_place_of_the_vocoder(w):
    return vocode(w, "--mels_dir", w.tmp, "--checkpoint_file", STAGE_1 / "unet_best.pth")


@refused("clip.mp4")
def text_as_a_video(w):
    w.write("clip.mp4", "a film, honestly\n" * 99)
    return convert(w)


@refused("clip.mp4: has no sound")
def a_video_without_sound(w):
    w.film(sound=False)
    return convert(w)


@refused("clip.mp4")
def a_video_without_a_picture(w):
    only_sound(w.tmp / "clip.mp4")
    return convert(w)


@refused("out.mp3", ".flac")
def an_mp3_to_write(w):
    w.film()
    return convert(w, output="out.mp3")


@refused("out.mp4", "--mux")
def a_video_to_write(w):
    w.film()
    return convert(w, output="out.mp4")


@refused("FLAC holds no floats")
def floats_as_flac(w):
    w.film()
    return convert(w, "--no-limit", output="out.flac")


@refused("expected a name")
def an_output_without_a_suffix(w):
    w.film()
    return convert(w, output="out")


@refused("is a folder")
def an_output_that_is_a_folder(w):
    w.film()
    (w.tmp / "x.wav").mkdir()
    return convert(w, "--output", w.tmp / "x.wav")


@refused("is an input too")
def an_output_that_is_the_input(w):
    w.film()
    plain(w.tmp / "in.wav")
    return convert(w, "--input_wav", w.tmp / "in.wav", "--output", w.tmp / "in.wav")


@refused("is a file; expected a folder")
def an_output_below_a_file(w):
    return convert(w, "--output", w.film() / "out.wav")


@refused("lasts 1.5", "--start")
def a_start_after_the_end(w):
    w.film()
    return convert(w, "--start", 9)


@refused("--mux", ".mkv")
def a_container_that_is_not_written(w):
    w.film()
    return convert(w, "--mux", w.out / "out.avi")


@refused("in.wav")
def text_as_the_sound(w):
    w.film()
    return convert(w, "--input_wav", w.write("in.wav", "a sound, honestly"))


@refused("track")
def a_sound_track_that_is_not_there(w):
    w.film()
    return convert(w, "--audio_track", 7)


@refused("nosuch.csv")
def detections_that_are_not_there(w):
    w.film()
    return convert(w, "--detections", w.tmp / "nosuch.csv")


@refused("boxes lie in 0..1")
def a_films_boxes_as_fractions(w):
    w.film()
    return convert(w, "--detections", w.boxes((0.1, 0.1, 0.3, 0.9)))


@refused("outside the pictures of 160 x 96")
def a_films_boxes_of_1080p(w):
    w.film()
    return convert(w, "--detections", w.boxes((800, 400, 1000, 800)))


@refused("after the recording's end")
def a_films_frames_counted_at_another_rate(w):
    w.film()
    return convert(w, "--detections", w.boxes((10, 10, 50, 80), frames=range(1, 46)))


@refused("none of its", "'Clip.mp4' for clip")
def detections_of_other_films(w):
    w.film()
    return convert(w, "--detections", w.boxes((10, 10, 50, 80), ids=("Clip.mp4", "b")))


@refused("no column azimuth", "azimut")
def a_trajectory_with_a_misspelt_column(w):
    w.film()
    return convert(w, "--trajectory_in", w.write("t.csv", "time,track,azimut\n0,a,10\n"))


@refused("is a folder, which has no sound")
def an_empty_folder(w):
    (w.tmp / "empty").mkdir()
    return convert(w, "--input_video", w.tmp / "empty")


@refused("picture")
def a_film_of_a_folder_of_pictures(w):
    plain(w.tmp / "in.wav")
    more = ("--input_wav", w.tmp / "in.wav", "--mux", w.out / "out.mp4")
    return convert(w, "--input_video", w.data / FRAMES / w.train, *more)


def batch(w, text, *words):
    w.film()
    return convert(w, "--input_video", w.write("batch.csv", text), "--output", w.out, *words)


@refused("is output meant")
def a_misspelt_column_of_a_batch(w):
    return batch(w, "input_video,ouput\nclip.mp4,a.wav\n")


@refused("a.mp3", ".flac")
def an_mp3_in_a_batch(w):
    return batch(w, "input_video,output\nclip.mp4,a.wav\nclip.mp4,a.mp3\n")


@refused("lies outside")
def a_batch_that_leaves_its_folder(w):
    return batch(w, "input_video,output\nclip.mp4,../a.wav\n")


@refused("would both go there")
def two_of_a_batch_with_one_name(w):
    return batch(w, "input_video,output\nclip.mp4,a.wav\nclip.mp4,a.wav\n")


@refused("1 of 1 videos failed")
def a_batch_of_a_film_that_is_not_there(w):
    return batch(w, "input_video\nnosuch.mp4\n")


@refused("expected a whole number")
def half_a_sound_track_in_a_batch(w):
    return batch(w, "input_video,audio_track\nclip.mp4,0.5\n")


@refused("batch.csv: mono is 'stereo'; expected one of auto, downmix, microphone")
def a_batch_of_a_sound_of_no_kind(w):
    return batch(w, "input_video,mono\nclip.mp4,stereo\n")


@refused("no truth")
def predictions_of_other_clips(w):
    (w.tmp / "made").mkdir()
    plain(w.tmp / "made/other.wav")
    return evaluate(w, "--pred_dir", w.tmp / "made", "--gt_dir", w.data / BINAURAL)


@refused("is there already")
def detections_that_would_be_overwritten(w):
    return "DiffBinaural.find_sources", ("--input", w.data)


@refused("nosuch.mp4")
def sources_of_a_film_that_is_not_there(w):
    return "DiffBinaural.find_sources", ("--input", w.tmp / "nosuch.mp4", "--output", w.out / "a.csv")


@refused("nosuch.mp4")
def ears_of_a_film_that_is_not_there(w):
    return "DiffBinaural.check_ears", ("--input", w.tmp / "nosuch.mp4")


@refused("nosuch")
def recordings_that_are_not_there(w):
    return "DiffBinaural.prepare_recordings", ("--input", w.tmp / "nosuch", "--out", w.out)


@refused("clip")
def recordings_in_mono(w):
    (w.tmp / "in").mkdir()
    video(w.tmp / "in/clip.mp4")
    words = ("--input", w.tmp / "in", "--out", w.out / "own", "--workers", 1)
    return "DiffBinaural.prepare_recordings", words


@refused("nosuch")
def a_download_that_is_not_there(w):
    return "DiffBinaural.prepare_fairplay", ("--fairplay_root", w.tmp / "nosuch", "--out", w.out)


@refused("nosuch")
def a_dataset_to_pack_that_is_not_there(w):
    return "DiffBinaural.pack_dataset", ("--data_root", w.tmp / "nosuch", "--out", w.out)


@refused("another --out")
def other_scenes_in_the_same_folder(w):
    words = ("--out", w.data, "--clips", 5, "--seconds", 1.5, "--sources", "1..2", "--seed", 9)
    return "DiffBinaural.simulate_dataset", (*words, "--workers", 1)


@refused("--sources")
def a_range_from_more_to_less(w):
    return "DiffBinaural.simulate_dataset", ("--out", w.out, "--sources", "5..2")


@refused("nosuch")
def a_folder_of_sounds_that_is_not_there(w):
    words = ("--out", w.out, "--clips", 3, "--audio_dir", w.tmp / "nosuch", "--workers", 1)
    return "DiffBinaural.simulate_dataset", words


@refused("nosuch")
def a_run_to_export_that_is_not_there(w):
    words = ("--run", w.tmp / "nosuch", "--checkpoint_file", VOCODER, "--out", w.out)
    return "DiffBinaural.export_weights", words


@refused("dataset.json")
def a_check_of_no_dataset(w):
    return check(w, "--data_root", w.tmp / "nosuch")


# --- what is said, or handled -------------------------------------------------------------------------------

SAID = {}


def said(*named):
    """Register a mistake that is no reason to stop."""

    def register(function):
        SAID[function.__name__] = function, named
        return function

    return register


def one_clip(w, change):
    """Generate the first clip of a list whose text was changed."""
    w.edit(TRAIN, change)
    return generate(w, "--list_test", "train", "--limit", 1)


@said("semicolons", "mels of 1 clips")
def semicolons(w):
    return one_clip(w, lambda text: text.replace(",", ";"))


@said("tabs", "mels of 1 clips")
def tabs(w):
    return one_clip(w, lambda text: text.replace(",", "\t"))


@said("utf-16", "mels of 1 clips")
def utf_16(w):
    return one_clip(w, lambda text: text.encode("utf-16"))


@said("latin-1", "mels of 1 clips")
def latin_1(w):
    return one_clip(w, lambda _: f"video_id,action_label\n{w.train},Gerät\n".encode("latin-1"))


@said("end after their sound")
def an_end_after_the_end_of_the_sound(w):
    return one_clip(w, lambda _: f"video_id,start_time,end_time\n{w.train},0,99\n")


@said("mels of 1 clips")
def minutes_and_seconds(w):
    return one_clip(w, lambda _: f"video_id,start_time,end_time\n{w.train},0:00,0:01.2\n")


@said("mels of 1 clips")
def a_list_by_its_path(w):
    return generate(w, "--list_test", w.data / TRAIN, "--limit", 1)


@said("rows are used", "'scene_00000.mp4' for scene_00000")
def some_ids_with_a_suffix(w):
    w.cells(DETECTIONS, video_id=lambda cell: cell.replace("scene_00000", "scene_00000.mp4"))
    return generate(w, "--limit", 1)


@said("few boxes: 1")
def one_box_in_a_clip(w):
    first = f"{w.train},"
    rows = lambda lines: [k for k, line in enumerate(lines) if line.startswith(first)]  # noqa: E731

    def change(text):
        lines = text.splitlines()
        gone = set(rows(lines)[1:])
        return "\n".join(line for k, line in enumerate(lines) if k not in gone) + "\n"

    w.edit(DETECTIONS, change)
    return check(w)


@said("no boxes: 5")
def no_detections(w):
    (w.data / DETECTIONS).unlink()
    return check(w)


@said("equal")
def dual_mono(w):
    w.sound(BINAURAL, lambda wav: np.repeat(wav[:, :1], 2, 1))
    return check(w)


@said("silent")
def silent_ears(w):
    w.sound(BINAURAL, lambda wav: 0 * wav)
    return check(w)


@said("multiply one of the sounds by -1")
def inverted_ears(w):
    w.sound(BINAURAL, lambda wav: -wav)
    return check(w)


@said("put the two sounds of one recording")
def ears_of_another_recording(w):
    other, _ = soundfile.read(w.data / BINAURAL / f"{w.val}.wav", always_2d=True)
    w.sound(BINAURAL, lambda wav: other[: len(wav)])
    return check(w)


@said("cut the later sound")
def late_ears(w):
    w.sound(BINAURAL, lambda wav: np.roll(wav, 900, 0))
    return check(w)


@said("bring both sounds to one level")
def soft_ears(w):
    w.sound(BINAURAL, lambda wav: 0.05 * wav)
    return check(w)


@said("has the sound of")
def one_recording_twice(w):
    for folder in (MONO, BINAURAL):
        wav, _ = soundfile.read(w.data / folder / f"{w.val}.wav", always_2d=True)
        w.sound(folder, lambda _, wav=wav: wav)
    return check(w)


@said("both have the same part of it")
def lists_that_share_a_clip(w):
    w.edit("splits/val.csv", lambda _: (w.data / TRAIN).read_text())
    return check(w)


@said("share 3 recording(s)", "all its 1 steps are made", "next: python DiffBinaural/test_realBinaural.py")
def a_training_on_what_it_validates_with(w):
    return train(w, "--list_val", "train", "--windows_per_clip", 1)


@said("next: python BigVGAN/inference_binaural.py")
def a_vocoders_lists_by_name(w):
    return vocoder(w, "--data_root", w.data)


@said("next: python BigVGAN/inference_binaural.py")
def a_vocoders_sounds_by_folder_lists_by_name(w):
    return vocoder(w, "--audio_dir", w.data / BINAURAL, "--list_train", "train")


@said("the last picture is held for")
def a_sound_that_is_longer_than_its_film(w):
    w.film()
    plain(w.tmp / "in.wav", tone(3.0))
    return convert(w, "--input_wav", w.tmp / "in.wav", "--detections", "none")


@said("of the video are not used; is --fps the rate")
def a_folder_of_pictures_at_another_rate(w):
    plain(w.tmp / "in.wav", tone(0.5))
    more = ("--input_wav", w.tmp / "in.wav", "--detections", "none")
    return convert(w, "--input_video", w.data / FRAMES / w.train, *more)


@said("its rows are of 'other'")
def detections_with_another_id(w):
    w.film()
    return convert(w, "--detections", w.boxes((10, 10, 50, 80), ids=("other",)))


@said("15 of 30 rows are used")
def detections_of_several_films(w):
    w.film()
    return convert(w, "--detections", w.boxes((10, 10, 50, 80), ids=("clip", "b")))


@said("its rows end at 0.40 s")
def a_films_frames_counted_at_a_slower_rate(w):
    w.film()
    return convert(w, "--detections", w.boxes((10, 10, 50, 80), frames=range(1, 6)))


@said("has no rows")
def a_trajectory_of_nothing(w):
    w.film()
    return convert(w, "--trajectory_in", w.write("t.csv", "time,track,azimuth\n"))


@said("out.flac: ")
def flac(w):
    w.film()
    return convert(w, "--detections", "none", output="out.flac")


@said("the sounds of 1 videos")
def a_batch_of_one(w):
    return batch(w, "input_video;output\nclip.mp4;a.flac\n", "--detections", "none")


@pytest.fixture
def world(scenes, config, tmp_path):
    return World(scenes, config, tmp_path)


@pytest.fixture
def ending(monkeypatch, capsys):
    """A script's exit status and what it prints, in this process."""

    def end(script, words):
        module, status = importlib.import_module(script), 0
        monkeypatch.setattr("signal.signal", lambda *given: None)
        monkeypatch.setattr("threading.excepthook", None)
        monkeypatch.setattr(sys, "argv", [script, *map(str, words)])
        say_once.cache_clear()
        try:
            run(module.main, getattr(module, "PRESETS", None))
        except SystemExit as stop:
            status = stop.code or 0
        said = capsys.readouterr()
        return status, said.out + said.err

    return end


def results_in(folder):
    """Results of scripts in a folder: not the settings, logs of a training that did not begin."""
    return [path for path in folder.rglob("*") if path.suffix in RESULTS]


def test_there_are_a_hundred():
    assert len(REFUSED) + len(SAID) >= 130


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_named_in_one_line_and_nothing_is_written(name, world, ending):
    mistake, named = REFUSED[name]
    status, said = ending(*mistake(world))
    assert status == 2, said
    line = said[said.index("error: ") :]
    assert all(part in said for part in named), said
    assert "[Errno" not in said
    assert "usage:" not in said
    assert len(line.splitlines()) <= 3, said  # a preparation lists what it could not use
    assert not results_in(world.out), "it refused, and wrote"
    assert not list(world.tmp.rglob(".*.part")), "left half-written"


@pytest.mark.parametrize("name", SAID)
def test_what_is_doubtful_is_said_and_what_is_clear_is_done(name, world, ending):
    mistake, named = SAID[name]
    status, said = ending(*mistake(world))
    assert status == 0, said
    assert all(part in said for part in named), said
    assert not list(world.tmp.rglob(".*.part"))


def test_a_training_that_is_done_says_so_again_and_other_settings_are_refused_at_once(world, ending):
    script, words = train(world, "--windows_per_clip", 1)
    first, again = ending(script, words), ending(script, words)
    assert first[0] == again[0] == 0
    lines = [[line for line in said.splitlines() if "best at step" in line] for _, said in (first, again)]
    assert len(lines[0]) == 1
    assert lines[0] == lines[1]
    assert "the mono copy" in lines[1][0]
    assert all("next: python DiffBinaural/test_realBinaural.py" in said for _, said in (first, again))
    status, said = ending(*train(world, "--preset", "small"))
    assert status == 2
    assert len(said.splitlines()) == 1, "nothing is fetched before"
    assert "another --" in said


def test_a_model_of_another_preset_leaves_no_folder(world, ending):
    status, said = ending(*train(world, "--init_from", STAGE_1))
    assert status == 2
    assert "--preset small" in said
    assert not world.out.exists()
