"""The page of a check: HTML that refers to the dataset's own files."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from DiffBinaural.checking.remarks import CURES, MILD, Remark
from DiffBinaural.dataset.recordings import FrameFolder, Recordings
from DiffBinaural.utils.files import write_text
from DiffBinaural.utils.media import stated_size

TEMPLATE = Path(__file__).with_name("page.html")
SOUND_NAMES = {2: "binaural", 1: "mono"}  # by channels

Found = Mapping[str, Sequence[Remark]]  # by recording, the worst first


def write_page(path: Path, recordings: Recordings, found: Found, about: Sequence[str]) -> None:
    """Write the page, whole or not at all.

    found  remarks by recording;  about: lines on the whole dataset
    """
    grave = {name: remarks for name, remarks in found.items() if any(r.kind not in MILD for r in remarks)}
    counts = Counter(kind for remarks in found.values() for kind in {r.kind for r in remarks})
    first = {r.kind: name for name, remarks in reversed(found.items()) for r in remarks}
    parts = {
        "ABOUT": "".join(f"<p>{escape(line)}</p>" for line in about),
        "KINDS": "".join(
            f'<a href="#{quote(first[kind])}">{kind} {counts[kind]}</a>' for kind in CURES if kind in first
        ),
        "CARDS": "".join(_card(path.parent, recordings, name, remarks) for name, remarks in grave.items()),
        "MILD": _mild({name: remarks for name, remarks in found.items() if name not in grave}),
    }
    page = TEMPLATE.read_text(encoding="utf-8")
    for name, text in parts.items():  # in order; what is filled in has no braces of ours
        page = page.replace("{{" + name + "}}", text, 1)
    write_text(path, page)


def _card(folder: Path, recordings: Recordings, name: str, remarks: Sequence[Remark]) -> str:
    items = "".join(
        f'<li class="{"mild" if r.kind in MILD else "grave"}">{_reason(r)}'
        f'<br><span class="quiet">{_safe(r.cure)}</span></li>'
        for r in remarks
    )
    sounds = "".join(
        f'<span class="quiet">{word}</span>'
        f'<audio controls preload="none" src="{_link(folder, file)}"></audio>'
        for channels, word in SOUND_NAMES.items()
        if (file := recordings.sound_file(name, channels)).exists()
    )
    return (
        f'<section class="card" id="{_safe(name)}">'
        f'<div class="shown">{_picture(folder, recordings, name)}</div>'
        f'<div><h2>{_safe(name)}</h2><ul>{items}</ul><div class="sounds">{sounds}</div></div></section>\n'
    )


def _picture(folder: Path, recordings: Recordings, name: str) -> str:
    """The recording's middle picture with its boxes; nothing where it cannot be read."""
    try:
        shown = FrameFolder(recordings.frames(name))
        middle = len(shown) // 2
        width, height = stated_size(shown.paths[middle])
    except (ValueError, OSError):
        return '<p class="quiet">no picture</p>'
    time, boxes = middle / recordings.fps, ""
    for d in recordings.detected(name):
        if abs(d.time - time) <= 0.5 / recordings.fps:
            x1, y1, x2, y2 = (
                100 * min(max(side / size, 0), 1)
                for side, size in zip(d.box, (width, height) * 2, strict=True)
            )
            place = f"left:{x1:.1f}%;top:{y1:.1f}%;width:{x2 - x1:.1f}%;height:{y2 - y1:.1f}%"
            boxes += f'<i style="{place}" title="{_safe(d.label)}"></i>'
    size = f'width="{width}" height="{height}" style="height:auto"'
    return f'<img loading="lazy" {size} src="{_link(folder, shown.paths[middle])}" alt="">{boxes}'


def _mild(found: Found) -> str:
    if not found:
        return ""
    rows = "".join(
        f'<tr id="{_safe(name)}"><td>{_safe(name)}</td><td>{"<br>".join(map(_reason, remarks))}</td></tr>'
        for name, remarks in found.items()
    )
    there = {r.kind for remarks in found.values() for r in remarks}
    help_texts = "".join(f'<p class="quiet">{kind}: {CURES[kind]}</p>' for kind in MILD if kind in there)
    return (
        f"<details open><summary>{len(found)} more with something to know</summary>"
        f"{help_texts}<table>{rows}</table></details>"
    )


def _reason(remark: Remark) -> str:
    return f'<span class="kind">{remark.kind}</span>{_safe(remark.reason)}'


def _link(folder: Path, file: Path) -> str:
    return escape(quote(os.path.relpath(file, folder).replace(os.sep, "/")), quote=True)


def _safe(text: str) -> str:
    return escape(text, quote=True).replace("{", "&#123;")
