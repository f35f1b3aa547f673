"""What `make run` shows while chains are made side by side: of each, how far it is, what is made and what comes then.

On a terminal, each chain has a line that is redrawn, below what the chains say. Any other output gets lines alone: what
the chains say, and where a chain is that has said nothing for a while.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

from tqdm import tqdm

# After so long, a log says where a chain is; again after so long if it is still there.
SECONDS_OF_SILENCE, SECONDS_UNCHANGED = 15.0, 60.0
STEPS_NAMED = 3


@dataclass
class _Row:
    """What is known of a chain."""

    doing: str = "waiting for another chain"
    progress: str = ""
    done: int = 0
    left: list[str] = field(default_factory=list)
    said_at: float = field(default_factory=time.monotonic)
    said: str = ""
    is_over: bool = False

    def __str__(self) -> str:
        """One line: how far it is, what is being made, and what comes then."""
        count = f"{self.done}/{self.done + len(self.left)}  " if self.left else ""
        then = [step for step in self.left if step != self.doing]
        more = f" and {len(then) - STEPS_NAMED} more" if len(then) > STEPS_NAMED else ""
        named = f"; then {', '.join(then[:STEPS_NAMED])}{more}" if then else ""
        return f"{count}{self.doing}{f' ({self.progress})' if self.progress else ''}{named}"


class Display:
    """Shows the chains of one run of `make run`.

    Args:
        chains: the names of the chains.
        out: where to write.
    """

    def __init__(self, chains: Sequence[str], out: TextIO) -> None:
        """Show the chains, none of which has begun."""
        self._out, self._began = out, time.monotonic()
        self._width = max(map(len, chains))
        self._rows = {name: _Row() for name in chains}
        self._bars = [
            tqdm(total=1, bar_format="{desc}", position=place, leave=False, file=out, dynamic_ncols=True)
            for place in range(len(chains) if out.isatty() else 0)
        ]

    def planned(self, chain: str, steps: Sequence[str]) -> None:
        """A chain is about to make these steps."""
        self._rows[chain].left = list(steps)

    def begun(self, chain: str, step: str) -> None:
        """A step begins."""
        self._rows[chain].doing, self._rows[chain].progress = step, ""

    def ended(self, chain: str, step: str) -> None:
        """A step has ended."""
        row = self._rows[chain]
        if step in row.left:
            row.left.remove(step)
            row.done += 1

    def progress(self, chain: str, text: str) -> None:
        """The step that a chain makes is so far."""
        self._rows[chain].progress = text

    def line(self, chain: str, text: str) -> None:
        """A chain says something."""
        self._rows[chain].said, self._rows[chain].said_at = text, time.monotonic()
        tqdm.write(self._told(chain, text.strip()), file=self._out)
        self._out.flush()

    def finished(self, chain: str, is_made: bool) -> None:
        """A chain is over: all of it is made, or something has failed."""
        row = self._rows[chain]
        row.doing, row.progress, row.left, row.is_over = "made" if is_made else "failed", "", [], True
        self.line(chain, str(row))

    def refresh(self) -> None:
        """Redraw the lines of a terminal; elsewhere, say where each chain is that has said nothing for a while."""
        for bar, (name, row) in zip(self._bars, self._rows.items(), strict=False):
            bar.set_description_str(self._told(name, str(row)))
        for name, row in self._rows.items():
            silence = SECONDS_UNCHANGED if row.said == str(row) else SECONDS_OF_SILENCE
            if not self._bars and not row.is_over and time.monotonic() - row.said_at > silence:
                self.line(name, str(row))

    def close(self) -> None:
        """Remove the lines of a terminal."""
        for bar in reversed(self._bars):  # the first one leaves the cursor where lines begin
            bar.close()

    def _told(self, chain: str, text: str) -> str:
        return f"{tqdm.format_interval(time.monotonic() - self._began)}  {chain:{self._width}}  {text}"
