"""SOFA files: good ones of any form, and hostile ones."""

import os

import h5py
import numpy as np
import pytest
import torch

from DiffBinaural.heads.named import head_named
from DiffBinaural.heads.sofa import read_sofa

RATE, FFT = 22050, 1024
SOME = np.array([0.0, 40, -75, 160]), np.array([0.0, 20, -30, 50])


def responses(path):
    return read_sofa(path).responses(*SOME, RATE, FFT)


def distance(one, other):
    inside = slice(0, round(8000 / RATE * FFT))
    return float(((one - other).abs() ** 2)[..., inside].mean() / (other.abs() ** 2)[..., inside].mean())


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
@pytest.mark.parametrize("cartesian", [False, True])
def test_rates_and_positions(sofa, rate, cartesian):
    found = responses(sofa(rate=rate, cartesian=cartesian))
    assert distance(found, head_named("sphere").responses(*SOME, RATE, FFT)) < 0.01  # on a grid of 15°
    assert distance(found, responses(sofa(name="other.sofa"))) < 1e-3


def test_angles_wrap(sofa):
    usual = responses(sofa())

    def turned(positions):
        positions[::2, 0] -= 360
        return np.where(positions == -360, -0.0, positions)

    assert distance(responses(sofa(SourcePosition=turned)), usual) < 1e-6

    def closed(values):  # 360° beside 0°
        return np.concatenate([values, values[::24]])

    twice = sofa(SourcePosition=lambda p: np.concatenate([p, p[::24] + [360, 0, 0]]), Data_IR=closed)
    assert distance(responses(twice), usual) < 1e-6


def test_delays_are_added(sofa):
    usual = responses(sofa())
    common = responses(sofa(Data_Delay=np.full((1, 2), 300.0)))
    assert distance(common, usual) < 1e-6
    shift = np.random.default_rng(0).integers(0, 20, (24 * 13, 2))

    def earlier(impulses):
        rows = [np.roll(ear, -lag) for pair, lags in zip(impulses, shift) for ear, lag in zip(pair, lags)]
        return np.reshape(rows, impulses.shape)

    assert distance(responses(sofa(Data_IR=earlier, Data_Delay=shift)), usual) < 1e-3


def test_receivers_may_stand_in_the_other_order(sofa):
    exchanged = sofa(Data_IR=lambda ir: ir[:, ::-1], ReceiverPosition=lambda ears: ears[::-1])
    assert distance(responses(exchanged), responses(sofa(name="usual.sofa"))) < 1e-6


def test_receivers_of_early_files_are_not_believed(sofa):
    early = sofa(Version="0.6", ReceiverPosition=lambda ears: ears[::-1])
    assert distance(responses(early), responses(sofa(name="usual.sofa"))) < 1e-6


def without(keep):
    """Only the directions of a file whose (azimuth positive left, elevation) `keep` accepts."""
    azimuth, elevation = np.meshgrid(-np.arange(0, 360, 15) % 360, np.arange(-90, 91, 15))
    chosen = keep(azimuth.ravel(), elevation.ravel())
    return {"SourcePosition": lambda p: p[chosen], "Data_IR": lambda ir: ir[chosen]}


def put(place, value):
    def change(array):
        array = array.copy()
        array[place] = value
        return array

    return change


HOSTILE = {
    "another convention": {"SOFAConventions": "GeneralFIR"},
    "filters": {"SOFAConventions": "SimpleFreeFieldSOS"},
    "no convention": {"SOFAConventions": None},
    "convention is a number": {"SOFAConventions": 3.5},
    "convention is endless": {"SOFAConventions": "x\n" * 9000},
    "one receiver": {"Data_IR": lambda ir: ir[:, :1]},
    "four receivers": {"Data_IR": lambda ir: ir.repeat(2, 1)},
    "receivers exchanged": {"ReceiverPosition": lambda ears: ears[::-1]},
    "receivers at one place": {"ReceiverPosition": np.zeros((2, 3, 1))},
    "one receiver position": {"ReceiverPosition": np.zeros((1, 3, 1))},
    "data exchanged": {"Data_IR": lambda ir: ir[:, ::-1]},
    "ears alike": {"Data_IR": lambda ir: ir[:, :1].repeat(2, 1)},
    "gain 100": {"Data_IR": lambda ir: 100 * ir},
    "gain 1/100": {"Data_IR": lambda ir: ir / 100},
    "gain 1e30": {"Data_IR": lambda ir: 1e30 * ir},
    "gain 1e200": {"Data_IR": lambda ir: 1e200 * ir},
    "nan": {"Data_IR": put((3, 1, 5), np.nan)},
    "infinite": {"Data_IR": put((3, 1, 5), -np.inf)},
    "silent": {"Data_IR": np.zeros_like},
    "one silent response": {"Data_IR": put((7, 0), 0.0)},
    "no rate": {"Data_SamplingRate": None},
    "rate 0": {"Data_SamplingRate": np.zeros(1)},
    "rate in kHz": {"Data_SamplingRate": np.array([44.1])},
    "rate is nan": {"Data_SamplingRate": np.array([np.nan])},
    "no single rate": {"Data_SamplingRate": np.array([44100.0, 48000.0])},
    "empty rate": {"Data_SamplingRate": np.zeros(0)},
    "rate is text": {"Data_SamplingRate": np.bytes_(b"44100")},
    "no responses": {"Data_IR": None},
    "empty responses": {"Data_IR": lambda ir: ir[:0]},
    "no samples": {"Data_IR": lambda ir: ir[..., :0]},
    "seconds of samples": {"Data_IR": np.zeros((24, 2, 100000))},
    "responses in two dimensions": {"Data_IR": lambda ir: ir[:, 0]},
    "complex responses": {"Data_IR": lambda ir: ir.astype(complex)},
    "no positions": {"SourcePosition": None},
    "positions short": {"SourcePosition": lambda p: p[:-1]},
    "positions in two coordinates": {"SourcePosition": lambda p: p[:, :2]},
    "positions nan": {"SourcePosition": put((5, 0), np.nan)},
    "elevations absurd": {"SourcePosition": put((5, 1), 1e6)},
    "positions in radians": {"SourcePosition": np.radians},
    "nothing ahead": without(lambda a, e: ~((np.minimum(a, 360 - a) < 40) & (np.abs(e) < 40))),
    "nothing at the sides": without(lambda a, e: np.minimum(a, 360 - a) < 50),
    "the upper half alone": without(lambda a, e: e > 20),
    "few directions": without(lambda a, e: (e == 0) & (a % 90 == 0)),
    "delay in seconds times a million": {"Data_Delay": np.array([[0.0, 400.0]])},
    "delays for others": {"Data_Delay": np.zeros((5, 2))},
    "delay nan": {"Data_Delay": np.array([[0, np.nan]])},
    "the listener turns": {"ListenerView": np.array([[0.0, 1, 0]])},
}


def refused(path):
    with pytest.raises(ValueError) as caught:
        head_named(str(path))
    said = str(caught.value)
    assert path.name in said
    assert "\n" not in said
    assert len(said.replace(str(path.parent), "")) < 300
    return said


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.filterwarnings("error")
def test_hostile_contents(sofa, case):
    refused(sofa(**HOSTILE[case]))


@pytest.mark.parametrize("length", [0, 7, 600, 0.3, 0.9])
def test_truncated_files(sofa, length):
    path = sofa()
    size = path.stat().st_size
    os.truncate(path, round(length * size) if isinstance(length, float) else length)
    refused(path)


def test_other_files(tmp_path):
    path = tmp_path / "notes.sofa"
    path.write_text("not HDF5\n" * 100)
    refused(path)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.sofa"):
        head_named(str(tmp_path / "nowhere.sofa"))
    (tmp_path / "folder.sofa").mkdir()
    with pytest.raises((ValueError, FileNotFoundError), match=r"folder\.sofa"):
        head_named(str(tmp_path / "folder.sofa"))


def test_what_would_fill_the_memory_is_not_read(sofa):
    path = sofa(Data_IR=None)
    with h5py.File(path, "a") as file:  # a few bytes on disk: 160 GB when read
        file.create_dataset("Data.IR", (10**7, 2, 1000), "f8", chunks=(1000, 2, 100), compression="gzip")
    assert path.stat().st_size < 1e6
    refused(path)


@pytest.mark.parametrize("kind", ["objects", "group", "external", "virtual", "soft", "elsewhere"])
def test_what_is_no_plain_array(sofa, tmp_path, kind):
    path = sofa(Data_IR=None)
    (tmp_path / "secret").write_bytes(bytes(24 * 13 * 2 * 256 * 8))
    shape = (24 * 13, 2, 256)
    with h5py.File(path, "a") as file:
        if kind == "objects":
            data = file.create_dataset("Data.IR", (3, 2, 16), h5py.vlen_dtype(np.float64))
            data[0, 0, 0] = np.ones(3)
        elif kind == "group":
            file.create_group("Data.IR")
        elif kind == "external":
            file.create_dataset(
                "Data.IR", shape, "f8", external=[(str(tmp_path / "secret"), 0, h5py.h5f.UNLIMITED)]
            )
        elif kind == "virtual":
            layout = h5py.VirtualLayout(shape, "f8")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", shape)
            file.create_virtual_dataset("Data.IR", layout)
        else:
            link = h5py.SoftLink("/SourcePosition") if kind == "soft" else h5py.ExternalLink("other.h5", "/x")
            file["Data.IR"] = link
    refused(path)


def test_a_file_is_read_once_until_it_changes(sofa):
    path = sofa()
    head = head_named(str(path))
    assert head_named(str(path)) is head
    assert head.name == str(path)
    path = sofa(rate=44100)
    os.utime(path, ns=(1, 10**18))
    assert head_named(str(path)) is not head
    assert head_named(str(path)).rate == 44100
    assert torch.isfinite(head_named(str(path)).responses(*SOME, RATE, FFT).abs()).all()
