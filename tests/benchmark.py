"""Times each part of the project, beside the machine's limit, beside a plain form of the same computation:

python tests/benchmark.py --output_json bench.json
"""

import ctypes
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from BigVGAN import bigvgan, convolutions, discriminators
from BigVGAN import training as stage2
from BigVGAN.activations import ACTIVATIONS
from BigVGAN.alias_free_activation.act import Activation1d
from BigVGAN.bigvgan import BigVGAN
from BigVGAN.env import VocoderConfig, load_config
from BigVGAN.meldataset import MelDataset
from BigVGAN.settings import TrueMelConfig
from BigVGAN.synthesis import VocoderRenderer
from BigVGAN.training_step import train_step
from DiffBinaural import simulate_dataset
from DiffBinaural import training as stage1
from DiffBinaural.configs.advanced_diffusion_config import (
    ModelConfig,
    SamplingConfig,
    TrainConfig,
    preset_config,
    steps_of,
)
from DiffBinaural.configs.fields import DEVICE_HELP, option
from DiffBinaural.dataset.cutting import whole_clip
from DiffBinaural.dataset.dataset_real_binaural import RealBinaural
from DiffBinaural.dataset.frame_sources import RecordedFrames
from DiffBinaural.experiments.tables import bench_table
from DiffBinaural.inference.generation import generate
from DiffBinaural.inference.loading import ready
from DiffBinaural.modules.direct_path_head import channels_in
from DiffBinaural.modules.models import ModelBuilder
from DiffBinaural.modules.networks import Upsample
from DiffBinaural.modules.norms import NormSiLU
from DiffBinaural.simulation.config import SimulateConfig
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.bundled import BUNDLED
from DiffBinaural.utils.distributed import world
from DiffBinaural.utils.files import write_json
from DiffBinaural.utils.helpers import pick_device
from DiffBinaural.utils.lists import Detection

CONFIGS = Path(__file__).parents[1] / "BigVGAN/configs"
LARGE, TINY = CONFIGS / "bigvgan_22khz_80band.json", CONFIGS / "bigvgan_binaural_tiny.json"
FAST = (Activation1d, NormSiLU, Upsample, convolutions.NarrowConv2d)  # each with a plain form beside
STATUS = Path("/proc/self/status")  # Linux's record of the resident memory
MB = 2**20


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """What is measured."""

    output_json: str = option("bench.json", "the table")
    only: tuple[str, ...] = option((), "of layers, unet, vocoder, length, whole, training; default: all")
    repeats: int = option(5, "runs of each short row, in turns with its plain form; medians count")
    device: str = option("auto", DEVICE_HELP)


@dataclass(frozen=True)
class Row:
    """A measured line.

    flops    operations of its convolutions and matrix products
    plain_s  of the same computation in plain form
    peak_mb  memory beyond what was held before, weights and inputs
    """

    name: str
    flops: float
    seconds: float
    plain_s: float | None
    peak_mb: float | None
    note: str

    def finished(self, rate: float) -> dict:
        """As a row of the JSON; rate: the best that the machine reaches, operations a second."""
        floor = self.flops / rate
        return {
            "name": self.name,
            "seconds": self.seconds,
            "floor_s": floor,
            "gap": self.seconds / floor,
            "plain_s": self.plain_s,
            "speedup": self.plain_s and self.plain_s / self.seconds,
            "peak_mb": self.peak_mb,
            "note": self.note,
        }


# --- measuring ----------------------------------------------------------------------------------------------


def clock(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def medians(repeats: int, device: torch.device, *works: Callable[[], object]) -> list[float]:
    """Median seconds of each, run in turns after a first time that does not count."""
    for work in works:
        work()
    times = [[clock(work, device) for work in works] for _ in range(repeats)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def memory(field: str) -> float:
    """VmRSS or VmHWM of this process in MB."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def give_back() -> None:
    """Let glibc return freed memory to the system, so that a later call's use of it is measured."""
    if sys.platform == "linux":
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)


def peak(work: Callable[[], object], device: torch.device) -> float | None:
    """MB that a call takes beyond what was held before it; None where the system does not tell."""
    gc.collect()
    give_back()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return (torch.cuda.max_memory_allocated(device) - before) / MB
    if not STATUS.exists():
        return None
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before = memory("VmRSS")
    work()
    return max(memory("VmHWM") - before, 0.0)


def operations(work: Callable[[], object]) -> int:
    """Floating-point operations of the convolutions and matrix products in a call."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def best_rate(model: nn.Module, work: Callable[[], object], device: torch.device) -> float:
    """The best rate in operations a second at which any convolution of a call runs by itself."""
    seen: dict[tuple, tuple[nn.Module, list[Tensor]]] = {}

    def note(conv, inputs, output):
        seen[(conv.weight.shape, inputs[0].shape)] = (conv, [x.detach().clone() for x in inputs])

    convs = [m for m in model.modules() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d)]
    hooks = [conv.register_forward_hook(note) for conv in convs]
    work()
    for hook in hooks:
        hook.remove()
    rates = []
    with torch.inference_mode():
        for conv, inputs in seen.values():
            work = partial(conv, *inputs)
            rates.append(operations(work) / medians(5, device, work)[0])
    return max(rates)


@contextmanager
def plain_layers(layers: tuple[type[nn.Module], ...] = FAST) -> Iterator[None]:
    """Layers that have a fast form run in their plain one, in torch's own order of memory."""
    fast = {(layer, "forward"): layer.forward for layer in layers}
    fast |= {
        (bigvgan, "channels_last_1d"): convolutions.channels_last_1d,
        (discriminators, "channels_last_2d"): convolutions.channels_last_2d,
    }
    for layer in layers:
        layer.forward = layer.plain
    bigvgan.channels_last_1d = discriminators.channels_last_2d = Tensor.contiguous
    try:
        yield
    finally:
        for (owner, name), value in fast.items():
            setattr(owner, name, value)


def plainly(work: Callable[[], object], layers: tuple[type[nn.Module], ...] = FAST) -> Callable[[], object]:
    """The work in plain layers."""

    def plain():
        with plain_layers(layers):
            return work()

    return plain


def quietly(work: Callable[[], object]) -> Callable[[], object]:
    """The work without gradients."""
    return torch.inference_mode()(work)


class Bench:
    """The rows so far, and what they are made with."""

    def __init__(self, cfg: BenchConfig):
        self.cfg, self.device, self.rows = cfg, pick_device(cfg.device), []
        self.rate = 0.0  # the best seen, operations a second

    def see(self, net: nn.Module, work: Callable[[], object]) -> None:
        """Update the best rate with those of a network's convolutions."""
        self.rate = max(self.rate, best_rate(net, work, self.device))

    def add(
        self,
        name: str,
        ours: Callable,
        plain: Callable | None = None,
        *,
        repeats: int | None = None,
        flops: float | None = None,
        note: str = "",
    ) -> Row:
        """Measure a row.  flops: its operations, where `ours` is not to be run for them."""
        times, plain_s = [], None
        if repeats != 1:
            ours()  # the first call loads and compiles code
        memory = peak(lambda: times.append(clock(ours, self.device)), self.device)
        if plain or repeats != 1:  # a long one by itself is not run again
            works = [ours] if plain is None else [ours, plain]
            seconds, plain_s = (*medians(repeats or self.cfg.repeats, self.device, *works), None)[:2]
        else:
            seconds = times[0]
        flops = operations(ours) if flops is None else flops
        self.rows.append(Row(name, flops, seconds, plain_s, memory, note))
        tqdm.write(f"{name}: {seconds:.3g} s", file=sys.stderr)
        return self.rows[-1]

    def note(self, note: str) -> None:
        """Set the note of the last row."""
        self.rows[-1] = replace(self.rows[-1], note=note)

    def train(self, name: str, ours: Callable, plain: Callable, batches: Iterator, samples: int) -> None:
        """A training step and how much of it goes into waiting for the loader."""
        flops = operations(plainly(ours, (convolutions.NarrowConv2d,)))  # of the direct form
        row = self.add(f"training step, {name}", ours, plain, flops=flops)
        waiting = statistics.median(clock(lambda: next(batches), self.device) for _ in range(20))
        self.note(
            f"{samples / row.seconds:.1f} samples a second; {100 * waiting / row.seconds:.1f} % waiting"
        )


# --- what is measured ---------------------------------------------------------------------------------------


def layer_rows(bench: Bench) -> None:
    """The vocoder's activation, alone and with its gradients, at a size of the base one's middle."""
    net = vocoder(bench, load_config(TINY))  # by itself, this part has no large convolutions
    bench.see(net, quietly(lambda: net(torch.randn(1, 80, 160, device=bench.device))))
    act = Activation1d(ACTIVATIONS["snakebeta"](64, logscale=True)).to(bench.device)
    x = torch.randn(8 if bench.device.type == "cpu" else 64, 64, 4096, device=bench.device)
    taught = x.clone().requires_grad_()

    def with_gradients():
        torch.autograd.grad(act(taught).sum(), [taught, *act.parameters()])

    flops = operations(plainly(quietly(partial(act, x))))
    bench.add("activation", quietly(partial(act, x)), plainly(quietly(partial(act, x))), flops=flops)
    bench.add("activation with gradients", with_gradients, plainly(with_gradients), flops=3 * flops)


def unet_rows(bench: Bench) -> None:
    """One evaluation of the base UNet; then 10 s of sound, from pictures to mels, of every preset."""
    cfg = preset_config("base", id="bench", data_root="", visual_weights="random")
    torch.manual_seed(0)
    model = ModelBuilder(cfg).build()
    plain = deepcopy(model.unet).to(bench.device).eval()
    seen, fast = deepcopy(plain).to(memory_format=torch.channels_last), ready(model, bench.device)
    inputs = unet_inputs(bench.device)
    once = quietly(lambda: fast.unet(*inputs))
    bench.see(seen, quietly(lambda: seen(*inputs)))
    flops = operations(quietly(lambda: seen(*inputs)))  # of the direct form
    one = bench.add(
        "UNet once, 80x80", once, plainly(lambda: plain(*inputs)), flops=flops, repeats=4 * bench.cfg.repeats
    )
    clip, few = noise_clip(10, cfg), steps_of(SamplingConfig(), cfg)
    for steps in (25, few):
        bench.add(
            f"stage 1 base, 10 s, {steps} steps",
            partial(generate, fast, clip, SamplingConfig(sampling_timesteps=steps)),
            repeats=1,
            flops=14 * steps * one.flops,
            note=f"with pictures; {14 * steps} times the UNet are {14 * steps * one.seconds:.3g} s",
        )
    for preset in ("small", "tiny"):
        cfg = preset_config(preset, id="bench", data_root="")
        model = ModelBuilder(cfg).build()
        inputs = unet_inputs(bench.device, cfg.model.context_dim)
        flops = operations(quietly(partial(deepcopy(model.unet).to(bench.device), *inputs)))
        bench.add(
            f"stage 1 {preset}, 10 s, {few} steps",
            partial(generate, ready(model, bench.device), noise_clip(10, cfg), SamplingConfig()),
            repeats=3,
            flops=14 * few * flops,
            note="with pictures",
        )
    direct_path_row(bench)


def direct_path_row(bench: Bench) -> None:
    """10 s of the small preset with two moving sources; its plain form knows no direct paths.

    Each takes its default number of steps.
    """

    torch.manual_seed(0)
    small = preset_config("small", id="bench", data_root="")
    cfgs = [
        replace(small, model=replace(small.model, direct_path=known, interaural_phase=True))
        for known in (True, False)
    ]
    models, (few, more) = (
        [ModelBuilder(c).build() for c in cfgs],
        (steps_of(SamplingConfig(), c) for c in cfgs),
    )
    x, t, mono, context = unet_inputs(bench.device, small.model.context_dim)
    hints = x.new_zeros(1, channels_in(models[0].slots), *x.shape[2:])
    unet = deepcopy(models[0].unet).to(bench.device)
    flops = operations(quietly(lambda: unet(x.repeat(1, 2, 1, 1), t, mono, context, hints)))
    found = [Detection(k / 10, (x - 20, 40, x + 20, 160), 0.9) for k in range(100) for x in (40 + k, 440 - k)]
    clip = noise_clip(10, small, found)
    bench.add(
        f"stage 1 small, direct paths, 10 s, {few} step",
        *(partial(generate, ready(model, bench.device), clip, SamplingConfig()) for model in models),
        flops=14 * few * flops,
        note=f"with pictures; plain: with the phase between the ears, without direct paths, {more} steps",
    )


def vocoder_rows(bench: Bench) -> None:
    """The demo's vocoder, the bundled one, and NVIDIA's base and large ones, 10 s of mono sound."""
    large, bundled = load_config(LARGE), load_config(BUNDLED / "vocoder/config.json")
    configs = {
        "tiny": load_config(TINY),
        "tiny with Griffin-Lim": bundled,
        "base": base_of(large),
        "large": large,
    }
    for name, cfg in configs.items():
        net, mel = vocoder(bench, cfg), torch.randn(1, 80, 862, device=bench.device)
        bench.see(net, quietly(lambda net=net, mel=mel: net(mel[..., :160])))
        row = bench.add(
            f"vocoder {name}, 10 s",
            partial(net.vocode, mel),
            plainly(quietly(partial(net, mel))),
            repeats=1 if name == "large" else 3,
            flops=operations(quietly(partial(net, mel))),
        )
        bench.note(f"{10 / row.seconds:.2f} s of sound a second")


def length_rows(bench: Bench) -> None:
    """How the base vocoder's time and memory grow with the sound."""
    net = vocoder(bench, base_of(load_config(LARGE)))
    flops = operations(quietly(lambda: net(torch.randn(1, 80, 862, device=bench.device)))) / 862
    bench.see(net, quietly(lambda: net(torch.randn(1, 80, 160, device=bench.device))))
    for seconds in (10, 60, 600):
        mel = torch.randn(1, 80, round(seconds * 22_050 / 256), device=bench.device)
        row = bench.add(
            f"vocoder base, {seconds} s",
            quietly(partial(vocode_in_blocks, net, mel)),
            repeats=3 if seconds == 10 else 1,
            flops=flops * mel.shape[-1],
        )
        bench.note(f"{row.seconds / seconds:.3g} s for a second of sound")


def training_rows(bench: Bench) -> None:
    """A step of both trainings of the demo, and how much of it the loader takes."""
    net = vocoder(bench, base_of(load_config(LARGE)))  # by itself, this part has no large convolutions
    bench.see(net, quietly(lambda: net(torch.randn(1, 80, 160, device=bench.device))))
    with tempfile.TemporaryDirectory() as folder, world(bench.cfg.device) as job:
        root = Path(folder, "data")
        simulate_dataset.main(SimulateConfig(out=str(root), clips=12, seconds=4, sources=(1, 1)))
        cfg = preset_config("tiny", id="bench", data_root=str(root), ckpt=folder)
        data = RealBinaural(
            str(root), "train", cfg.mel, cfg.view, windows_per_clip=cfg.windows_per_clip, mirror=True
        )
        torch.manual_seed(0)
        first, plain = (stage1.Run(ModelBuilder(cfg).build(), cfg, job, len(data)) for _ in range(2))
        plain.model.to(memory_format=torch.contiguous_format)
        source = iter(stage1.loader(stage1.noisy(data, first.model), cfg, job))

        def step(run):
            stage1.backward(run.model, next(source), run, last=True)
            run.safe_step(run.optimizer)
            run.ema.update()

        bench.train(
            "stage 1", partial(step, first), plainly(partial(step, plain)), source, cfg.batch_size_per_gpu
        )
        words = TrueMelConfig(
            audio_dir=str(root / "processed/binaural_audios_22050Hz"),
            config=str(TINY),
            list_train=str(root / "splits/train.csv"),
            list_val="",
            checkpoint_path=folder,
        )
        for name, freeze in (("without discriminators", 1_000_000), ("with them", 0)):
            voc = load_config(TINY)
            second = stage2.VocoderRun(voc, replace(words, freeze_step=freeze), job)
            batches = iter(stage2.loader(MelDataset(words.audio_dir, words.list_train, voc), second))

            def step(run=second, batches=batches):
                train_step(run, next(batches), 0.0)

            bench.train(f"stage 2, {name}", step, plainly(step), batches, second.pairs)


def whole_rows(bench: Bench) -> None:
    """From pictures and a mono mel to the sound of two ears, both networks of base size."""
    cfg = preset_config("base", id="bench", data_root="", visual_weights="random")
    torch.manual_seed(0)
    model, net = ModelBuilder(cfg).build(), vocoder(bench, base_of(load_config(LARGE)))
    unet = operations(quietly(partial(model.unet, *unet_inputs(torch.device("cpu")))))
    ready(model, bench.device)
    mel = torch.randn(2, 80, 862, device=bench.device)
    bench.see(net, quietly(lambda: net(mel[..., :160])))
    voice = operations(quietly(partial(net, mel))) / 10
    for seconds in (10, 60):
        clip = noise_clip(seconds, cfg)

        def work(clip=clip):
            made = generate(model, clip, SamplingConfig()).to(bench.device)
            quietly(vocode_in_blocks)(net, made[:2])

        flops = seconds * (voice + 1.4 * steps_of(SamplingConfig(), cfg) * unet)
        row = bench.add(f"end to end, {seconds} s", work, repeats=1, flops=flops)
        bench.note(f"{row.seconds / seconds:.3g} s for a second of sound")


def unet_inputs(device: torch.device, width: int = ModelConfig.context_dim) -> tuple[Tensor, ...]:
    """One window for a UNet that reads tokens of a width."""
    ears, mono, context = (
        torch.randn(1, *shape, device=device) for shape in ((2, 80, 80), (1, 80, 80), (20, width))
    )
    return ears, torch.full((1,), 500, device=device), mono, context


def noise_clip(seconds: float, cfg: TrainConfig, found: Sequence[Detection] = ()) -> dict:
    """A clip of noise and 10 grey pictures a second, with what is detected in them."""
    mel = torch.randn(1, cfg.mel.n_mels, -(-seconds * cfg.mel.sample_rate // cfg.mel.hop)) - 4
    frames = RecordedFrames(
        [Image.new("RGB", (480, 240), "gray")] * (10 * seconds), 10, list(found), cfg.view
    )
    return whole_clip("bench", {"mono_mel": mel}, frames, 0.0, cfg.mel)


def base_of(large: VocoderConfig) -> VocoderConfig:
    """The sizes of NVIDIA's base vocoder, 14 million parameters."""
    return replace(
        large, upsample_rates=(8, 8, 2, 2), upsample_kernel_sizes=(16, 16, 4, 4), upsample_initial_channel=512
    )


def vocode_in_blocks(net: BigVGAN, mel: Tensor) -> None:
    """Vocode a mel block by block, as the pipeline does, without keeping the sound."""
    renderer = VocoderRenderer(net)
    for block in mel.split(1024, dim=-1):
        renderer.push(None, block)
    renderer.push(None, mel[..., :0], last=True)


def vocoder(bench: Bench, cfg: VocoderConfig) -> BigVGAN:
    """A vocoder of random weights, as inference has it."""
    torch.manual_seed(0)
    return BigVGAN(cfg).remove_weight_norm().eval().to(bench.device)


PARTS = {
    "layers": layer_rows,
    "unet": unet_rows,
    "vocoder": vocoder_rows,
    "length": length_rows,
    "whole": whole_rows,
    "training": training_rows,
}


def main(cfg: BenchConfig) -> None:
    """Measure, print the table, write the JSON."""
    if unknown := set(cfg.only) - set(PARTS):
        raise ValueError(f"--only {' '.join(sorted(unknown))}: no such part; there are {', '.join(PARTS)}")
    bench = Bench(cfg)
    for name in cfg.only or PARTS:
        PARTS[name](bench)
        rows = [row.finished(bench.rate) for row in bench.rows]
        write_json(  # after each part: one that is stopped keeps the rows that it has
            Path(cfg.output_json),
            {
                "peak_gflops": bench.rate / 1e9,
                "device": str(bench.device),
                "threads": torch.get_num_threads(),
                "rows": rows,
            },
        )
    print(
        f"best rate of a convolution of these networks: {bench.rate / 1e9:.0f} GFLOP/s, {bench.device}, "
        f"{torch.get_num_threads()} threads",
        bench_table(rows),
        sep="\n",
    )


if __name__ == "__main__":
    run(main)
