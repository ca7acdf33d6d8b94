"""The sampler: windows of a clip denoised together."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import SamplingConfig, steps_of
from DiffBinaural.dataset.base import add_windows, extract_windows
from DiffBinaural.diffusion_utils.diffusion_pytorch import needs_fresh
from DiffBinaural.inference.features import contexts
from DiffBinaural.modules.models import BinauralModel
from DiffBinaural.utils.helpers import generator_for

BLOCK = 5168  # mel frames of a block at most: 60 s


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

    def drop_before(self, number: int) -> None:
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
            made = denoise(extract_windows(self.x, local, self.size), range(first, self.done))
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
        live.drop_before(steps[-1].done)
        if x.shape[-1]:
            yield model.to_mel(x).cpu()
