"""Samples with spectra and direct paths: against the truth of simulated scenes, hidden, mirrored, mixed."""

import json

import pytest
import torch

from DiffBinaural.configs.advanced_diffusion_config import MelConfig, ViewConfig
from DiffBinaural.dataset.dataset_real_binaural import RealBinaural
from DiffBinaural.dataset.dataset_real_binaural_mix import RealBinauralMix, together
from DiffBinaural.dataset.video_transforms import without_detections, without_sounding
from DiffBinaural.utils.mel import mel_of, phasor_of

CFG, VIEW = MelConfig(), ViewConfig(window=40, frames=2, slots=3, image_size=16)
KINDS = dict(phasor=True, spectra=True, direct_path=True)


@pytest.fixture(scope="module")
def dry(scripts, tmp_path_factory):
    """Three clips of a second with one source each and no room, each with another head, one with ears."""
    root = tmp_path_factory.mktemp("dry") / "data"
    words = (
        "--clips 5 --seconds 1 --sources 1 --no-room --workers 1 --head_radius 7.5..10 --eared_fraction 0.5"
    )
    scripts("DiffBinaural.simulate_dataset", "--out", root, *words.split())
    return root


def error(made, truth):
    """Power of what is wrong over the truth's, where there is sound."""
    return float((made - truth).abs().square().sum() / truth.abs().square().sum())


def test_direct_paths_and_spectra_of_a_dry_scene_fit_each_other(dry):
    """L = (1 + d) M and R = (1 - d) M, each clip with its own head."""
    data = RealBinaural(dry, "train", CFG, VIEW, windows_per_clip=2, **KINDS)
    heads = json.loads((dry / "dataset.json").read_text())["head"]
    assert len(set(heads.values())) == 5
    for n in range(len(data)):
        sample = data[n]
        mono, left, right = sample["spectra"]
        direct = sample["direct"][0]
        assert (sample["sounding"][0] == 1).all()
        assert not sample["sounding"][1].any()
        assert not sample["direct"][1].any()
        apart = error(mono, left) + error(mono, right)
        assert apart > 0.01, "it is not in the middle"
        made = error((1 + direct) * mono, left) + error((1 - direct) * mono, right)
        assert made < 0.3 * apart
        assert torch.allclose((left + right) / 2, mono, atol=1e-3)


def test_a_windows_spectra_are_those_of_its_mels(scenes):
    """The same window of the same clip, whether it is cut from the whole clip's mels or analysed alone."""
    plain = RealBinaural(scenes, "train", CFG, VIEW, windows_per_clip=3, phasor=True)
    exact = RealBinaural(scenes, "train", CFG, VIEW, windows_per_clip=3, **KINDS)
    for n in range(len(plain)):
        one, other = plain[n], exact[n]
        assert other["spectra"].shape == (3, 513, 40)
        inner = slice(3, -3)  # at a clip's own ends its mels are reflected
        assert torch.allclose(one["mono_mel"][..., inner], other["mono_mel"][..., inner], atol=1e-3)
        assert torch.allclose(one["binaural_mel"][..., inner], other["binaural_mel"][..., inner], atol=1e-3)
        assert torch.equal(mel_of(other["spectra"][1:], CFG), other["binaural_mel"])
        assert torch.equal(phasor_of(other["spectra"][1:], CFG), other["phasor"])
        assert torch.equal(one["objects"], other["objects"])


def test_the_same_number_gives_the_same_sample_and_a_mirrored_one_fits_itself(scenes):
    plain, turned = (
        RealBinaural(scenes, "train", CFG, VIEW, windows_per_clip=6, mirror=mirror, **KINDS)
        for mirror in (False, True)
    )
    flipped = 0
    for n in range(len(plain)):
        one, other = plain[n], turned[n]
        assert all(torch.equal(other[name], again) for name, again in turned[n].items() if name != "n")
        if torch.equal(one["spectra"], other["spectra"]):
            assert torch.equal(one["direct"], other["direct"])
        else:
            flipped += 1
            assert torch.equal(one["spectra"][[0, 2, 1]], other["spectra"])
            assert torch.equal(one["direct"], -other["direct"])
            assert torch.equal(mel_of(other["spectra"][1:], CFG), other["binaural_mel"])
        assert torch.equal(one["sounding"], other["sounding"])
    assert 0 < flipped < len(plain)


def test_a_window_without_detections_knows_no_direct_path(scenes):
    data = RealBinaural(scenes, "train", CFG, VIEW, hide_detections=1.0, **KINDS)
    shown = RealBinaural(scenes, "train", CFG, VIEW, **KINDS)
    for n in range(len(data)):
        assert not data[n]["direct"].any()
        assert not data[n]["sounding"].any()
        assert shown[n]["sounding"].any()
        assert torch.equal(data[n]["spectra"], shown[n]["spectra"])
        again = without_detections(shown[n])
        assert torch.equal(again["mask"], data[n]["mask"])
        assert shown[n]["direct"].any(), "not changed in place"


def test_a_window_without_sounding_takes_each_detection_for_a_source(scenes):
    told, untold = (
        RealBinaural(scenes, "train", CFG, VIEW, hide_sounding=hidden, **KINDS) for hidden in (0.0, 1.0)
    )
    for n in range(len(told)):
        sample = told[n]
        sample["sounding"] = sample["sounding"] * 0.3
        assert torch.equal(without_sounding(sample)["sounding"], untold[n]["sounding"])
        assert sample["sounding"].max() < 0.5, "not changed in place"
        assert torch.equal(told[n]["direct"], untold[n]["direct"])


def test_a_mixed_scenes_slots_have_the_direct_paths_of_their_pictures(dry):
    """Two dry sources of two heads: the sum of both direct paths' parts is what is heard."""
    data = RealBinauralMix(dry, "train", CFG, VIEW, windows_per_clip=3, mix_sources=2, **KINDS)
    for n in range(len(data)):
        sample = data[n]
        assert sample["sounding"].shape == (2, 40)
        assert (sample["sounding"] == 1).all()
        assert not sample["mask"].any()
        assert sample["direct"][0].any()
        assert sample["direct"][1].any()
        assert (sample["direct"][0] - sample["direct"][1]).abs().max() > 0.01
        assert sample["spectra"].isfinite().all()


def test_slots_of_several_windows_are_taken_in_turn_with_their_direct_paths():
    def window(value, used):
        mask = torch.ones(2, 3, dtype=torch.bool)
        mask[:, : used + 1] = False
        there = torch.arange(2)[:, None] < used
        return {
            "objects": torch.full((2, 3, 3, 4, 4), value, dtype=torch.uint8),
            "box": torch.full((2, 3, 4), float(value)),
            "mask": mask,
            "direct": torch.full((2, 5, 6), complex(value)) * there[..., None],
            "sounding": torch.ones(2, 6) * there,
        }

    for pair, expected in (
        ((window(1, 1), window(3, 1)), (1, 3)),
        ((window(1, 2), window(3, 1)), (1, 3)),
        ((window(1, 0), window(3, 1)), (3, 0)),
        ((window(1, 0), window(3, 2)), (3, 3)),
        ((window(1, 0), window(3, 0)), (0, 0)),
    ):
        before = pair[0]["direct"].clone()
        scene = together(list(pair))
        assert scene["direct"][:, 0, 0].real.tolist() == list(expected)
        assert scene["sounding"][:, 0].tolist() == [float(value > 0) for value in expected]
        assert scene["box"][0, 1:, 0].tolist() == list(expected)
        assert (~scene["mask"][0, 1:]).tolist() == [value > 0 for value in expected]
        assert (scene["objects"][:, 0] == 2).all()
        assert torch.equal(pair[0]["direct"], before)
