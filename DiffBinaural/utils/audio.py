"""Sound files."""

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from DiffBinaural.utils.blocks import Pieces
from DiffBinaural.utils.destinations import utf8_name
from DiffBinaural.utils.files import growth_error, replacing
from DiffBinaural.utils.lists import Clip

MAX_SAMPLES = 1 << 30  # of a file that is read at once: 4 GiB, three hours of two ears
RATES = (1000, 768_000)  # Hz
USUAL_RATES = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000)
MAX_TAPS = 1 << 24  # of the resampler: its table grows with both terms of the ratio
SOUND_BLOCK = 1 << 18  # samples that are read at once
KINDS = {".wav": "WAV", ".flac": "FLAC"}  # formats that are written: nothing of 16 bits is lost
WRITTEN = 1 << 14  # samples of two ears that are written at once
FILTER_REACH = 32  # zero crossings of the resampling filter to each side


def resample(wav: np.ndarray, rate: int, target: int) -> np.ndarray:
    """Sample-rate conversion of (C, N) float32 to (C, ceil(N·target/rate))."""
    if rate == target:
        return wav
    import torchaudio.functional as AF

    return AF.resample(torch.from_numpy(wav), rate, target, lowpass_filter_width=FILTER_REACH).numpy()


class Resampler:
    """:func:`resample` of a sound that comes in blocks (C, n): the same samples.

    seconds  that are converted at once; changes memory, not the result
    """

    def __init__(self, rate: int, target: int, seconds: float):
        common = math.gcd(rate, target)
        self.rate, self.target = rate, target
        self.up, self.down = target // common, rate // common  # `down` samples become `up`
        reach = math.ceil(FILTER_REACH * 1.02 * self.down / min(self.up, self.down) / self.down) + 1
        self.pieces = Pieces(math.ceil(seconds * rate / self.down) * self.down, reach * self.down)

    def push(self, block: Tensor, *, last: bool = False) -> Tensor:
        """Append a block (C, n), the last of the sound or not.  -> the samples (C, m) that are now known"""
        if self.rate == self.target:
            return block
        converted = [self._convert(*piece) for piece in self.pieces.push(block, last=last)]
        return torch.cat(converted, dim=-1) if converted else block.new_empty(len(block), 0)

    def _convert(self, piece: Tensor, before: int, behind: int) -> Tensor:
        wav = torch.from_numpy(resample(piece.numpy(), self.rate, self.target))
        first = before // self.down * self.up
        known = (piece.shape[1] - before - behind) // self.down * self.up
        return wav[:, first : first + known if behind else None]


def checked_rate(path: str | Path, rate: int, target: int) -> int:
    """A file's sample rate, where it can be converted to `target`; else ValueError naming the file."""
    if not RATES[0] <= rate <= RATES[1]:
        raise ValueError(f"{path}: has {rate} samples a second; expected {RATES[0]} to {RATES[1]}")
    if rate * target // math.gcd(rate, target) ** 2 > MAX_TAPS and rate != target:
        raise ValueError(
            f"{path}: {rate} Hz and {target} Hz have no simple ratio; convert it first to a "
            "usual rate, such as 44,100 Hz"
        )
    return rate


def usual_rate(rate: int) -> int:
    """A rate that players and AAC take: this one, else the next above it, at most 96 kHz."""
    return min((usual for usual in USUAL_RATES if usual >= rate), default=USUAL_RATES[-1])


def is_sound_file(path: str | Path) -> bool:
    """Whether :func:`read_wav` can open a file.  Raises FileNotFoundError, ValueError where there is none."""
    if Path(utf8_name(path)).is_dir():
        raise ValueError(f"{path}: is a folder, which has no sound; give a sound file, --input_wav")
    if not Path(utf8_name(path)).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        return bool(soundfile.info(path))
    except soundfile.LibsndfileError:
        return False


def sound_info(path: str | Path) -> tuple[int, float]:
    """A sound file's rate in Hz and its length in seconds, as its header says."""
    info = soundfile.info(path)
    return info.samplerate, info.frames / info.samplerate


def sound_seconds(path: str | Path) -> float:
    """A sound file's length in seconds, as its header says.  Raises ValueError naming one that has none."""
    try:
        return sound_info(path)[1]
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path}: cannot be read as a sound file ({error.error_string})") from None


def read_wav(
    path: str | Path, rate: int | None = None, channels: int | None = None
) -> tuple[np.ndarray, int]:
    """Read a sound file.

    rate      Hz to convert to; None keeps the file's own
    channels  how many the caller needs; None takes any number
    ->        (C, N) float32 in [-1, 1], rate
    Raises ValueError naming the file when it is unreadable, empty, not finite or has other channels.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such sound file")
    blocks, count = [], 0
    for block in wav_blocks(path):  # not at once: a header may give a wrong size
        blocks.append(block)
        count += block.size
        if count > MAX_SAMPLES:
            raise ValueError(f"{path}: is too long to be held in memory; split it into parts of an hour")
    wav, own = np.concatenate(blocks, axis=1) if blocks else np.zeros((0, 0)), sound_info(path)[0]
    if not wav.size or not np.isfinite(wav).all():
        raise ValueError(f"{path}: {'is empty' if not wav.size else 'has non-finite values'}; expected sound")
    if channels and len(wav) != channels:
        raise ValueError(f"{path}: has {len(wav)} channel(s); expected {channels}")
    return resample(wav, checked_rate(path, own, rate or own), rate or own), rate or own


def wav_blocks(path: str | Path) -> Iterator[np.ndarray]:
    """The sound of a file as :func:`read_wav` gives it, in blocks of (C, n) float32."""
    try:
        with soundfile.SoundFile(path) as file:
            while len(block := file.read(SOUND_BLOCK, dtype="float32", always_2d=True)):
                yield block.T
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path}: cannot be read as a sound file ({error.error_string})") from None


def read_part(path: str | Path, clip: Clip, rate: int, channels: int) -> np.ndarray:
    """A clip's part of a sound file, (C, N) float32 at `rate` Hz; ValueError where the file ends before."""
    wav, _ = read_wav(path, rate, channels)
    start, end = clip.samples(rate, wav.shape[1])
    if start >= end:
        raise ValueError(f"{path}: lasts {wav.shape[1] / rate:.2f} s; the list wants it from {clip.start} s")
    return wav[:, start:end].copy()


def write_wav(path: str | Path, wav: np.ndarray, rate: int, subtype: str = "PCM_16") -> None:
    """Write (C, N) samples, clipped to [-1, 1] and rounded, whole or not at all.

    subtype  PCM_16, PCM_24 or FLOAT
    """
    with replacing(path) as partial:
        soundfile.write(partial, stored(wav, subtype).T, rate, subtype=subtype, format="WAV")


def stored(wav: np.ndarray, subtype: str) -> np.ndarray:
    """Samples as a file holds them: rounded here, since libsndfile rounds down where it clips."""
    if subtype == "FLOAT":
        return np.clip(wav, -1, 1)
    bits = {"PCM_16": 16, "PCM_24": 24}[subtype]
    top = 2.0 ** (bits - 1)
    whole = np.clip(np.round(np.asarray(wav, dtype=float) * top), -top, top - 1).astype(np.int32)
    return whole << (32 - bits)  # libsndfile drops the low bits of an int32


class WavWriter:
    """:func:`write_wav` of two ears that come in blocks; straight to the path.  A name in .flac makes FLAC.

    Where a sample passes full scale, all of both ears become softer, so that the loudest one just fits: how
    loud that is, is known at the end, until when the samples wait in a file without a name beside the path.

    limit    False writes 32-bit floats as they are, else 16 bits; FLAC has no floats
    name     of the file, for messages and the format
    samples  written so far
    gain     of all samples, known at the end; with limit=False that which would keep them in full scale
    """

    def __init__(self, path: str | Path, rate: int, *, limit: bool = True, name: str | Path | None = None):
        self.path, self.rate, self.limit, self.name = path, rate, limit, name or path
        self.samples, self.peak = 0, 0.0
        with self._naming_a_full_disk():
            self.waiting = tempfile.TemporaryFile(dir=Path(path).parent)  # noqa: SIM115

    def __enter__(self) -> "WavWriter":
        return self

    def __exit__(self, kind, *error) -> None:
        with self.waiting:
            if kind is None:
                with self._naming_a_full_disk():
                    self._finish()

    def write(self, wav: np.ndarray) -> None:
        """Append (2, n) samples."""
        self.peak = max(self.peak, float(wav.max(initial=0.0)), -float(wav.min(initial=0.0)))
        with self._naming_a_full_disk():
            for k in range(0, wav.shape[1], WRITTEN):
                self.waiting.write(wav[:, k : k + WRITTEN].T.astype(np.float32).tobytes())
        self.samples += wav.shape[1]

    @property
    def gain(self) -> float:
        """1, or what takes the peak to the largest sample of 16 bits."""
        return (1 - 2**-15) / self.peak if self.peak > 1 else 1.0

    def _finish(self) -> None:
        self.waiting.seek(0)
        subtype, kind = "PCM_16" if self.limit else "FLOAT", KINDS.get(Path(self.name).suffix.lower(), "WAV")
        with soundfile.SoundFile(self.path, "w", self.rate, 2, subtype, format=kind) as file:
            while content := self.waiting.read(WRITTEN * 8):
                wav = np.frombuffer(content, np.float32).reshape(-1, 2)
                if not self.limit:
                    file.write(wav)
                else:
                    file.write(stored(wav if self.gain == 1 else wav * np.float64(self.gain), subtype))

    @contextmanager
    def _naming_a_full_disk(self) -> Iterator[None]:
        """Name the file, which neither a file without a name nor libsndfile does."""
        try:
            yield
        except (OSError, soundfile.LibsndfileError) as error:
            cause = growth_error(Path(self.path)) if not getattr(error, "errno", None) else error
            if cause is None:
                raise
            raise OSError(cause.errno, cause.strerror, str(self.name)) from None
