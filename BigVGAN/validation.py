"""Validation of stage 2 during training."""

from importlib.util import find_spec

import torch
from torch import Tensor

from BigVGAN.bigvgan import BigVGAN
from BigVGAN.meldataset import MelDataset
from DiffBinaural.evaluation.metric import measure
from DiffBinaural.evaluation.metrics import WAV_METRICS
from DiffBinaural.utils.distributed import World
from DiffBinaural.utils.lists import SIDES
from DiffBinaural.utils.mel import mel_spectrogram
from DiffBinaural.utils.plots import mel_picture
from DiffBinaural.utils.progress import Progress
from DiffBinaural.utils.run_log import RunLog

MODES = {"mel": "true", "mel_pred": "predicted"}  # kinds of mels, by their name in a clip
METRICS = {"mrstft": WAV_METRICS["mrstft"]}
if find_spec("pesq"):  # it has to be compiled, which not every machine can
    METRICS["pesq"] = WAV_METRICS["pesq_wb"]
SHOWN = 3  # clips in TensorBoard


def synthesised(generator: BigVGAN, clip: dict, kind: str, device: torch.device) -> Tensor:
    """A clip's sound (2, N) from its `kind` of mel."""
    return generator.vocode(clip[kind].to(device))[:, 0].cpu()


def evaluate(generator: BigVGAN, val: MelDataset, job: World) -> dict[str, float]:
    """Means over the clips, which are divided among the job's processes, by kind of input mel.

    -> validation_<mode>/mel_spec_error: mel L1 in nepers between sound and synthesis; …/mrstft; and
       …/pesq over the clips for which it is defined, left out where there are none or it is not installed
    """
    numbers = job.shard(range(len(val)))
    mine = [
        clip_figures(generator, val.whole(i), job.device)
        for i in Progress(numbers, desc="validating", unit="clip", leave=False, disable=not job.first)
    ]
    values: dict[str, list[float]] = {}
    for figures in job.gather(mine):
        for name, value in figures.items():
            values.setdefault(name, []).append(value)
    return {name: sum(found) / len(found) for name, found in values.items()}


@torch.inference_mode()
def clip_figures(generator: BigVGAN, clip: dict, device: torch.device) -> dict[str, float]:
    """:func:`evaluate` for one clip."""
    cfg, figures = generator.cfg, {}
    truth = mel_spectrogram(clip["wav"], cfg.mel)
    for kind, mode in MODES.items():
        if kind in clip:
            wav = synthesised(generator, clip, kind, device)
            error = (mel_spectrogram(wav, cfg.mel) - truth).abs().mean()
            found = {
                "mel_spec_error": float(error),
                **measure(METRICS, wav.numpy(), clip["wav"].numpy(), cfg.sampling_rate),
            }
            figures |= {f"validation_{mode}/{name}": v for name, v in found.items() if v is not None}
    return figures


@torch.inference_mode()
def show(generator: BigVGAN, val: MelDataset, log: RunLog, step: int, device: torch.device) -> None:
    """Write the first clips to TensorBoard, both ears of each; the truth only once."""
    cfg = generator.cfg

    def present(names: tuple[str, str], number: int, wav: Tensor) -> None:
        sound, picture = names
        mels = mel_spectrogram(wav, cfg.mel).numpy()
        log.sound(step, f"{sound}_{number}", wav.numpy(), cfg.sampling_rate)
        log.picture(step, f"{picture}_{number}", mel_picture(list(zip(SIDES, mels, strict=True)), cfg.mel))

    for number in range(min(len(val), SHOWN)):
        clip = val.whole(number)
        for kind, mode in MODES.items():
            if kind in clip:
                if not log.rows:  # the truth does not change
                    present((f"gt_{mode}/y", f"gt_{mode}/y_spec"), number, clip["wav"])
                present(
                    (f"generated_{mode}/y_hat", f"generated_{mode}/y_hat_spec"),
                    number,
                    synthesised(generator, clip, kind, device),
                )
