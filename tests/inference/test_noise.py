"""The noise follows from the sound: names of files change nothing; mirrored detections mirror the result."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from BigVGAN.pipeline import Pipeline
from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.dataset.recordings import BINAURAL, DETECTIONS, FRAMES, MONO
from DiffBinaural.inference.sampler import Noise, sound_key
from DiffBinaural.utils.media_writing import write_video
from DiffBinaural.utils.mel import mel_spectrogram

RATE, FILM = 22_050, Path(__file__).parents[2] / "examples/talking.mp4"


def key(wav):
    return sound_key(mel_spectrogram(torch.as_tensor(wav, dtype=torch.float32), MelConfig())[..., :80])


def hiss(seed, seconds=1.2, level=0.1):
    return level * np.random.default_rng(seed).standard_normal((1, round(seconds * RATE))).astype(np.float32)


def test_sounds_are_told_apart_and_known_again():
    keys = [key(hiss(seed) * np.linspace(0.1 + seed, 1, 26_460, dtype=np.float32)) for seed in range(8)]
    assert len(set(keys)) == 8
    assert len(keys[0].split()) == MelConfig().n_mels
    tremble = 1 + 1e-6 * np.random.default_rng(1).standard_normal(hiss(0).shape)
    assert key(hiss(0)) == key(hiss(0) * tremble), "another decoder"
    assert key(hiss(0)) != key(2 * hiss(0))


def test_the_key_and_the_seed_decide_the_noise():
    noises = [Noise(seed, name, [0, 1], 80, 100)(0, 0, 100) for seed, name in ((0, "a"), (0, "b"), (1, "a"))]
    for k in (1, 2):
        assert abs(np.corrcoef(noises[0].flatten(), noises[k].flatten())[0, 1]) < 0.05
    assert torch.equal(noises[0], Noise(0, "a", [0, 1], 80, 100)(0, 0, 100))


@pytest.fixture(scope="module")
def pipe():
    return Pipeline.from_pretrained(device="cpu", sampling_timesteps=2)


@pytest.fixture
def film(tmp_path):
    write_video(tmp_path / "a.mkv", np.full((12, 64, 96, 3), 90, np.uint8), 10, hiss(0), RATE)
    return tmp_path / "a.mkv"


def test_a_renamed_video_or_sound_gives_the_same_bytes(pipe, film, tmp_path):
    soundfile.write(tmp_path / "a.wav", hiss(0)[0], RATE)
    pairs = (("a.wav", "a.mkv"), ("b.wav", "a.mkv"), ("a.wav", "b.mkv"), ("of a.wav", "b of.a.mkv"))
    for k, (wav, video) in enumerate(pairs):
        for name, source in ((wav, tmp_path / "a.wav"), (video, film)):
            if name != source.name:
                shutil.copy(source, tmp_path / name)
        pipe.convert(tmp_path / wav, tmp_path / video, output=tmp_path / f"{k}.wav", detections="none")
    contents = {(tmp_path / f"{k}.wav").read_bytes() for k in range(4)}
    assert len(contents) == 1


def test_a_part_begins_as_the_whole_does(pipe, film):
    whole, part = (pipe(None, film, detections="none", end=end) for end in (1.15, 1.05))
    size = 40 * MelConfig().hop
    assert np.abs(whole[:, :size] - part[:, :size]).max() < 0.05 * np.abs(whole).max()


def test_a_renamed_recording_of_a_dataset_gives_the_same_mels(scenes, scripts, tmp_path):
    data = Path(shutil.copytree(scenes, tmp_path / "data"))
    (name,) = [line.split(",")[0] for line in (data / "splits/test.csv").read_text().splitlines()[1:]]
    made = ("DiffBinaural.test_realBinaural", "--data_root", data, "--sampling_timesteps", 1)
    scripts(*made, "--output_dir", tmp_path / "first")
    for folder in (MONO, BINAURAL):
        (data / folder / f"{name}.wav").rename(data / folder / "other.wav")
    (data / FRAMES / name).rename(data / FRAMES / "other")
    for table in (DETECTIONS, "splits/test.csv"):
        (data / table).write_text((data / table).read_text().replace(name, "other"))
    scripts(*made, "--output_dir", tmp_path / "second")
    for side in ("left", "right"):
        first, second = (
            np.load(tmp_path / folder / f"{one}_000000_{side}.npy")
            for folder, one in (("first", name), ("second", "other"))
        )
        assert np.array_equal(first, second)


# --- mirrored detections ------------------------------------------------------------------------------------


def boxes(path, x):
    """A table of one person who stands at x of FILM's pictures, 320 x 240."""
    rows = [f"talking,{k},{x - 30},60,{x + 30},200,0.9,person" for k in range(1, 31)]
    path.write_text("\n".join(["video_id,frame,x1,y1,x2,y2,score,label", *rows]) + "\n")
    return str(path)


def cues(pair):
    """Level difference in dB, delay of the right ear in samples, by all of the sound."""
    level = 10 * np.log10((pair[0] ** 2).sum() / (pair[1] ** 2).sum())
    spectra = np.fft.rfft(pair, 1 << 17)
    agreement = np.fft.irfft(spectra[1] * spectra[0].conj())
    reach = 30
    return level, int(np.roll(agreement, reach)[: 2 * reach + 1].argmax()) - reach


@pytest.mark.parametrize("x", [48, 112])
def test_mirrored_detections_are_heard_mirrored(tmp_path, x):
    """The bundled model as it is, without --symmetric, on speech."""
    tables = [boxes(tmp_path / f"{side}.csv", at) for side, at in (("left", x), ("right", 320 - x))]
    whole = Pipeline.from_pretrained(device="cpu")
    left, right = (cues(whole(None, FILM, end=2.5, detections=table)) for table in tables)
    assert left[0] > 1
    assert left[1] > 2
    assert left[0] == pytest.approx(-right[0], rel=0.05)
    assert left[1] == -right[1]
