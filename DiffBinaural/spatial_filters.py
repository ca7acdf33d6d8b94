"""Filters that make two ears of a mono sound, from levels with the phasor between the ears."""

import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.heads.direct_path import diffuse, in_bands, levels, mixture, statistics
from DiffBinaural.heads.head import relative_difference
from DiffBinaural.utils.mel import FLOOR, NOISE, mel_basis

CANCELLED = 0.1  # of the ears' power is the least the mono may hold
LEAST_DIRECT = 0.2  # share of the sources below which their phase counts less and less
EVEN_GAINS = (0.02, 4.0)  # least and most of :func:`as_loud`
MAX_GAIN = 3.0  # nepers (26 dB) between an ear and the mono, at most
WIDENED_TURN = (600.0, 1200.0)  # Hz over which less and less of the phase is doubled: above, ears go by level


def to_bins(bands: Tensor, cfg: MelConfig) -> Tensor:
    """Values of mel bands (…, M, T) at the STFT's bins (…, F, T): means, weighted as the mel weighs the bin.

    The outermost bins, which no band covers, get what the nearest one gets.
    """
    basis = mel_basis(cfg, bands.device)
    covered = torch.nonzero(basis.sum(0))[:, 0]
    nearest = torch.arange(basis.shape[1], device=bands.device).clamp(int(covered[0]), int(covered[-1]))
    weights = basis[:, nearest].T
    return (weights / weights.sum(1, keepdim=True)) @ bands


def band_gains(mono: Tensor, mel: Tensor, cfg: MelConfig) -> Tensor:
    """Levels (…, 2, M, T) of the ears' mels over a mono's spectra (…, F, T), in nepers, within ±MAX_GAIN."""
    magnitude = (mono.real**2 + mono.imag**2 + NOISE).sqrt()
    mono_mel = (mel_basis(cfg, mono.device) @ magnitude).clamp(min=FLOOR).log()
    return (mel - mono_mel[..., None, :, :]).clamp(-MAX_GAIN, MAX_GAIN)


def at_bins(
    gain: Tensor,
    phasor: Tensor,
    cfg: MelConfig,
    shares: Tensor | None = None,
    direct: Tensor | None = None,
    heard: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Gains (…, 2, F, T) and complex phasor (…, F, T) at the bins, from those in the bands.

    With shares they follow the direct paths from bin to bin; what the bands have beside them is added.

    gain    (…, 2, M, T) nepers, relative to the mono;  phasor: (…, 2, M, T) real, imaginary part
    shares  (…, S, M, T) of each slot in the mono's power;  direct: (…, S, F, T), of heads.direct_path
    heard   for a microphone's sound, direct without a limit to what cancels in a downmix
    """
    if shares is None:
        return to_bins(gain.exp(), cfg), torch.complex(*to_bins(phasor, cfg).unbind(-3))
    known = levels(
        mixture(shares, in_bands(statistics(direct), cfg), diffuse(cfg, shares.device, bands=True))
    )
    exact_gain, exact_phasor = shared_at_bins(shares, direct, cfg, heard)
    gain = to_bins((gain - known[..., :2, :, :]).exp(), cfg) * exact_gain
    phasor = torch.complex(*to_bins(phasor - known[..., 2:, :, :], cfg).unbind(-3)) + exact_phasor
    return gain, phasor / phasor.abs().clamp(min=1)


def shared_at_bins(
    shares: Tensor, direct: Tensor, cfg: MelConfig, heard: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """What the shares alone make of gains and phasor at the bins.  Shapes as of :func:`at_bins`.

    Those of `heard` have in every bin the power that direct has around it: nothing cancels.
    """
    rows, rest = statistics(direct), diffuse(cfg, shares.device, bands=False)
    if heard is not None:
        power, rows = rows[..., :2, :, :].mean(-3, keepdim=True), statistics(heard)
        even = to_bins(in_bands(power, cfg), cfg) / rows[..., :2, :, :].mean(-3, keepdim=True)
        rows = rows * even
    gain, phasor = levels(mixture(to_bins(shares, cfg), rows, rest)).split(2, dim=-3)
    return gain.exp(), torch.complex(*phasor.unbind(-3))


def closed_form(mono: Tensor, gain: Tensor, phasor: Tensor) -> Tensor:
    """Both ears at the level of their mels, with the phasor's angle Δ between them, however short it is.

    |L| = gain |M|, and likewise R; arg L = arg M - arg(|L| + |R| e^{-iΔ}), arg R = arg L - Δ.

    mono  (…, F, T) complex;  gain: (…, 2, F, T) relative to it;  phasor: (…, F, T) complex
    ->    (…, 2, F, T)
    """
    (left, right), turn = gain.unbind(-3), torch.polar(torch.ones_like(gain[..., 0, :, :]), -phasor.angle())
    total = left + right * turn
    common = mono * total.conj() / total.abs().clamp(min=1e-6)
    return torch.stack((left * common, right * common * turn), dim=-3)


def wiener(mono: Tensor, gain: Tensor, phasor: Tensor) -> Tensor:
    """The least-squares estimate of L and R from M = (L + R)/2; gain and phasor give E|L|², E|R|² and E L R*:

    H_L = E L M* / E|M|² = 2 (|L|² + L R*) / (|L|² + |R|² + 2 Re L R*), H_R likewise with R L*.

    Where the phasor is short, because sources overlap or because a model is unsure, it keeps closer to
    the mono than :func:`closed_form`; and L + R = 2 M.  Shapes as there.
    """
    cross, power = gain[..., 0, :, :] * gain[..., 1, :, :] * phasor, (gain**2).sum(-3)
    common = torch.maximum(power + 2 * cross.real, CANCELLED * power)
    response = torch.stack((gain[..., 0, :, :] ** 2 + cross, gain[..., 1, :, :] ** 2 + cross.conj()), dim=-3)
    return downmixed(2 * response / common[..., None, :, :] * mono[..., None, :, :], mono)


def wiener_at_levels(mono: Tensor, gain: Tensor, phasor: Tensor) -> Tensor:
    """:func:`wiener` at the levels' ratio: its phases and its power, the ratio of |L| and |R| from the gains.

    Where the phasor is short, that of `wiener` tends to the square of it.  Shapes as of :func:`closed_form`.
    """
    ears = wiener(mono, gain, phasor)
    size = ears.abs().clamp(min=1e-7)
    lean = (gain.clamp(min=1e-4) / size).log()
    wanted = size * (lean - lean.mean(-3, keepdim=True)).exp()
    power = (size**2).sum(-3, keepdim=True) / (wanted**2).sum(-3, keepdim=True)
    return ears * (wanted * power.sqrt() / size)


def in_direct_phase(ears: Tensor, mono: Tensor, shares: Tensor, direct: Tensor) -> Tensor:
    """Two ears (…, 2, F, T) at their levels, with the phases that the sources' direct paths have together.

    What is diffuse has no phase between the ears, and the least-squares estimate shrinks the sources' phase
    for it: right on average, but heard as a source that is less far to the side (Rayleigh's duplex theory:
    the ears tell directions by the direct sound).

    mono    (…, F, T);  shares: (…, S, F, T) of each slot in its power;  direct: (…, S, F, T)
    """
    lean = (shares * direct).sum(-3) / shares.sum(-3).clamp(min=LEAST_DIRECT)
    turned = torch.stack((1 + lean, 1 - lean), dim=-3) * mono[..., None, :, :]
    return ears.abs() * turned / turned.abs().clamp(min=1e-7)


def downmixed(ears: Tensor, mono: Tensor) -> Tensor:
    """Two ears (…, 2, F, T) whose mean is the mono: what it lacks goes to both alike."""
    return ears + (mono - ears.mean(-3))[..., None, :, :]


def as_loud(ears: Tensor, mono: Tensor) -> Tensor:
    """Two ears (…, 2, F, T) with the mono's power: |L|² + |R|² = 2 |M|², by gains within EVEN_GAINS.

    A downmix of two ears lacks what reaches them in opposite phase, and the filters restore it.  The sound of
    one microphone lacks nothing: the same filters would make its sibilants too loud.
    """
    power = (ears.abs() ** 2).sum(-3) / 2
    gain = (mono.abs() ** 2 / power.clamp(min=1e-14)).sqrt().clamp(*EVEN_GAINS)
    return ears * gain[..., None, :, :]


def raised(lean: Tensor) -> Tensor:
    """Half a level difference in nepers, widened: doubled where it is small, a large one hardly grows."""
    return lean + lean / (1 + lean**2)


def widened(ears: Tensor, mono: Tensor, cfg: MelConfig, *, exact: bool) -> Tensor:
    """Two ears (…, 2, F, T) with more between them: levels by :func:`raised`, the phase in the bass doubled.

    The power stays.  exact: the mean stays, the mono (…, F, T)
    """
    size, cross = ears.abs().clamp(min=1e-7), ears[..., 0, :, :] * ears[..., 1, :, :].conj()
    lean = (size[..., 0, :, :] / size[..., 1, :, :]).log() / 2
    hz = torch.linspace(0, cfg.sample_rate / 2, lean.shape[-2], device=lean.device)[:, None]
    least, most = WIDENED_TURN
    turn = ((most - hz) / (most - least)).clamp(0, 1) * cross.angle() / 2
    factor = torch.polar((raised(lean) - lean).exp(), turn)
    wide = ears * torch.stack((factor, 1 / factor), dim=-3)
    if exact:
        lean = relative_difference(wide.movedim(-3, 0))
        return torch.stack((1 + lean, 1 - lean), dim=-3) * mono[..., None, :, :]
    power = (size**2).sum(-3, keepdim=True) / (wide.abs() ** 2).sum(-3, keepdim=True).clamp(min=1e-14)
    return wide * power.sqrt()
