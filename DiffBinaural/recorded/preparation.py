"""Conversion of recordings to our layout, one recording after the other."""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from DiffBinaural.configs.fields import from_dict
from DiffBinaural.dataset.dataset_real_binaural import BINAURAL, MONO, RATE, write_sounds
from DiffBinaural.dataset.recordings import FrameFolder
from DiffBinaural.inference.discovery import Film, detection_row, has_sound, search
from DiffBinaural.preparation.clips import ClipFiles, PreparedClip, lengths_differ, write_frames
from DiffBinaural.preparation.reading import TOLERANCE, checked_file, read_frames, sixteen_bits
from DiffBinaural.recorded.config import WINDOW_SECONDS, RecordingsConfig
from DiffBinaural.recorded.ears import check_pair, read_ears, read_mono
from DiffBinaural.recorded.takes import Take
from DiffBinaural.utils.audio import write_wav
from DiffBinaural.utils.files import discard, read_json, write_text
from DiffBinaural.utils.lens import AUTO_FOV, field_of_view
from DiffBinaural.utils.lists import Detection
from DiffBinaural.utils.streams import film_start, first_matrix, is_turned, open_media, picture_stream

RECORDS = "processed/records"  # of each finished recording what it was made of, what became of it


@dataclass(frozen=True, kw_only=True)
class PreparedTake(PreparedClip):
    """Result of the preparation of a recording."""

    made_of: dict  # video, sound, mono: name, size in bytes, last change in ns; the sound track
    begin: float = 0.0  # seconds between which it has sound, pictures
    end: float = 0.0
    frame_size: tuple = ()  # width, height in pixels
    fov: float = 0.0  # degrees that the video states, or seems to have
    fov_reason: str = ""
    remarks: tuple = ()  # what was done with it, what was found in it, in lines
    digest: str = ""  # of the sound
    detections: tuple = ()  # rows of discovery.COLUMNS, boxes in pixels of its pictures


@dataclass(frozen=True)
class TakeSound:
    """A recording's sound at our rate."""

    pair: np.ndarray  # (2, N) whole multiples of 2^-15
    mono: np.ndarray | None  # (1, N); None: the mean of the pair
    begin: float  # seconds of silence before it
    remarks: list[str]

    def until(self, seconds: float) -> "TakeSound":
        """Its first seconds."""
        samples = math.ceil(seconds * RATE)
        mono = None if self.mono is None else self.mono[:, :samples]
        return replace(self, pair=self.pair[:, :samples], mono=mono)


def take_record(root: Path, name: str) -> Path:
    """The file that says that a recording is finished."""
    return root / RECORDS / f"{name}.json"


def finished_take(take: Take, cfg: RecordingsConfig) -> PreparedTake | None:
    """What was made of a recording; None where that is not whole, or was made of other files."""
    root = Path(cfg.out)
    try:
        done = recorded_take(root, take.name)
        if done and ClipFiles.of(root, take.name).are_there(done.pictures):
            return done if done.made_of == made_of(take, cfg) else None
    except (ValueError, FileNotFoundError, PermissionError):  # of the files; said where they are read
        pass
    return None


def recorded_take(root: Path, name: str) -> PreparedTake | None:
    """What was made of a recording by its record; None where that is missing or damaged."""
    record = take_record(root, name)
    try:
        return from_dict(PreparedTake, read_json(record), str(record)) if record.exists() else None
    except ValueError:
        return None


def made_of(take: Take, cfg: RecordingsConfig) -> dict:
    """What tells the files of a recording from others of their names."""
    roles = {"video": take.video, "sound": take.sound, "mono": take.mono}
    made: dict = {"audio_track": cfg.audio_track, "fov": cfg.fov}
    for role, path in roles.items():
        if path:
            state = checked_file(path).stat()
            made[role] = [path.name, state.st_size, state.st_mtime_ns]
    return made


def prepare_take(take: Take, cfg: RecordingsConfig) -> PreparedTake:
    """Make a recording's files, unless they are there; nothing is left of one that cannot be used."""
    if not take.fault and (done := finished_take(take, cfg)):
        return done
    discard_take(Path(cfg.out), take.name)
    try:
        if take.fault:
            raise ValueError(take.fault)
        done = make_take(take, cfg)
        write_text(take_record(Path(cfg.out), take.name), json.dumps(asdict(done)))
        return done
    except (ValueError, FileNotFoundError, PermissionError) as error:
        discard_take(Path(cfg.out), take.name)
        return PreparedTake(name=take.name, made_of={}, fault=str(error))


def discard_take(root: Path, name: str) -> None:
    """Delete a recording's files, and its record, which says that they are there."""
    discard(take_record(root, name))
    ClipFiles.of(root, name).discard()


def make_take(take: Take, cfg: RecordingsConfig) -> PreparedTake:
    """Write a recording's sounds, pictures; find its sources.  Raises ValueError where it teaches nothing."""
    root, origin = Path(cfg.out), made_of(take, cfg)
    size, shown = frame_sizes(take.video, cfg.width)
    sound = take_sound(take, cfg.audio_track)
    heard, begin = sound.pair.shape[1] / RATE, max(sound.begin, film_start(take.video)[1])
    frames = ClipFiles.of(root, take.name).frames
    seen = write_frames(frames, take_frames(take, cfg.fps, size)) / cfg.fps
    pictures = keep_pictures(frames, math.ceil(heard * cfg.fps))
    sound = sound.until(pictures / cfg.fps)
    samples = sound.pair.shape[1]
    end = min(samples / RATE, pictures / cfg.fps)
    if end - begin < WINDOW_SECONDS:
        raise ValueError(
            f"{take.video}: has sound and pictures together for {max(end - begin, 0):.2f} s; "
            f"expected at least {WINDOW_SECONDS:.2f} s, one window"
        )
    write_take_sounds(root, take.name, sound)
    degrees, why = field_of_view(take.video)
    film = Film(take.name, take.video, take.sound, cfg.fps, degrees if cfg.fov == AUTO_FOV else cfg.fov)
    said: list[str] = []
    track = cfg.audio_track if take.sound == take.video else None
    found = [d for part in search(film, cfg.detector, track, said.append) for d in part if d.time < end]
    if not found:
        said[-1] = "nothing found that could sound: only the whole picture is trained on"
    if lengths_differ(heard, seen, cfg.fps):
        sound.remarks.append(
            f"the sound ends at {heard:.1f} s, the video at {seen:.1f} s; both are kept to {end:.1f} s"
        )
    return PreparedTake(
        name=take.name,
        samples=samples,
        pictures=pictures,
        made_of=origin,
        begin=begin,
        end=end,
        frame_size=size,
        fov=degrees,
        fov_reason=why,
        remarks=(*sound.remarks, *said),
        digest=hashlib.sha256(sound.pair.tobytes()).hexdigest(),
        detections=tuple(detection_row(take.name, scaled_box(d, shown, size)) for d in found),
    )


def keep_pictures(folder: Path, count: int) -> int:
    """Delete a folder's pictures but the first ones, at least one; how many there are then."""
    paths = FrameFolder(folder).paths
    for path in paths[max(count, 1) :]:
        path.unlink()
    return min(len(paths), max(count, 1))


def take_sound(take: Take, track: int | None) -> TakeSound:
    """Read a recording's sound.  Raises ValueError where it is not that of two ears."""
    if take.sound == take.video and not has_sound(take.video):
        raise ValueError(
            f"{take.video}: has no sound; put a sound file of its name beside it, or into --sounds"
        )
    pair, begin = read_ears(checked_file(take.sound), track if take.sound == take.video else None)
    check_pair(take.sound, pair)
    mono, remarks = read_mono(take.mono) if take.mono else (None, [])
    if mono is not None:
        samples = min(mono.shape[1], pair.shape[1])
        if abs(mono.shape[1] - pair.shape[1]) > TOLERANCE * RATE:
            lasts = f"lasts {mono.shape[1] / RATE:.1f} s, the two ears {pair.shape[1] / RATE:.1f} s"
            remarks.append(f"{take.mono}: {lasts}; both are kept as far as the shorter goes")
        pair, mono = pair[:, :samples], mono[:, :samples]
    peak = max(float(np.abs(wav).max()) for wav in (pair, mono) if wav is not None)
    if peak > 1:
        remarks.append(f"{take.sound}: made {20 * math.log10(peak):.1f} dB softer; its peaks pass full scale")
        # floats above full scale, peaks between samples: the ears and their mono stay in proportion
        pair, mono = pair / peak, None if mono is None else mono / peak
    return TakeSound(sixteen_bits(pair), mono, begin, remarks)


def write_take_sounds(root: Path, name: str, sound: TakeSound) -> None:
    """Write the two ears of a recording, and its mono."""
    if sound.mono is None:
        write_sounds(root, name, sound.pair)
        return
    write_wav(root / BINAURAL / f"{name}.wav", sound.pair, RATE)
    write_wav(root / MONO / f"{name}.wav", sound.mono, RATE, subtype="PCM_24")


def take_frames(take: Take, fps: float, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """A recording's pictures (H, W, 3) from its beginning on, where its sound begins too."""
    return read_frames(take.video, fps, size, zero=film_start(take.video)[0])


def frame_sizes(video: Path, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Width and height of a video's pictures as they are written, at most so wide, and as it shows them."""
    with open_media(video) as box:
        stream = picture_stream(box, video)
        shown = stream.width, stream.height
        shown = shown[::-1] if is_turned(first_matrix(box, stream)) else shown
    factor = min(width / max(shown[0], 1), 1)
    return (max(round(shown[0] * factor), 1), max(round(shown[1] * factor), 1)), shown


def scaled_box(d: Detection, shown: tuple[int, int], size: tuple[int, int]) -> Detection:
    """A detection whose box, in pixels of one size of pictures, is in those of another."""
    x, y = size[0] / shown[0], size[1] / shown[1]
    x1, y1, x2, y2 = d.box
    return Detection(d.time, (x1 * x, y1 * y, x2 * x, y2 * y), d.score, d.label, d.track, d.sounding)
