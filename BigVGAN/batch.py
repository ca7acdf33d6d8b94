"""The videos of a batch, with the outputs of each."""

import glob
import math
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from BigVGAN.request import AUTO, MONOS, NO_DETECTIONS, E2EConfig
from DiffBinaural.utils.arguments import message_of
from DiffBinaural.utils.audio import KINDS
from DiffBinaural.utils.destinations import check_destination, utf8_name
from DiffBinaural.utils.files import abandoned, discard
from DiffBinaural.utils.lens import AUTO_FOV
from DiffBinaural.utils.media_writing import MUXED, mux
from DiffBinaural.utils.streams import VIDEOS
from DiffBinaural.utils.tables import number, read_rows, seconds

COLUMNS = ("input_wav", "detections", "trajectory_in")  # paths beside the CSV that names them
TIMES, NUMBERS, WHOLE_NUMBERS = ("start", "end"), ("strength",), ("audio_track", "output_rate")
KNOWN = ("input_video", "output", "fov", "mono", *COLUMNS, *TIMES, *NUMBERS, *WHOLE_NUMBERS)


def videos_of(cfg: E2EConfig) -> list[E2EConfig]:
    """What is to be done, video by video; of a single one that is the config itself.

    Raises ValueError where two videos would be written to one file, or one in a format that is not written.
    """
    source = Path(cfg.input_video)
    if source.suffix.lower() == ".csv":
        jobs = [_row(cfg, source, row) for row in read_rows(source, KNOWN[:1], KNOWN)]
    else:
        found = sorted(source.iterdir()) if source.is_dir() else []
        jobs = [_job(cfg, path) for path in found if path.suffix.lower() in VIDEOS]
        if not jobs:
            return [cfg]
    taken: dict[str, str] = {}
    for job in jobs:
        check_format(job)
        if job.output in taken:
            raise ValueError(
                f"{job.output}: {taken[job.output]} and {job.input_video} would both go there; "
                "give other names"
            )
        taken[job.output] = job.input_video
    return jobs


def _job(cfg: E2EConfig, video: Path, name: str | None = None, **given) -> E2EConfig:
    name = name or f"{video.stem}.wav"
    kind = ".mkv" if video.suffix.lower() in (".mkv", ".webm") else ".mp4"

    def beside(folder, suffix):
        return folder and str(Path(folder, name).with_suffix(suffix))

    if cfg.input_wav and "input_wav" not in given:
        found = sorted(Path(cfg.input_wav).glob(f"{glob.escape(video.stem)}.*"))
        given["input_wav"] = str(found[0] if found else Path(cfg.input_wav) / f"{video.stem}.wav")
    return replace(
        cfg,
        input_video=str(video),
        output=str(Path(cfg.output, name)),
        mux=beside(cfg.mux, kind),
        plot=beside(cfg.plot, ".png"),
        trajectory=beside(cfg.trajectory, ".csv"),
        **given,
    )


def _row(cfg: E2EConfig, source: Path, row: dict) -> E2EConfig:
    words = (AUTO, NO_DETECTIONS)
    given = {
        name: row[name] if row[name] in words else str(source.parent / row[name])
        for name in COLUMNS
        if row.get(name)
    }
    given |= {name: seconds(row, name, str(source)) for name in TIMES if row.get(name)}
    given |= {name: number(row, name, str(source)) for name in NUMBERS if row.get(name)}
    given |= {name: whole_number(row, name, str(source)) for name in WHOLE_NUMBERS if row.get(name)}
    if row.get("fov"):
        given["fov"] = AUTO_FOV if row["fov"] == AUTO_FOV else number(row, "fov", str(source))
    if row.get("mono"):
        if row["mono"] not in MONOS:
            raise ValueError(f"{source}: mono is {row['mono']!r}; expected one of {', '.join(MONOS)}")
        given["mono"] = row["mono"]
    name = row.get("output") or None
    folder, target = (os.path.normpath(path) for path in (cfg.output, Path(cfg.output, name or "")))
    if not Path(target).is_relative_to(folder):
        raise ValueError(f"{source}: output {name} lies outside --output {cfg.output}; give a name below it")
    return _job(cfg, source.parent / row["input_video"], name, **given)


def whole_number(row: dict, name: str, source: str) -> int:
    """A column of a row as an int.  Raises ValueError naming the source where it is none."""
    value = number(row, name, source)
    if not value.is_integer():
        raise ValueError(f"{source}: {name} is {row[name]!r}; expected a whole number")
    return int(value)


def for_each_video(cfg: E2EConfig, work: Callable[[E2EConfig], None]) -> None:
    """Do every video; of a batch those that fail are named and the others go on.

    Raises ValueError at the end if any failed.
    """
    jobs, failed = videos_of(cfg), 0
    for job in jobs:
        try:
            work(job)
        except (ValueError, OSError) as error:
            if job is cfg:
                raise
            print(f"error: {message_of(error)}", file=sys.stderr)
            failed += 1
    if failed:
        raise ValueError(f"{cfg.input_video}: {failed} of {len(jobs)} videos failed; the others are done")
    if jobs[0] is not cfg:
        print(f"{cfg.output}: the sounds of {len(jobs)} videos", file=sys.stderr)


def check_format(cfg: E2EConfig) -> None:
    """Raise ValueError where the sound cannot be written in the format that its name ends in."""
    kind = Path(cfg.output).suffix.lower()
    if kind not in KINDS:
        raise ValueError(f"{cfg.output}: expected a name that ends in {', '.join(KINDS)}; --mux makes videos")
    if kind == ".flac" and not cfg.limit:
        raise ValueError(f"{cfg.output}: FLAC holds no floats, which --no-limit writes; give a name in .wav")


def check_outputs(cfg: E2EConfig) -> None:
    """Refuse, before hours of work, what could not be written in the end."""
    for path in filter(None, (cfg.input_video, cfg.input_wav)):
        utf8_name(path)
    inputs = {Path(path).resolve() for path in (cfg.input_video, cfg.input_wav, cfg.trajectory_in) if path}
    for path in filter(None, (cfg.output, cfg.mux, cfg.plot, cfg.trajectory)):
        check_destination(path)
        for part in abandoned(path):
            discard(part)
        if Path(path).resolve() in inputs:
            raise ValueError(f"{path}: is an input too; give the output another name")
    check_format(cfg)
    if cfg.mux and Path(cfg.mux).suffix.lower() not in MUXED:
        raise ValueError(f"--mux {cfg.mux}: expected a name that ends in {', '.join(MUXED)}")
    if cfg.mux and Path(cfg.input_video).is_dir():
        raise ValueError(f"--mux {cfg.mux}: {cfg.input_video} is a folder of pictures; --mux copies a video")


def write_track(cfg: E2EConfig, sound: np.ndarray | str, rate: int, path: str | Path, **more) -> None:
    """Write the video with another sound to a path; more: as of :func:`mux`."""
    mux(cfg.input_video, path, sound, rate, codec=cfg.mux_codec, kind=Path(cfg.mux).suffix.lower(), **more)


def check_track(cfg: E2EConfig, rate: int) -> None:
    """Try with a few samples whether the container of --mux takes the picture; ValueError if not."""
    with tempfile.TemporaryDirectory() as folder:
        write_track(cfg, np.zeros((2, 4096), np.float32), rate, Path(folder, "trial"), end=-math.inf)
