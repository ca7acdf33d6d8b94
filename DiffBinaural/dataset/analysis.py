"""What a sample holds of its sounds: mels, phasor, spectra."""

from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.dataset.cutting import MARGIN
from DiffBinaural.utils.mel import (
    frame_spectra,
    interaural_phasor,
    mel_of,
    mel_spectrogram,
    phasor_of,
    reflected,
)


def analysed(mono: Tensor, pair: Tensor | None, cfg: MelConfig, *, phasor: bool) -> dict[str, Tensor]:
    """mono_mel (1, M, T) of a mono sound (1, N); binaural_mel, phasor (2, M, T) of its two ears (2, N).

    pair    None: the ears are not known
    phasor  whether to return it
    """
    found = {"mono_mel": mel_spectrogram(mono, cfg)}
    if pair is not None:
        found["binaural_mel"] = mel_spectrogram(pair, cfg)
        if phasor:
            found["phasor"] = interaural_phasor(pair, cfg)
    return found


def analysed_window(
    sound: Tensor, frames: int, cfg: MelConfig, *, phasor: bool, spectra: bool
) -> dict[str, Tensor]:
    """:func:`analysed` of a window of so many frames.

    sound    (3, N)  mono, left, right, from MARGIN frames before the window to MARGIN behind it
    spectra  also return spectra (3, F, frames)
    """
    found = frame_spectra(reflected(sound, cfg), cfg)[..., MARGIN : MARGIN + frames]
    mels = mel_of(found, cfg)
    parts = {"mono_mel": mels[:1], "binaural_mel": mels[1:]}
    if phasor:
        parts["phasor"] = phasor_of(found[1:], cfg)
    return {**parts, "spectra": found} if spectra else parts
