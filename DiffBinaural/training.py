"""The training loop of stage 1."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from DiffBinaural.checking.summary import starting_lines
from DiffBinaural.configs.advanced_diffusion_config import TrainConfig
from DiffBinaural.dataset.base import BinauralDataset, WholeClips
from DiffBinaural.dataset.video_transforms import on_device
from DiffBinaural.diffusion_utils.training_noise import WithNoise
from DiffBinaural.modules.audioVisual_model import kept_slots
from DiffBinaural.modules.models import BinauralModel, ModelBuilder
from DiffBinaural.runs.loading import loader, precompute, step_batches
from DiffBinaural.runs.state import Run, check_start
from DiffBinaural.utils.closing import closing_line, next_command
from DiffBinaural.utils.distributed import World, world
from DiffBinaural.utils.files import discard
from DiffBinaural.utils.interruption import Stop
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.progress import Progress
from DiffBinaural.utils.run_log import RunLog
from DiffBinaural.utils.tables import say_once
from DiffBinaural.validation import draw, evaluate

READ_EVERY = 20  # steps of a GPU between two times that the host waits for it, to read what came of them


def train(
    windows: Callable, whole: type[WholeClips], cfg: TrainConfig, then: str = "test_realBinaural.py"
) -> None:
    """Train or resume the run that a command line describes; print how it ended, and the next command.

    windows, whole  datasets of one layout: random windows to train on, whole clips to validate on
    then            script that generates with what was trained
    """
    check_start(cfg)
    torch.manual_seed(cfg.seed)
    data = windows(
        cfg.data_root,
        cfg.list_train,
        cfg.mel,
        cfg.view,
        split=cfg.split,
        fold=cfg.fold,
        seed=cfg.seed,
        mirror=cfg.mirror,
        windows_per_clip=cfg.windows_per_clip,
        hide_detections=cfg.hide_detections,
        hide_sounding=cfg.hide_sounding,
        phasor=cfg.model.interaural_phase,
        spectra=cfg.model.direct_path,
        direct_path=cfg.model.direct_path,
    )
    val = whole(
        cfg.data_root, cfg.list_val, cfg.mel, cfg.view, split=cfg.split, phasor=cfg.model.interaural_phase
    )
    for line in starting_lines({"--list_train": data, "--list_val": val}):
        say_once(line)
    if ended := fit(ModelBuilder(cfg).build(), data, val, cfg):
        places = {
            "run": Path(cfg.ckpt, cfg.id),
            "data_root": cfg.data_root,
            "output_dir": f"generated/{cfg.id}",
        }
        print(ended, next_command(f"DiffBinaural/{then}", **places), sep="\n")


def fit(model: BinauralModel, train: BinauralDataset, val: WholeClips, cfg: TrainConfig) -> str:
    """Train until the epochs or the time budget are used up; the same call again resumes a stopped run.

    Writes to <ckpt>/<id>: config.json, weights (latest, best), state_latest.pth, training_history.json, runs/
    -> the last line about it; "" in all processes but the first
    """
    model.amp = cfg.amp
    with world(cfg.device) as job, locked(Path(cfg.ckpt) / cfg.id, job):
        run = Run(model, cfg, job, len(train))
        cache = run.folder / "cache"
        if job.first and not run.resumed:  # of an abandoned start, perhaps with other data
            discard(cache)
        job.wait()
        log = RunLog(run.folder, "runs", step=run.progress["step"]) if job.first else None
        if run.budget().done(run.progress["step"], job.broadcast) < 1:
            for data in (train, val):
                precompute(data, run.model, cache, job)
            job.wait()
            _steps(run, train, val, log)
        validate(run, val, log)
        if not job.first:
            return ""
        log.close()
        discard(cache)
        figure, why = deciding_figure(run.ema.shadow), run.budget().why(run.progress["step"])
        return closing_line(run.folder, why, log.rows, f"val/{figure}", f"val/mono_copy_{figure}")


def _steps(run: Run, train: BinauralDataset, val: WholeClips, log: RunLog | None) -> None:
    cfg, job, progress, budget = run.cfg, run.job, run.progress, run.budget()
    model, data = run.model.train(), noisy(train, run.model)
    if cfg.compile:
        model.unet.compile()
    net, batches = data_parallel(model, job), iter(loader(data, cfg, job, progress["samples"]))
    steps, done = Steps(run, log), budget.done(progress["step"], job.broadcast)
    with (
        Stop() as stop,
        Progress(
            total=budget.total,
            initial=budget.position(progress["step"]),
            desc=cfg.id,
            unit=budget.unit,
            disable=not job.first,
        ) as bar,
    ):
        while done < 1:
            run.set_rates(max(done, progress["step"] / run.total))
            # the gradient, averaged over batches and processes
            loss = sum(
                backward(net, batch, run, last=last) for batch, last in step_batches(batches, cfg.accumulate)
            )
            steps.take(loss)
            validating = progress["step"] % (cfg.eval_epoch * run.epoch_steps) == 0
            saving = progress["step"] % cfg.save_steps == 0
            if validating or saving or steps.due():
                steps.read()
                bar.set_postfix(loss=f"{run.loss_so_far():.4f}", refresh=False)
            bar.update(budget.position(progress["step"]) - bar.n)
            if steps.unread:
                continue
            # what needs the numbers, or the other processes
            if validating:
                validate(run, val, log)
            elif job.first and saving:
                run.save()
            stop.check(job, run.save)
            done = budget.done(progress["step"], job.broadcast)


class Steps:
    """The optimizer's steps.  A GPU runs behind the host: what came of them is read some steps later.

    There a step with a bad gradient leaves the weights alone, too, but the averages take them in once more.
    """

    def __init__(self, run: Run, log: RunLog | None):
        self.run, self.log, self.behind = run, log, run.job.device.type == "cuda"
        self.unread: list[tuple[int, Tensor, Tensor, list[float]]] = []  # step, loss, norm, learning rates

    def take(self, loss: Tensor) -> None:
        """Make a step with the gradients that there are."""
        run = self.run
        safe = run.safe_step.launch if self.behind else run.safe_step
        norm = torch.as_tensor(safe(run.optimizer))
        if self.behind or torch.isfinite(norm):
            run.ema.update()
        run.progress["step"] += 1
        run.progress["samples"] += run.step_samples
        rates = [group["lr"] for group in run.optimizer.param_groups]
        self.unread.append((run.progress["step"], loss, norm, rates))

    def due(self) -> bool:
        """Whether enough steps are unread, or no further one follows."""
        return len(self.unread) >= (READ_EVERY if self.behind else 1) or self.unread[-1][0] >= self.run.total

    def read(self) -> None:
        """Record the unread steps' losses, averaged over the processes, and gradients."""
        run, (numbers, losses, norms, rates) = self.run, zip(*self.unread, strict=True)
        values = run.job.means(dict(zip(map(str, numbers), losses, strict=True))).values()
        for step, value, norm, used in zip(numbers, values, torch.stack(norms).tolist(), rates, strict=True):
            if self.behind:
                run.safe_step.count(norm)
            run.add_loss(step, value)
            if run.job.first:
                self.log.scalars(
                    step,
                    **{
                        "train/loss": value,
                        "train/grad_norm": norm,
                        **dict(zip(("lr/unet", "lr/frame"), used, strict=True)),
                    },
                )
        self.unread = []


def noisy(data: BinauralDataset, model: BinauralModel) -> WithNoise:
    """A dataset whose samples have the noise that the model is trained to take away."""
    cfg = model.cfg
    return WithNoise(data, len(model.rows), model.diffusion, cfg.diffusion.drop_vision, cfg.seed)


def data_parallel(model: BinauralModel, job: World) -> nn.Module:
    """The model, wrapped in DistributedDataParallel where several processes train it."""
    if job.size == 1:
        return model
    return DistributedDataParallel(model, device_ids=[job.device] if job.device.type == "cuda" else None)


def backward(net: nn.Module, batch: dict, run: Run, *, last: bool) -> Tensor:
    """Add a batch's part to the step's gradient, which the last batch averages over processes.  -> loss

    batch  of a loader of :func:`noisy` data
    """
    cfg, device = run.cfg, run.job.device
    noise = {name: batch[name].to(device, non_blocking=True) for name in ("t", "noise", "hidden")}
    batch = {name: value for name, value in batch.items() if name not in noise}
    batch["kept"] = kept_slots(batch["mask"])  # here, where nothing has to be waited for
    with nullcontext() if last or run.job.size == 1 else net.no_sync():
        losses = net(on_device(batch, device), **noise)
        loss = sum(losses.values()) / cfg.accumulate
        loss.backward()
    return loss.detach()


def deciding_figure(model: BinauralModel) -> str:
    """What the best weights have least of: mel_rmse; with a phasor, stft of the rendered sound."""
    return "stft" if model.predicts_phasor else "mel_rmse"


def validate(run: Run, val: WholeClips, log: RunLog | None) -> None:
    """Evaluate the averaged weights, log it, save the run; the best weights so far are kept as *_best."""
    progress, shadow = run.progress, run.ema.shadow
    if progress.get("validated") == progress["step"]:
        return
    figures = evaluate(shadow, val, run.cfg, run.job)
    error = figures[f"val/{deciding_figure(shadow)}"]
    better = error < progress["best"]
    progress |= {"best": min(progress["best"], error), "validated": progress["step"]}
    if run.job.first:
        draw(shadow, val, run.cfg, log, progress["step"])
        if better:
            run.save_weights("best")
        log(
            progress["step"],
            **{"train/loss_epoch": run.loss_so_far(), **figures, "train/skipped": run.safe_step.skipped},
        )
        run.save()
