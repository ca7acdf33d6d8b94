"""Mel pairs on disk with what is known of their sources: round trip, hostile files, sounds made of them."""

import json

import numpy as np
import pytest
import soundfile
import torch

from BigVGAN.meldataset import MelFolder
from BigVGAN.settings import VocodeMelsConfig
from BigVGAN.synthesis import FlatWriter, mono_reader, vocode_folder
from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.heads.named import head_named
from DiffBinaural.inference.rendering import render
from DiffBinaural.utils.mel import frame_spectra, mel_of, phasor_of, reflected
from DiffBinaural.utils.mel_files import (
    load_mel_pair,
    load_phasor,
    load_sources,
    save_mel_pair,
    write_mel_config,
)

CFG = MelConfig()
FRAMES, SLOTS = 30, 2


def prediction(slots=SLOTS, frames=FRAMES, seed=0):
    """Rows (4 + S, M, T) and directions (S, 3, T), as stage 1 makes them."""
    random = np.random.default_rng(seed)
    mel = random.normal(-5, 1, (2, 80, frames))
    phasor = random.uniform(-0.7, 0.7, (2, 80, frames))
    shares = random.dirichlet(np.ones(slots + 1), (80, frames)).transpose(2, 0, 1)[:slots]
    directions = np.stack(
        [random.uniform(-80, 80, (slots, frames)), random.uniform(-20, 20, (slots, frames))], 1
    )
    directions = np.concatenate([directions, random.uniform(0.1, 1, (slots, 1, frames))], 1)
    return np.concatenate([mel, phasor, shares]).astype(np.float32), directions.astype(np.float32)


def sources(folder, stem="a"):
    return load_sources(stem, folder, (80, FRAMES))


@pytest.fixture
def saved(tmp_path):
    pair, directions = prediction()
    save_mel_pair(tmp_path, "a", pair, directions, "sphere:8.2")
    return tmp_path


# --- the round trip -----------------------------------------------------------------------------------------


def test_what_is_saved_comes_back(tmp_path):
    pair, directions = prediction()
    save_mel_pair(tmp_path, "a", pair.astype(np.float64), directions, "sphere:8.2")
    paths = (tmp_path / "a_left.npy", tmp_path / "a_right.npy")
    assert np.array_equal(load_mel_pair(paths, 80), pair[:2])
    assert np.array_equal(load_phasor("a", tmp_path, (80, FRAMES)), pair[2:4])
    shares, places, head = sources(tmp_path)
    assert np.array_equal(shares, pair[4:])
    assert np.array_equal(places, directions)
    assert (shares.dtype, places.dtype, head) == (np.float32, np.float32, "sphere:8.2")
    names = {"left.npy", "right.npy", "phasor.npy", "shares.npy", "directions.npy", "head.json"}
    assert {p.name for p in tmp_path.iterdir()} == {f"a_{name}" for name in names}


@pytest.mark.parametrize(("rows", "left"), [(4, {"left", "right", "phasor"}), (2, {"left", "right"})])
def test_mels_that_are_replaced_leave_nothing_old_behind(saved, rows, left):
    save_mel_pair(saved, "a", prediction()[0][:rows])
    assert {p.stem for p in saved.iterdir()} == {f"a_{name}" for name in left}
    assert sources(saved) is None


def test_other_clips_of_the_folder_are_not_touched(saved):
    save_mel_pair(saved, "b", prediction()[0][:2])
    assert sources(saved) is not None
    assert sources(saved, "b") is None
    write_mel_config(saved, CFG)
    items = MelFolder(saved, CFG)
    assert items.names == ["a", "b"]
    assert items.sources(items.names[0], (80, FRAMES))[2] == "sphere:8.2"
    assert items.sources(items.names[1], (80, FRAMES)) is None


# --- hostile files ------------------------------------------------------------------------------------------


def refused(folder, error, name):
    with pytest.raises(error, match=name) as raised:
        sources(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["shares.npy", "directions.npy", "head.json"])
def test_one_of_three_files_missing_is_named(saved, name):
    (saved / f"a_{name}").unlink()
    refused(saved, FileNotFoundError, f"a_{name}")


SHAPES = [
    (),
    (0,),
    (SLOTS,),
    (80, FRAMES),
    (SLOTS, 80, FRAMES - 1),
    (SLOTS, 79, FRAMES),
    (SLOTS + 1, 80, FRAMES),
    (SLOTS, 80, FRAMES, 1),
    (SLOTS, 80, 0),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["shares", "directions"])
def test_another_shape_is_refused(saved, name, shape):
    shape = tuple(3 if name == "directions" and n == 80 else n for n in shape)
    np.save(saved / f"a_{name}.npy", np.zeros(shape, np.float32))
    refused(saved, ValueError, r"a_(shares|directions)\.npy")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30, -1e30])
@pytest.mark.parametrize("name", ["shares", "directions"])
def test_wild_values_are_refused(saved, name, value):
    array = np.load(saved / f"a_{name}.npy")
    array[1, 2, 5] = value
    np.save(saved / f"a_{name}.npy", array)
    refused(saved, ValueError, rf"a_{name}\.npy")


@pytest.mark.parametrize(
    "content",
    [b"", b"no array", b"\x93NUMPY\x01\x00\x10\x00{'descr': }", np.arange(9).astype(object)],
    ids=["empty", "text", "header", "pickle"],
)
def test_a_file_that_is_no_array_of_numbers_is_refused(saved, content):
    path = saved / "a_directions.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)
    refused(saved, ValueError, r"a_directions\.npy")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        '"sphere"',
        "{}",
        '{"head": 3}',
        '{"head": null}',
        '{"name": "sphere"}',
        "[" * 10**5,
    ],
)
def test_a_head_that_is_no_name_is_refused(saved, text):
    (saved / "a_head.json").write_text(text)
    refused(saved, ValueError, r"a_head\.json")


# --- sounds of a folder -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Mels of noise with shares, and its mono."""
    root = tmp_path_factory.mktemp("mels")
    pair, directions = prediction()
    mono = 0.1 * torch.randn(1, FRAMES * CFG.hop, generator=torch.Generator().manual_seed(0))
    spectra = frame_spectra(reflected(mono, CFG), CFG)
    ears = torch.cat((0.7 * spectra, 1.2 * spectra * torch.polar(torch.tensor(1.0), torch.tensor(0.4))))
    pair[:2], pair[2:4] = mel_of(ears, CFG).numpy(), phasor_of(ears, CFG).numpy()
    (root / "mels").mkdir()
    save_mel_pair(root / "mels", "a", pair, directions, "sphere:9")
    write_mel_config(root / "mels", CFG)
    (root / "mono").mkdir()
    soundfile.write(root / "mono/a.wav", mono[0].numpy(), CFG.sample_rate, subtype="FLOAT")
    return root, mono[0], torch.from_numpy(pair), torch.from_numpy(directions)


def made_of(root, out, renderer, **options):
    cfg = VocodeMelsConfig(
        mels_dir=str(root / "mels"),
        mono_dir=str(root / "mono"),
        output_dir=str(out),
        renderer=renderer,
        wav_format="float",
        device="cpu",
        **options,
    )
    items, monos = MelFolder(cfg.mels_dir, CFG, phasor=True), mono_reader(cfg.mono_dir, CFG.sample_rate)
    vocode_folder(None, items, cfg, FlatWriter(cfg), monos)
    wav, _ = soundfile.read(out / "a.wav", dtype="float32", always_2d=True)
    return torch.from_numpy(wav.T)


@pytest.mark.parametrize("renderer", ["auto", "levelled", "wiener", "mono_phase", "geometry"])
def test_a_folders_sounds_are_what_the_renderer_makes_in_memory(folder, tmp_path, renderer):
    root, mono, pair, directions = folder
    made = made_of(root, tmp_path, renderer)
    name = "levelled" if renderer == "auto" else renderer
    truth = render(mono, pair, CFG, name, directions, head=head_named("sphere:9"))
    assert torch.allclose(made, truth, atol=1e-6)
    assert torch.allclose(made_of(root, tmp_path / "few", renderer, chunk=8), truth, atol=1e-5)
    other = render(mono, pair, CFG, name, directions, head=head_named("sphere:6"))
    assert (other - truth).abs().max() > 1e-3, "the head that they were made with counts"


def test_shares_and_directions_count(folder, tmp_path):
    root, mono, pair, _ = folder
    bare = render(mono, pair[:4], CFG, "wiener")
    made = made_of(root, tmp_path, "wiener")
    assert (made - bare).abs().max() > 1e-3
    assert torch.allclose(made.mean(0), mono, atol=1e-5), "L + R = 2M"


def test_geometry_needs_directions(folder, tmp_path):
    root, mono, pair, _ = folder
    (tmp_path / "mels").mkdir()
    (tmp_path / "mono").symlink_to(root / "mono")
    save_mel_pair(tmp_path / "mels", "a", pair[:4].numpy())
    write_mel_config(tmp_path / "mels", CFG)
    with pytest.raises(ValueError, match="geometry: a comes without the directions"):
        made_of(tmp_path, tmp_path / "out", "geometry")
    made = made_of(tmp_path, tmp_path / "out", "levelled")
    assert torch.allclose(made, render(mono, pair[:4], CFG, "levelled"), atol=1e-6)


def test_a_head_in_a_folder_that_does_not_exist_is_named(folder, tmp_path):
    root, _, pair, directions = folder
    (tmp_path / "mono").symlink_to(root / "mono")
    save_mel_pair(tmp_path / "mels", "a", pair.numpy(), directions.numpy(), "gone.sofa")
    write_mel_config(tmp_path / "mels", CFG)
    assert json.loads((tmp_path / "mels/a_head.json").read_text()) == {"head": "gone.sofa"}
    with pytest.raises(FileNotFoundError, match=r"gone\.sofa"):
        made_of(tmp_path, tmp_path / "out", "levelled")


def test_exact_downmix_is_refused_where_auto_means_the_vocoder(tmp_path):
    with pytest.raises(ValueError, match="--exact_downmix"):
        VocodeMelsConfig(mels_dir=str(tmp_path), output_dir=str(tmp_path / "out"), exact_downmix=True)
