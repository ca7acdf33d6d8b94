"""Every term of the vocoder's objective, as functions of (estimate, reference), in float32."""

import torch
import torch.nn.functional as F
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.utils.mel import DB_PER_NEPER, FLOOR, hann, mel_basis, mel_spectrogram

MEL_SCALES = tuple((32 * 2**i, 5 * 2**i) for i in range(7))  # (window in samples, bands)
RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))  # (n_fft, hop, win) in samples
# Added to a magnitude before its logarithm: about -83 dB of a full-scale sine at a window of 600, so that
# inaudible differences do not dominate the interaural loss where the ears should be equal.
INAUDIBLE = 1e-2
LEVEL_BANDS = 12  # mel-spaced, and wide: the narrowest has 11 bins of the shortest STFT


# --- adversarial terms --------------------------------------------------------------------------------------


def discriminator_loss(estimate: list[Tensor], reference: list[Tensor]) -> Tensor:
    """Σ mean (1 - D(real))² + mean D(generated)²  (Mao et al. 2017): scores of each discriminator, (B, ·)."""
    pairs = zip(estimate, reference, strict=True)
    return sum((1 - real.float()).square().mean() + fake.float().square().mean() for fake, real in pairs)


def generator_loss(estimate: list[Tensor]) -> Tensor:
    """Σ mean (1 - D(generated))²: scores of each discriminator, (B, ·)."""
    return sum((1 - fake.float()).square().mean() for fake in estimate)


def feature_loss(estimate: list[list[Tensor]], reference: list[list[Tensor]]) -> Tensor:
    """Twice the L1 distance of features, summed over discriminators and their layers (Kong et al. 2020)."""
    pairs = [pair for lists in zip(estimate, reference, strict=True) for pair in zip(*lists, strict=True)]
    return 2 * sum(F.l1_loss(fake.float(), real.float()) for fake, real in pairs)


# --- mel terms ----------------------------------------------------------------------------------------------


def log10_mel(wav: Tensor, cfg: MelConfig) -> Tensor:
    """Centred log10 mel of the multi-scale loss: sounds (…, N) -> (B, M, T)."""
    window = hann(cfg.n_fft, wav.device)
    spectrum = torch.stft(wav.flatten(0, -2), cfg.n_fft, cfg.hop, window=window, return_complex=True)
    return (mel_basis(cfg, wav.device) @ spectrum.abs()).clamp(min=FLOOR).log10()


def multiscale_mel_loss(estimate: Tensor, reference: Tensor, sample_rate: int) -> Tensor:
    """Σ over seven window sizes of the mean absolute difference of log10 mels (Kumar et al. 2023).

    estimate, reference  (…, N)
    sample_rate          Hz
    ->                   decades: 1 is a factor of ten in magnitude, 20 dB
    """
    scales = [MelConfig(sample_rate, size, size // 4, bands) for size, bands in MEL_SCALES]
    return sum(F.l1_loss(log10_mel(estimate, cfg), log10_mel(reference, cfg)) for cfg in scales)


def silent_frames(mel: Tensor, threshold_db: float) -> Tensor:
    """Which frames are silence: those whose loudest band stays below the threshold.

    mel           (…, M, T)  natural-log magnitude in nepers; 1 neper = 8.686 dB
    threshold_db  dB, 0 = mel magnitude 1; digital silence is -100 dB, a full-scale sine about +17 dB
    ->            (…, 1, T)  bool
    """
    return mel.amax(dim=-2, keepdim=True) * DB_PER_NEPER < threshold_db


def silence_loss(estimate: Tensor, reference: Tensor, cfg: MelConfig, threshold_db: float) -> Tensor:
    """The part of the mel L1 that lies in the reference's silent frames: added, it weights them up.

    estimate, reference  (…, N)
    threshold_db         see :func:`silent_frames`
    ->                   nepers; the mean runs over all frames, so that a few silent ones are not exaggerated
    """
    wanted = mel_spectrogram(reference, cfg)
    difference = (mel_spectrogram(estimate, cfg) - wanted).abs()
    return (difference * silent_frames(wanted, threshold_db)).mean()


# --- between the ears ---------------------------------------------------------------------------------------


def ear_mixtures(ears: Tensor, resolution: tuple[int, int, int]) -> Tensor:
    """STFT magnitudes of L + R, L - R, L + iR, L - iR.

    Sum and difference show how far the ears are out of phase; only the other two show which one leads.

    ears        (B, 2, N)  left first
    resolution  (n_fft, hop, win) in samples
    ->          (4, B, K, T)
    """
    n_fft, hop, win = resolution
    window = hann(win, ears.device)
    spectrum = torch.stft(ears.flatten(0, 1), n_fft, hop, win, window, return_complex=True)
    left, right = spectrum.unflatten(0, (-1, 2)).unbind(1)
    mixtures = torch.stack((left + right, left - right, left + 1j * right, left - 1j * right))
    return (mixtures.real.square() + mixtures.imag.square() + FLOOR**2).sqrt()


def band_level_difference(ears: Tensor, resolution: tuple[int, int, int], sample_rate: int) -> Tensor:
    """ln of left over right magnitude in LEVEL_BANDS bands: (B, 2, N) -> (B, bands, T) in nepers."""
    n_fft, hop, win = resolution
    window = hann(win, ears.device)
    spectrum = torch.stft(ears.flatten(0, 1), n_fft, hop, win, window, return_complex=True)
    power = spectrum.real.square() + spectrum.imag.square()
    cfg = MelConfig(sample_rate, n_fft, hop, LEVEL_BANDS)
    level = 0.5 * (mel_basis(cfg, ears.device) @ power + INAUDIBLE**2).log()
    left, right = level.unflatten(0, (-1, 2)).unbind(1)
    return left - right


def level_loss(estimate: Tensor, reference: Tensor, sample_rate: int) -> Tensor:
    """Error of the level difference between the ears: mean over three resolutions, in nepers.

    The bands are broad: a vocoder's noise averages out within them, which leaves the bias that noise hides
    in a loss on single bins.

    estimate, reference  (B, 2, N)  left first
    """
    total = estimate.new_zeros(())
    for resolution in RESOLUTIONS:
        got, wanted = (band_level_difference(x, resolution, sample_rate) for x in (estimate, reference))
        total = total + F.l1_loss(got, wanted)
    return total / len(RESOLUTIONS)


def interaural_loss(estimate: Tensor, reference: Tensor) -> Tensor:
    """Error of the phase between the ears, which losses on single ears cannot detect.

    estimate, reference  (B, 2, N)  left first
    ->                   mean over three resolutions of: L1 of the magnitudes of :func:`ear_mixtures`, of
                         which a full-scale sine in one ear has 1, + L1 of their logarithms, in nepers.
                         Exchanging left and right in both arguments changes nothing.
    """
    total = estimate.new_zeros(())
    for resolution in RESOLUTIONS:
        got, wanted = ear_mixtures(estimate, resolution), ear_mixtures(reference, resolution)
        full_scale = resolution[-1] / 4  # a Hann window sums to win / 2; half of it is at negative Hz
        total = total + F.l1_loss(got, wanted) / full_scale
        total = total + F.l1_loss((got + INAUDIBLE).log(), (wanted + INAUDIBLE).log())
    return total / len(RESOLUTIONS)
