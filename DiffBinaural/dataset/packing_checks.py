"""Checks of the recordings of a dataset folder, before they are packed."""

from copy import copy
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.dataset.detections import held_between
from DiffBinaural.dataset.recordings import Recordings
from DiffBinaural.utils.audio import sound_info, wav_blocks
from DiffBinaural.utils.lists import Clip, Detection
from DiffBinaural.utils.mel import pad_to_hop, reflected
from DiffBinaural.utils.pack_writer import NewRecording


def checked(
    source: Recordings, video_id: str, clips: list[tuple[str, Clip]], found: list[Detection]
) -> tuple[NewRecording, list[Path], int]:
    """Read all files of a recording.  -> what the index needs, its files, the rate of its sounds in Hz

    clips  of it, each with its list's name
    found  its detections
    Raises ValueError or FileNotFoundError for what cannot be trained on.
    """
    sounds = [source.sound_file(video_id, 1)]
    if source.has_ears(video_id):
        sounds.append(source.sound_file(video_id, 2))
    for path in (sounds[0], source.frames(video_id)):
        if not path.exists():
            raise FileNotFoundError(f"{path}: missing")
    lengths = [checked_sound(path, channels) for channels, path in enumerate(sounds, start=1)]
    if len({rate for _, rate in lengths}) > 1:
        raise ValueError(f"{sounds[1]}: has {lengths[1][1]} Hz, its mono sound has {lengths[0][1]}")
    alone = copy(source)  # another thread checks another recording, and nothing is to be kept
    alone.folders, alone.detections = {}, {video_id: held_between(found, source.fps)}
    alone.check_recording(video_id)
    pictures = alone.folders[video_id]
    size = pictures[0].size
    for _ in islice(pictures, 1, None):  # reads them
        pass
    mono, ears = lengths[0][0], lengths[1][0] if len(lengths) == 2 else None
    for name, clip in clips:
        if fault := clip_fault(clip, lengths[0][1], mono, ears):
            raise ValueError(f"{name}, clip {clip.stem}: {fault}")
    recording = NewRecording(video_id, mono, ears, size, source.fov(video_id), source.head(video_id))
    return recording, [*sounds, *pictures.paths], lengths[0][1]


def checked_sound(path: Path, channels: int) -> tuple[int, int]:
    """Samples and rate of a sound file; ValueError as of read_wav, and where its header is wrong."""
    count, (rate, seconds) = 0, sound_info(path)
    for block in wav_blocks(path):
        if len(block) != channels:
            raise ValueError(f"{path}: has {len(block)} channel(s); expected {channels}")
        if not np.isfinite(block).all():
            raise ValueError(f"{path}: has non-finite values; expected sound")
        count += block.shape[1]
    if not count or count != round(seconds * rate):
        raise ValueError(f"{path}: has {count} samples, by its header {round(seconds * rate)}")
    return count, rate


def clip_fault(clip: Clip, rate: int, mono: int, ears: int | None) -> str:
    """Why a clip of a recording of so many samples, mono and binaural, cannot be read; "" where it can."""
    spans = [clip.samples(rate, total) for total in (mono, ears) if total is not None]
    lengths, cfg = [end - start for start, end in spans], MelConfig()
    if min(lengths) <= 0:
        seconds = min(mono, ears or mono) / rate
        return f"its recording lasts {seconds:.2f} s; the list wants it from {clip.start} s"
    if max(lengths) - min(lengths) > cfg.hop:
        return f"{lengths[1]} binaural samples, {lengths[0]} mono ones; expected the same recording"
    try:
        reflected(pad_to_hop(torch.zeros(1, min(*lengths, cfg.n_fft)), cfg.hop), cfg)
    except ValueError as error:
        return str(error)
    return ""
