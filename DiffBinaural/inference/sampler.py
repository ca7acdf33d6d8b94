"""The sampler: windows of a clip denoised together."""

from collections.abc import Callable

import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import SamplingConfig, steps_of
from DiffBinaural.dataset.cutting import add_windows, extract_windows
from DiffBinaural.diffusion_utils.diffusion_pytorch import needs_fresh
from DiffBinaural.heads.direct_path import decided, direct_path
from DiffBinaural.heads.head import Head
from DiffBinaural.heads.sphere import Sphere
from DiffBinaural.inference.features import contexts
from DiffBinaural.inference.windows import WindowBatch, windows_at_once
from DiffBinaural.modules.direct_path_head import DirectPaths
from DiffBinaural.modules.models import BinauralModel
from DiffBinaural.utils.helpers import generator_for
from DiffBinaural.utils.mel_stream import BLOCK
from DiffBinaural.utils.progress import Progress


def sound_key(mono: Tensor) -> str:
    """What tells a clip by the mono mel (..., M, T) of its first window: each band's mean level, rounded.

    To a tenth of a neper: another decoder or processor changes the last bits of samples, and finds the same.
    Clips whose first windows are silent have one key.
    """
    return " ".join(str(round(10 * level)) for level in mono.mean(-1).flatten().tolist())


class Noise:
    """The noise of a clip, in tiles: any frames of it can be drawn alone, and no more is ever held.

    A clip's sound and the seed give the same noise, whatever else is generated, however the clip is divided
    and whatever its file is called.

    sound   of the clip: see :func:`sound_key`
    rows    numbers of the channels that are kept, of those of both ears
    bands   of the mel;  frames: of the clip, or any number from BLOCK on
    """

    def __init__(self, seed: int, sound: str, rows: list[int], bands: int, frames: int):
        self.seed, self.sound, self.rows, self.bands = seed, sound, rows, bands
        self.first = min(frames, BLOCK)  # frames of the first tile; all others have BLOCK

    def __call__(self, step: int, start: int, stop: int) -> Tensor:
        """Frames [start, stop) of what denoising step `step` draws (0: what it starts from): (rows, M, n)."""
        drawn = [torch.empty(len(self.rows), self.bands, 0)]
        for tile in range(start // BLOCK, -(-stop // BLOCK)):
            random = generator_for(self.seed, f"{self.sound} {step} {tile}")
            shape = (max(len(self.rows), 2), self.bands, BLOCK if tile else self.first)
            noise = torch.randn(shape, generator=random)
            drawn.append(noise[self.rows, :, max(start - tile * BLOCK, 0) : max(stop - tile * BLOCK, 0)])
        return torch.cat(drawn, dim=-1)


class Step:
    """One denoising step of a clip that comes in batches: put frames in, take out those that are settled.

    Each step runs a window behind the one before it.  What a window gives is kept until its neighbour has
    come, so a border between batches is a seam like any other, and nothing is computed twice.

    size  mel frames of a window
    """

    x: Tensor  # the frames that are held, from `begin` on
    before: Tensor  # the step before's x₀ of them
    total: Tensor  # the windows' weighted x₀, and
    weight: Tensor  # what it is to be divided by

    def __init__(self, size: int):
        self.size, self.done, self.begin, self.empty = size, 0, 0, True  # done: windows that are through

    def put(self, x: Tensor, before: Tensor, starts: list[int]) -> tuple[range, Tensor | None]:
        """Append frames of x and of the step before's x₀, (rows, M, n) each.

        starts  of all windows of the clip so far
        ->      numbers of the windows that are now complete, and x in them (W, rows, M, size)
        """
        blank = x.new_zeros(x.shape)
        if self.empty:
            self.empty = False
            self.x, self.before, self.total, self.weight = x, before, blank, x.new_zeros(x.shape[-1])
        else:
            self.x, self.before, self.total = (
                torch.cat(pair, dim=-1) for pair in ((self.x, x), (self.before, before), (self.total, blank))
            )
            self.weight = torch.cat([self.weight, x.new_zeros(x.shape[-1])])
        self.starts, first, end = starts, self.done, self.begin + self.x.shape[-1]
        while self.done < len(starts) and starts[self.done] + self.size <= end:
            self.done += 1
        self.local = [start - self.begin for start in starts[first : self.done]]
        return range(first, self.done), extract_windows(self.x, self.local, self.size) if self.local else None

    def merge(self, windows: Tensor) -> None:
        """Add x₀ of the windows that :meth:`put` gave."""
        add_windows(self.total, self.weight, windows, self.local)

    def settled(self, until: int) -> tuple[Tensor, Tensor, Tensor, int]:
        """Take out the frames that no later window reaches.

        until  no window after the known ones begins before this frame
        ->     x, its merged x₀ and the step before's, (rows, M, n) each, and the first frame's number
        """
        following = self.starts[self.done] if self.done < len(self.starts) else until
        count, first = min(following, self.begin + self.x.shape[-1]) - self.begin, self.begin
        held = (self.x, self.before, self.total, self.weight)
        x, before, total, weight = (part[..., :count] for part in held)
        self.x, self.before, self.total, self.weight = (part[..., count:].clone() for part in held)
        self.begin += count
        return x, (total / weight).clamp(-1, 1), before, first


def symmetric(here: Callable, there: Callable, exchange: Callable) -> Callable:
    """The mean of a scene's denoiser and its mirror image's, whose ears are exchanged on both ways."""
    return lambda x, t: (here(x, t) + exchange(there(exchange(x), t))) / 2


class Sampler:
    """Samples a clip batch by batch: the same mel as from all its windows at once, in bounded memory.

    The noise follows from the clip's sound and cfg.seed.

    head  of the listener; None: the sphere
    """

    def __init__(self, model: BinauralModel, cfg: SamplingConfig, head: Head | None = None):
        self.model, self.cfg, self.head = model, cfg, head or Sphere()
        self.device, self.size = next(model.parameters()).device, model.cfg.view.window
        self.order = model.diffusion.sample_steps(steps_of(cfg, model.cfg))
        self.steps = [Step(self.size) for _ in self.order]
        self.starts: list[int] = []  # of all windows so far
        self.mono: dict[int, Tensor] = {}  # of the windows that are being denoised, by number
        self.context: dict[int, Tensor] = {}  # (ways, K, D)
        self.paths: dict[int, DirectPaths] = {}  # where the model knows them
        self.known = 0  # frames whose windows have come

    @torch.inference_mode()
    def push(self, batch: WindowBatch, visual: dict[str, Tensor]) -> Tensor:
        """Denoise the next windows as far as no later window changes the result.

        visual  of the windows, from :meth:`FrameSource.scene`
        ->      the next frames of the clip (rows, M, n), n >= 0, on the CPU: each ear's log mel in nepers,
                then the phasor where the model predicts it, then the slots' shares where it knows their paths
        """
        self._add(batch, contexts(self.model, visual, self.cfg), visual["directions"])
        first, self.known = self.known, batch.starts[-1] + self.size
        x = before = self.noise(0, first, self.known).to(self.device)
        with Progress(total=len(batch.starts) * len(self.steps), desc="denoising", unit="window") as bar:
            for number, step in enumerate(self.steps):
                numbers, windows = step.put(x, before, self.starts)
                if windows is not None:
                    step.merge(self._denoise(windows, numbers, number, bar))
                x, before = self._advance(number, *step.settled(batch.until))
        for done in [w for w in self.mono if w < self.steps[-1].done]:
            del self.mono[done], self.context[done]
            self.paths.pop(done, None)
        return self.model.to_mel(x).cpu()

    def _add(self, batch: WindowBatch, context: Tensor, directions: Tensor) -> None:
        if not self.starts:
            rows, bands = list(self.model.rows), batch.mono.shape[-2]
            self.noise = Noise(self.cfg.seed, sound_key(batch.mono[0]), rows, bands, batch.frames)
        for start, mono, tokens, places in zip(batch.starts, batch.mono, context, directions, strict=True):
            number = len(self.starts)
            self.mono[number], self.context[number] = mono, tokens
            if self.model.slots:
                # trained on the probabilities as they are; to hear a source half-way helps nobody
                direct = direct_path(self.head, places, self.model.cfg.mel)
                self.paths[number] = self.model.direct_paths(direct, decided(places[:, 2]))
            self.starts.append(start)

    def _denoise(self, windows: Tensor, numbers: range, step: int, bar: Progress) -> Tensor:
        """x₀ of windows (W, rows, M, size) that have come to a step, by their numbers."""
        made, model, cfg = [], self.model, self.cfg
        for group in torch.arange(len(numbers)).split(windows_at_once(cfg, self.device)):
            mono, context = (
                torch.stack([held[numbers[w]] for w in group]) for held in (self.mono, self.context)
            )
            here = self._paths([numbers[w] for w in group])
            there = here and here.mirrored()
            ways = [
                model.denoiser(mono.to(self.device), tokens, cfg.guidance_scale, paths)
                for tokens, paths in zip(context.unbind(1), (here, there), strict=False)
            ]
            denoise = symmetric(ways[0], ways[1], model.exchange) if cfg.symmetric else ways[0]
            made.append(denoise(windows[group], self.order[step][0]))
            bar.update(len(group))
        return torch.cat(made)

    def _paths(self, numbers: list[int]) -> DirectPaths | None:
        """The direct paths of windows, by their numbers."""
        if not self.paths:
            return None
        parts = zip(*(self.paths[number] for number in numbers), strict=True)
        return DirectPaths(*(torch.stack(part).to(self.device) for part in parts))

    def _advance(self, step: int, x: Tensor, x0: Tensor, before: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """Settled frames from a step's noise level to the next one's.  -> x there, x₀"""
        (t, following), diffusion = self.order[step], self.model.diffusion
        fresh: Tensor | float = 0.0
        if needs_fresh(self.cfg.sampler, self.cfg.eta):
            fresh = self.noise(step + 1, first, first + x.shape[-1]).to(self.device)
        earlier = (before, diffusion.abar[self.order[step - 1][0]]) if step else None
        following_x, _ = diffusion.step(
            x, x0, t, following, sampler=self.cfg.sampler, eta=self.cfg.eta, fresh=fresh, before=earlier
        )
        return following_x, x0
