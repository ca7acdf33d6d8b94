"""Damaged and hostile checkpoints, arrays, pictures are refused by name."""

import pickle
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from BigVGAN.batch import videos_of
from BigVGAN.request import E2EConfig
from DiffBinaural.dataset.recordings import FrameFolder
from DiffBinaural.utils.files import load_tensors, save_tensors
from DiffBinaural.utils.media import read_picture
from DiffBinaural.utils.mel_files import load_mel_pair


@pytest.fixture
def checkpoint(tmp_path):
    content = {
        "net": {"weight": torch.randn(40, 30, generator=torch.Generator().manual_seed(0))},
        "steps": 7,
        "best": float("inf"),
        "rates": [0.5, torch.arange(5)],
    }
    save_tensors(tmp_path / "some.pth", content)
    return tmp_path / "some.pth"


def same(one, other):
    plain = [(x["steps"], x["best"], x["rates"][0], x["rates"][1].tolist()) for x in (one, other)]
    return plain[0] == plain[1] and torch.equal(one["net"]["weight"], other["net"]["weight"])


def test_a_flipped_bit_is_refused_by_name_or_makes_no_difference(checkpoint):
    whole, good, refused = checkpoint.read_bytes(), load_tensors(checkpoint), []
    for seed in range(300):
        at = random.Random(seed).randrange(8 * len(whole))
        flipped = bytearray(whole)
        flipped[at // 8] ^= 1 << at % 8
        checkpoint.write_bytes(flipped)
        try:
            assert same(load_tensors(checkpoint), good), seed
        except ValueError as error:
            refused.append(str(error))
    assert len(refused) > 200
    assert all(message.startswith(f"{checkpoint}: ") for message in refused)


def test_a_file_that_breaks_off_is_refused_by_name(checkpoint):
    whole = checkpoint.read_bytes()
    for size in range(0, len(whole), 37):
        checkpoint.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"some\.pth: "):
            load_tensors(checkpoint)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_with_nan_are_refused_by_name(value, tmp_path):
    weight = torch.ones(3, 4)
    weight[1, 2] = value
    save_tensors(tmp_path / "bad.pth", {"unet": {"conv.weight": weight}})
    with pytest.raises(ValueError, match=r"bad\.pth: conv\.weight has NaN or infinite values"):
        load_tensors(tmp_path / "bad.pth")


class Burglar:
    """Unpickled, it would create a file."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        """The call that a pickle makes."""
        return Path.touch, (self.trace,)


def test_a_pickle_is_refused_and_not_run(tmp_path):
    trace, burglar = tmp_path / "trace", Burglar(tmp_path / "trace")
    torch.save({"weight": torch.ones(2), "more": burglar}, tmp_path / "zip.pth")
    torch.save(burglar, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(burglar))
    for name in ("zip", "old", "bare"):
        with pytest.raises(ValueError, match=rf"{name}\.pth: "):
            load_tensors(tmp_path / f"{name}.pth")
    np.save(tmp_path / "a.npy", np.array([burglar], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"a\.npy: not a readable \.npy array of floating-point numbers"):
        load_mel_pair((tmp_path / "a.npy", tmp_path / "a.npy"), 80)
    assert not trace.exists()
    pickle.loads((tmp_path / "bare.pth").read_bytes())
    assert trace.exists(), "the pickle is harmless: the test shows nothing"


def bomb(path, size):
    """Write a PNG of a few bytes whose header states size x size pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def test_a_picture_that_claims_20_000_by_20_000_pixels_is_refused_by_name(tmp_path):
    bomb(tmp_path / "frame_000001.png", 20_000)
    with pytest.raises(ValueError, match=r"frame_000001\.png: cannot be read as a picture"):
        FrameFolder(tmp_path)[0]
    with pytest.raises(ValueError, match=r"frame_000001\.png: cannot be read as a picture"):
        read_picture(tmp_path / "frame_000001.png")


@pytest.mark.parametrize("name", ["../out.wav", "/tmp/out.wav", "a/../../out.wav"])
def test_a_list_of_videos_writes_only_below_its_output_folder(name, tmp_path):
    (tmp_path / "jobs.csv").write_text(f"input_video,output\na.mp4,{name}\n")
    with pytest.raises(ValueError, match=r"jobs\.csv: .*output"):
        videos_of(E2EConfig(input_video=str(tmp_path / "jobs.csv"), output=str(tmp_path / "out")))


def test_a_list_of_videos_may_name_folders_below_it(tmp_path):
    (tmp_path / "jobs.csv").write_text("input_video,output\na.mp4,b/c.wav\n")
    [job] = videos_of(E2EConfig(input_video=str(tmp_path / "jobs.csv"), output=str(tmp_path / "out")))
    assert job.output == str(tmp_path / "out/b/c.wav")
