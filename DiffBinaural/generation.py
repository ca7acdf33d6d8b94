"""From a trained run and a clip to the clip's binaural mel."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from DiffBinaural.configs.advanced_diffusion_config import (
    ClipsConfig,
    GenerateConfig,
    MelConfig,
    SamplingConfig,
    TrainConfig,
    from_dict,
)
from DiffBinaural.dataset.base import BinauralDataset, cut, padded, stitch, whole_clip
from DiffBinaural.dataset.video_transforms import Eyes, on_device, whole_only
from DiffBinaural.modules.models import BinauralModel, ModelBuilder
from DiffBinaural.utils.distributed import world
from DiffBinaural.utils.files import load_tensors, read_json
from DiffBinaural.utils.helpers import (
    DB_PER_NEPER,
    generator_for,
    is_sound_file,
    mel_spectrogram,
    pad_to_hop,
    read_wav,
    resample,
    save_mel_pair,
    write_mel_config,
)
from DiffBinaural.utils.lists import EARS, SIDES, Clip, Detection, read_detections
from DiffBinaural.utils.media import frame_rate, pictures, read_sound
from DiffBinaural.utils.plots import draw_mels

EYE_WIDTH = 480                                        # pixels: a wider video is shrunk, not below this
PICTURE_RATE = 10                                      # pictures a second that are taken from a video
PICTURES_A_CALL = 32                                   # that the trunk looks at together


def load_config(run: str | Path) -> TrainConfig:
    """The configuration a run was trained with."""
    path = Path(run) / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; --run is the folder that training wrote (<ckpt>/<id>)")
    return from_dict(TrainConfig, read_json(path), str(path))


def load_model(run: str | Path, device: torch.device, unet: str = "unet_best.pth",
               frame: str = "frame_best.pth") -> BinauralModel:
    """A trained model in eval mode; the run's config.json says how it is built.

    unet, frame  weights: names of files in the run folder, or paths
    """
    model = ModelBuilder(load_config(run), pretrained=False).build()
    for part, name in ((model.unet, unet), (model.frame, frame)):
        path = Path(run) / name if Path(name).name == name else Path(name)
        try:
            part.load_state_dict(load_tensors(path))
        except RuntimeError as error:
            why = str(error).splitlines()[1].strip()
            raise ValueError(f"{path}: does not fit {run}/config.json ({why})") from None
    return model.to(device).eval()


@torch.inference_mode()
def look(model: BinauralModel, pictures: dict[str, Tensor], *, mirror: bool = False) -> Tensor:
    """The trunk's maps (P, S, C, h, w) of pictures, or of their mirror images, on the model's device.

    pictures  objects (P, S, 3, H, W) uint8 and mask (P, S), or maps that are known already
    """
    device = next(model.parameters()).device
    if "maps" in pictures:
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
        parts.append({"maps": both.cpu()[~pictures["mask"]].half(),
                      "box": pictures["box"], "mask": pictures["mask"]})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def windows(clip: dict, maps: Tensor, group: Tensor, size: int) -> dict[str, Tensor]:
    """Some windows of a whole clip as a batch on the device of its pictures' maps (P, S, C, h, w)."""
    shown = clip["which"][group]
    mels = {name: cut(padded(clip[name], size), [clip["starts"][w] for w in group], size).to(maps.device)
            for name in ("mono_mel", "binaural_mel") if name in clip}
    eyes = {name: clip[name][shown].to(maps.device) for name in ("box", "mask")}
    return {**mels, **eyes, "maps": maps[shown.to(maps.device)]}


@torch.inference_mode()
def generate(model: BinauralModel, clip: dict, cfg: SamplingConfig) -> Tensor:
    """Sample a whole clip at once: windows share one noise and are merged at every denoising step.

    The noise is the clip's own: its name and cfg.seed give the same sound in any company.

    clip  item of a WholeClips dataset
    ->    (ears, M, T) log mel in nepers, on the CPU
    """
    size, starts, frames = model.cfg.view.window, clip["starts"], clip["mono_mel"].shape[-1]
    maps, random = look(model, clip), generator_for(cfg.seed, clip["stem"])
    shape = (2, clip["mono_mel"].shape[-2], max(frames, size))
    groups = torch.arange(len(starts)).split(cfg.batch_windows)
    batches = (windows(clip, maps, group, size) for group in groups)
    denoisers = [model.denoiser(batch["mono_mel"], model.context(batch), cfg.guidance_scale)
                 for batch in batches]

    def noise() -> Tensor:
        return torch.randn(shape, generator=random)[list(model.ears)].to(maps.device)

    def denoise(x: Tensor, t: int) -> Tensor:
        parts = cut(x, starts, size)
        merged = [denoiser(parts[group], t) for denoiser, group in zip(denoisers, groups, strict=True)]
        return stitch(torch.cat(merged), starts, x.shape[-1])
    unit = model.diffusion.sample(denoise, noise(), cfg.sampling_timesteps, sampler=cfg.sampler, eta=cfg.eta,
                                  fresh=noise)
    return model.to_mel(unit)[..., :frames].cpu()


def generate_pair(models: list[BinauralModel], clip: dict, cfg: SamplingConfig) -> Tensor:
    """:func:`generate` with one model of both ears, or with one of each: (2, M, T)."""
    return torch.cat([generate(model, clip, cfg) for model in models])


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


def clips_of(dataset_class: type[BinauralDataset], cfg: ClipsConfig, trained: TrainConfig) -> BinauralDataset:
    """The clips of --list_test, in the split of the run where --split does not say otherwise."""
    return dataset_class(cfg.data_root, cfg.list_test, trained.mel, trained.view, truth=False,
                         fold=cfg.fold, split=trained.split if cfg.split is None else cfg.split)


def generate_all(dataset_class: type[BinauralDataset], cfg: GenerateConfig):
    """Generate every clip of a list and write its mel pair; yields (clip item, (2, M, T) mel) as it goes.

    Under torchrun the processes share the clips out.
    """
    with world(cfg.device) as job:
        models = load_models(cfg.run, job.device, cfg.weights_unet, cfg.weights_frame)
        data = clips_of(dataset_class, cfg, models[0].cfg)
        write_mel_config(cfg.output_dir, data.mel)
        numbers = job.share(range(len(data))[: cfg.limit])
        for i in tqdm(numbers, desc=f"generating {cfg.list_test}", unit="clip", disable=not job.first):
            clip = data[i]
            if cfg.shuffle_vision:
                clip = with_vision_of(clip, data[next_video(data.clips, i)])
            if not cfg.detections:
                clip["mask"] = whole_only(clip["mask"])
            mel = generate_pair(models, clip, cfg)
            save_mel_pair(cfg.output_dir, clip["stem"], mel.numpy())
            yield clip, mel


def mono_sound(path: str | Path, rate: int) -> np.ndarray:
    """The sound of a sound or video file, its channels averaged: (1, N) float32 at `rate` Hz."""
    wav, own = read_wav(path) if is_sound_file(path) else read_sound(path)
    return resample(wav.mean(axis=0, keepdims=True), own, rate)


def video_clip(video: str | Path, mono: np.ndarray, cfg: TrainConfig,
               detections: str | None) -> tuple[dict, str]:
    """A video and its mono sound as a clip to generate.

    mono        (1, N) at the mel's sample rate
    detections  CSV of the video's detected sources; its column `frame` counts the video's own pictures
    ->          an item like those of WholeClips, and a line to tell the user where the lengths differ
    """
    images, factor = [], 1
    for picture in tqdm(pictures(video, PICTURE_RATE), desc="reading the video", unit="picture"):
        factor = max(picture.shape[1] // EYE_WIDTH, 1)
        images.append(Image.fromarray(picture).reduce(factor))
    found = detections_of(detections, Path(video).stem, frame_rate(video)) if detections else []
    found = [replace(d, box=tuple(edge / factor for edge in d.box)) for d in found]
    eyes = Eyes(images, PICTURE_RATE, found, cfg.view)
    mel = mel_spectrogram(pad_to_hop(torch.from_numpy(mono), cfg.mel.hop), cfg.mel)
    clip = whole_clip(Path(video).stem, {"mono_mel": mel}, eyes, 0.0, cfg.mel)
    return clip, length_notice(mono.shape[1] / cfg.mel.sample_rate, len(images) / PICTURE_RATE)


def length_notice(sound: float, picture: float) -> str:
    """What is done when sound and picture differ in length (seconds); empty when they agree to a picture."""
    if abs(sound - picture) <= 1 / PICTURE_RATE:
        return ""
    what = f"the last picture is held for {sound - picture:.2f} s" if sound > picture else \
        f"the last {picture - sound:.2f} s of the video are not heard"
    return f"the sound lasts {sound:.2f} s, the video {picture:.2f} s: {what}"


def detections_of(path: str | Path, video_id: str, fps: float) -> list[Detection]:
    """A video's rows of a detection file; a file about a single video may call it what it likes."""
    found = read_detections(path, fps)
    if video_id not in found and len(found) != 1:
        raise ValueError(f"{path}: no rows for {video_id}; it has {', '.join(sorted(found)[:5]) or 'none'}")
    return found.get(video_id) or next(iter(found.values()))


def draw_generated(path: str | Path, clip: dict, mel: Tensor, cfg: MelConfig) -> None:
    """Draw a clip's mono and generated mels, and how much louder the right ear is."""
    level = (mel[1] - mel[0]) * DB_PER_NEPER
    rows = [("mono", clip["mono_mel"][0]), ("left", mel[0]), ("right", mel[1]), ("right - left, dB", level)]
    draw_mels(path, [(title, values.numpy()) for title, values in rows], cfg)


def next_video(clips: list[Clip], i: int) -> int:
    """Number of the next clip after clip i, going round, that is of another recording."""
    order = [*range(i + 1, len(clips)), *range(i)]
    other = next((k for k in order if clips[k].video_id != clips[i].video_id), None)
    if other is None:
        raise ValueError("--shuffle_vision needs a list with at least two recordings")
    return other


def with_vision_of(clip: dict, other: dict) -> dict:
    """A clip's sound with another clip's pictures, repeated where the other is shorter."""
    repeated = torch.arange(len(clip["starts"])) % len(other["starts"])
    return {**clip, **{name: other[name] for name in ("objects", "box", "mask")},
            "which": other["which"][repeated]}


def comparison(clip: dict, mel: Tensor, ears=EARS["both"]) -> list[tuple[str, np.ndarray]]:
    """Rows of a picture: mono, these ears predicted and, where known, true, and the difference in dB."""
    rows = [("mono", clip["mono_mel"][0])]
    for ear, made in zip(ears, mel, strict=True):
        rows.append((f"{SIDES[ear]}, predicted", made))
        if "binaural_mel" in clip:
            truth = clip["binaural_mel"][ear]
            rows += [(f"{SIDES[ear]}, true", truth),
                     (f"{SIDES[ear]}, predicted - true, dB", (made - truth) * DB_PER_NEPER)]
    return [(title, values.numpy()) for title, values in rows]
