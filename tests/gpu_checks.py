"""Questions that only a GPU answers:  PYTHONPATH=. python tests/gpu_checks.py --output_json checks.json"""

import os
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from benchmark import LARGE, TINY, base_of, noise_clip, plain_layers
from torch import Tensor, nn

from BigVGAN import bigvgan, discriminators
from BigVGAN.bigvgan import BigVGAN
from BigVGAN.discriminators import MultiPeriodDiscriminator
from BigVGAN.env import VocoderConfig, load_config
from BigVGAN.run import VocoderRun
from BigVGAN.settings import TrueMelConfig
from BigVGAN.training_step import peak_memory, train_step
from DiffBinaural import training as stage1
from DiffBinaural.configs.advanced_diffusion_config import SamplingConfig, TrainConfig, preset_config
from DiffBinaural.configs.fields import option
from DiffBinaural.inference.features import visual_features
from DiffBinaural.inference.generation import generate
from DiffBinaural.inference.loading import ready
from DiffBinaural.modules.models import ModelBuilder
from DiffBinaural.modules.norms import group_norm_silu
from DiffBinaural.runs.state import Run
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.distributed import World
from DiffBinaural.utils.files import write_json
from DiffBinaural.utils.helpers import pick_device

BINAURAL = Path(bigvgan.__file__).parent / "configs/bigvgan_binaural_22khz_80band_256x.json"
CARDS = (24, 48, 80)  # GB of memory


@dataclass(frozen=True)
class ChecksConfig:
    """Which questions."""

    output_json: str = option("checks.json", "the answers, by the names of the checks")
    only: tuple[str, ...] = option((), "names of checks; default: all")
    note: str = option("", "what else ran on the machine, for the page that shows the answers")
    dry: bool = option(False, "smallest sizes")


@dataclass(frozen=True)
class Bed:
    """What the checks run on."""

    device: torch.device
    folder: Path
    dry: bool = False

    def autocast(self) -> torch.autocast:
        """bfloat16, as --amp bf16 has it."""
        return torch.autocast(self.device.type, torch.bfloat16)

    def milliseconds(self, work: Callable[[], object], times: int = 10) -> float:
        """Mean time of a call, after three that do not count."""
        times, before = (1, 1) if self.dry else (times, 3)
        for _ in range(before):
            work()
        self.wait()
        began = time.perf_counter()
        for _ in range(times):
            work()
        self.wait()
        return 1000 * (time.perf_counter() - began) / times

    def wait(self) -> None:
        """Until the GPU has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    # --- stage 1

    def stage1(self, name: str, **settings) -> Run:
        """A run of stage 1 with new weights; in a dry run of the smallest size."""
        preset = "tiny" if self.dry else "base"
        cfg = preset_config(
            preset, id=name, data_root="", ckpt=str(self.folder), visual_weights="random", **settings
        )
        torch.manual_seed(0)
        return Run(ModelBuilder(cfg).build(), cfg, World(self.device), 1000)

    def windows(self, cfg: TrainConfig) -> dict[str, Tensor]:
        """A batch of noise, each window with its whole picture and one source; maps in place of pictures."""
        size, view, draw = cfg.batch_size_per_gpu, cfg.view, torch.Generator().manual_seed(1)
        mask = torch.zeros(size, view.frames, view.slots, dtype=torch.bool)
        mask[:, :, 2:] = True
        channels, side = (64, view.image_size // 8) if cfg.arch_frame == "small" else (512, 7)
        shapes = {
            "mono_mel": (1, 80, view.window),
            "binaural_mel": (2, 80, view.window),
            "maps": (view.frames, view.slots, channels, side, side),
            "box": (view.frames, view.slots, 4),
        }
        drawn = {name: torch.randn(size, *shape, generator=draw) for name, shape in shapes.items()}
        noise = {"t": torch.full((size,), 500), "hidden": torch.zeros(size, dtype=torch.bool)}
        noise["noise"] = torch.randn(size, 2, 80, view.window, generator=draw)
        return drawn | noise | {"mask": mask}

    def step(self, run: Run, batch: dict[str, Tensor]) -> Callable[[], None]:
        """A whole training step on the same batch, from the loader's tensors to the averaged weights."""
        batch = {
            name: value.pin_memory() if self.device.type == "cuda" else value for name, value in batch.items()
        }
        steps = stage1.Steps(run, None)

        def step():
            steps.take(stage1.backward(run.model, batch, run, last=True))
            steps.unread.clear()

        run.model.train()
        return step

    def vocoder(self, cfg: VocoderConfig, **settings) -> VocoderRun:
        """A run of stage 2 with new weights; in a dry run of the smallest size."""
        if self.dry:
            cfg = replace(cfg, upsample_initial_channel=32, discriminator_channel_mult=1 / 16, batch_size=2)
        places = {name: "" for name in ("audio_dir", "list_train", "list_val")}
        torch.manual_seed(0)
        train = TrueMelConfig(**places, checkpoint_path=str(self.folder), config=str(TINY), **settings)
        return VocoderRun(cfg, train, World(self.device))

    def segments(self, run: VocoderRun) -> dict[str, Tensor]:
        """A batch of noise for a run of stage 2."""
        cfg, draw = run.cfg, torch.Generator().manual_seed(1)
        frames = cfg.segment_size // cfg.hop_size
        mel = torch.randn(run.pairs, 2, cfg.num_mels, frames, generator=draw) - 4
        return {"mel": mel, "wav": 0.1 * torch.randn(run.pairs, 2, cfg.segment_size, generator=draw)}


# --- are the numbers right? ---------------------------------------------------------------------------------


def coarse_waveform(bed: Bed) -> bool:
    """Whether --amp bf16 rounds the waveform to bfloat16; it must not."""
    net = BigVGAN(load_config(TINY)).to(bed.device)
    with bed.autocast():
        wav = net(torch.randn(2, 80, 32, device=bed.device) - 4)
    return bool((wav == wav.bfloat16().float()).all())


def error_of_amp_off(bed: Bed) -> float:
    """Relative error of a convolution in float32, as --amp off has it (on a GPU: TF32)."""
    conv, x = nn.Conv2d(256, 256, 3, padding=1).to(bed.device), torch.randn(4, 256, 40, 40, device=bed.device)
    wanted = nn.functional.conv2d(x.double(), conv.weight.double(), conv.bias.double(), padding=1)
    return ((conv(x) - wanted).norm() / wanted.norm()).item()


def gradients_that_differ(bed: Bed) -> int:
    """Parameters of stage 1 whose gradient is another one when the same step is computed again."""
    run = bed.stage1("repeated", batch_size_per_gpu=8)
    batch, found = bed.windows(run.cfg), []
    for _ in range(2):
        run.model.zero_grad()
        stage1.backward(run.model, batch, run, last=True)
        found.append([p.grad.clone() for p in run.model.parameters() if p.grad is not None])
    return sum(not torch.equal(*pair) for pair in zip(*found, strict=True))


def losses_of_300_steps(bed: Bed) -> dict[str, float]:
    """Last losses of stage 1 on one batch, in float32 and in bfloat16: the same learning?"""
    found = {}
    for amp in ("off", "bf16"):
        run = bed.stage1(f"learning_{amp}", amp=amp, batch_size_per_gpu=4 if bed.dry else 16)
        batch, losses = bed.windows(run.cfg), []
        for number in range(3 if bed.dry else 300):
            run.progress["step"] = number
            run.set_rates(0.0)
            losses.append(stage1.backward(run.model, batch, run, last=True))
            run.safe_step(run.optimizer)
        found[amp] = float(torch.stack(losses[-20:]).mean())
    return found


# --- does the host wait? are the layouts kept? --------------------------------------------------------------


def waits_of_a_step(bed: Bed) -> dict[str, int] | None:
    """Lines at which a step of stage 1 waits for the GPU, and how often."""
    if bed.device.type != "cuda":
        return None
    run = bed.stage1("waiting")
    step = bed.step(run, bed.windows(run.cfg))
    step()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        step()
        torch.cuda.set_sync_debug_mode("default")
    places = [f"{w.filename}:{w.lineno}" for w in caught if "synchroniz" in str(w.message)]
    return {place: places.count(place) for place in places}


def norm_keeps_layout(bed: Bed) -> bool:
    """Whether a norm gives channels-last memory where it gets it; the convolutions around it have it."""
    norm = group_norm_silu(64).to(bed.device)
    x = torch.randn(4, 64, 40, 40, device=bed.device).to(memory_format=torch.channels_last)
    return norm(x).is_contiguous(memory_format=torch.channels_last)


def period_discriminators_ms(bed: Bed) -> dict[str, float]:
    """Forward and backward of all periods, in channels-last memory and without it."""
    nets = MultiPeriodDiscriminator(bed.vocoder(base_of(load_config(LARGE))).cfg).to(bed.device)
    wav = torch.randn(4 if bed.dry else 32, 1, 8192, device=bed.device)

    def step():
        with bed.autocast():
            scores, _ = nets(wav)
        sum(score.float().square().mean() for score in scores).backward()

    found, kept = {"channels_last": bed.milliseconds(step)}, discriminators.channels_last_2d
    discriminators.channels_last_2d = Tensor.contiguous
    try:
        return found | {"contiguous": bed.milliseconds(step)}
    finally:
        discriminators.channels_last_2d = kept


# --- how fast, how large? -----------------------------------------------------------------------------------


def memory_of_a_step(bed: Bed) -> dict[str, dict] | None:
    """GB that a step of stage 2 takes on one, on two segments; how many fit cards of 24, 48 and 80 GB."""
    if bed.device.type != "cuda":
        return None
    found, large = {}, load_config(BINAURAL)
    for name, cfg in (("14 M, 65536 samples", base_of(large)), ("112 M, 65536 samples", large)):
        run = bed.vocoder(cfg, amp="bf16")
        one, two = (peak_memory(run, pairs) / 1e9 for pairs in (1, 2))
        moments = (
            sum(2 * p.nbytes for p in (*run.generator.parameters(), *run.discriminators.parameters())) / 1e9
        )
        fits = {f"{card} GB": int((0.85 * card - moments - one) // (two - one)) + 1 for card in CARDS}
        found[name] = {"one": one, "more": two - one, "moments": moments, "fit": fits}
    return found


def stage1_windows_a_second(bed: Bed) -> dict[str, float]:
    """Of whole training steps: by batch and precision; in bfloat16 in contiguous memory, and compiled."""
    found = {}
    for size, amp in ((2, "bf16"),) if bed.dry else ((128, "bf16"), (32, "off"), (32, "bf16")):
        run = bed.stage1(f"speed_{size}_{amp}", amp=amp, batch_size_per_gpu=size)
        step = bed.step(run, bed.windows(run.cfg))
        found[f"{size} windows, {amp}"] = 1000 * size / bed.milliseconds(step)
    run.model.to(memory_format=torch.contiguous_format)
    found["contiguous"] = 1000 * size / bed.milliseconds(step)
    run.model.to(memory_format=torch.channels_last)
    if not bed.dry:  # compiling takes a minute
        run.model.unet.compile()
        found["compiled"] = 1000 * size / bed.milliseconds(step)
    return found


def sampling_ms(bed: Bed) -> dict[str, float]:
    """From a mono mel and maps of pictures to two ears: launches replayed, and as they are.

    Of the base model in two steps, in float32 and in bfloat16; 10 s of sound are 14 windows, a minute 85.
    """
    size, found = "tiny" if bed.dry else "base", {}
    cfg = preset_config(size, id="sampled", data_root="", visual_weights="random")
    for amp in ("off", "bf16"):
        torch.manual_seed(0)
        model = ModelBuilder(cfg).build()
        model.amp = amp
        ready(model, bed.device)
        for seconds, counts in {1: (2,)}.items() if bed.dry else {10: (16,), 60: (16, 64)}.items():
            clip = noise_clip(seconds, cfg)
            clip["maps"] = visual_features(model, clip)
            del clip["objects"]
            for count in counts:
                work = partial(generate, model, clip, SamplingConfig(batch_windows=count))
                name, forward = f"{seconds} s, {count} windows at once, {amp}", model.unet.forward
                found[f"{name}, replayed"] = bed.milliseconds(work, 4)
                model.unet.forward = getattr(forward, "plain", forward)
                found[f"{name}, plain"] = bed.milliseconds(work, 4)
                model.unet.forward = forward
    return found


def vocoder_step_ms(bed: Bed) -> dict[str, float]:
    """A step of 14 million parameters on 32 x 8,192 samples in bfloat16, and with layers in plain form."""
    run = bed.vocoder(base_of(replace(load_config(BINAURAL), segment_size=8192)), amp="bf16")
    step = partial(train_step, run, bed.segments(run), 0.0)
    found = {}
    for name, form in (("as it is", nullcontext), ("plain", plain_layers)):
        with form():
            found[name] = bed.milliseconds(step, 5)
    return found


def vocoder_times_real(bed: Bed) -> dict[str, float]:
    """Seconds of two-eared sound that the vocoders make in a second, in float32 and in bfloat16."""
    large, found = load_config(LARGE), {}
    sizes = {"tiny": load_config(TINY)} if bed.dry else {"14 M": base_of(large), "112 M": large}
    mel = torch.randn(2, large.num_mels, 64 if bed.dry else 4096, device=bed.device) - 4
    for name, cfg in sizes.items():
        net = BigVGAN(cfg).remove_weight_norm().eval().to(bed.device)
        for amp in (False, True):
            with torch.autocast(bed.device.type, torch.bfloat16, enabled=amp):
                took = bed.milliseconds(partial(net.vocode, mel), 2) / 1000
            found[f"{name}, {'bf16' if amp else 'off'}"] = (
                mel.shape[-1] * cfg.hop_size / cfg.sampling_rate / took
            )
    return found


CHECKS = {
    check.__name__: check
    for check in (
        coarse_waveform,
        error_of_amp_off,
        norm_keeps_layout,
        waits_of_a_step,
        gradients_that_differ,
        memory_of_a_step,
        vocoder_step_ms,
        period_discriminators_ms,
        vocoder_times_real,
        sampling_ms,
        losses_of_300_steps,
        stage1_windows_a_second,
    )
}


def machine(device: torch.device) -> dict:
    """What the answers were found on."""
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {"card": card, "torch": torch.__version__, "cuda": torch.version.cuda, "cpus": os.cpu_count()}


def main(cfg: ChecksConfig) -> None:
    """Answer one question after the other, and write after each."""
    if unknown := sorted(set(cfg.only) - set(CHECKS)):
        raise ValueError(f"--only {' '.join(unknown)}: no such check; there are {', '.join(CHECKS)}")
    device = pick_device("auto")
    answers: dict[str, object] = {"machine": machine(device), "note": cfg.note}
    for name in cfg.only or CHECKS:
        with TemporaryDirectory() as folder:
            began = time.perf_counter()
            try:
                answers[name] = CHECKS[name](Bed(device, Path(folder), cfg.dry))
            except RuntimeError as error:  # out of memory, for example: the others can be answered
                answers[name] = f"failed: {str(error)[:300]}"
        print(f"{name} ({time.perf_counter() - began:.0f} s): {answers[name]}", flush=True)
        write_json(Path(cfg.output_json), answers)
        if device.type == "cuda":
            torch.cuda.empty_cache()


if __name__ == "__main__":
    run(main)
