"""A small SOFA file of a sphere, to be spoiled by tests."""

import h5py
import numpy as np
import pytest
import torch
from scipy.signal import resample

from DiffBinaural.heads.sphere import Sphere

TEXT = h5py.string_dtype("ascii")


def grid(step):
    """Azimuth, elevation of all directions every `step` degrees."""
    azimuth, elevation = np.meshgrid(np.arange(0, 360, step), np.arange(-90, 90.1, step))
    return azimuth.ravel(), elevation.ravel()


def impulses_of(head, azimuth, elevation, rate, taps):
    """Impulse responses (N, 2, taps) of a head, which a source ahead reaches after a quarter of them."""
    spectra = head.responses(azimuth, elevation, rate, taps).to(torch.complex128)
    return torch.fft.irfft(spectra, taps).roll(taps // 4, -1).permute(1, 0, 2).numpy()


@pytest.fixture(scope="session")
def sampled():
    """(step of the grid, rate, taps) -> azimuth, elevation, impulse responses of a sphere."""

    def sample(step, rate, taps):
        azimuth, elevation = grid(step)
        return azimuth, elevation, impulses_of(Sphere(), azimuth, elevation, rate, taps)

    return sample


@pytest.fixture
def sofa(tmp_path, sampled):
    """Write a SOFA file of a sphere; what is named replaces what it holds, None leaves it out."""

    def write(rate=48000, cartesian=False, name="head.sofa", **changed):
        azimuth, elevation, impulses = sampled(15, min(rate, 48000), 256)
        impulses = resample(impulses, 256 * rate // min(rate, 48000), axis=2)
        impulses *= min(rate, 48000) / rate
        positions = np.stack([-azimuth % 360, elevation, np.full(len(azimuth), 1.4)], 1)
        if cartesian:
            a, e = np.radians(-azimuth), np.radians(elevation)
            positions = 1.4 * np.stack([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)], 1)
        attributes = {"SOFAConventions": "SimpleFreeFieldHRIR", "Version": "1.0", "Conventions": "SOFA"}
        arrays = {
            "Data.IR": impulses,
            "Data.SamplingRate": np.array([float(rate)]),
            "Data.Delay": np.zeros((1, 2)),
            "SourcePosition": positions,
            "ReceiverPosition": np.array([[[0], [0.09], [0]], [[0], [-0.09], [0]]]),
            "ListenerView": np.array([[1.0, 0, 0]]),
        }
        for key, value in changed.items():
            key = key.replace("_", ".")
            place = attributes if key in attributes else arrays
            place[key] = value(place.get(key)) if callable(value) else value
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            file.attrs.update({key: value for key, value in attributes.items() if value is not None})
            for key, value in arrays.items():
                if value is not None:
                    file[key] = value
            if "SourcePosition" in file:
                file["SourcePosition"].attrs["Type"] = "cartesian" if cartesian else "spherical"
        return path

    return write
