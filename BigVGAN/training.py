"""The training loop of stage 2."""

import math
from collections.abc import Callable
from contextlib import suppress

import torch
from torch.utils.data import DataLoader

from BigVGAN.env import VocoderConfig
from BigVGAN.meldataset import MelDataset
from BigVGAN.run import VocoderRun
from BigVGAN.settings import TrueMelConfig
from BigVGAN.training_step import peak_memory, train_step
from BigVGAN.utils import save_generator
from BigVGAN.validation import evaluate, show
from DiffBinaural.utils.closing import closing_line, next_command
from DiffBinaural.utils.distributed import SINGLE_PROCESS, world
from DiffBinaural.utils.interruption import Stop
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.plots import draw_history
from DiffBinaural.utils.preload import read_all
from DiffBinaural.utils.progress import Progress
from DiffBinaural.utils.run_log import RunLog
from DiffBinaural.utils.schedule import Budget, Shuffled

SPARE = 0.15  # of a GPU's memory, for fragments and for what larger shapes need


def pred_mel_probability(step: int, start: int, end: int, final: float) -> float:
    """Probability of a predicted mel: 0 up to step `start`, then linear up to `final` at step `end`."""
    return final * min(max(step - start, 0) / (end - start), 1.0) if end > start else final * (step >= end)


def loader(data: MelDataset, run: VocoderRun) -> DataLoader:
    """Endless batches of this process's shard of the segments, from the run's next one on."""
    train, job = run.train, run.job
    order = Shuffled(len(data), train.seed, run.progress["steps"] * run.pairs, shard=(job.rank, job.size))
    return DataLoader(
        data,
        run.pairs // job.size,
        sampler=order,
        num_workers=train.workers,
        pin_memory=job.device.type == "cuda",
        persistent_workers=train.workers > 0,
    )


def part_size(one: int, two: int, room: float, wanted: int) -> int:
    """Segments of a step to compute at once: the step's `wanted` in as few equal parts as fit.

    one, two  bytes that steps on one and on two segments take
    room      bytes that there are
    """
    fits = max(1 + int((room - one) // max(two - one, 1)), 1)
    return math.ceil(wanted / math.ceil(wanted / fits))


def largest_part(run: VocoderRun) -> int:
    """Segments that this process computes at once: all, on a GPU as many as its memory holds.

    Raises ValueError where not even one fits.
    """
    wanted, device = run.pairs // run.job.size, run.job.device
    if device.type != "cuda":
        return wanted
    room = (1 - SPARE) * (torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device))
    for optimizer in run.optim.values():  # the moments that the first step adds
        if not optimizer.state:
            room -= sum(2 * p.nbytes for group in optimizer.param_groups for p in group["params"])
    size = 0
    with suppress(torch.OutOfMemoryError):
        one = peak_memory(run, 1)
        size = 1
        size = part_size(one, peak_memory(run, min(2, wanted)), room, wanted)
    torch.cuda.empty_cache()
    if not size:
        raise ValueError(
            f"{run.train.config}: a segment of {run.cfg.segment_size} samples and two ears does not fit "
            f"{room / 1e9:.1f} GB of GPU memory; try --amp bf16, or a smaller segment_size"
        )
    return size


def fit(run: VocoderRun, train: MelDataset, val: MelDataset, probability: Callable[[int], float]) -> None:
    """Train until the steps or the time budget are used up; the same call again resumes a stopped run.

    probability  step -> probability of a predicted mel
    Writes to the run folder: config.json, g_*, do_*, g_best.pth, training_history.json and .png, logs/
    """
    cfg, job, progress = run.train, run.job, run.progress
    run.micro_batch = cfg.micro_batch or min(job.gather([largest_part(run)]))
    log = RunLog(run.folder, "logs", step=progress["steps"]) if job.first else None
    to_do = Budget(progress, cfg.training_steps, cfg.time_budget).done(progress["steps"], job.broadcast) < 1
    if to_do and not train.packed:
        read_all("reading sounds", train.whole, range(len(train)), SINGLE_PROCESS)
    if progress["steps"] == 0 and cfg.init_from:
        validate(run, val, log)  # the weights that the run starts from, for comparison
    budget = Budget(progress, cfg.training_steps, cfg.time_budget)
    with (
        Stop() as stop,
        Progress(
            total=budget.total,
            initial=budget.position(progress["steps"]),
            desc=run.folder.name,
            unit=budget.unit,
            disable=not job.first,
        ) as bar,
    ):
        for batch in loader(train, run):
            if (done := budget.done(progress["steps"], job.broadcast)) >= 1:
                break
            rate, predicted = run.set_rates(done), probability(progress["steps"])
            numbers = train_step(run, batch, predicted)
            progress["steps"] += 1
            progress["epoch"] = progress["steps"] * run.pairs // len(train)
            if job.first:
                numbers |= {
                    "learning_rate_g": rate,
                    "learning_rate_d": rate,
                    "epoch": progress["epoch"],
                    "pred_mel_probability": predicted,
                    "skipped": skipped(run),
                }
                log.scalars(progress["steps"], **{f"training/{name}": n for name, n in numbers.items()})
            bar.set_postfix(mel=f"{numbers['mel_spec_error']:.3f}", refresh=False)
            bar.update(budget.position(progress["steps"]) - bar.n)
            if progress["steps"] % cfg.validation_interval == 0:
                validate(run, val, log)
            if job.first and progress["steps"] % cfg.checkpoint_interval == 0:
                run.save()
            stop.check(job, run.save)
    validate(run, val, log)
    if job.first:
        run.save()
        log.close()
        names = (f"validation_{kind}/mel_spec_error" for kind in ("predicted", "true"))
        figure = next((name for name in names if log.rows and name in log.rows[-1]), "")
        print(closing_line(run.folder, budget.why(progress["steps"]), log.rows, figure))
        if following := next_synthesis(run, train):
            print(following)


def next_synthesis(run: VocoderRun, data: MelDataset) -> str:
    """The command that makes sounds with what was trained: of predicted mels, else of the true sounds."""
    name, best = f"generated/{run.folder.name}", run.folder / "g_best.pth"
    if mels := data.folders.get("mel_pred"):
        script = "BigVGAN/inference_diffbinaural_mels.py"
        return next_command(script, checkpoint_file=best, mels_dir=mels, output_dir=name)
    script, sounds = "BigVGAN/inference_binaural.py", data.audio_dir
    if data.packed:
        return ""
    return next_command(script, checkpoint_file=best, input_wavs_dir=sounds, output_dir=name)


def skipped(run: VocoderRun) -> int:
    """Number of updates left out because a gradient was not finite."""
    return sum(safe.skipped for safe in run.safe_step.values())


def validate(run: VocoderRun, val: MelDataset, log: RunLog | None) -> None:
    """Evaluate the generator on all clips, log it; save the best by mel L1 as g_best.pth.

    Where there are predicted mels, the mel L1 is that of their synthesis.
    """
    progress = run.progress
    if progress.get("validated") == progress["steps"]:
        return
    figures = evaluate(run.generator, val, run.job)
    error = figures.get("validation_predicted/mel_spec_error", figures["validation_true/mel_spec_error"])
    better = error < progress["best"]
    progress |= {"best": min(error, progress["best"]), "validated": progress["steps"]}
    if run.job.first:
        if better:
            save_generator(run.folder / "g_best.pth", run.generator)
        show(run.generator, val, log, progress["steps"], run.job.device)
        log(progress["steps"], **figures, **{"training/skipped": skipped(run)})
        draw_history(run.folder / "training_history.png", log.rows, "mel_spec_error", "mrstft", "pesq")


def train_vocoder(
    cfg: VocoderConfig,
    train: TrueMelConfig,
    *,
    pred_dir: str | None = None,
    probability: Callable[[int], float] = lambda step: 0.0,
) -> None:
    """Train stage 2a (no pred_dir) or 2b."""
    data = [
        MelDataset(train.sounds, listing, cfg, mel_dir=train.mel_dir, pred_dir=pred_dir, seed=train.seed)
        for listing in (train.list_train, train.list_val)
    ]
    with world(train.device) as job, locked(train.checkpoint_path, job):
        fit(VocoderRun(cfg, train, job), *data, probability)
