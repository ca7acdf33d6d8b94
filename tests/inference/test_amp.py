"""--amp bf16: networks in bfloat16 give the sound of float32 but for its rounding; off is what was always."""

import numpy as np
import pytest
import torch
from PIL import Image

from BigVGAN.pipeline import Pipeline
from DiffBinaural.configs.advanced_diffusion_config import SamplingConfig
from DiffBinaural.dataset.cutting import whole_clip
from DiffBinaural.dataset.frame_sources import RecordedFrames
from DiffBinaural.inference.generation import generate
from DiffBinaural.inference.loading import load_config, load_model
from DiffBinaural.utils.bundled import BUNDLED
from DiffBinaural.utils.lists import Detection

CPU, RUN = torch.device("cpu"), BUNDLED / "stage1"
# The model's residual is some 0.5 nepers.  A number in bfloat16 has eight bits, an error of 0.2 % on average;
# those of the layers partly cancel.  Measured: 0.0005 nepers on average, 0.005 at most.  Here: ten times that
MEAN, MOST = 0.005, 0.05


@pytest.fixture(scope="module")
def clip():
    cfg = load_config(RUN)
    noise = np.random.default_rng(1).integers(0, 255, (20, 60, 120, 3), dtype=np.uint8)
    found = [Detection(k / 10, (x, 10, x + 20, 50), 0.9) for k in range(20) for x in (5 + k, 80)]
    frames = RecordedFrames([Image.fromarray(one) for one in noise], 10, found, cfg.view)
    mel = torch.randn(1, 80, 172, generator=torch.Generator().manual_seed(1)) - 4
    return whole_clip("clip", {"mono_mel": mel}, frames, 0.0, cfg.mel)


@pytest.mark.parametrize("how", [{}, {"sampling_timesteps": 4, "symmetric": True, "guidance_scale": 1.5}])
def test_mels_in_bfloat16_are_those_of_float32_but_for_rounding(clip, how):
    default, off, rounded = (
        generate(load_model(RUN, CPU, **amp), clip, SamplingConfig(**how))
        for amp in ({}, {"amp": "off"}, {"amp": "bf16"})
    )
    assert torch.equal(default, off)
    error = (rounded - off).abs()
    assert 0 < error.mean() < MEAN
    assert error.max() < MOST
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, rounded.bfloat16().float()), "what the networks make is not rounded"


@pytest.mark.parametrize("renderer", ["levelled", "vocoder"])
def test_the_sound_in_bfloat16_is_that_of_float32_but_for_rounding(renderer, scenes):
    sound = scenes / "processed/mono_audios_22050Hz/scene_00001.wav"
    pipes = [Pipeline.from_pretrained(renderer=renderer, device="cpu", amp=amp) for amp in ("off", "bf16")]
    off, rounded = (pipe(sound, scenes / "videos/scene_00001.mp4", detections="none") for pipe in pipes)
    error = np.linalg.norm(rounded - off) / np.linalg.norm(off)
    assert 0 < error < 0.02, "34 dB below"
    assert rounded.dtype == np.float32
    assert (rounded != torch.from_numpy(rounded).bfloat16().float().numpy()).mean() > 0.9
    with pytest.raises(ValueError, match="amp"):
        pipes[0](sound, scenes / "videos/scene_00001.mp4", amp="bf16")


def test_scripts_take_it(scenes, scripts, tmp_path):
    words = ("--data_root", scenes, "--run", RUN, "--list_test", "train", "--limit", 1, "--device", "cpu")
    for amp in ("off", "bf16"):
        scripts("DiffBinaural.test_realBinaural", *words, "--output_dir", tmp_path / amp, "--amp", amp)
    for path in sorted((tmp_path / "off").glob("*_left.npy")):
        off, rounded = np.load(path), np.load(tmp_path / "bf16" / path.name)
        assert 0 < np.abs(rounded - off).mean() < MEAN
