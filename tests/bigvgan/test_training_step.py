"""A step of stage 2: parts of a batch give its gradients, memory is as predicted, replicas start equal.

As a script, under torchrun, this file is one of two processes whose random numbers differ.
"""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from BigVGAN import bigvgan, training
from BigVGAN.bigvgan import BigVGAN
from BigVGAN.convolutions import ExactConv1d, channels_last_2d
from BigVGAN.discriminators import MultiPeriodDiscriminator, MultiResolutionDiscriminator
from BigVGAN.env import load_config
from BigVGAN.run import VocoderRun
from BigVGAN.settings import TrueMelConfig
from BigVGAN.training import largest_part, part_size
from BigVGAN.training_step import generator_gradients, synthesis, train_step
from DiffBinaural.utils.distributed import SINGLE_PROCESS, world

CONFIGS = Path(bigvgan.__file__).parent / "configs"
NARROW = dict(upsample_initial_channel=64, discriminator_channel_mult=0.0625)


class Watched(VocoderRun):
    """A run that keeps the gradients of its first step and does not change the weights."""

    def update(self, name, net):
        self.job.average_gradients(net.parameters())
        self.kept = {**getattr(self, "kept", {}), name: [p.grad.clone() for p in net.parameters()]}
        net.zero_grad()
        return 0.0


def run_of(cfg, folder, job=SINGLE_PROCESS, **settings):
    path = folder / "config.json"
    folder.mkdir(exist_ok=True)
    path.write_text(json.dumps(asdict(cfg)))
    words = dict(
        audio_dir="", list_train="", list_val="", checkpoint_path=str(folder / "run"), config=str(path)
    )
    (folder / "run").mkdir(exist_ok=True)
    return Watched(cfg, TrueMelConfig(**words, **settings), job)


def batch_of(cfg, pairs):
    random = torch.Generator().manual_seed(1)
    wav = 0.1 * torch.randn(pairs, 2, cfg.segment_size, generator=random)
    mel = torch.randn(pairs, 2, cfg.num_mels, cfg.segment_size // cfg.hop_size, generator=random) - 4
    return {"mel": mel, "wav": wav}


def step(cfg, folder, part, freeze_step=0):
    torch.manual_seed(0)
    run = run_of(cfg, folder / str(part), micro_batch=part, freeze_step=freeze_step)
    numbers = train_step(run, batch_of(cfg, run.pairs), 0.0)
    return run.kept, numbers


@pytest.mark.parametrize(
    ("name", "part", "changes"),
    [
        ("bigvgan_binaural_tiny", 1, {}),
        ("bigvgan_binaural_tiny", 3, {}),  # parts of 3 and 1: each has its share
        ("bigvgan_binaural_22khz_80band_256x", 2, {**NARROW, "batch_size": 8, "segment_size": 4096}),
        ("bigvgan_22khz_80band", 2, {**NARROW, "batch_size": 8, "segment_size": 4096}),
        *(
            pytest.param(name, 1, {"batch_size": 4, "segment_size": 2048}, marks=pytest.mark.slow)
            for name in ("bigvgan_binaural_22khz_80band_256x", "bigvgan_22khz_80band")
        ),
    ],
)
def test_a_batch_in_parts_has_the_gradients_of_the_whole(name, part, changes, tmp_path):
    cfg = replace(load_config(CONFIGS / f"{name}.json"), **changes)
    (whole, numbers), (parts, theirs) = step(cfg, tmp_path, None), step(cfg, tmp_path, part)
    assert set(whole) == {"g", "mpd", "mrd"}
    sizes, off = [], []
    for net, gradients in whole.items():
        one, other = (torch.cat([g.flatten() for g in found]).double() for found in (gradients, parts[net]))
        sizes, off = [*sizes, one.norm()], [*off, (one - other).norm()]
        # the sum over an STFT discriminator's many bins is the least exact in float32
        assert off[-1] / sizes[-1] < (1e-4 if net == "mrd" else 1e-5), net
    assert min(sizes) > 0
    assert torch.stack(off).norm() / torch.stack(sizes).norm() < 1e-5
    assert numbers.keys() == theirs.keys()
    assert list(numbers.values()) == pytest.approx([theirs[key] for key in numbers], rel=1e-4)


def test_without_discriminators_parts_have_the_whole_gradient_too(tmp_path):
    cfg = load_config(CONFIGS / "bigvgan_binaural_tiny.json")
    (whole, _), (parts, _) = (step(cfg, tmp_path, part, freeze_step=5) for part in (None, 2))
    assert set(whole) == {"g"}
    one, other = (torch.cat([g.flatten() for g in found["g"]]) for found in (whole, parts))
    assert (one - other).norm() / one.norm() < 1e-5


def held_bytes(run, pairs):
    """Bytes that autograd keeps at the fullest moment: of the generator's graph and its losses', on it."""
    batch, found = batch_of(run.cfg, pairs), {}

    def pack(tensor):
        found[tensor.untyped_storage().data_ptr()] = (tensor.untyped_storage().nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        generator_gradients(run, synthesis(run, batch["mel"]), batch["wav"])
    weights = {
        p.untyped_storage().data_ptr()
        for net in (run.generator, run.discriminators)
        for p in net.parameters()
    }
    return sum(size for place, (size, _) in found.items() if place not in weights)


def test_a_steps_memory_is_a_line_through_those_of_one_and_two_segments(tmp_path):
    run = run_of(load_config(CONFIGS / "bigvgan_binaural_tiny.json"), tmp_path)
    one, two, four = (held_bytes(run, pairs) for pairs in (1, 2, 4))
    assert four == pytest.approx(one + 3 * (two - one), rel=0.01)
    assert part_size(one, two, four * 1.02, 16) == 4


@pytest.mark.parametrize(
    ("room", "wanted", "size"),
    [(100, 16, 16), (9, 16, 8), (8, 16, 6), (6, 16, 4), (2, 16, 1), (0, 16, 1), (9, 1, 1)],
)
def test_parts_are_as_few_and_as_equal_as_fit(room, wanted, size):
    assert part_size(2, 3, room, wanted) == size


def on_a_gpu(run, monkeypatch, room, bytes_of):
    """The run as if on a GPU of that many free bytes, whose steps take bytes_of(pairs)."""
    run.job = replace(run.job, device=torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (room, room))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 0)
    monkeypatch.setattr(training, "peak_memory", lambda run, pairs: bytes_of(pairs))
    return run


def test_on_a_gpu_as_many_segments_are_computed_at_once_as_fit(monkeypatch, tmp_path):
    cfg = replace(load_config(CONFIGS / "bigvgan_binaural_tiny.json"), batch_size=32)
    run = on_a_gpu(run_of(cfg, tmp_path), monkeypatch, 10**9, lambda pairs: 10**8 * (1 + pairs))
    moments = sum(8 * p.numel() for net in (run.generator, run.discriminators) for p in net.parameters())
    assert moments < 10**8  # 0.85 GB less those hold 6 segments of 0.1 GB on 0.1 GB: 16 are 3 parts of 6
    assert largest_part(run) == 6

    def full(pairs):
        raise torch.OutOfMemoryError

    with pytest.raises(ValueError, match="does not fit"):
        largest_part(on_a_gpu(run, monkeypatch, 10**9, full))
    assert largest_part(on_a_gpu(run, monkeypatch, 10**9, lambda pairs: 10**8 if pairs < 2 else full(2))) == 1


# --- precision and order ------------------------------------------------------------------------------------


def test_under_autocast_the_waveform_is_not_made_of_16_bit_numbers():
    cfg = load_config(CONFIGS / "bigvgan_binaural_tiny.json")
    torch.manual_seed(0)
    model = BigVGAN(cfg)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        wav = model(torch.randn(1, 80, 8) - 4)
    assert wav.dtype == torch.float32
    assert (wav != wav.bfloat16().float()).float().mean() > 0.9


@pytest.mark.parametrize("bias", [True, False])
def test_the_exact_convolution_by_taps_is_the_convolution(bias):
    conv, x = ExactConv1d(24, 1, 7, padding=3, bias=bias).double(), torch.randn(2, 24, 50).double()
    x.requires_grad_()
    ways = [
        (y, torch.autograd.grad(y.square().sum(), [x, *conv.parameters()]))
        for y in (conv(x), conv.by_taps(x))
    ]
    assert torch.allclose(ways[0][0], ways[1][0], atol=1e-12)
    for one, other in zip(ways[0][1], ways[1][1], strict=True):
        assert torch.allclose(one, other, atol=1e-10)


def test_one_channel_is_laid_out_as_channels_last_where_that_matters():
    x = torch.randn(2, 1, 6, 5, device="meta")
    assert channels_last_2d(x).stride() == (30, 1, 5, 1)
    assert channels_last_2d(torch.randn(2, 1, 6, 5)).stride() == (30, 30, 5, 1)  # as ever on a CPU


@pytest.mark.parametrize("kind", [MultiPeriodDiscriminator, MultiResolutionDiscriminator])
def test_discriminators_judge_two_sounds_at_once_as_one_by_one(kind):
    torch.manual_seed(0)
    judge = kind(load_config(CONFIGS / "bigvgan_binaural_tiny.json"))
    fake, real = torch.randn(2, 4, 1, 4096)
    both = judge(torch.cat((fake, real)))[0]
    for score, one, other in zip(both, judge(fake)[0], judge(real)[0], strict=True):
        assert torch.allclose(score, torch.cat((one, other)), rtol=1e-5, atol=1e-6)


def test_a_step_leaves_cudnns_setting_as_it_was(tmp_path):
    run = run_of(load_config(CONFIGS / "bigvgan_binaural_tiny.json"), tmp_path)
    before = torch.backends.cudnn.benchmark
    train_step(run, batch_of(run.cfg, run.pairs), 0.0)
    assert torch.backends.cudnn.benchmark == before


# --- replicas -----------------------------------------------------------------------------------------------


def test_processes_start_from_the_first_ones_weights(tmp_path):
    words = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        "--",
        __file__,
    ]
    done = subprocess.run([*words, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    sums = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert sums[0]["before"] != sums[1]["before"]
    assert sums[0]["after"] == sums[1]["after"]


if __name__ == "__main__":
    with world("cpu") as job:
        torch.manual_seed(job.rank)
        before = torch.rand(1).item()
        folder = Path(sys.argv[1])
        run = run_of(load_config(CONFIGS / "bigvgan_binaural_tiny.json"), folder / f"r{job.rank}", job)
        nets = (run.generator, run.discriminators)
        after = [float(v.double().sum()) for net in nets for v in net.state_dict().values()]
        (folder / f"{job.rank}.json").write_text(json.dumps({"before": before, "after": after}))
