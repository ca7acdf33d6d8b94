"""On a GPU stage 1 generates from recorded launches, and in bfloat16, what it does without.

Run with: pytest -m gpu
"""

import numpy as np
import pytest
import torch
from PIL import Image

from BigVGAN.pipeline import Pipeline
from DiffBinaural.configs.advanced_diffusion_config import SamplingConfig, preset_config
from DiffBinaural.dataset.cutting import whole_clip
from DiffBinaural.dataset.frame_sources import RecordedFrames
from DiffBinaural.inference.generation import generate
from DiffBinaural.inference.loading import load_config, load_model, ready
from DiffBinaural.inference.replay import Replayed
from DiffBinaural.modules.models import ModelBuilder
from DiffBinaural.runs.encoding import encoded
from DiffBinaural.utils.bundled import BUNDLED
from DiffBinaural.utils.lists import Detection

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("exact")]
CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def exact(monkeypatch):
    """Products in float32, which are the same whatever they are computed in."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def frames(cfg, seconds=4):
    noise = np.random.default_rng(1).integers(0, 255, (10 * seconds, 60, 120, 3), dtype=np.uint8)
    found = [Detection(k / 10, (x, 10, x + 20, 50), 0.9) for k in range(len(noise)) for x in (5 + k, 80)]
    return RecordedFrames([Image.fromarray(one) for one in noise], 10, found, cfg.view)


def clip_of(cfg, seconds=4):
    mel = torch.randn(1, 80, 86 * seconds, generator=torch.Generator().manual_seed(1)) - 4
    return whole_clip("clip", {"mono_mel": mel}, frames(cfg, seconds), 0.0, cfg.mel)


def restless(unet, seed):
    """Other weights in their place, with which every layer matters."""
    random = torch.Generator().manual_seed(seed)
    state = {k: v.cpu() + 0.05 * torch.randn(v.shape, generator=random) for k, v in unet.state_dict().items()}
    unet.load_state_dict(state)


def replayed_and_plain(model, clip, cfg):
    forward = model.unet.forward
    assert isinstance(forward, Replayed)
    got = generate(model, clip, cfg)
    try:
        model.unet.forward = forward.plain
        return got, generate(model, clip, cfg)
    finally:
        model.unet.forward = forward


@pytest.mark.parametrize("amp", ["off", "bf16"])
@pytest.mark.parametrize("preset", ["tiny", "base"])
def test_replayed_mels_are_the_plain_ones_also_with_other_weights(preset, amp):
    """In bfloat16 the mels of differing kernels may differ by its rounding, of some 0.2 %, in a few cells."""
    cfg = preset_config(preset, id="r", data_root="", visual_weights="random")
    torch.manual_seed(0)
    model = ModelBuilder(cfg).build()
    model.amp = amp
    ready(model, GPU)
    clip, made = clip_of(cfg), []
    for seed in (1, 2):
        restless(model.unet, seed)
        for windows in (2, 16):
            how = SamplingConfig(sampling_timesteps=4, batch_windows=windows)
            got, wanted = replayed_and_plain(model, clip, how)
            assert torch.allclose(got, wanted, atol=1e-3 if amp == "off" else 0.1), (seed, windows)
            assert (got - wanted).abs().mean() < (1e-5 if amp == "off" else 2e-3), (seed, windows)
            made.append(got)
    assert len(model.unet.forward.recorded) == 2, "shapes: two windows, all six at once"
    assert (made[0] - made[2]).abs().mean() > 0.01, "the weights matter"


@pytest.mark.parametrize("how", [{}, {"symmetric": True, "guidance_scale": 1.5}])
def test_the_bundled_model_gives_the_cpus_mels_and_nearly_so_in_bfloat16(how):
    cfg = load_config(BUNDLED / "stage1")
    clip, how = clip_of(cfg), SamplingConfig(sampling_timesteps=4, **how)
    wanted = generate(load_model(BUNDLED / "stage1", CPU), clip, how)
    for amp, most in (("off", 1e-4), ("bf16", 5e-3)):
        model = load_model(BUNDLED / "stage1", GPU, amp=amp)
        got, plain = replayed_and_plain(model, clip, how)
        assert (got - wanted).abs().mean() < most, amp
        assert (plain - wanted).abs().mean() < most, amp
        assert model.unet.forward.recorded, amp


def test_features_of_pictures_are_the_cpus():
    torch.manual_seed(0)
    cfg = preset_config("tiny", id="r", data_root="", arch_frame="resnet18", train_trunk=False)
    model = ModelBuilder(cfg).build().eval()
    [wanted] = encoded(model, [frames(cfg, 5)], workers=2)
    [got] = encoded(model.to(GPU, memory_format=torch.channels_last), [frames(cfg, 5)], workers=2)
    assert got["maps"].device == CPU
    assert (got["maps"].float() - wanted["maps"].float()).abs().max() < 2e-3 * wanted["maps"].abs().max()
    assert all(torch.equal(got[name], wanted[name]) for name in ("box", "mask"))


@pytest.mark.parametrize("renderer", ["levelled", "vocoder"])
def test_the_whole_way_in_bfloat16(renderer, scenes):
    video = next((scenes / "videos").glob("*.mp4"))
    sound = next((scenes / "processed/mono_audios_22050Hz").glob(f"{video.stem}.wav"))
    made = {}
    for device, amp in (("cpu", "off"), ("cuda", "off"), ("cuda", "bf16")):
        pipe = Pipeline.from_pretrained(renderer=renderer, device=device, amp=amp, detections="none")
        made[device, amp] = pipe(sound, video)
    wanted = made.pop(("cpu", "off"))
    for (_, amp), got in made.items():
        error = np.linalg.norm(got - wanted) / np.linalg.norm(wanted)
        assert error < {"off": 1e-2, "bf16": 0.05}[amp], amp
