"""Loading of stage 1's training data."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from torch.utils.data import DataLoader

from DiffBinaural.configs.advanced_diffusion_config import TrainConfig
from DiffBinaural.dataset.base import BinauralDataset
from DiffBinaural.dataset.frame_sources import RecordedFrames
from DiffBinaural.modules.models import BinauralModel
from DiffBinaural.runs.encoding import encode_once
from DiffBinaural.utils.cache import Cache
from DiffBinaural.utils.distributed import World
from DiffBinaural.utils.preload import read_all
from DiffBinaural.utils.schedule import Shuffled


def loader(dataset: BinauralDataset, cfg: TrainConfig, job: World, start: int = 0) -> DataLoader:
    """Endless batches of this process's shard of a dataset, from sample `start` of the run's order on."""
    order = Shuffled(len(dataset), cfg.seed, start, shard=(job.rank, job.size))
    return DataLoader(
        dataset,
        cfg.batch_size_per_gpu,
        sampler=order,
        num_workers=cfg.workers,
        drop_last=True,
        pin_memory=job.device.type == "cuda",
        persistent_workers=cfg.workers > 0,
        multiprocessing_context="fork" if cfg.workers else None,
    )


def precompute(data: BinauralDataset, model: BinauralModel, folder: Path, job: World) -> None:
    """Fill a run's cache, and check every file before the first step.

    Mels are cached in `folder`, a frozen trunk's features of every picture, plain and mirrored, for all runs
    that have the trunk in common; pictures for a trainable trunk are only checked.  A packed dataset was
    checked when it was packed, and is too large for a cache.
    """
    if not data.kept:
        return
    ids = list(dict.fromkeys(clip.video_id for clip in data.clips))
    keep = model.frame.frozen and not data.summed
    data.use_cache(Cache(folder), None)
    if keep:
        features = encode_once(data, model, ids, job)
        data.use_cache(Cache(folder, beside={"maps": features}), partial(deleted, features))
    clips = {clip.span: i for i, clip in enumerate(data.clips)}  # each once, even where listed repeatedly
    read_all("reading sounds", data.prepare, clips.values(), job)
    read_all("reading pictures", data.check_pictures, () if keep else ids, job)


def deleted(features: Path, source: RecordedFrames) -> dict:
    """Raise FileNotFoundError: features are gone from their folder, and a loader process cannot encode."""
    raise FileNotFoundError(f"{features}: a recording's features were deleted during the run; start it again")


def step_batches(batches: Iterator, count: int) -> Iterator[tuple[dict, bool]]:
    """The next `count` batches, those of one step: (batch, whether it is the last)."""
    return ((next(batches), part == count - 1) for part in range(count))
