"""From a trained run and a clip to the clip's binaural mel."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from DiffBinaural.configs.advanced_diffusion_config import (
    ClipsConfig,
    GenerateConfig,
    SamplingConfig,
    TrainConfig,
    from_dict,
    steps_of,
)
from DiffBinaural.dataset.base import QUIET, WINDOW_HOP, WholeClips, add_windows, cut, padded, scene, stitch
from DiffBinaural.dataset.video_transforms import Eyes, WholeOnly, on_device
from DiffBinaural.diffusion_utils.diffusion_pytorch import needs_fresh
from DiffBinaural.modules.models import BinauralModel, ModelBuilder
from DiffBinaural.position_utils import mirror_positions
from DiffBinaural.utils.distributed import world
from DiffBinaural.utils.files import load_tensors, read_json
from DiffBinaural.utils.helpers import DB_PER_NEPER, generator_for, save_mel_pair, write_mel_config
from DiffBinaural.utils.lists import EARS, SIDES, Clip
from DiffBinaural.utils.locks import locked

BLOCK = 5168  # mel frames of a block at most: 60 s
PICTURES_A_CALL = 32  # that the trunk looks at together


def load_config(run: str | Path) -> TrainConfig:
    """The configuration a run was trained with."""
    path = Path(run) / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; --run is the folder that training wrote (<ckpt>/<id>)")
    return from_dict(TrainConfig, read_json(path), str(path))


def load_model(
    run: str | Path, device: torch.device, unet: str = "unet_best.pth", frame: str = "frame_best.pth"
) -> BinauralModel:
    """A trained model in eval mode; the run's config.json says how it is built.

    unet, frame  weights: names of files in the run folder, or paths
    """
    model = ModelBuilder(load_config(run), pretrained=False).build()
    fill(model, run, unet, frame)
    return ready(model, device)


def fill(
    model: BinauralModel, run: str | Path, unet: str = "unet_best.pth", frame: str = "frame_best.pth"
) -> None:
    """Load a run's averaged weights into a model built alike; names as of :func:`load_model`."""
    for part, name in ((model.unet, unet), (model.frame, frame)):
        path = Path(run) / name if Path(name).name == name else Path(name)
        try:
            part.load_state_dict(load_tensors(path))
        except RuntimeError as error:
            why = str(error).splitlines()[1].strip()
            raise ValueError(f"{path}: does not fit {run}/config.json ({why})") from None


def ready(model: BinauralModel, device: torch.device) -> BinauralModel:
    """The model as inference is fastest: channels-last memory, and the UNet's layers as it folds them."""
    model.unet.fold(cpu=device.type == "cpu")
    return model.to(device, memory_format=torch.channels_last).eval()


@torch.inference_mode()
def look(model: BinauralModel, pictures: dict[str, Tensor], *, mirror: bool = False) -> Tensor:
    """The trunk's maps (P, S, C, h, w) of pictures, or of their mirror images, on the model's device.

    pictures  objects (P, S, 3, H, W) uint8 and mask (P, S), or maps that are known already
    """
    device = next(model.parameters()).device
    if "maps" in pictures:
        assert not mirror, "maps of a mirror image are not kept here"
        return on_device(pictures, device)["maps"]
    maps = []
    for few in zip(*(pictures[name].split(PICTURES_A_CALL) for name in ("objects", "mask")), strict=True):
        seen = on_device(dict(zip(("objects", "mask"), few, strict=True)), device)
        maps.append(model.frame.look(seen["objects"].flip(-1) if mirror else seen["objects"], seen["mask"]))
    return torch.cat(maps)


def encoded(model: BinauralModel, eyes: Eyes) -> dict[str, Tensor]:
    """All that a frozen trunk can say about a recording: the content of an EncodedEyes."""
    parts = []
    for first in range(0, eyes.count, PICTURES_A_CALL):
        pictures = eyes.stack(range(first, min(first + PICTURES_A_CALL, eyes.count)))
        both = torch.stack([look(model, pictures, mirror=mirror) for mirror in (False, True)], dim=2)
        parts.append(
            {"maps": both.cpu()[~pictures["mask"]].half(), "box": pictures["box"], "mask": pictures["mask"]}
        )
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def windows(clip: dict, maps: Tensor, group: Tensor, size: int) -> dict[str, Tensor]:
    """Some windows of a whole clip as a batch on the device of its pictures' maps (P, S, C, h, w)."""
    shown = clip["which"][group]
    starts = [clip["starts"][w] for w in group]
    mels = {
        name: cut(padded(clip[name], size, QUIET[name]), starts, size).to(maps.device)
        for name in QUIET
        if name in clip
    }
    eyes = {name: clip[name][shown].to(maps.device) for name in ("box", "mask")}
    return {**mels, **eyes, "maps": maps[shown.to(maps.device)]}


class Noise:
    """The noise of a clip, in tiles: any frames of it can be drawn alone, and no more is ever held.

    A clip's name and seed give the same noise in any company and however the clip is cut into blocks.

    rows    numbers of the channels that are kept, of those of both ears
    bands   of the mel;  frames: of the clip, or any number from BLOCK on
    """

    def __init__(self, seed: int, stem: str, rows: list[int], bands: int, frames: int):
        self.seed, self.stem, self.rows, self.bands = seed, stem, rows, bands
        self.first = min(frames, BLOCK)  # frames of the first tile; all others have BLOCK

    def __call__(self, step: int, start: int, stop: int) -> Tensor:
        """Frames [start, stop) of what denoising step `step` draws (0: what it starts from): (rows, M, n)."""
        drawn = [torch.empty(len(self.rows), self.bands, 0)]
        for tile in range(start // BLOCK, -(-stop // BLOCK)):
            random = generator_for(self.seed, f"{self.stem} {step} {tile}" if step or tile else self.stem)
            shape = (max(len(self.rows), 2), self.bands, BLOCK if tile else self.first)
            noise = torch.randn(shape, generator=random)
            drawn.append(noise[self.rows, :, max(start - tile * BLOCK, 0) : max(stop - tile * BLOCK, 0)])
        return torch.cat(drawn, dim=-1)


class Windows:
    """The windows of a clip that are being denoised, by number; the first are let go, the next are added."""

    def __init__(self):
        self.starts: list[int] = []
        self.until = 0  # where the next window begins, or where the clip ends
        self.mono, self.context = {}, {}

    def add(self, part: dict, context: Tensor) -> None:
        """Add a part's windows, with their context (W, ways, K, D)."""
        for start, mono, tokens in zip(part["starts"], part["mono"], context, strict=True):
            self.mono[len(self.starts)], self.context[len(self.starts)] = mono, tokens
            self.starts.append(start)
        self.until = part["until"]

    def forget(self, number: int) -> None:
        """Let go of all before a window."""
        for w in [w for w in self.mono if w < number]:
            del self.mono[w], self.context[w]


class Step:
    """One denoising step of a stream: frames go in, those that no later window reaches come out denoised.

    Each step runs a window behind the one before it.  What a window gives is kept until its neighbour has
    come, so a border between blocks is a seam like any other, and nothing is computed twice.
    """

    def __init__(self, size: int):
        self.size, self.done, self.begin = size, 0, 0  # windows that are through; the first frame held
        self.x = self.before = self.total = self.weight = None

    def take(self, x: Tensor, before: Tensor, windows: Windows, denoise: Callable, advance: Callable):
        """Take frames on, run every window that is now complete, and give out what is settled.

        x, before  (rows, M, n): the next frames, and the step before's x₀ of them
        denoise    ((W, rows, M, size), numbers of the windows) -> x₀
        advance    (x, x₀, before, first frame) -> x of the step after
        ->         that x, and its x₀
        """
        blank = x.new_zeros(x.shape)
        if self.x is None:
            self.x, self.before, self.total, self.weight = x, before, blank, x.new_zeros(x.shape[-1])
        else:
            self.x, self.before, self.total = (
                torch.cat(pair, dim=-1) for pair in ((self.x, x), (self.before, before), (self.total, blank))
            )
            self.weight = torch.cat([self.weight, x.new_zeros(x.shape[-1])])
        end, starts, first = self.begin + self.x.shape[-1], windows.starts, self.done
        while self.done < len(starts) and starts[self.done] + self.size <= end:
            self.done += 1
        local = [start - self.begin for start in starts[first : self.done]]
        if local:
            made = denoise(cut(self.x, local, self.size), range(first, self.done))
            add_windows(self.total, self.weight, made, local)
        settled = min(starts[self.done] if self.done < len(starts) else windows.until, end) - self.begin
        ready = [held[..., :settled] for held in (self.x, self.before, self.total, self.weight)]
        self.x, self.before, self.total, self.weight = (
            held[..., settled:].clone() for held in (self.x, self.before, self.total, self.weight)
        )
        x0 = (ready[2] / ready[3]).clamp(-1, 1)
        self.begin += settled
        return advance(ready[0], x0, ready[1], self.begin - settled), x0


def symmetric(here: Callable, there: Callable, exchange: Callable) -> Callable:
    """The mean of a scene's denoiser and its mirror image's, whose ears are exchanged on both ways."""
    return lambda x, t: (here(x, t) + exchange(there(exchange(x), t))) / 2


@torch.inference_mode()
def stream(
    model: BinauralModel,
    parts: Iterable[dict],
    cfg: SamplingConfig,
    stem: str,
    tick: Callable[[int], object] = int,
) -> Iterator[Tensor]:
    """Sample a clip part by part: the same mel as from all its windows at once, in memory that does not grow.

    parts  the clip's windows in order: starts, until (where the next part begins, or the clip ends), frames
           (of the clip, or any number from BLOCK on), mono (W, 1, M, size); objects or maps, box, mask, which
    tick   told how many windows have made a step
    ->     frames of :func:`generate`'s (rows, M, n), on the CPU, in order
    """
    device, size, rows = next(model.parameters()).device, model.cfg.view.window, list(model.rows)
    order = model.diffusion.sample_steps(steps_of(cfg, model.cfg.diffusion.objective))
    live, known, noise = Windows(), 0, None
    steps, fresh = [Step(size) for _ in order], needs_fresh(cfg.sampler, cfg.eta)

    def denoise(x: Tensor, numbers: range, t: int) -> Tensor:
        made = []
        for group in torch.arange(len(numbers)).split(cfg.batch_windows):
            mono, context = (
                torch.stack([held[numbers[w]] for w in group]) for held in (live.mono, live.context)
            )
            ways = [model.denoiser(mono.to(device), way, cfg.guidance_scale) for way in context.unbind(1)]
            made.append((symmetric(*ways, model.exchange) if cfg.symmetric else ways[0])(x[group], t))
            tick(len(group))
        return torch.cat(made)

    def advance(number: int, x: Tensor, x0: Tensor, before: Tensor, first: int) -> Tensor:
        (t, following), last = order[number], model.diffusion.abar[order[number - 1][0]]
        drawn = noise(number + 1, first, first + x.shape[-1]).to(device) if fresh else 0.0
        return model.diffusion.step(
            x,
            x0,
            t,
            following,
            sampler=cfg.sampler,
            eta=cfg.eta,
            fresh=drawn,
            before=(before, last) if number else None,
        )[0]

    for part in parts:
        live.add(part, contexts(model, part, cfg))
        noise = noise or Noise(cfg.seed, stem, rows, part["mono"].shape[-2], part["frames"])
        first, known = known, part["starts"][-1] + size
        x = before = noise(0, first, known).to(device)
        for number, (step, (t, _)) in enumerate(zip(steps, order, strict=True)):
            x, before = step.take(x, before, live, partial(denoise, t=t), partial(advance, number))
        live.forget(steps[-1].done)
        if x.shape[-1]:
            yield model.to_mel(x).cpu()


def contexts(model: BinauralModel, part: dict, cfg: SamplingConfig) -> Tensor:
    """The context tokens (W, ways, K, D) of a part's windows; each picture is looked at once a way.

    ways  1, or 2 where cfg.symmetric: the scene and its mirror image
    """
    found = []
    for mirror in (False, True) if cfg.symmetric else (False,):
        maps, box = look(model, part, mirror=mirror), mirror_positions(part["box"]) if mirror else part["box"]
        eyes = {"box": box.to(maps.device), "mask": part["mask"].to(maps.device), "maps": maps}
        groups = part["which"].to(maps.device).split(cfg.batch_windows)
        found.append(
            torch.cat(
                [model.context({name: value[which] for name, value in eyes.items()}) for which in groups]
            )
        )
    return torch.stack(found, dim=1)


def parts_of(clip: dict, cfg: TrainConfig, count: int) -> Iterator[dict]:
    """A clip, an item of a WholeClips dataset or one with its eyes closed, as parts of `count` windows."""
    starts, size, frames = clip["starts"], cfg.view.window, max(clip["mono_mel"].shape[-1], cfg.view.window)
    for first in range(0, len(starts), count):
        mine = slice(first, first + count)
        if "eyes" in clip:
            seen = scene(clip["eyes"], clip["times"][mine], cfg.mel)
        else:
            shown, which = torch.unique(clip["which"][mine], return_inverse=True)
            seen = {name: clip[name][shown] for name in ("objects", "maps", "box", "mask") if name in clip}
            seen["which"] = which
        until = starts[first + count] if first + count < len(starts) else frames
        yield {
            "starts": starts[mine],
            "until": until,
            "frames": frames,
            **seen,
            "mono": cut(padded(clip["mono_mel"], size), starts[mine], size),
        }


def generate(
    model: BinauralModel, clip: dict, cfg: SamplingConfig, count: int = BLOCK // WINDOW_HOP
) -> Tensor:
    """Sample a whole clip: windows share one noise and are merged at every denoising step.

    The noise is the clip's own: its name and cfg.seed give the same sound in any company.

    clip   item of a WholeClips dataset, or its `unseen`
    count  windows of a block, by default 60 s; changes memory, not the result
    ->     (rows, M, T) on the CPU: each ear's log mel in nepers, then the phasor where the model makes it
    """
    mel = torch.cat(list(stream(model, parts_of(clip, model.cfg, count), cfg, clip["stem"])), dim=-1)
    return mel[..., : clip["mono_mel"].shape[-1]]


def generate_apart(model: BinauralModel, clip: dict, cfg: SamplingConfig) -> Tensor:
    """As :func:`generate`, but each window by itself, with a noise of its own, and merged at the end only."""
    size, total = model.cfg.view.window, clip["mono_mel"].shape[-1]
    alone = [
        {
            **clip,
            "stem": f"{clip['stem']} {start}",
            "starts": [0],
            "times": clip["times"][w : w + 1],
            "mono_mel": clip["mono_mel"][..., start : start + size],
        }
        for w, start in enumerate(clip["starts"])
    ]
    return stitch(torch.stack([generate(model, window, cfg) for window in alone]), clip["starts"], total)


def generate_pair(
    models: list[BinauralModel], clip: dict, cfg: SamplingConfig, how: Callable = generate
) -> Tensor:
    """A clip from one model of both ears, or from one of each: (2 or, with a phasor, 4, M, T)."""
    return torch.cat([how(model, clip, cfg) for model in models])


def load_models(runs: tuple[str, ...], device: torch.device, *weights: str) -> list[BinauralModel]:
    """The model of a run, or the two of one-ear runs, left first.  ValueError unless they make a pair.

    weights  as of :func:`load_model`
    """
    models = sorted((load_model(run, device, *weights) for run in runs), key=lambda model: model.ears)
    if [ear for model in models for ear in model.ears] != list(EARS["both"]):
        made = ", ".join(f"{run} makes {load_config(run).ears}" for run in runs)
        raise ValueError(f"--run: {made}; expected one run of both ears, or a left-ear and a right-ear run")
    if any((model.cfg.mel, model.cfg.view) != (models[0].cfg.mel, models[0].cfg.view) for model in models):
        raise ValueError(f"--run: {' and '.join(runs)} differ in mel or view; train both with one preset")
    return models


def clips_of(dataset_class: type[WholeClips], cfg: ClipsConfig, trained: TrainConfig) -> WholeClips:
    """The clips of --list_test, in the split of the run where --split does not say otherwise."""
    return dataset_class(
        cfg.data_root,
        cfg.list_test,
        trained.mel,
        trained.view,
        truth=False,
        fold=cfg.fold,
        split=trained.split if cfg.split is None else cfg.split,
    )


def generate_all(dataset_class: type[WholeClips], cfg: GenerateConfig):
    """Generate every clip of a list and write its mels; yields (clip item, generate_pair's) as it goes.

    Under torchrun the processes share the clips out.
    """
    with world(cfg.device) as job:
        models = load_models(cfg.run, job.device, cfg.weights_unet, cfg.weights_frame)
        data = clips_of(dataset_class, cfg, models[0].cfg)
        with locked(cfg.output_dir, job):
            write_mel_config(cfg.output_dir, data.mel)
            numbers = job.share(range(len(data))[: cfg.limit])
            for i in tqdm(numbers, desc=f"generating {cfg.list_test}", unit="clip", disable=not job.first):
                clip = data.unseen(i)
                if cfg.shuffle_vision:
                    clip = with_vision_of(clip, data.unseen(next_video(data.clips, i)))
                if not cfg.detections:
                    clip["eyes"] = WholeOnly(clip["eyes"])
                mel = generate_pair(models, clip, cfg, generate if cfg.joint else generate_apart)
                save_mel_pair(cfg.output_dir, clip["stem"], mel.numpy())
                yield clip, mel


def next_video(clips: list[Clip], i: int) -> int:
    """Number of the next clip after clip i, going round, that is of another recording."""
    order = [*range(i + 1, len(clips)), *range(i)]
    other = next((k for k in order if clips[k].video_id != clips[i].video_id), None)
    if other is None:
        raise ValueError("--shuffle_vision needs a list with at least two recordings")
    return other


def with_vision_of(clip: dict, other: dict) -> dict:
    """A clip's sound with another clip's pictures, repeated where the other is shorter; eyes closed."""
    times = [other["times"][w % len(other["times"])] for w in range(len(clip["starts"]))]
    return {**clip, "eyes": other["eyes"], "times": times}


def comparison(clip: dict, mel: Tensor, ears=EARS["both"]) -> list[tuple[str, np.ndarray]]:
    """Rows of a picture: mono, these ears predicted and, where known, true, and the difference in dB."""
    rows = [("mono", clip["mono_mel"][0])]
    for ear, made in zip(ears, mel[: len(ears)], strict=True):
        rows.append((f"{SIDES[ear]}, predicted", made))
        if "binaural_mel" in clip:
            truth = clip["binaural_mel"][ear]
            rows += [
                (f"{SIDES[ear]}, true", truth),
                (f"{SIDES[ear]}, predicted - true, dB", (made - truth) * DB_PER_NEPER),
            ]
    return [(title, values.numpy()) for title, values in rows]
