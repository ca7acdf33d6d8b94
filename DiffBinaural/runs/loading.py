"""Batches of a training run of stage 1."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from torch.utils.data import DataLoader
from tqdm import tqdm

from DiffBinaural.configs.advanced_diffusion_config import TrainConfig
from DiffBinaural.dataset.base import BinauralDataset
from DiffBinaural.inference.features import encode_recording
from DiffBinaural.modules.models import BinauralModel
from DiffBinaural.utils.cache import Cache, read_all
from DiffBinaural.utils.distributed import World
from DiffBinaural.utils.schedule import Shuffled


def loader(dataset: BinauralDataset, cfg: TrainConfig, job: World, start: int = 0) -> DataLoader:
    """Endless batches of this process's share of a dataset, from sample `start` of the run's order on."""
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
    """Compute at the start what a run reads again and again; a broken file is named now, not in a week.

    Mels, and what a frozen trunk makes of every picture, plain and mirrored, are kept in `folder`; pictures
    that the trunk must see anew at every step are only looked through.
    """
    ids = list(dict.fromkeys(clip.video_id for clip in data.clips))
    keep = model.frame.frozen and data.encodable
    data.use_cache(Cache(folder), partial(encode_recording, model) if keep else None)
    if keep:  # one at a time: the trunk is busy with each
        for video_id in tqdm(job.shard(ids), desc="encoding pictures", disable=not job.first):
            data.frame_source(video_id)
    clips = {clip.span: i for i, clip in enumerate(data.clips)}  # each once, however often it is listed
    read_all("reading sounds", data.prepare, clips.values(), job)
    read_all("reading pictures", data.check_pictures, () if keep else ids, job)


def step_batches(batches: Iterator, count: int) -> Iterator[tuple[dict, bool]]:
    """The next batches of one step, and of each whether it is the last."""
    return ((next(batches), part == count - 1) for part in range(count))
