"""The line in which videos wait for the one worker."""

import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Waiting:
    """A piece of work in the line."""

    owner: str
    work: Callable[[], None]
    quick: bool  # goes before what is not


class Line:
    """One piece of work at a time, in the order of arrival, quick ones first.

    Each owner has at most one waiting: a newer one takes its place.
    """

    def __init__(self):
        self.changed = threading.Condition()
        self.waiting: list[Waiting] = []
        self.owner, self.ended = "", False  # whose work is being done
        self.worker = threading.Thread(target=self._work, daemon=True)
        self.worker.start()

    def put(self, owner: str, work: Callable[[], None], *, quick: bool = False) -> None:
        """Append a piece of work."""
        with self.changed:
            new, old = Waiting(owner, work, quick), [w.owner for w in self.waiting]
            if owner in old:
                self.waiting[old.index(owner)] = new
            else:
                self.waiting.append(new)
            self.waiting.sort(key=lambda w: not w.quick)  # stable: of two alike the first comes first
            self.changed.notify_all()

    def ahead(self, owner: str) -> int | None:
        """How many come before an owner; 0 while its work is done, None where it has none."""
        with self.changed:
            owners = [w.owner for w in self.waiting]
            if owner in owners:
                return owners.index(owner) + bool(self.owner)
            return 0 if self.owner == owner else None

    def leave(self, owner: str) -> None:
        """Take an owner's work out of the line."""
        with self.changed:
            self.waiting = [w for w in self.waiting if w.owner != owner]

    def end(self) -> None:
        """Do nothing more; what is being done is finished."""
        with self.changed:
            self.ended, self.waiting = True, []
            self.changed.notify_all()
        self.worker.join(timeout=30)

    def _work(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.waiting or self.ended)
                if self.ended:
                    return
                job = self.waiting.pop(0)
                self.owner = job.owner
            try:
                job.work()
            except Exception:  # a mistake of ours must not end the line for all who wait
                traceback.print_exc(file=sys.stderr)
            del job  # what it holds is free while the line is empty
            with self.changed:
                self.owner = ""
