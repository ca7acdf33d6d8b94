"""Pictures: mels, errors over frequency, cues over time."""

from pathlib import Path

import numpy as np

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.utils.files import replacing
from DiffBinaural.utils.helpers import FLOOR, band_centres
from DiffBinaural.utils.lists import SIDES


def mel_figure(rows: list[tuple[str, np.ndarray]], cfg: MelConfig):
    """Log mels one below the other, all on one scale, and differences on a scale of their own.

    rows  (title, (M, T)) each; nepers, or dB where the title says dB
    ->    matplotlib's Figure
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.7 * len(rows)), layout="constrained")
    centres = band_centres(cfg)
    ticks = [int(np.abs(centres - f).argmin()) for f in (500, 1000, 2000, 4000, 8000)]
    column = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, mel) in zip(column, rows, strict=True):
        in_db = "dB" in title
        style = (dict(cmap="RdBu_r", vmin=-20, vmax=20) if in_db
                 else dict(cmap="magma", vmin=np.log(FLOOR), vmax=2))
        seconds = mel.shape[1] * cfg.hop / cfg.sample_rate
        image = axes.imshow(mel, origin="lower", aspect="auto", extent=(0, seconds, 0, mel.shape[0]), **style)
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_yticks(ticks, [f"{f:g}k" for f in (0.5, 1, 2, 4, 8)], fontsize=7)
        figure.colorbar(image, ax=axes, label="dB" if in_db else "nepers", pad=0.01)
    axes.set_xlabel("seconds")
    axes.set_ylabel("Hz")
    return figure


def save_figure(path: str | Path, figure) -> None:
    """Write a figure as PNG, whole or not at all."""
    with replacing(path) as partial:
        figure.savefig(partial, dpi=110, format="png")


def draw_mels(path: str | Path, rows: list[tuple[str, np.ndarray]], cfg: MelConfig) -> None:
    """Write :func:`mel_figure` as PNG."""
    save_figure(path, mel_figure(rows, cfg))


def mel_picture(rows: list[tuple[str, np.ndarray]], cfg: MelConfig) -> np.ndarray:
    """:func:`mel_figure` as pixels (H, W, 3) uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(mel_figure(rows, cfg))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def draw_bands(path: str | Path, systems: dict[str, dict[str, list]], cfg: MelConfig) -> None:
    """Draw mel errors over frequency, a panel for each kind of error, a line for each system and ear.

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
    """Draw a training's history, a panel for each figure, a line for each group that has it.

    rows     of training_history.json: {"step": n, "<group>/<figure>": value, …}
    figures  names without group; those that no row has are left out
    """
    from matplotlib.figure import Figure

    names = {f: sorted({k for row in rows for k in row if k.endswith(f"/{f}")}) for f in figures}
    names = {f: found for f, found in names.items() if found}
    figure = Figure(figsize=(9, 2.4 * len(names)), layout="constrained")
    column = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, found) in zip(column, names.items(), strict=True):
        for name in found:
            points = [(row["step"], row[name]) for row in rows if name in row]
            axes.plot(*zip(*points, strict=True), "o-", markersize=3, linewidth=1.2,
                      label=name.removesuffix(f"/{title}"))
        axes.set_ylabel(title)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    axes.set_xlabel("steps")
    save_figure(path, figure)


def draw_lines(path: str | Path, systems: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]) -> None:
    """Draw curves over time, a panel for each title, a line for each system.

    systems  label -> title -> (seconds, values); the first system, the truth, is drawn broad
    """
    from matplotlib.figure import Figure

    titles = next(iter(systems.values()))
    figure = Figure(figsize=(9, 2.4 * len(titles)), layout="constrained")
    column = figure.subplots(len(titles), 1, sharex=True, squeeze=False)[:, 0]
    for axes, title in zip(column, titles, strict=True):
        for number, (label, panels) in enumerate(systems.items()):
            broad = dict(color="0.75", linewidth=6) if number == 0 else dict(linewidth=1.2)
            axes.plot(*panels[title], label=label, **broad)
        axes.set_ylabel(title, fontsize=8)
        axes.axhline(0, color="0.5", linewidth=0.5)
        axes.legend(fontsize=7)
    axes.set_xlabel("seconds; positive = right leads, right is louder")
    save_figure(path, figure)
