"""The log of a training."""

import io
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from DiffBinaural.utils.audio import stored
from DiffBinaural.utils.files import read_json, write_json


class RunLog:
    """Writes rows of named numbers to a run's TensorBoard folder, its history file and the screen.

    run     run folder
    board   TensorBoard's folder inside it
    step    from which the run goes on: what a stopped run logged about later steps is dropped
    """

    def __init__(self, run: Path, board: str, *, step: int):
        from torch.utils.tensorboard import SummaryWriter

        self.path = Path(run) / "training_history.json"
        written = read_json(self.path) if step and self.path.exists() else []
        self.rows = [row for row in written if row["step"] <= step]
        self.writer = SummaryWriter(str(Path(run) / board), purge_step=step + 1 if step else None)

    def __call__(self, step: int, **numbers: float) -> None:
        """Record one event at a step."""
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()
        self.rows = [row for row in self.rows if row["step"] < step] + [{"step": step, **numbers}]
        write_json(self.path, self.rows)
        tqdm.write(f"step {step:6d}  " + "  ".join(f"{k} {v:.4g}" for k, v in numbers.items()))

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """A picture (H, W, 3) uint8, for TensorBoard only."""
        self.writer.add_image(name, image, step, dataformats="HWC")

    def sound(self, step: int, name: str, wav: np.ndarray, rate: int) -> None:
        """A sound (C, N) in [-1, 1] at `rate` Hz, for TensorBoard only; its own add_audio is mono."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        file = io.BytesIO()
        soundfile.write(file, stored(wav, "PCM_16").T, rate, "PCM_16", format="WAV")
        audio = Summary.Audio(
            sample_rate=rate,
            num_channels=len(wav),
            length_frames=wav.shape[1],
            encoded_audio_string=file.getvalue(),
            content_type="audio/wav",
        )
        self.writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=name, audio=audio)]), step)

    def scalars(self, step: int, **numbers: float) -> None:
        """Numbers of a single step, for TensorBoard's curves only."""
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Finish the TensorBoard file."""
        self.writer.close()
