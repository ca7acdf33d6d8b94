"""A progress bar of which only one is drawn at a time."""

import sys
import weakref

from tqdm import tqdm


class Progress(tqdm):
    """tqdm's bar; one that opens while another is open appears in the postfix of that one.

    During a validation, for example, the training's bar ends in ``validating: 3/10``. To draw two bars, tqdm
    moves the cursor, which leaves escape codes in log files. ``TQDM_DISABLE=1`` turns every bar off. In a log
    file a bar is drawn every ten seconds, and an inner bar only where it lasts that long.

    iterable  what to iterate over, or None for :meth:`update` by hand
    disable   draw nothing
    options   those of tqdm
    """

    _drawn = staticmethod(lambda: None)  # -> the bar drawn last, if it still exists

    def __init__(self, iterable=None, *, disable: bool = False, **options):
        host = Progress._drawn()
        self._host = None if host is None or host.disable else host  # a closed bar is disabled, too
        if self._host is not None:
            self._before = self._host.postfix
            options |= {"leave": False, "bar_format": "{desc}: {n_fmt}/{total_fmt}"}
        if disable:  # False would overrule TQDM_DISABLE
            options["disable"] = True
        if not sys.stderr.isatty():
            options = {"mininterval": 10, "delay": 0 if self._host is None else 10} | options
        super().__init__(iterable, **options)
        if self._host is None and not self.disable:
            Progress._drawn = weakref.ref(self)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Draws the bar, or writes it into the outer bar's postfix; an empty ``msg`` removes it.

        -> whether it was drawn on a line of its own: tqdm then returns to the line's beginning when it closes
        """
        if self._host is None:
            return bool(super().display(msg, 0))
        if not self._host.disable:
            shown = [self._before, str(self) if msg is None else msg]
            self._host.postfix = ", ".join(filter(None, shown))
            self._host.refresh()
        return False

    def moveto(self, n: int) -> None:
        """Does not move the cursor: every bar is drawn on the current line."""
