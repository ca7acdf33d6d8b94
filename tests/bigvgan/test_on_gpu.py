"""On a GPU both stages train, and give what the CPU gives.  Run with: pytest -m gpu"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from BigVGAN import bigvgan
from BigVGAN.activations import ACTIVATIONS
from BigVGAN.alias_free_activation.act import Activation1d
from BigVGAN.bigvgan import BigVGAN, load_generator, vocoder_chunk
from BigVGAN.env import load_config
from BigVGAN.kernels.gpu_activation import runs_on
from BigVGAN.run import VocoderRun
from BigVGAN.settings import TrueMelConfig
from BigVGAN.training import largest_part
from BigVGAN.training_step import peak_memory, train_step
from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.utils.bundled import BUNDLED
from DiffBinaural.utils.distributed import World
from DiffBinaural.utils.mel import mel_spectrogram

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("exact")]
CONFIGS = Path(bigvgan.__file__).parent / "configs"
TINY = CONFIGS / "bigvgan_binaural_tiny.json"
CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def exact(monkeypatch):
    """Convolutions in float32, which the CPU's can be compared with."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def distance(got, wanted):
    got, wanted = got.detach().cpu().double(), wanted.detach().cpu().double()
    return ((got - wanted).norm() / wanted.norm()).item()


# --- the activation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("size", [1, 2, 5, 15, 16, 17, 31, 33, 100, 4099])
def test_the_activation_is_its_plain_form(size, name, compiled):
    if compiled and size != 33:
        pytest.skip("one size is compiled")
    torch.manual_seed(size)
    act = Activation1d(ACTIVATIONS[name](24, logscale=True)).double()
    for parameter in act.parameters():
        parameter.data += 0.3 * torch.randn(24)
    x, g = 2 * torch.randn(3, 24, size), torch.randn(3, 24, size)
    wide = x.double().requires_grad_()
    wanted = act.plain(wide)
    slopes = torch.autograd.grad(wanted, [wide, *act.parameters()], g.double())
    act, ours = act.float().to(GPU), x.to(GPU).requires_grad_()
    assert runs_on(ours.device)
    y = (torch.compile(act, fullgraph=True) if compiled else act)(ours)
    assert distance(y, wanted) < 1e-6
    for got, slope in zip(torch.autograd.grad(y, [ours, *act.parameters()], g.to(GPU)), slopes, strict=True):
        assert distance(got, slope) < 1e-5


def test_the_activation_under_autocast_is_rounded_once():
    torch.manual_seed(0)
    act, x = (
        Activation1d(ACTIVATIONS["snakebeta"](24, logscale=True)).to(GPU),
        torch.randn(2, 24, 999, device=GPU),
    )
    with torch.autocast("cuda", torch.bfloat16):
        y = act(x)
    assert torch.equal(y, act(x).bfloat16())


# --- the vocoder --------------------------------------------------------------------------------------------


def test_the_vocoder_makes_the_cpus_sound():
    torch.manual_seed(0)
    model, mel = BigVGAN(load_config(TINY)).remove_weight_norm().eval(), torch.randn(2, 80, 300) - 4
    wanted = model.vocode(mel)
    got = model.to(GPU).vocode(mel.to(GPU))
    assert vocoder_chunk(GPU) > mel.shape[-1] > vocoder_chunk(CPU)
    assert distance(got, wanted) < 1e-4


def test_with_griffin_lim_it_makes_the_cpus_mel():
    mel = mel_spectrogram(
        0.1 * torch.randn(2, 300 * 256, generator=torch.Generator().manual_seed(0)), MelConfig()
    )
    model = load_generator(BUNDLED / "vocoder/g_best.pth")
    assert model.cfg.griffin_lim_iterations > 0
    wanted = mel_spectrogram(model.vocode(mel)[:, 0], MelConfig())
    made = model.to(GPU).vocode(mel.to(GPU))[:, 0]  # of samples, rounding that it amplifies differs
    assert (mel_spectrogram(made, MelConfig()).cpu() - wanted).abs().mean() < 0.01
    assert (wanted - mel).abs().mean() < 0.5


def run_on(device, folder, **settings):
    torch.manual_seed(0)
    folder.mkdir()
    places = dict(checkpoint_path=str(folder), config=str(TINY), audio_dir="", list_train="", list_val="")
    return VocoderRun(load_config(TINY), TrueMelConfig(**places, **settings), World(device))


def batch_of(run, seed=1):
    random, cfg = torch.Generator().manual_seed(seed), run.cfg
    wav = 0.1 * torch.randn(run.pairs, 2, cfg.segment_size, generator=random)
    frames = cfg.segment_size // cfg.hop_size
    return {"mel": torch.randn(run.pairs, 2, cfg.num_mels, frames, generator=random) - 4, "wav": wav}


@pytest.mark.parametrize("part", [None, 1])
def test_a_step_of_stage_2_is_the_cpus(part, tmp_path):
    numbers = {}
    for device in (CPU, GPU):
        run = run_on(device, tmp_path / device.type, micro_batch=part)
        numbers[device] = [train_step(run, batch_of(run), 0.0) for _ in range(2)]
    for ours, theirs in zip(numbers[GPU], numbers[CPU], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-2)


def test_steps_in_bfloat16_lower_the_mel_error(tmp_path):
    run = run_on(GPU, tmp_path / "run", amp="bf16", freeze_step=100)
    batch = batch_of(run)
    errors = [train_step(run, batch, 0.0)["mel_spec_error"] for _ in range(30)]
    assert np.isfinite(errors).all()
    assert errors[-1] < 0.8 * errors[0]


def test_memory_is_a_line_through_that_of_one_and_two_segments(tmp_path):
    run = run_on(GPU, tmp_path / "run")
    run.cfg = replace(run.cfg, segment_size=65536)
    one, two, four = (peak_memory(run, pairs) for pairs in (1, 2, 4))
    assert four == pytest.approx(one + 3 * (two - one), rel=0.1)
    assert largest_part(run) == run.pairs


# --- the scripts --------------------------------------------------------------------------------------------


def sounds(folder):
    return [soundfile.read(path)[0] for path in sorted(folder.glob("*.wav"))]


def test_stage_2_trains_and_synthesises(scenes, scripts, tmp_path):
    audio, lists = scenes / "processed/binaural_audios_22050Hz", scenes / "splits"
    words = ("--audio_dir", audio, "--list_train", lists / "train.csv", "--list_val", lists / "val.csv")
    words += ("--config", TINY, "--checkpoint_path", tmp_path / "run", "--training_steps", 3, "--amp", "bf16")
    scripts("BigVGAN.train_binaural_mel", *words, "--workers", 2)
    same = (
        "--checkpoint_file",
        tmp_path / "run/g_00000003",
        "--input_wavs_dir",
        audio,
        "--wav_format",
        "float",
    )
    for name, *more in (("cuda",), ("cpu",), ("bf16", "--amp", "bf16")):
        device = "cpu" if name == "cpu" else "cuda"
        out = ("--output_dir", tmp_path / name, "--device", device)
        scripts("BigVGAN.inference_binaural", *same, *out, *more)
    for ours, rounded, wanted in zip(*(sounds(tmp_path / n) for n in ("cuda", "bf16", "cpu")), strict=True):
        assert distance(torch.from_numpy(ours), torch.from_numpy(wanted)) < 1e-3
        assert distance(torch.from_numpy(rounded), torch.from_numpy(wanted)) < 0.05


@pytest.mark.parametrize("amp", ["off", "bf16"])
def test_stage_1_trains_and_generates(amp, scenes, scripts, tmp_path):
    words = ("--preset", "tiny", "--id", "run", "--ckpt", tmp_path, "--data_root", scenes, "--amp", amp)
    scripts("DiffBinaural.train_realBinaural", *words, "--num_epoch", 1, "--windows_per_clip", 4)
    for device in ("cuda", "cpu"):
        out = ("--output_dir", tmp_path / device, "--device", device, "--sampling_timesteps", 2)
        scripts("DiffBinaural.test_realBinaural", "--run", tmp_path / "run", "--data_root", scenes, *out)
    files = sorted((tmp_path / "cpu").glob("*.npy"))
    assert files
    for path in files:
        assert np.allclose(np.load(path), np.load(tmp_path / "cuda" / path.name), atol=1e-2), path.name
