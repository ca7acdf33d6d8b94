"""Plots of mels, errors, interaural cues, training histories."""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.utils.files import replacing
from DiffBinaural.utils.lists import SIDES
from DiffBinaural.utils.mel import DB_PER_NEPER, FLOOR, band_centres
from DiffBinaural.utils.mel_stream import Columns

MEL_STYLE = dict(cmap="magma", vmin=np.log(FLOOR), vmax=2)  # of every log mel
TRUTH_LINE = dict(color="0.75", linewidth=6)  # broad, behind the other lines
Lines = dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]  # label -> title -> (seconds, values)
MEL_TICKS = (500, 1000, 2000, 4000, 8000)  # Hz


class Panel(NamedTuple):
    """What is drawn above mels, on their time axis."""

    inches: float  # its height
    draw: Callable  # on matplotlib axes


def mel_ticks(cfg: MelConfig) -> list[int]:
    """The mel bands nearest to MEL_TICKS."""
    return [int(np.abs(band_centres(cfg) - f).argmin()) for f in MEL_TICKS]


def mel_figure(
    rows: list[tuple[str, np.ndarray]],
    cfg: MelConfig,
    lines: Lines | None = None,
    above: Sequence[Panel] = (),
):
    """Log mels one below the other on one colour scale; differences in dB on another.

    rows   (title, (M, T)) each; nepers, or dB where the title contains dB
    lines  curves over time to draw below, as in :func:`draw_lines`
    above  panels to draw above; the figure is wider then
    ->     matplotlib's Figure
    """
    from matplotlib.figure import Figure

    titles = list(next(iter(lines.values()))) if lines else []
    heights = [*(panel.inches for panel in above), *[1.7] * (len(rows) + len(titles))]
    figure = Figure(figsize=(13 if above else 9, sum(heights)), layout="constrained")
    column = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, panel in zip(column, above):
        panel.draw(axes)
    column = column[len(above) :]
    for axes, (title, mel) in zip(column, rows):
        in_db = "dB" in title
        style = dict(cmap="RdBu_r", vmin=-10, vmax=10) if in_db else MEL_STYLE
        seconds = mel.shape[1] * cfg.hop / cfg.sample_rate
        image = axes.imshow(mel, origin="lower", aspect="auto", extent=(0, seconds, 0, mel.shape[0]), **style)
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_yticks(mel_ticks(cfg), [f"{f / 1000:g}k" for f in MEL_TICKS], fontsize=7)
        figure.colorbar(image, ax=axes, label="dB" if in_db else "nepers", pad=0.01)
    axes.set_ylabel("Hz")
    for axes, title in zip(column[len(rows) :], titles, strict=True):
        draw_panel(axes, title, lines)
        axes.legend(fontsize=7)
    column[-1].set_xlabel("seconds" + ("; positive = right is louder" if lines else ""))
    return figure


def draw_generated(
    path: str | Path, mono: Columns, ears: Iterable[Tensor], cfg: MelConfig, above: Sequence[Panel] = ()
) -> None:
    """Draw a clip's mels (mono, left, right), and the level difference of the ears, below some panels.

    mono  its mel (1, M, T)
    ears  pieces (2, M, T) of their mels, as long as the mono's, within a frame; the longer is cut
    """
    both = Columns(mono.limit + 1, mono.stride)
    for mel in ears:
        both.add(mel)
    assert both.stride == mono.stride, "the ears are much longer than the mono"
    size = min(mono.made.shape[-1], both.made.shape[-1])
    alone, left, right = (mel[:, :size] for mel in (*mono.made.numpy(), *both.made.numpy()))
    rows = [
        ("mono", alone),
        ("left", left),
        ("right", right),
        ("right - left, dB", (right - left) * DB_PER_NEPER),
    ]
    save_figure(path, mel_figure(rows, replace(cfg, hop=cfg.hop * mono.stride), above=above))


def save_figure(path: str | Path, figure) -> None:
    """Write a figure as PNG."""
    with replacing(path) as partial:
        figure.savefig(partial, dpi=110, format="png")


def draw_mels(
    path: str | Path, rows: list[tuple[str, np.ndarray]], cfg: MelConfig, lines: Lines | None = None
) -> None:
    """Write :func:`mel_figure` as PNG."""
    save_figure(path, mel_figure(rows, cfg, lines))


def mel_picture(rows: list[tuple[str, np.ndarray]], cfg: MelConfig) -> np.ndarray:
    """:func:`mel_figure` as pixels (H, W, 3) uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(mel_figure(rows, cfg))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def mel_png(mel: np.ndarray) -> bytes:
    """A log mel (M, T) as the bytes of a PNG: a pixel per band and frame, low bands at the bottom."""
    import matplotlib
    from PIL import Image

    low, high = MEL_STYLE["vmin"], MEL_STYLE["vmax"]
    shade = np.round(255 * ((mel - low) / (high - low)).clip(0, 1)).astype(np.uint8)
    image, file = Image.fromarray(shade[::-1]), io.BytesIO()
    image.putpalette((matplotlib.colormaps[MEL_STYLE["cmap"]](np.arange(256), bytes=True)[:, :3]).tobytes())
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def svg_path(x: np.ndarray, y: np.ndarray) -> str:
    """A curve as the `d` of an SVG path, with gaps where y is not finite; units as given."""
    words, drawing = [], False
    for px, py in zip(x, y, strict=True):
        if finite := bool(np.isfinite(py)):
            words.append(f"{'L' if drawing else 'M'}{px:.4g} {py:.4g}{'' if drawing else 'h.01'}")
        drawing = finite  # h.01: a point between two gaps is drawn as a dot
    return "".join(words)


def draw_sweep(path: str | Path, azimuth: np.ndarray, made: np.ndarray, sphere: np.ndarray) -> None:
    """Draw level difference over azimuth: every clip, their mean, a rigid sphere, the mono copy.

    azimuth       (positions,)        degrees, positive = right
    made, sphere  (clips, positions)  dB, positive = right louder
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(azimuth, sphere.mean(0), label="rigid sphere, no room", **TRUTH_LINE)
    axes.plot(azimuth, made.T, color="C0", alpha=0.25, linewidth=0.8)
    axes.plot(azimuth, made.mean(0), color="C0", marker="o", label=f"model, mean of {len(made)} clips")
    axes.axhline(0, color="0.4", linewidth=0.8, linestyle="--", label="mono copy")
    axes.set_xlabel("azimuth of the source, degrees; positive = right")
    axes.set_ylabel("level difference 1.5 to 6 kHz, dB; positive = right louder")
    axes.legend()
    save_figure(path, figure)


def draw_bands(path: str | Path, systems: dict[str, dict[str, list]], cfg: MelConfig) -> None:
    """Draw mel errors over frequency: a panel for each kind of error, a line for each system and ear.

    systems  label -> kind (rmse, l1, l2) -> (2, M) in nepers, l2 in nepers²
    """
    from matplotlib.figure import Figure

    kinds, hz = list(next(iter(systems.values()))), band_centres(cfg)
    figure = Figure(figsize=(9, 2.6 * len(kinds)), layout="constrained")
    column = figure.subplots(len(kinds), 1, sharex=True, squeeze=False)[:, 0]
    for axes, kind in zip(column, kinds, strict=True):
        for number, (label, errors) in enumerate(systems.items()):
            for side, style, values in zip(SIDES, ("-", "--"), errors[kind], strict=True):
                axes.plot(hz, values, style, color=f"C{number}", linewidth=1.2, label=f"{label}, {side}")
        axes.set_ylabel(f"{kind}, nepers{'²' if kind == 'l2' else ''}")
        axes.set_ylim(bottom=0)
    column[0].legend(fontsize=7, ncols=max(len(systems), 1))
    axes.set_xscale("log")
    axes.set_xlabel("centre of the mel band, Hz")
    save_figure(path, figure)


def draw_history(path: str | Path, rows: list[dict], *figures: str) -> None:
    """Draw a training history: a panel for each figure, a line for each group that has it.

    rows     of training_history.json: {"step": n, "<group>/<figure>": value, …}
    figures  names without group; those without values are left out
    """
    from matplotlib.figure import Figure

    names = {f: sorted({k for row in rows for k in row if k.endswith(f"/{f}")}) for f in figures}
    names = {f: found for f, found in names.items() if found}
    figure = Figure(figsize=(9, 2.4 * len(names)), layout="constrained")
    column = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, found) in zip(column, names.items(), strict=True):
        for name in found:
            points = [(row["step"], row[name]) for row in rows if name in row]
            axes.plot(
                *zip(*points, strict=True),
                "o-",
                markersize=3,
                linewidth=1.2,
                label=name.removesuffix(f"/{title}"),
            )
        axes.set_ylabel(title)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    axes.set_xlabel("steps")
    save_figure(path, figure)


def draw_panel(axes, title: str, lines: Lines) -> None:
    """Draw the curves of one title on matplotlib axes."""
    for label, panels in lines.items():
        axes.plot(*panels[title], label=label, **(TRUTH_LINE if label == "truth" else dict(linewidth=1.2)))
    axes.set_ylabel(title, fontsize=8)
    axes.axhline(0, color="0.5", linewidth=0.5)


def draw_lines(path: str | Path, systems: Lines) -> None:
    """Draw curves over time: a panel for each title, a line for each system."""
    from matplotlib.figure import Figure

    titles = next(iter(systems.values()))
    figure = Figure(figsize=(9, 2.4 * len(titles)), layout="constrained")
    column = figure.subplots(len(titles), 1, sharex=True, squeeze=False)[:, 0]
    for axes, title in zip(column, titles, strict=True):
        draw_panel(axes, title, systems)
    names = dict(loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    figure.legend(*axes.get_legend_handles_labels(), **names)
    axes.set_xlabel("seconds; positive = right leads, right is louder")
    save_figure(path, figure)
