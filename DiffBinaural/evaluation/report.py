"""The listening page: one HTML file with sounds, figures, pictures, to be opened from disk."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import soundfile
import torch

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.evaluation.comparison import compared_systems
from DiffBinaural.evaluation.interaural import cues
from DiffBinaural.evaluation.metrics import METRICS
from DiffBinaural.evaluation.pairing import ANCHORS, Prediction
from DiffBinaural.utils.files import write_text
from DiffBinaural.utils.mel import mel_spectrogram
from DiffBinaural.utils.plots import MEL_TICKS, draw_lines, mel_png, mel_ticks, svg_path

PAGE = Path(__file__).with_name("report.html")
PEAK = 0.9  # of a clip's loudest system; one gain holds for all of them
MAX_GAIN = 10  # 20 dB: a clip of hiss stays quiet
STEPS = {"µs": 250, "dB": 5}  # a cue's scale ends at a multiple of this


def draw_cues(clip: list[Prediction], rate: int, folder: str) -> None:
    """Draw the cues over time of the truth and each prediction: <folder>/<system>/<clip>.png."""
    pairs = compared_systems(clip, rate)
    for p in clip:
        estimate, reference = pairs[p.system]
        draw_lines(
            Path(folder) / p.system / f"{p.stem}.png",
            {"truth": cues(reference, rate), p.system: cues(estimate, rate)},
        )


def evenly_spaced(clips: list, limit: int) -> list:
    """At most `limit` clips, evenly spaced over all."""
    return [clips[i] for i in np.linspace(0, len(clips) - 1, min(limit, len(clips))).round().astype(int)]


def anchors_last(systems) -> list[str]:
    """Names of systems, models first, so that keys 2, 3 … switch between them."""
    return sorted(systems, key=lambda system: system in ANCHORS)


def base64_text(content: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(content).decode("ascii")


def clip_content(clip: list[Prediction], rate: int) -> dict:
    """Everything that the page shows of a clip: sounds, spectrograms and curves of truth and systems.

    Swapped ears are left out: they sound like the model, from the other side.

    ->  {"id", "seconds", "gain" (dB, one for all), "sounds": {name: {"flac", "mels": [left, right]}},
         "cues": [{"title", "limit", "paths": {name: SVG path in seconds across, -1 … 1 of limit upwards}}]}
    """
    pairs = compared_systems(clip, rate)
    sounds = {"truth": pairs[clip[0].system][1]}
    sounds |= {system: pairs[system][0] for system in anchors_last(pairs) if system != "swapped"}
    size = min(wav.shape[1] for wav in sounds.values())
    sounds = {name: wav[:, :size] for name, wav in sounds.items()}
    gain = min(PEAK / max(max(np.abs(wav).max() for wav in sounds.values()), 1e-9), MAX_GAIN)
    lines = {name: cues(wav, rate) for name, wav in sounds.items()}
    return {
        "id": clip[0].stem,
        "seconds": size / rate,
        "gain": 20 * float(np.log10(gain)),
        "sounds": {
            name: {
                "flac": base64_text(flac(gain * wav, rate)),
                "mels": [base64_text(mel_png(mel)) for mel in mels_of(wav)],
            }
            for name, wav in sounds.items()
        },
        "cues": [scaled(title, lines) for title in lines["truth"]],
    }


def flac(wav: np.ndarray, rate: int) -> bytes:
    """Sound (2, N) as a FLAC of 16 bits; one channel where both ears are the same."""
    file = io.BytesIO()
    samples = wav[0] if np.array_equal(wav[0], wav[1]) else wav.T
    soundfile.write(file, samples, rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def mels_of(wav: np.ndarray) -> np.ndarray:
    """Log mels (2, M, T) of a sound (2, N), padded with silence where it is too short for one."""
    cfg = MelConfig()
    padded = np.pad(wav, [(0, 0), (0, max(cfg.n_fft - wav.shape[1], 0))]).astype(np.float32)
    return mel_spectrogram(torch.from_numpy(padded), cfg).numpy()


def scaled(title: str, lines: dict) -> dict:
    """Curves of one cue for all systems, on one scale."""
    step = next(size for unit, size in STEPS.items() if title.endswith(unit))
    values = np.concatenate([panels[title][1] for panels in lines.values()])
    top = np.abs(values[np.isfinite(values)]).max(initial=0)
    limit = step * max(int(np.ceil(top / step)), 1)
    paths = {name: svg_path(panels[title][0], -panels[title][1] / limit) for name, panels in lines.items()}
    return {"title": title, "limit": limit, "paths": paths}


def embedded(content) -> str:
    """JSON for a <script>: with `<` escaped, so that it cannot close the element."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def write_report(
    path: str | Path, shown: list[dict], rows: list[dict], systems: dict, paired: dict | None
) -> str:
    """Write the page, whole or not at all.

    shown    clips on the page, of :func:`clip_content`
    rows     of all clips, as in the evaluate scripts' JSON; systems: of aggregation.summarise
    paired   of paired.compare, or None
    ->       a line for the user: number of clips and size
    """
    known = {clip["id"] for clip in shown}
    figures: dict[str, dict] = {clip["id"]: {} for clip in shown}
    for row in rows:
        if row["id"] in known:
            figures[row["id"]][row["system"]] = {k: v for k, v in row.items() if k not in ("id", "system")}
    every = len({row["id"] for row in rows})
    described = [
        {
            "name": name,
            "what": one.figure.__doc__.splitlines()[0],
            "better": one.better,
            "unit": one.unit,
            "scale": one.scale,
        }
        for name, one in METRICS.items()
        if any(name in of for of in systems.values())
    ]
    ticks = [
        [f"{f / 1000:g}k", (band + 0.5) / MelConfig.n_mels]
        for f, band in zip(MEL_TICKS, mel_ticks(MelConfig()), strict=True)
    ]
    index = {
        "metrics": described,
        "systems": {name: systems[name] for name in anchors_last(systems)},
        "figures": figures,
        "clips": list(figures),
        "every": every,
        "paired": paired,
        "ticks": ticks,
    }
    blocks = "\n".join(
        f'<script type="application/json" id="clip-{number}">{embedded(clip)}</script>'
        for number, clip in enumerate(shown)
    )
    before, rest = PAGE.read_text(encoding="utf-8").split("{{INDEX}}")
    between, after = rest.split("{{CLIPS}}")
    write_text(path, "".join([before, embedded(index), between, blocks, after]))
    size = Path(path).stat().st_size / 1e6
    return f"{path}: {len(shown)} of {every} clips, {size:.1f} MB ({size / len(shown):.2f} MB a clip)\n"
