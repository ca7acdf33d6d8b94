"""What stage 1's datasets read: any folder of pictures, sums of clips, and what a run remembers."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from DiffBinaural.configs.advanced_diffusion_config import (
    PRESETS,
    MelConfig,
    SamplingConfig,
    TrainConfig,
    ViewConfig,
)
from DiffBinaural.dataset.cutting import SILENCE
from DiffBinaural.dataset.dataset_real_binaural import RealBinaural
from DiffBinaural.dataset.dataset_real_binaural_mix import RealBinauralMix, together
from DiffBinaural.dataset.frame_sources import EncodedFrames, RecordedFrames
from DiffBinaural.dataset.genaudio_realBinaural import GenAudioRealBinaural
from DiffBinaural.dataset.recordings import FrameFolder
from DiffBinaural.dataset.video_transforms import mirrored, on_device
from DiffBinaural.inference.generation import generate
from DiffBinaural.modules.models import ModelBuilder
from DiffBinaural.runs.encoding import encoded
from DiffBinaural.utils.cache import Cache
from DiffBinaural.utils.lists import Clip, Detection, folded
from DiffBinaural.utils.mel import mel_spectrogram

MEL, VIEW = MelConfig(), ViewConfig(frames=3, slots=3, image_size=32)


def dataset(scenes, kind=RealBinaural, split="train", **options):
    return kind(scenes, split, MEL, VIEW, **options)


def picture(k):
    return Image.fromarray(np.full((20, 40, 3), 5 * k, dtype=np.uint8))


# --- folders of pictures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["frame_{:06d}.jpg", "{:06d}.png", "{}.jpg", "{}.PNG", "frame_{}.jpeg"])
def test_pictures_are_found_under_every_usual_name_and_in_order_of_number(tmp_path, name):
    for k in range(1, 13):
        picture(k).save(tmp_path / name.format(k))
    (tmp_path / "notes.txt").write_text("no picture")
    folder = FrameFolder(tmp_path)
    assert len(folder) == 12
    assert [round(float(np.asarray(folder[k]).mean()) / 5) for k in range(12)] == list(range(1, 13))


def test_a_folder_named_like_the_video_is_taken(scenes, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(scenes, root)
    for folder in (root / "processed/frames").iterdir():
        folder.rename(folder.with_name(f"{folder.name}.mp4"))
    a, b = (dataset(where)[3] for where in (scenes, root))
    assert all(torch.equal(torch.as_tensor(a[name]), torch.as_tensor(b[name])) for name in a)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [((0, 1, 2), "expected number 1"), ((1, 2, 4), "picture 2; expected number 3"), ((), "no pictures")],
)
def test_numbers_with_a_gap_are_refused(tmp_path, numbers, message):
    for k in numbers:
        picture(k).save(tmp_path / f"{k:06d}.png")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        FrameFolder(tmp_path)


def test_the_same_number_twice_is_refused(tmp_path):
    for name in ("1.png", "000001.jpg"):
        picture(1).save(tmp_path / name)
    with pytest.raises(ValueError, match="expected number 2"):
        FrameFolder(tmp_path)


@pytest.mark.parametrize(("kind", "damage"), [("jpg", 0.5), ("png", 0.7), ("jpg", 0.0)])
def test_a_broken_picture_is_named(tmp_path, kind, damage):
    noise = np.random.default_rng(0).integers(0, 255, (40, 80, 3), dtype=np.uint8)
    path = tmp_path / f"1.{kind}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(damage * path.stat().st_size)])
    with pytest.raises(ValueError, match=rf"1\.{kind}: cannot be read as a picture"):
        FrameFolder(tmp_path)[0]


# --- windows ------------------------------------------------------------------------------------------------


def test_a_clip_shorter_than_a_window_ends_in_silence(scenes, tmp_path):
    listing = tmp_path / "short.csv"
    listing.write_text("video_id,start_time,end_time\nscene_00000,0.2,0.6\n")
    sample = dataset(scenes, split=str(listing))[0]
    frames = -(-round(0.4 * 22_050) // 256)
    assert sample["binaural_mel"].shape == (2, 80, 80)
    assert (sample["binaural_mel"][..., frames:] == SILENCE).all()
    assert (sample["binaural_mel"][..., :frames] > SILENCE).any()


def test_without_detections_only_the_whole_picture_is_seen(scenes, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(scenes, root)
    shutil.rmtree(root / "action_detection_results")
    seen, bare = dataset(scenes)[1], dataset(root)[1]
    assert not seen["mask"][:, 1].any()
    assert bare["mask"][:, 1:].all()
    assert torch.equal(seen["objects"][:, 0], bare["objects"][:, 0])


def test_a_mirrored_sample_is_the_sample_of_the_mirrored_world(scenes, tmp_path):
    """Pictures flipped, boxes at width - x, ears exchanged on disk, against the one operation."""
    root = tmp_path / "data"
    shutil.copytree(scenes, root)
    for path in (root / "processed/frames/scene_00000").iterdir():
        Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path, quality=95)
    table = root / "action_detection_results/detection_results.csv"
    width = json.loads((root / "dataset.json").read_text())["frame_size"][0]
    lines = [line.split(",") for line in table.read_text().splitlines()]
    flipped = [[*r[:2], f"{width - float(r[4])}", r[3], f"{width - float(r[2])}", *r[5:]] for r in lines[1:]]
    table.write_text("\n".join(",".join(r) for r in [lines[0], *flipped]))
    here, there = dataset(scenes), dataset(root)
    pair = there.mels(0)["binaural_mel"]
    pair.copy_(pair.flip(0).clone())  # the ears of the mirrored world
    wanted, made = there[0], mirrored(here[0])
    for name in ("mono_mel", "binaural_mel", "box", "mask"):
        assert torch.allclose(made[name].float(), wanted[name].float(), atol=1e-5), name
    off = (made["objects"].float() - wanted["objects"].float()).abs().mean()
    assert off < 3, "of 255, after another JPEG"
    assert (here[0]["objects"].float() - wanted["objects"].float()).abs().mean() > 2 * off


# --- sums of clips ------------------------------------------------------------------------------------------


def test_a_mixed_scene_is_the_sum_of_its_sounds_and_shows_all_its_sources(scenes):
    data = dataset(scenes, RealBinauralMix, mix_sources=2)
    random = np.random.default_rng(5)
    scene = data.drawn(0, np.random.default_rng(5))
    assert int(random.integers(2, 3)) == 2
    other = 0
    while other == 0:
        other = int(random.integers(3))
    starts = [int(random.integers(data.whole_sound(k).shape[-1] // 256 - 80 + 1)) for k in (0, other)]
    whole = [data.whole_sound(k) for k in (0, other)]
    size = min(x.shape[-1] - s * 256 for x, s in zip(whole, starts, strict=True))
    total = sum(x[:, s * 256 : s * 256 + size] for x, s in zip(whole, starts, strict=True))
    truth = mel_spectrogram(total, MEL)[..., 3:77]
    gain = scene["mono_mel"][..., 3:77].mean() - truth[:1].mean()
    assert torch.allclose(scene["mono_mel"][..., 3:77], truth[:1] + gain, atol=0.02)
    assert torch.allclose(scene["binaural_mel"][..., 3:77], truth[1:] + gain, atol=0.02), "one gain for all"
    singles = [data.pictures(k, s) for k, s in zip((0, other), starts, strict=True)]
    mean = torch.stack([one["objects"][:, 0] for one in singles]).float().mean(0)
    assert (scene["objects"][:, 0].float() - mean).abs().max() <= 0.5
    assert torch.equal(scene["box"][:, 1], singles[0]["box"][:, 1])
    assert torch.equal(scene["box"][:, 2], singles[1]["box"][:, 1])


def test_sources_take_turns_in_the_slots():
    def seen(count, mark):
        mask = (torch.arange(4) > count).expand(2, 4)
        return {
            "objects": torch.full((2, 4, 3, 2, 2), mark, dtype=torch.uint8),
            "mask": mask.clone(),
            "box": torch.full((2, 4, 4), float(mark)),
        }

    scene = together([seen(2, 10), seen(0, 20), seen(1, 40)])
    assert scene["mask"].tolist() == [[False] * 4] * 2
    assert scene["box"][0, :, 0].tolist() == [10, 10, 40, 10]
    assert (scene["objects"][:, 0] == round(70 / 3)).all()


@pytest.mark.parametrize("sources", [2, 3])
def test_mixed_samples_are_reproducible_and_of_the_usual_form(scenes, sources):
    options = dict(mix_sources=sources, mirror=True, hide_detections=0.5, seed=3)
    first, again = (dataset(scenes, RealBinauralMix, **options) for _ in range(2))
    plain = dataset(scenes)[0]
    for n in range(4):
        a, b = first[n], again[n]
        assert {name: torch.as_tensor(v).shape for name, v in a.items()} == {
            name: torch.as_tensor(v).shape for name, v in plain.items()
        }
        assert all(torch.equal(torch.as_tensor(a[name]), torch.as_tensor(b[name])) for name in a)
        assert a["binaural_mel"].isfinite().all()


def test_a_single_recording_cannot_be_mixed(scenes, tmp_path):
    listing = tmp_path / "one.csv"
    listing.write_text("video_id,start_time,end_time\nscene_00000,0,0.5\nscene_00000,0.5,1\n")
    with pytest.raises(ValueError, match="different recordings"):
        dataset(scenes, RealBinauralMix, split=str(listing), mix_sources=2)


# --- what a run remembers -----------------------------------------------------------------------------------


def test_a_memory_computes_once_and_other_processes_find_it(tmp_path):
    asked = []

    def make():
        asked.append(1)
        return {"x": torch.arange(6.0)}

    memory, later = Cache(tmp_path), Cache(tmp_path)
    for one in (memory, memory, later):
        assert torch.equal(one.get("a", make)["x"], torch.arange(6.0))
    assert len(asked) == 1
    own = Cache()
    assert own.get("a", make) is own.get("a", make)
    assert len(asked) == 2


@pytest.fixture(scope="module")
def frozen():
    torch.manual_seed(0)
    cfg = TrainConfig(id="t", data_root="d", **PRESETS["tiny"])
    cfg = replace(cfg, view=VIEW, train_trunk=False, model=replace(cfg.model, dim=8, context_dim=32))
    return ModelBuilder(cfg).build().eval()


def recorded_frames(count=7):
    noise = np.random.default_rng(1).integers(0, 255, (count, 40, 80, 3), dtype=np.uint8)
    found = [Detection(k / 10, (10 + k, 5, 30 + k, 25), s) for k in (0, 1, 4) for s in (0.9, 0.5)[: k % 3]]
    return RecordedFrames([Image.fromarray(p) for p in noise], 10, found, VIEW)


@pytest.mark.parametrize("mirror", [False, True])
def test_remembered_pictures_are_the_pictures_plain_and_mirrored(frozen, mirror):
    source = recorded_frames()
    content = next(encoded(frozen, [source], workers=1))
    kept = EncodedFrames(content, 10, VIEW, source.paths)
    assert kept.chosen(0.1, 0.5) == source.chosen(0.1, 0.5)
    pair = []
    for one in (source, kept):
        window = one.window(0.0, 0.7)
        window = mirrored({**window, "binaural_mel": torch.zeros(2, 1, 1)}) if mirror else window
        if "maps" in window:
            window["maps"] = window["maps"].select(-4, 0)
        batch = on_device({name: value[None] for name, value in window.items()}, torch.device("cpu"))
        with torch.no_grad():
            pair.append(frozen.context(batch))
    assert torch.allclose(*pair, atol=5e-3), "maps are kept in half precision"
    assert (pair[0].std(1) > 0.1).any()


def test_a_clip_generated_from_remembered_pictures_is_the_same(frozen, scenes):
    plain = GenAudioRealBinaural(scenes, "test", MEL, VIEW)
    once = GenAudioRealBinaural(scenes, "test", MEL, VIEW)
    once.use_cache(Cache(), lambda source: next(encoded(frozen, [source], workers=1)))
    how = SamplingConfig(sampling_timesteps=2)
    a, b = (generate(frozen, data[0], how) for data in (plain, once))
    assert "maps" in once[0]
    assert (a - b).abs().max() < 0.05
    assert (a - b).abs().mean() < 2e-3


def test_every_picture_of_a_clip_is_held_once(scenes):
    clip = GenAudioRealBinaural(scenes, "test", MEL, VIEW)[0]
    assert len(clip["objects"]) == len(clip["box"]) == len(torch.unique(clip["which"])) <= 15
    assert clip["which"].shape == (len(clip["starts"]), VIEW.frames)


@pytest.mark.parametrize("n", [2, 3, 7])
def test_folds_keep_recordings_whole_and_cover_the_list(n):
    clips = [Clip(f"r{i % 7}", float(i)) for i in range(20)]
    parts = [folded(clips, f"{k}/{n}", inside=True) for k in range(1, n + 1)]
    assert sorted(clip.start for part in parts for clip in part) == [float(i) for i in range(20)]
    for k, part in enumerate(parts, start=1):
        rest = folded(clips, f"{k}/{n}", inside=False)
        assert not {c.video_id for c in part} & {c.video_id for c in rest}
        assert len(part) + len(rest) == 20


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        ("0/2", "expected K/N"),
        ("3/2", "expected K/N"),
        ("1/1", "expected K/N"),
        ("half", "expected K/N"),
        ("8/8", "has 7 recordings, too few for 8 folds"),
    ],
)
def test_a_fold_that_is_none_is_refused(fold, message):
    with pytest.raises(ValueError, match=message):
        folded([Clip(f"r{i}") for i in range(7)], fold, inside=True)
