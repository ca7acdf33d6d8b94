"""The one mel, sound and mel files, devices, processes and seeds."""

import math
import os
import signal
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from multiprocessing import parent_process
from pathlib import Path
from threading import Thread
from tokenize import TokenError

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from DiffBinaural.configs.advanced_diffusion_config import MelConfig, from_dict
from DiffBinaural.utils.files import UNREADABLE, read_json, replacing, write_json
from DiffBinaural.utils.lists import SIDES, Clip

FLOOR = 1e-5  # smallest magnitude a log mel knows: ln 1e-5 = -11.513 nepers
NOISE = 1e-9  # power added to every bin, so that silence has no direction
DB_PER_NEPER = 20 / math.log(10)  # 8.686: a neper is a factor of e in magnitude
MEL_CONFIG = "mel_config.json"
MOST_SAMPLES = 1 << 30  # of a file that is read at once: 4 GiB, three hours of two ears
STOPS = (signal.SIGTERM, signal.SIGINT)
RATES = (1000, 768_000)  # Hz
MOST_TAPS = 1 << 24  # of the resampler: its table grows with both terms of the ratio
SOUND_BLOCK = 1 << 18  # samples that are read at once
FILTER_REACH = 32  # zero crossings of the resampling filter to each side


# --- the mel ------------------------------------------------------------------------------------------------


@lru_cache
@torch.inference_mode(False)  # what is kept is for trainings, too, whoever asks first
def mel_basis(cfg: MelConfig, device: torch.device) -> Tensor:
    """Slaney mel filters, (M, n_fft/2 + 1) float32."""
    import librosa

    filters = librosa.filters.mel(
        sr=cfg.sample_rate, n_fft=cfg.n_fft, n_mels=cfg.n_mels, fmin=cfg.fmin, fmax=cfg.fmax
    )
    return torch.from_numpy(filters).to(device)


def band_centres(cfg: MelConfig) -> np.ndarray:
    """Centre frequency of each mel band, (M,) in Hz."""
    import librosa

    fmax = cfg.fmax or cfg.sample_rate / 2
    return librosa.mel_frequencies(cfg.n_mels + 2, fmin=cfg.fmin, fmax=fmax)[1:-1]


@lru_cache
@torch.inference_mode(False)
def hann(size: int, device: torch.device) -> Tensor:
    """Periodic Hann window, (size,)."""
    return torch.hann_window(size, device=device)


def mel_spectrogram(wav: Tensor, cfg: MelConfig) -> Tensor:
    """Log mel of HiFi-GAN and BigVGAN; equals NVIDIA's to 1e-5 (2e-4 near the floor: float32 rounds).

    wav  (..., N)     samples in [-1, 1]
    ->   (..., M, T)  natural-log magnitude in nepers, T = N // hop, silence -11.513
    Raises ValueError for a sound too short for the reflection at its ends.
    """
    spectrum = frame_spectra(reflected(wav.reshape(-1, wav.shape[-1]), cfg), cfg)
    magnitude = (spectrum.real**2 + spectrum.imag**2 + NOISE).sqrt()
    mel = (mel_basis(cfg, wav.device) @ magnitude).clamp(min=FLOOR).log()
    return mel.reshape(*wav.shape[:-1], *mel.shape[-2:])


def reflected(wav: Tensor, cfg: MelConfig) -> Tensor:
    """Sounds (B, N) continued at both ends by their mirror images: frame k is centred at (k + 1/2) hops."""
    pad = (cfg.n_fft - cfg.hop) // 2
    if wav.shape[-1] <= pad:
        raise ValueError(f"a sound of {wav.shape[-1]} samples is too short for a mel; it needs {pad + 1}")
    return F.pad(wav[:, None], (pad, pad), mode="reflect").squeeze(1)


def frame_spectra(wav: Tensor, cfg: MelConfig) -> Tensor:
    """Spectra (B, n_fft/2 + 1, T) of all whole frames of sounds (B, N), the first at their first sample."""
    return torch.stft(
        wav, cfg.n_fft, cfg.hop, window=hann(cfg.n_fft, wav.device), center=False, return_complex=True
    )


def interaural_phasor(pair: Tensor, cfg: MelConfig) -> Tensor:
    """Phase and coherence between the ears in each mel band and frame, as a complex number of magnitude <= 1:

    P = Σ W L R* / sqrt(Σ W |L|² · Σ W |R|²), sums over the bins of a band with its mel weights W.

    pair  (2, N)     samples, left ear first
    ->    (2, M, T)  real and imaginary part, on the mel's frames; 0 in silence
    """
    spectrum = frame_spectra(reflected(pair, cfg), cfg)
    cross, basis = spectrum[0] * spectrum[1].conj(), mel_basis(cfg, pair.device)
    left, right = basis @ (spectrum.real**2 + spectrum.imag**2 + NOISE)
    return (basis @ torch.stack((cross.real, cross.imag))) / (left * right).sqrt()


def to_unit(mel: Tensor, low: float, high: float) -> Tensor:
    """Map a log mel onto the range the diffusion works in; :func:`from_unit` is the exact inverse inside it.

    mel  (..., M, T)  nepers, clipped to [low, high]
    ->   (..., M, T)  in [-1, 1]
    """
    return (mel.clamp(low, high) - low) * (2 / (high - low)) - 1


def from_unit(unit: Tensor, low: float, high: float) -> Tensor:
    """Back from [-1, 1] to nepers; inverse of :func:`to_unit`."""
    return (unit + 1) * ((high - low) / 2) + low


def pad_to_hop(wav: Tensor, hop: int) -> Tensor:
    """Append silence up to a whole number of frames, so that T = ceil(N / hop)."""
    return F.pad(wav, (0, -wav.shape[-1] % hop))


def pieces(blocks: Iterable[Tensor], size: int, reach: int = 0) -> Iterator[tuple[Tensor, int, int]]:
    """Cut a stream along its last axis into pieces, each with what stands around it.

    blocks  (…, n) each, of any n
    size    of a piece; the last is shorter
    reach   how much more each piece has on both sides, as far as the stream goes
    ->      (piece, how much of it stands before, how much behind)
    """
    held, before = None, 0
    for block in blocks:
        held = block if held is None else torch.cat([held, block], dim=-1)
        while held.shape[-1] > before + size + reach:
            yield held[..., : before + size + reach], before, reach
            keep = min(before + size, reach)
            held, before = held[..., before + size - keep :], keep
    while held is not None and held.shape[-1] > before:
        behind = min(max(held.shape[-1] - before - size, 0), reach)
        yield held[..., : before + size + behind], before, behind
        keep = min(before + size, reach)
        held, before = held[..., before + size - keep :], keep


# --- sound and mel files -----------------------------------------------------------------------------------


def resample(wav: np.ndarray, rate: int, target: int) -> np.ndarray:
    """Sample-rate conversion of (C, N) float32 to (C, ceil(N·target/rate))."""
    if rate == target:
        return wav
    import torchaudio.functional as AF

    return AF.resample(torch.from_numpy(wav), rate, target, lowpass_filter_width=FILTER_REACH).numpy()


def resampled(blocks: Iterable[Tensor], rate: int, target: int, seconds: float) -> Iterator[Tensor]:
    """:func:`resample` of a sound that comes in blocks (C, n): the same samples, some seconds at a time."""
    if rate == target:
        yield from (piece for piece, _, _ in pieces(blocks, round(seconds * rate)))
        return
    common = math.gcd(rate, target)
    up, down = target // common, rate // common  # `down` samples become `up`
    reach = math.ceil(FILTER_REACH * 1.02 * down / min(up, down) / down) + 1  # in such groups
    for piece, before, behind in pieces(blocks, math.ceil(seconds * rate / down) * down, reach * down):
        wav = torch.from_numpy(resample(piece.numpy(), rate, target))
        first = before // down * up
        yield wav[:, first : first + (piece.shape[1] - before - behind) // down * up if behind else None]


def checked_rate(path: str | Path, rate: int, target: int) -> int:
    """A file's sample rate, if it is one of sound that can be converted; else ValueError naming the file."""
    if not RATES[0] <= rate <= RATES[1]:
        raise ValueError(f"{path}: has {rate} samples a second; expected {RATES[0]} to {RATES[1]}")
    if rate * target // math.gcd(rate, target) ** 2 > MOST_TAPS and rate != target:
        raise ValueError(
            f"{path}: {rate} Hz and {target} Hz have no handy ratio; convert it first to a "
            "usual rate, 44,100 Hz for one"
        )
    return rate


def is_sound_file(path: str | Path) -> bool:
    """Whether a file is one that read_wav opens.  Raises FileNotFoundError when there is none."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        return bool(soundfile.info(path))
    except soundfile.LibsndfileError:
        return False


def sound_info(path: str | Path) -> tuple[int, float]:
    """A sound file's rate in Hz and its length in seconds, by its own account."""
    info = soundfile.info(path)
    return info.samplerate, info.frames / info.samplerate


def read_wav(
    path: str | Path, rate: int | None = None, channels: int | None = None
) -> tuple[np.ndarray, int]:
    """Read a sound file.

    rate      Hz to convert to; None keeps the file's own
    channels  how many the caller needs; None takes what there is
    ->        (C, N) float32 in [-1, 1], rate
    Raises ValueError naming the file when it is unreadable, empty, not finite or has other channels.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such sound file")
    blocks, count = [], 0
    for block in wav_blocks(path):  # not at once: a header may claim more than there is
        blocks.append(block)
        count += block.size
        if count > MOST_SAMPLES:
            raise ValueError(f"{path}: is too long to be held in memory; cut it into parts of an hour")
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
    start, end = round(clip.start * rate), round(min(clip.end * rate, wav.shape[1]))
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


def write_wav_blocks(path: str | Path, blocks: Iterable[np.ndarray], rate: int) -> None:
    """:func:`write_wav`, two ears, of a sound that comes in blocks (2, n), straight to the path."""
    with soundfile.SoundFile(path, "w", rate, 2, "PCM_16", format="WAV") as file:
        for block in blocks:
            file.write(stored(block, "PCM_16").T)


def save_mel_pair(folder: str | Path, stem: str, pair: np.ndarray) -> None:
    """Write a (2, M, T) log mel as <stem>_left.npy and <stem>_right.npy, float32.

    pair  (2, M, T), or (4, M, T): then the last two rows are <stem>_phasor.npy, which else there will not be
    """
    phasor = Path(folder) / f"{stem}_phasor.npy"
    names = {Path(folder) / f"{stem}_{side}.npy": mel for side, mel in zip(SIDES, pair[:2], strict=True)}
    if len(pair) > 2:
        names[phasor] = pair[2:]
    else:
        phasor.unlink(missing_ok=True)  # of other mels
    for path, rows in names.items():
        with replacing(path) as partial, open(partial, "wb") as file:
            np.save(file, np.asarray(rows, dtype=np.float32), allow_pickle=False)


def load_array(path: str | Path) -> np.ndarray:
    """Read an .npy of floating-point numbers as data, never as code.  Raises ValueError naming the file."""
    try:  # mapped: a header that claims more than there is costs no memory
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            raise ValueError(f"of {array.dtype}" if isinstance(array, np.ndarray) else "several in one file")
        return np.array(array)
    except FileNotFoundError:
        raise
    except (*UNREADABLE, SyntaxError, TokenError) as error:  # of its header
        raise ValueError(f"{path}: not a readable .npy array of floating-point numbers ({error})") from None


def load_mel_pair(paths: tuple[Path, Path], n_mels: int) -> np.ndarray:
    """Read a pair's two files as (2, M, T) float32; ValueError names a file of another shape or content."""
    ears = []
    for path in paths:
        mel = load_array(path)
        if mel.ndim != 2 or mel.shape[0] != n_mels or not np.isfinite(mel).all():
            raise ValueError(
                f"{path}: shape {mel.shape} or its values are wrong; expected a finite ({n_mels}, T) log mel"
            )
        ears.append(mel.astype(np.float32))
    left, right = (mel.shape[1] for mel in ears)
    if left != right:
        raise ValueError(f"{paths[0]}: {left} frames, {paths[1].name} has {right}; expected equal lengths")
    return np.stack(ears)


def load_phasor(stem: str, folder: str | Path, shape: tuple[int, int]) -> np.ndarray:
    """Read <stem>_phasor.npy as (2, M, T) float32, shape: (M, T); ValueError where it is anything else."""
    path = Path(folder) / f"{stem}_phasor.npy"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: missing; stage 1 writes it where it was trained with "
            "--interaural_phase, and --renderer vocoder does without it"
        )
    phasor = load_array(path)
    if phasor.shape != (2, *shape) or not np.isfinite(phasor).all() or (np.abs(phasor) > 1 + 1e-5).any():
        raise ValueError(
            f"{path}: shape {phasor.shape} or its values are wrong; expected {(2, *shape)}, as "
            "its mels have, within [-1, 1]; make mels and phasor again"
        )
    return phasor.astype(np.float32)


def write_mel_config(folder: str | Path, cfg: MelConfig) -> None:
    """Say in a folder of mels how they were made."""
    write_json(Path(folder) / MEL_CONFIG, asdict(cfg))


def check_mel_config(source: str | Path, cfg: MelConfig) -> None:
    """Compare a mel folder's mel_config.json with our own; ValueError names every difference."""
    path = Path(source) / MEL_CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; it says how the mels were made, the test scripts write it")
    same_mel(from_dict(MelConfig, read_json(path), str(path)), cfg, str(path))


def same_mel(theirs: MelConfig, ours: MelConfig, source: str) -> None:
    """Refuse another mel.  An fmax of half the sample rate and None are the same."""

    def plain(cfg):
        return {**asdict(cfg), "fmax": cfg.fmax or cfg.sample_rate / 2}

    made = plain(theirs)
    if wrong := [f"{k} {made[k]} (here {v})" for k, v in plain(ours).items() if made[k] != v]:
        raise ValueError(f"{source}: another mel: {', '.join(wrong)}; make the mels again with this config")


# --- devices, processes, seeds ------------------------------------------------------------------------------


def pick_device(name: str) -> torch.device:
    """The device a flag names; auto is the GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name}: {str(error).splitlines()[0]}; try --device cpu") from None
    return torch.device(name)


def spread(work: Callable, items: Sequence, workers: int) -> list:
    """[work(item) for item in items], each in a process of its own, with a progress bar.

    workers  processes, of one thread each; 0 takes one a core
    """
    try:
        with ProcessPoolExecutor(workers or None, initializer=_alone) as pool:
            try:
                with held():  # what interrupts a fork is lost
                    done = pool.map(work, items)
                return list(tqdm(done, total=len(items)))
            except BaseException:  # what has begun is ended; nothing else is
                pool.shutdown(cancel_futures=True)
                raise
    except BrokenProcessPool:
        raise OSError(
            "a worker process was ended from outside, for want of memory perhaps; "
            "the same command goes on, with fewer --workers if need be"
        ) from None


@contextmanager
def held() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C wait for the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _alone() -> None:
    """One thread, no longer than the parent lives, whose business Ctrl-C is: what has begun is ended."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    Thread(target=_mourn, daemon=True).start()


def _mourn() -> None:
    """End this process when its parent is gone: killed, it could not say so."""
    parent_process().join()
    os._exit(1)


def generator_for(seed: int, name: str) -> torch.Generator:
    """A random source of its own for each named thing, so that no result depends on its neighbours."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()) ^ (seed * 0x9E3779B1 & 0x7FFFFFFF))
