"""A corpus from packages made here: whole, resumed, with sources that cannot be had."""

import csv
import hashlib
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from DiffBinaural.corpus.config import CorpusConfig
from DiffBinaural.corpus.gathering import gather, read_table
from DiffBinaural.corpus.packages import Package
from DiffBinaural.corpus.photographs import photographs
from DiffBinaural.corpus.prompts import speech
from DiffBinaural.corpus.sources import SOURCES, CorpusSource
from DiffBinaural.corpus.stamps import stamps

ROOT = Path(__file__).parents[2]
STAMPS = "usr/share/tuxpaint/stamps/animals/mammals/dogs/"
README = """Copyright: A. Person
License: CC0-1.0
Files:
cow.webp

Copyright: B. Person
Source: somewhere
License: CC-BY-SA 4.0
Files: horse.webp
"""


def farm(make):
    animals = "gcompris/src/activities/explore_farm_animals/resource/animals/"
    photo = make.picture((900, 500), "WEBP", "RGB")
    files = {"README": README.encode(), "cow.webp": photo, "horse.webp": photo, "owl.webp": photo}
    return {
        "usr/share/gcompris-qt/rcc/explore_farm_animals.rcc": make.rcc(
            {animals + k: v for k, v in files.items()}
        )
    }


def packages(folder, make):
    prompts = {f"usr/share/asterisk/sounds/xx/p{k}.g722": make.g722(make.tone(2 + k / 3)) for k in range(9)}
    prompts["usr/share/asterisk/sounds/xx/beep.g722"] = make.g722(make.tone(3))
    prompts["usr/share/asterisk/sounds/xx/empty.g722"] = b""
    make.deb(folder / "voices_1.0_all.deb", prompts)
    dog = {f"{STAMPS}dog.png": make.picture((900, 300)), f"{STAMPS}dog.ogg": make.sound_file(make.tone(1.5))}
    make.deb(folder / "stamps_2%3a1.0_all.deb", dog | {f"{STAMPS}broken.png": b"\x89PNG\r\n\x1a\n no more"})
    make.deb(folder / "farm_1.0_all.deb", farm(make))


def sources(folder, purpose="test"):
    readers = {
        "voices": partial(speech, name="xx"),
        "stamps": stamps,
        "farm": partial(photographs, purpose=purpose),
    }
    versions = {"stamps": "2:1.0"}
    found = []
    for name, read in readers.items():
        path = next(folder.glob(f"{name}_*"), None)
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path else "0"
        package = Package(name, "apt", versions.get(name, "1.0"), digest)
        found.append(CorpusSource(package, purpose, "a licence", "a credit", read))
    return found


@pytest.fixture
def corpus(registry, tmp_path, make):
    folder, calls = registry
    packages(folder, make)
    cfg = CorpusConfig(out=str(tmp_path / "corpus"), purpose="test")
    return cfg, sources(folder), calls


def test_every_row_is_a_file_and_every_file_a_row(corpus, capsys, below):
    cfg, known, _ = corpus
    out = Path(cfg.out)
    gather(cfg, known)
    rows = read_table(out)
    inside = {name for name in below(out) if not name.startswith("packages/")}
    assert inside == {row["file"] for row in rows} | {"sources.csv", "corpus.json"}
    assert {row["package"] for row in rows} == {"voices", "stamps", "farm"}
    assert {row["class"] for row in rows} == {"person", "dog", "horse", "bird"}
    assert all(row["licence"] and row["credit"] and row["path"] and row["purposes"] == "test" for row in rows)
    assert "1 file(s) left out" in capsys.readouterr().err  # the broken picture


def test_what_is_written_is_as_promised(corpus):
    cfg, known, _ = corpus
    out = Path(cfg.out)
    gather(cfg, known)
    pieces = sorted((out / "sounds/person").glob("*.wav"))
    assert len(pieces) in (2, 3)  # 30 s of phrases; the beep and the empty file are none
    for path in [*pieces, out / "sounds/dog/dog.wav"]:
        samples, rate = soundfile.read(path)
        assert samples.ndim == 1
        assert rate == 16_000
        assert np.abs(samples).max() <= 0.9 + 1e-4
        assert (7.7 if path in pieces else 1) < len(samples) / rate < 20
    with Image.open(out / "cutouts/dog/dog.png") as cut:
        assert cut.mode == "RGBA"
        assert max(cut.size) <= 400
        assert np.asarray(cut)[0].any()  # no transparent margin
    with Image.open(out / "cutouts/horse/photo_horse.png") as cut:
        assert cut.mode == "RGB"
        assert max(cut.size) == 400


def test_a_second_run_does_nothing_and_a_lost_file_is_made_again(corpus, below):
    cfg, known, calls = corpus
    out = Path(cfg.out)
    gather(cfg, known)
    assert calls() == ["voices", "stamps", "farm"]
    table, lost = (out / "sources.csv").read_bytes(), out / "sounds/dog/dog.wav"
    before, held = {name: (out / name).stat().st_mtime_ns for name in below(out)}, lost.read_bytes()
    gather(cfg, known)
    assert {name: (out / name).stat().st_mtime_ns for name in below(out)} == before
    lost.unlink()
    gather(cfg, known)
    assert lost.read_bytes() == held
    assert set(read_table(out)[0]) == set(table.decode().splitlines()[0].split(","))
    assert calls() == ["voices", "stamps", "farm"]  # packages are kept


def test_an_interrupted_source_leaves_nothing(corpus, below):
    cfg, known, _ = corpus
    out = Path(cfg.out)

    def stopped(package):
        yield next(stamps(package))
        raise KeyboardInterrupt

    voices, stamped, _ = known
    cut_off = CorpusSource(stamped.package, "test", "x", "x", stopped)
    with pytest.raises(KeyboardInterrupt):
        gather(cfg, [voices, cut_off])
    assert {row["package"] for row in read_table(out)} == {"voices"}
    assert not [name for name in below(out) if "dog" in name or name.endswith(".part")]
    gather(cfg, known)
    assert (out / "sounds/dog/dog.wav").exists()


def test_missing_sources_are_said_and_survived(registry, tmp_path, capsys, make, below):
    folder, _ = registry
    packages(folder, make)
    (folder / "farm_1.0_all.deb").unlink()
    known = sources(folder)
    known.append(CorpusSource(Package("no-such-wheel", "pip", "1.0", "0"), "test", "x", "x", stamps))
    cfg = CorpusConfig(out=str(tmp_path / "corpus"), purpose="test")
    gather(cfg, known)
    said = capsys.readouterr().err
    for name in ("farm", "no-such-wheel"):
        assert len([line for line in said.splitlines() if line.startswith(f"{name}: ")]) == 1
    assert {row["package"] for row in read_table(tmp_path / "corpus")} == {"voices", "stamps"}
    assert not [name for name in below(tmp_path / "corpus") if "part" in name]


def test_another_version_is_said_and_used_the_same_one_with_another_hash_is_not(
    registry, tmp_path, capsys, make
):
    folder, _ = registry
    packages(folder, make)
    known = sources(folder)
    (folder / "voices_1.0_all.deb").rename(folder / "voices_1.1_all.deb")
    make.deb(folder / "farm_1.0_all.deb", farm(make) | {"more": b"x"})
    gather(CorpusConfig(out=str(tmp_path / "corpus"), purpose="test"), known)
    said = capsys.readouterr().err
    assert "version 1.1 instead of 1.0" in said
    assert "SHA-256" in said
    rows = read_table(tmp_path / "corpus")
    assert {row["version"] for row in rows} == {"1.1", "2:1.0"}
    assert not list((tmp_path / "corpus/packages").glob("farm*"))


def test_a_package_cut_off_in_the_cache_is_fetched_again(corpus):
    cfg, known, calls = corpus
    kept = Path(cfg.out) / "packages"
    kept.mkdir(parents=True)
    (kept / "voices_1.0_all.deb").write_bytes(b"!<arch>\n")
    gather(cfg, known)
    assert "voices" in calls()
    assert {row["package"] for row in read_table(Path(cfg.out))} == {"voices", "stamps", "farm"}


def test_training_and_test_share_no_file(registry, tmp_path, make):
    folder, _ = registry
    packages(folder, make)
    paths = {}
    for purpose in ("training", "test"):
        out = tmp_path / purpose
        gather(CorpusConfig(out=str(out), purpose=purpose, only=("farm",)), sources(folder, purpose))
        paths[purpose] = {Path(row["path"]).name: row["licence"] for row in read_table(out)}
    assert paths["training"] == {"cow.webp": "CC0-1.0"}
    # a file of which the README says nothing has the package's licence, which is not free for training
    assert paths["test"] == {"horse.webp": "CC-BY-SA 4.0", "owl.webp": "a licence"}


def test_a_folder_has_one_purpose(corpus):
    cfg, known, _ = corpus
    gather(cfg, known)
    with pytest.raises(ValueError, match="another"):
        gather(CorpusConfig(out=cfg.out), [])


@pytest.mark.parametrize("row", ["../../home/x.wav", "/etc/passwd", "sounds/x/../../x.wav"])
def test_a_table_that_names_files_elsewhere_is_refused(corpus, row):
    cfg, known, _ = corpus
    gather(cfg, known)
    table = Path(cfg.out) / "sources.csv"
    rows = list(csv.reader(table.open()))
    rows[1][0] = row
    with table.open("w") as file:
        csv.writer(file).writerows(rows)
    with pytest.raises(ValueError, match=r"sources\.csv"):
        gather(cfg, known)


def test_the_script_ends_with_2_where_nothing_can_be_had(tmp_path, below):
    words = [
        sys.executable,
        ROOT / "DiffBinaural/gather_corpus.py",
        "--out",
        tmp_path / "out",
        "--purpose",
        "test",
    ]
    words += ["--only", "mate-backgrounds"]
    env = os.environ | {"PATH": "", "PIP_NO_INDEX": "1", "TQDM_DISABLE": "1"}
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    lines = done.stderr.splitlines()
    assert done.returncode == 2
    assert len(lines) == 2
    assert lines[-1].startswith("error: ")
    assert not [name for name in below(tmp_path / "out") if name != "corpus.json"]


def test_an_unknown_package_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no-such"):
        gather(CorpusConfig(out=str(tmp_path), only=("no-such",)))


def test_what_is_trained_on_is_free():
    for source in SOURCES:
        if source.purpose == "training":
            assert not any(word in source.licence for word in ("GPL", "SA", "NC", "ND")), source.package.name
    names = [(source.package.name, source.purpose) for source in SOURCES]
    assert len(set(names)) == len(names)
    # only one package serves both, and its files are told apart by their licences
    both = {name for name, purpose in names if (name, "training") in names and (name, "test") in names}
    assert both == {"gcompris-qt-data"}
    assert all(len(source.package.sha256) == 64 for source in SOURCES)
