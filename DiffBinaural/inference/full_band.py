"""The ears at the sample rate of the input, of which the model hears only the lower part."""

import math

import numpy as np
import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.heads.direct_path import decided
from DiffBinaural.heads.head import Head
from DiffBinaural.inference.rendering import CHUNK, keeps_mono
from DiffBinaural.inference.windows import Queue
from DiffBinaural.spatial_filters import MAX_GAIN, raised
from DiffBinaural.utils.audio import Resampler, resample
from DiffBinaural.utils.blocks import Pieces
from DiffBinaural.utils.mel import band_centres, frame_spectra, inverted, reflected

FRAME = 0.0213  # seconds of a frame above the model's band: 1024 samples at 48 kHz
SPACING = 1.09  # ratio of successive bands' centres there
HIGHEST = 16_000.0  # Hz: above, the levels of the last band hold; a wide sphere's series ends here
TOP = 6  # mel bands, from 8.5 kHz on, that what is above continues
DEGREE = 1.0  # to which directions are rounded


class FullBand:
    """Carries two ears from the model's sample rate over to the mono sound at another one, block by block.

    Up to half the model's rate, what an ear has more than the mono is resampled and added to it; above, see
    :class:`HighBand`.  So the mean of both ears is the mono wherever the renderer keeps it.

    cfg       the model's mel;  rate: Hz of the output
    renderer  name of the one that makes the ears, on the mono's phase
    head      the listener's, where the directions of sources are given
    exact_downmix, microphone, strength: the renderer's own
    """

    def __init__(
        self,
        cfg: MelConfig,
        rate: int,
        renderer: str,
        head: Head,
        *,
        exact_downmix: bool = False,
        microphone: bool = False,
        strength: float = 1.0,
    ):
        self.low = Resampler(cfg.sample_rate, rate, CHUNK * cfg.hop / cfg.sample_rate)
        self.high: HighBand | None = None
        if rate > SPACING * cfg.sample_rate:
            kept = 0.0 if microphone else 1.0 if keeps_mono(renderer, exact_downmix) else 0.5
            self.high = HighBand(cfg, rate, head, kept=kept, strength=strength)
        self.waiting = Queue()  # the mono, until its ears are made
        self.mono, self.below, self.above = Queue(), Queue(), Queue()  # at the output's rate

    def push(
        self,
        whole: Tensor,
        mono: Tensor,
        ears: Tensor,
        made: Tensor,
        directions: Tensor | None,
        *,
        last: bool = False,
    ) -> Tensor:
        """Append a block, the last of the clip or not.  -> the samples (2, n) that are now known

        whole       (m,)           the mono at the output's rate, any number of samples
        mono        (T · hop,)     at the model's, of whole frames
        ears        (2, k)         what the renderer gives for it, usually later
        made        (rows, M, T)   of these frames, as the renderer takes them
        directions  (S, 3, T)      likewise; None without
        """
        self.waiting.put(mono)
        self.mono.put(whole)
        self.below.put(self.low.push(ears - self.waiting.take(ears.shape[1]), last=last))
        streams = [self.mono, self.below]
        if self.high:
            self.above.put(self.high.push(whole, made, directions, last=last))
            streams.append(self.above)
        known = min(len(stream) for stream in streams)
        return sum((stream.take(known) for stream in streams[1:]), self.mono.take(known))


class HighBand:
    """What both ears have more than the mono above the model's band, block by block.

    There they differ in level only: no ear follows the phase of so fast a wave, and in phase neither they nor
    their sum are coloured.  The level difference is the head's for the directions of the sources, changed by
    what the model's top bands say beside it; where no directions are given, it is that of these bands.

    kept  what the levels keep of the mono, of :func:`ear_gains`
    """

    def __init__(self, cfg: MelConfig, rate: int, head: Head, *, kept: float, strength: float):
        size = 2 ** round(math.log2(FRAME * rate))
        self.cfg = MelConfig(sample_rate=rate, n_fft=size, hop=size // 4)
        self.head, self.kept, self.strength = head, kept, strength
        self.bands, self.bins = high_bands(cfg, self.cfg)
        missing = left_out(cfg.sample_rate, self.cfg)
        self.first = int(torch.nonzero(missing > 0.02)[0])  # bin; below, only ripple of the filters
        self.missing = missing[self.first :, None]
        self.ratio = self.cfg.hop / rate * cfg.sample_rate / cfg.hop  # mel frames a hop
        self.mono, self.lean = Queue(), Queue()
        self.mel_frames = self.frames = 0  # the first that is held; joined so far
        self.pieces = Pieces(CHUNK, size // self.cfg.hop)

    @torch.no_grad()
    def push(self, mono: Tensor, made: Tensor, directions: Tensor | None, *, last: bool = False) -> Tensor:
        """As of :meth:`FullBand.push`, mono: at the output's rate."""
        hop, wavs = self.cfg.hop, [mono.new_empty(2, 0)]
        self.mono.put(mono)
        self.lean.put(self._leans(made, directions))
        for piece, before, behind in self.pieces.push(self._joined(last), last=last):
            part = self._render(piece[:hop].T.flatten(), piece[hop:])
            wavs.append(part[:, before * hop : part.shape[1] - behind * hop])
        return torch.cat(wavs, dim=-1)

    def _leans(self, made: Tensor, directions: Tensor | None) -> Tensor:
        """Half the level difference of the ears in each band and mel frame, (B, T) nepers, left positive."""
        top = (made[0] - made[1])[-TOP:].mean(0) / 2
        count = len(self.bands) - 1
        if directions is None or not directions.shape[0]:
            return top.expand(count, -1)
        known = len(made) > 4
        shares = made[4:, -TOP:].mean(1) if known else decided(directions[:, 2])
        shares = shares / shares.sum(0).clamp(min=1)
        powers = ear_powers(self.head, directions, self.bands, self.cfg)
        rest = 1 - shares.sum(0)  # comes from everywhere: as much at either ear
        left, right = ((shares[:, None, None] * powers).sum(0) + rest).clamp(min=1e-6).log() / 4
        lean = left - right
        beside = top - lean[0] if known else 0
        return (lean[1:] + beside).clamp(-MAX_GAIN / 2, MAX_GAIN / 2)

    def _joined(self, last: bool) -> Tensor:
        """The next whole hops of the mono, each with the leans at its middle: (hop + B, n)."""
        hop, known = self.cfg.hop, self.mel_frames + len(self.lean)
        if last:
            least = (self.cfg.n_fft - hop) // 2 + 1 if not self.frames else 0
            missing = -max(len(self.mono), least) % hop + max(least - len(self.mono), 0)
            self.mono.put(torch.zeros(missing))
        count = len(self.mono) // hop
        if not last:
            count = min(count, max(math.ceil((known - 0.5) / self.ratio - 0.5) - self.frames, 0))
        numbers = torch.arange(self.frames, self.frames + count, dtype=torch.float64)
        at = ((numbers + 0.5) * self.ratio - 0.5).clamp(0, known - 1) - self.mel_frames
        self.frames += count
        below, held = at.long(), self.lean.held
        above = (below + 1).clamp(max=len(self.lean) - 1)
        lean = torch.lerp(held[:, below], held[:, above], (at - below).to(held))
        if count:
            self.lean.take(int(below[-1]))
            self.mel_frames += int(below[-1])
        return torch.cat([self.mono.take(count * hop).view(-1, hop).T, lean])

    def _render(self, mono: Tensor, lean: Tensor) -> Tensor:
        """T frames at once; mono (T · hop,), lean (B, T) -> (2, T · hop)."""
        spectra = frame_spectra(reflected(mono[None], self.cfg), self.cfg)[0]
        more = self._more(self.bins[self.first :] @ lean)
        ears = spectra.new_zeros(2, *spectra.shape)
        ears[:, self.first :] = self.missing * more * spectra[self.first :]
        return inverted(ears, len(mono), self.cfg)

    def _more(self, lean: Tensor) -> Tensor:
        """What the gains of both ears (2, F, T) are above 1, for the leans at the bins (F, T)."""
        gains = ear_gains(lean, self.kept)
        if self.strength <= 1:
            gains = 1 + self.strength * (gains - 1)
        else:
            gains = gains + (self.strength - 1) * (ear_gains(raised(lean), self.kept) - gains)
        return (gains if self.kept else gains / gains.square().mean(0).sqrt()) - 1


def ear_gains(lean: Tensor, kept: float) -> Tensor:
    """Gains (2, …) of left and right over the mono, in phase, for half their level difference in nepers.

    kept  1: their mean is 1, and (L + R)/2 the mono.  0: their mean power is 1.  0.5: half-way between the
          two, either way the sound is as loud as the mono to 1 dB, up to a difference of 17 dB
    """
    pair = torch.stack((lean, -lean)).exp()
    return pair / (torch.cosh(lean) ** kept * torch.cosh(2 * lean) ** ((1 - kept) / 2))


def high_bands(cfg: MelConfig, high: MelConfig) -> tuple[Tensor, Tensor]:
    """The bands above a model's mel (`cfg`) as bins of `high`: which ones they average, how they are joined.

    ->  (1 + B, F) rows that sum to 1, the first for the model's top bands; (F, B): each bin between the
        centres of its neighbouring bands, beyond the outermost that one
    """
    hz, end = np.linspace(0, high.sample_rate / 2, high.n_fft // 2 + 1), cfg.sample_rate / 2
    count = int(math.log(min(HIGHEST, high.sample_rate / 2) / end) / math.log(SPACING))
    edges = [band_centres(cfg)[-TOP], *(end * SPACING ** np.arange(count + 1))]
    member = (np.digitize(hz, edges) - 1 == np.arange(count + 1)[:, None]).astype(np.float32)
    place = (np.log(np.maximum(hz, 1) / end) / math.log(SPACING) - 0.5).clip(0, count - 1)
    join = np.maximum(1 - np.abs(place[:, None] - np.arange(count)), 0).astype(np.float32)
    return torch.from_numpy(member / member.sum(1, keepdims=True)), torch.from_numpy(join)


def left_out(rate: int, high: MelConfig) -> Tensor:
    """What conversion to `rate` and back leaves out of a sound, at the bins of `high`: (F,), 0 to 1."""
    click = np.zeros((1, 4 * high.n_fft), np.float32)
    click[0, 2 * high.n_fft] = 1
    kept = resample(resample(click, high.sample_rate, rate), rate, high.sample_rate)[0]
    around = np.roll(kept[: click.shape[1]], -2 * high.n_fft)
    response = np.fft.rfft(np.concatenate([around[: high.n_fft // 2], around[-high.n_fft // 2 :]]))
    return torch.from_numpy((1 - response.real).clip(0, 1).astype(np.float32))


def ear_powers(head: Head, directions: Tensor, bands: Tensor, cfg: MelConfig) -> Tensor:
    """Powers (S, 2, B, T) of left and right in bands for each source, relative to the mean of both.

    directions  (S, 3, T), of SourcePaths; where none sounds, both are 1;  bands: (B, F) rows that sum to 1
    """
    azimuth, elevation, sounding = directions.double().cpu().numpy().transpose(1, 0, 2)
    powers = torch.ones(*sounding.shape, 2, len(bands))
    if (here := sounding > 0).any():
        rounded = np.round(np.stack([azimuth[here], elevation[here]]) / DEGREE) * DEGREE
        known, which = np.unique(rounded, axis=1, return_inverse=True)
        found = head.responses(known[0], known[1], cfg.sample_rate, cfg.n_fft).abs() ** 2 @ bands.T
        found = found / found.mean(0).clamp(min=1e-12)
        powers[torch.from_numpy(here)] = found.transpose(0, 1)[torch.from_numpy(which.reshape(-1))]
    return powers.permute(0, 2, 3, 1)
