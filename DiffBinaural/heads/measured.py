"""Heads known from measured impulse responses; KEMAR is one of them, in `kemar.npz`.

Between measured directions, neighbouring responses are averaged after their delays have been taken out; the
delays are averaged by themselves and put back, so that no comb filters arise.

KEMAR: W. G. Gardner and K. D. Martin, HRTF measurements of a KEMAR dummy-head microphone, MIT Media Lab
Perceptual Computing technical report 280, 1994. Copyright 1994 by the MIT Media Laboratory; free to use and
to pass on, provided the authors are cited. `kemar.npz` is MIT_KEMAR_normal_pinna.sofa of Debian's package
libmysofa1 (apt-get download libmysofa1; dpkg -x libmysofa1*.deb .), shortened:

    save_compact(read_sofa("usr/share/libmysofa/MIT_KEMAR_normal_pinna.sofa"), "DiffBinaural/heads/kemar.npz")
"""

from pathlib import Path

import numpy as np
import scipy.fft
import torch
from scipy.spatial import ConvexHull, cKDTree
from torch import Tensor

from DiffBinaural.heads.head import Head
from DiffBinaural.heads.impulses import BEFORE, CHUNK, around, fades, frontal_level, levelled, onsets

AHEAD = 1.189  # frontal_level of a rigid sphere; files have gains of their own
HOLE = 15.0  # degrees from all measured directions
SIDEWAYS = 3.0  # weight of the direction to the side, which makes ITD and ILD, when a hole is filled
NEARBY = 8  # facets among which a direction is sought first
KEMAR = Path(__file__).parent / "kemar.npz"


class MeasuredHead(Head):
    """A head by its impulse responses.

    name       as of :class:`Head`
    azimuth    (N,) degrees, positive right.  elevation  (N,) degrees.  At least 4 directions; holes of the
               grid take what the nearest direction has; of equal directions the first counts
    impulses   (N, 2, taps), left first, at `rate` Hz, of any level: ahead, the responses are given
               that of a sphere
    starts     (N, 2) samples before the first tap
    onset      (N, 2) seconds from the first tap to the onset; None: found

    After construction: delays (N, 2), seconds of each onset relative to the mean of both ears ahead.
    """

    def __init__(self, name: str, azimuth, elevation, impulses, rate: float, starts=0.0, onset=None):
        rays = unit_rays(azimuth, elevation)
        first = np.sort(np.unique(rays.round(4) + 0.0, axis=0, return_index=True)[1])
        self.name, self.rate, self.rays = name, float(rate), rays[first]
        self.azimuth, self.elevation = (np.asarray(angle, float)[first] for angle in (azimuth, elevation))
        starts = np.broadcast_to(np.asarray(starts, float), impulses.shape[:2])[first]
        onset = onsets(impulses[first], self.rate) if onset is None else np.asarray(onset, float)[first]
        self.impulses, cut = around(impulses[first], onset, self.rate)
        self.starts, self.onset = starts + cut, onset - cut / self.rate
        self.level = frontal_level(self.rays, self.impulses, self.rate) / AHEAD
        self.delays = self.starts / self.rate + self.onset
        self.delays -= self.delays[np.argmax(self.rays[:, 1])].mean()
        corners, self.rows = filled(self.rays)
        self.facets = ConvexHull(corners).simplices
        self.nearby = cKDTree(corners[self.facets].mean(1))
        # a direction as a sum of three corners: their weights are these matrices times the direction
        self.weights_of = np.linalg.inv(corners[self.facets].transpose(0, 2, 1))
        self._aligned: dict[int, np.ndarray] = {}

    def responses(self, azimuth: np.ndarray, elevation: np.ndarray, rate: int, n_fft: int) -> Tensor:
        """As of :class:`Head`; nothing above half the rate of the measurement."""
        aligned, rays = self._aligned_at(rate), unit_rays(azimuth, elevation)
        spectra = np.empty((2, len(rays), n_fft // 2 + 1), np.complex64)
        for start in range(0, len(rays), CHUNK):
            part = slice(start, start + CHUNK)
            spectra[:, part] = self._responses(aligned, rays[part], rate, n_fft)
        return torch.from_numpy(spectra)

    def _responses(self, aligned: np.ndarray, rays: np.ndarray, rate: int, n_fft: int) -> np.ndarray:
        """Spectra (2, T, n_fft/2 + 1) for unit vectors (T, 3)."""
        rows, weights = self._neighbours(rays)
        shapes = (weights.astype(np.float32)[:, None] @ aligned[rows].reshape(*rows.shape, -1))[:, 0]
        shapes = shapes.reshape(len(rows), 2, -1).swapaxes(0, 1)
        fold = -(-shapes.shape[-1] // n_fft)  # where a response is longer than n_fft
        spectra = scipy.fft.rfft(shapes, fold * n_fft)[..., ::fold]
        delay = np.einsum("tk,tke->et", weights, self.delays[rows]) * rate - round(BEFORE * rate)
        return spectra * phase_ramps(-2 * np.pi / n_fft * delay, n_fft // 2 + 1)

    def _neighbours(self, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The three measured directions around each unit vector (T, 3), their weights: (T, 3) each."""
        facet, weights = self._best_facet(rays, self.nearby.query(rays, k=min(NEARBY, len(self.facets)))[1])
        if (lost := weights.min(1) < -1e-6).any():  # in a long facet, whose middle is far
            every = np.broadcast_to(np.arange(len(self.facets)), (lost.sum(), len(self.facets)))
            facet[lost], weights[lost] = self._best_facet(rays[lost], every)
        weights = np.maximum(weights, 0)
        return self.rows[self.facets[facet]], weights / weights.sum(1, keepdims=True)

    def _best_facet(self, rays: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The facet (T,) of (T, K) that holds each unit vector (T, 3); its corners' weights (T, 3)."""
        weights = (self.weights_of[among] @ rays[:, None, :, None])[..., 0]  # negative outside
        best = np.arange(len(rays)), weights.min(2).argmax(1)
        return among[best], weights[best]

    def _aligned_at(self, rate: int) -> np.ndarray:
        """Responses (N, 2, taps) float32 at a rate, the onset BEFORE behind the first tap."""
        if rate not in self._aligned:
            window = fades(rate)
            size = scipy.fft.next_fast_len(2 * len(window), real=True)
            hz = np.arange(size // 2 + 1) * rate / size
            waves = np.exp(-2j * np.pi / self.rate * np.outer(np.arange(self.impulses.shape[2]), hz))
            waves *= (hz <= self.rate / 2) / self.level
            early = np.exp(-2j * np.pi * round(BEFORE * rate) / rate * hz)
            parts = []
            for chosen in np.array_split(np.arange(len(self.onset)), -(-len(self.onset) // CHUNK)):
                spectra = (self.impulses[chosen] @ waves) * np.exp(
                    2j * np.pi * self.onset[chosen, :, None] * hz
                )
                parts.append(
                    scipy.fft.irfft(levelled(spectra, hz) * early, size)[..., : len(window)] * window
                )
            self._aligned[rate] = np.concatenate(parts).astype(np.float32)
        return self._aligned[rate]


def unit_rays(azimuth, elevation) -> np.ndarray:
    """Unit vectors (T, 3), x right, y ahead, z up, of angles in degrees."""
    across, up = np.radians(np.asarray(azimuth, float)), np.radians(np.asarray(elevation, float))
    return np.stack([np.sin(across) * np.cos(up), np.cos(across) * np.cos(up), np.sin(up)], -1)


def phase_ramps(step: np.ndarray, count: int) -> np.ndarray:
    """e^{i k step} for k < count: (..., count) complex64, a product of coarse and fine steps."""
    fine = np.exp(1j * step[..., None] * np.arange(32)).astype(np.complex64)
    coarse = np.exp(32j * step[..., None] * np.arange(-(-count // 32))).astype(np.complex64)
    return (coarse[..., None] * fine[..., None, :]).reshape(*step.shape, -1)[..., :count]


def filled(rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of a mesh around the sphere: the measured directions, and others in the holes of the grid.

    ->  (V, 3) unit vectors; (V,) the measured direction whose response each has
    """
    nearest = cKDTree(rays).query(rays, k=2)[0][:, 1]
    gap = max(np.radians(HOLE), 1.5 * np.quantile(nearest, 0.9))
    count = np.arange(600)
    even = unit_rays(count * 137.50776, np.degrees(np.arcsin(1 - (count + 0.5) / 300)))  # Fibonacci's grid
    holes = even[cKDTree(rays).query(even)[0] > gap]
    stretched = np.array([SIDEWAYS, 1, 1])
    like = cKDTree(rays * stretched).query(holes * stretched)[1]
    return np.concatenate([rays, holes]), np.concatenate([np.arange(len(rays)), like])


def save_compact(head: MeasuredHead, path) -> None:
    """Write the left ear of a head whose right ear is its mirror image, in steps of 2^-15."""
    mirror = cKDTree(head.rays).query(head.rays * [-1, 1, 1])[1]
    if not np.array_equal(head.impulses[:, 1], head.impulses[mirror, 0]):
        raise ValueError(f"{head.name}: expected ears that are mirror images of each other; they differ")
    np.savez_compressed(
        path,
        azimuth=head.azimuth,
        elevation=head.elevation,
        left=np.round(head.impulses[:, 0] * 2**15).astype(np.int16),
        start=head.starts[:, 0].astype(np.int16),
        onset=head.onset[:, 0],
        rate=head.rate,
    )


def load_compact(path, name: str) -> MeasuredHead:
    """Read a head that :func:`save_compact` wrote."""
    with np.load(path, allow_pickle=False) as file:
        left, start, onset = (file[key] for key in ("left", "start", "onset"))
        azimuth, elevation, rate = file["azimuth"], file["elevation"], float(file["rate"])
    rays = unit_rays(azimuth, elevation)
    mirror = cKDTree(rays).query(rays * [-1, 1, 1])[1]
    impulses, start, onset = (np.stack([ear, ear[mirror]], 1) for ear in (left, start, onset))
    return MeasuredHead(name, azimuth, elevation, impulses / np.float32(2**15), rate, start, onset)
