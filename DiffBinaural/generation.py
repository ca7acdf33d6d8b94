"""From a trained run and a clip to the clip's binaural mel."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from DiffBinaural.configs.advanced_diffusion_config import (
    GenerateConfig,
    MelConfig,
    SamplingConfig,
    TrainConfig,
    from_dict,
)
from DiffBinaural.dataset.base import BinauralDataset, Eyes, cut, padded, stitch, whole_clip, whole_only
from DiffBinaural.modules.models import BinauralModel, ModelBuilder
from DiffBinaural.utils.helpers import (
    DB_PER_NEPER,
    draw_mels,
    generator_for,
    is_sound_file,
    load_tensors,
    mel_spectrogram,
    pad_to_hop,
    pick_device,
    read_json,
    read_wav,
    resample,
    save_mel_pair,
    write_mel_config,
)
from DiffBinaural.utils.lists import SIDES, Clip, Detection, read_detections
from DiffBinaural.utils.media import frame_rate, pictures, read_sound

EYE_WIDTH = 480                                        # pixels: a wider video is shrunk, not below this
PICTURE_RATE = 10                                      # pictures a second that are taken from a video


def load_config(run: str | Path) -> TrainConfig:
    """The configuration a run was trained with."""
    path = Path(run) / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; --run is the folder that training wrote (<ckpt>/<id>)")
    return from_dict(TrainConfig, read_json(path), str(path))


def load_model(run: str | Path, device: torch.device, unet: str = "unet_best.pth",
               frame: str = "frame_best.pth") -> BinauralModel:
    """A trained model in eval mode; the run's config.json says how it is built.

    unet, frame  weights: files in the run folder, or paths
    """
    model = ModelBuilder(load_config(run), pretrained=False).build()
    for part, name in ((model.unet, unet), (model.frame, frame)):
        path = next((p for p in (Path(run) / name, Path(name)) if p.exists()), Path(run) / name)
        try:
            part.load_state_dict(load_tensors(path))
        except RuntimeError as error:
            why = str(error).splitlines()[1].strip()
            raise ValueError(f"{path}: does not fit {run}/config.json ({why})") from None
    return model.to(device).eval()


@torch.inference_mode()
def generate(model: BinauralModel, clip: dict, noise: Tensor, *, steps: int = 25, guidance_scale: float = 1.0,
             batch_windows: int = 16, sampler: str = "ddim") -> Tensor:
    """Sample a whole clip at once: windows share one noise and are merged at every denoising step.

    clip   item of a WholeClips dataset: mono_mel (1, M, T), starts, objects, box, mask
    noise  (2, M, T), the clip's starting noise; T as the mel's, or the window's where that is longer
    ->     (2, M, T) nepers on the CPU
    """
    device, size = next(model.parameters()).device, model.cfg.view.window
    starts, frames = clip["starts"], clip["mono_mel"].shape[-1]
    mono = cut(padded(clip["mono_mel"], size), starts, size).to(device)                     # (W, 1, M, size)
    groups = torch.arange(len(starts)).split(batch_windows)
    denoisers = []
    for group in groups:
        seen = {name: clip[name][group].to(device) for name in ("objects", "box", "mask")}
        denoisers.append(model.denoiser(mono[group], model.context(seen), guidance_scale))

    def denoise(x: Tensor, t: int) -> Tensor:
        windows = cut(x, starts, size)
        merged = [denoiser(windows[group], t) for denoiser, group in zip(denoisers, groups, strict=True)]
        return stitch(torch.cat(merged), starts, x.shape[-1])
    unit = model.diffusion.sample(denoise, noise.to(device), steps, sampler=sampler)
    return model.to_mel(unit)[..., :frames].cpu()


def starting_noise(name: str, mono_mel: Tensor, window: int, seed: int, ears: int = 2) -> Tensor:
    """Noise (ears, M, T) of a clip's own: the same clip and seed give the same sound in any company."""
    shape = (ears, mono_mel.shape[-2], max(mono_mel.shape[-1], window))
    return torch.randn(shape, generator=generator_for(seed, name))


def sample_clip(model: BinauralModel, clip: dict, cfg: SamplingConfig) -> Tensor:
    """A clip's (2, M, T) log mel."""
    noise = starting_noise(clip["stem"], clip["mono_mel"], model.cfg.view.window, cfg.seed)
    return generate(model, clip, noise, steps=cfg.sampling_timesteps, guidance_scale=cfg.guidance_scale,
                    batch_windows=cfg.batch_windows, sampler=cfg.sampler)


def generate_all(dataset_class: type[BinauralDataset], cfg: GenerateConfig):
    """Generate every clip of a list and write its mel pair; yields (clip item, (2, M, T) mel) as it goes."""
    model = load_model(cfg.run, pick_device(cfg.device), cfg.weights_unet, cfg.weights_frame)
    data = dataset_class(cfg.data_root, cfg.list_test, model.cfg.mel, model.cfg.view, truth=False)
    write_mel_config(cfg.output_dir, model.cfg.mel)
    for i in tqdm(range(len(data))[: cfg.limit], desc=f"generating {cfg.list_test}", unit="clip"):
        clip = data[i]
        if cfg.shuffle_vision:
            clip = with_vision_of(clip, data[next_video(data.clips, i)])
        if not cfg.detections:
            clip["mask"] = whole_only(clip["mask"])
        mel = sample_clip(model, clip, cfg)
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
    seconds = cfg.mel.hop / cfg.mel.sample_rate
    clip = whole_clip(Path(video).stem, {"mono_mel": mel},
                      lambda start: eyes.window(start * seconds, cfg.view.window * seconds), cfg.view)
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
    windows = torch.arange(len(clip["starts"])) % len(other["starts"])
    return {**clip, **{name: other[name][windows] for name in ("objects", "box", "mask")}}


def comparison(clip: dict, mel: Tensor) -> list[tuple[str, np.ndarray]]:
    """Rows of a picture: mono, each ear predicted and, where known, true, and their difference in dB."""
    rows = [("mono", clip["mono_mel"][0])]
    for ear, side in enumerate(SIDES):
        rows.append((f"{side}, predicted", mel[ear]))
        if "binaural_mel" in clip:
            truth = clip["binaural_mel"][ear]
            rows += [(f"{side}, true", truth),
                     (f"{side}, predicted - true, dB", (mel[ear] - truth) * DB_PER_NEPER)]
    return [(title, values.numpy()) for title, values in rows]
