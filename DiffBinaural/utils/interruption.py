"""Graceful interruption of a training."""

import os
import signal
from collections.abc import Callable

from DiffBinaural.utils.distributed import World


class Stop:
    """Within its block, a first SIGTERM or Ctrl-C waits for the end of the step; a second one does not."""

    def __enter__(self):
        self.asked, self.process = 0, os.getpid()
        self.before = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *error):
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame) -> None:
        if os.getpid() != self.process:  # a loader's process, which its parent ends
            return
        self.__exit__()
        self.asked = number
        os.write(2, b"\nstopping: after this step, and once the state is saved; again: at once\n")

    def check(self, job: World, save: Callable[[], str]) -> None:
        """Between two steps: if a process of the job was asked to stop, save and raise KeyboardInterrupt.

        save  -> a message that says what was saved; called in the first process
        """
        if job.any(bool(self.asked)):
            kept = save() if job.first else ""
            job.wait()
            raise KeyboardInterrupt(self.asked or signal.SIGTERM, kept)
