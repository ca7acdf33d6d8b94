"""Packages made here, a client that fetches them from a folder."""

import io
import os
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

RATE = 16_000


def tone(seconds, rate=RATE, amplitude=0.5, pitch=440.0):
    """A tone that swells and fades, (N,) float32, so that levels differ within it."""
    time = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * pitch * time) * np.sin(np.pi * time / seconds)).astype(np.float32)


def sound_file(samples, kind="OGG", rate=RATE):
    held = io.BytesIO()
    soundfile.write(held, samples, rate, format=kind)
    return held.getvalue()


def g722(samples):
    held = io.BytesIO()
    with av.open(held, "w", format="g722") as box:
        stream = box.add_stream("g722", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.round(samples * 32767).astype(np.int16)[None], "s16", "mono")
        frame.rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            box.mux(packet)
    return held.getvalue()


def picture(size=(60, 40), kind="PNG", mode="RGBA"):
    """A disc before nothing (RGBA), or a gradient (RGB)."""
    held, image = io.BytesIO(), Image.new(mode, size)
    y, x = np.mgrid[: size[1], : size[0]]
    if mode == "RGBA":
        disc = ((x - size[0] / 2) ** 2 + (y - size[1] / 2) ** 2 < (min(size) / 2.2) ** 2) * np.uint8(255)
        image = Image.fromarray(np.stack([disc, disc // 2, disc // 3, disc], -1))
    else:
        image = Image.fromarray(np.stack([x % 256, y % 256, (x + y) % 256], -1).astype(np.uint8))
    image.save(held, kind)
    return held.getvalue()


def member(name, content=b"", kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content), kind, target
    return info, io.BytesIO(content)


def deb(path, files):
    """A .deb of {name: content}, or of members; written by hand, as no client would."""

    def tarball(parts):
        held = io.BytesIO()
        with tarfile.open(fileobj=held, mode="w:gz") as tar:
            for info, content in parts:
                tar.addfile(info, content)
        return held.getvalue()

    parts = [member(f"./{k}", v) for k, v in files.items()] if isinstance(files, dict) else files
    control = b"Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n"
    sections = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": tarball([member("./control", control)]),
        "data.tar.gz": tarball(parts),
    }
    with open(path, "wb") as file:
        file.write(b"!<arch>\n")
        for name, content in sections.items():
            file.write(f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode())
            file.write(content + b"\n" * (len(content) % 2))
    return path


def wheel(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def rcc(files, version=3):
    """A resource file of {path: content}, every other one compressed, by the format's description."""
    nodes, names, data = [["", True, None, []]], b"", b""
    for path, content in files.items():
        at = 0
        for depth, part in enumerate(path.split("/")):
            last = depth == path.count("/")
            child = next((k for k in nodes[at][3] if nodes[k][0] == part), None)
            if child is None:
                nodes.append([part, not last, content if last else None, []])
                child = len(nodes) - 1
                nodes[at][3].append(child)
            at = child
    order, k = [0], 0  # breadth first
    while k < len(order):
        order += nodes[order[k]][3]
        k += 1
    tree = b""
    for number in order:
        name, folder, content, children = nodes[number]
        at = len(names)
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
        if folder:
            first = order.index(children[0]) if children else len(order)
            tree += struct.pack(">IHII", at, 2, len(children), first)
        else:
            packed = number % 2
            held = struct.pack(">I", len(content)) + zlib.compress(content) if packed else content
            tree += struct.pack(">IHHHI", at, packed, 0, 0, len(data))
            data += struct.pack(">I", len(held)) + held
        tree += bytes(8)  # time of change
    head = 20 + 4 * (version == 3)
    offsets = head, head + len(tree), head + len(tree) + len(data)
    start = struct.pack(">4s4I", b"qres", version, *offsets) + bytes(head - 20)
    return start + tree + data + names


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A folder of packages that an apt-get of our own "downloads"; `calls` lists what it was asked for."""
    folder, tools = tmp_path / "registry", tmp_path / "tools"
    folder.mkdir()
    tools.mkdir()
    calls = tmp_path / "calls"
    client = tools / "apt-get"
    client.write_text(
        f'#!/bin/sh\necho "$2" >> {calls}\n'
        f'cp {folder}/"$2"_* . 2>/dev/null || {{ echo "E: Unable to locate package $2" >&2; exit 100; }}\n'
    )
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return folder, lambda: calls.read_text().split() if calls.exists() else []


def files_below(folder):
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def make():
    """What makes packages, and the files in them."""
    makers = (tone, sound_file, g722, picture, member, deb, wheel, rcc)
    return SimpleNamespace(**{maker.__name__: maker for maker in makers})


@pytest.fixture(scope="session")
def below():
    """Names of all files below a folder, relative to it."""
    return files_below
