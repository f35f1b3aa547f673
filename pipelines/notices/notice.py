"""A notice: what has happened, as one or several entries of one kind."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

MOST_SHOWN = 10
MOST_ENTRIES = 100


@dataclass(frozen=True)
class Entry:
    """One thing that has happened.

    Attributes:
        id: the same whenever this is sent again.
        name: what it happened to, in a word or two.
        text: what happened, in a sentence.
        links: where to look, by a word for each address.
        facts: the same as data, for programs. Values are numbers, strings or None.
    """

    id: str
    name: str
    text: str
    links: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Notice:
    """Entries of one kind that were found together.

    Attributes:
        kind: `new_version`, `run_failed` ...
        subject: a line for all entries.
        entries: at least one; at most `MOST_ENTRIES` are sent, and people are shown `MOST_SHOWN`.
        time: when they were found; has a time zone.
        links: where to look, for all entries.
    """

    kind: str
    subject: str
    entries: tuple[Entry, ...]
    time: datetime
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The same whenever the same entries are sent again, 32 hexadecimal digits."""
        ids = "\n".join([self.kind, *sorted(entry.id for entry in self.entries)])
        return hashlib.sha256(ids.encode()).hexdigest()[:32]

    @property
    def shown(self) -> tuple[Entry, ...]:
        """The entries that people are shown."""
        return self.entries[:MOST_SHOWN]

    @property
    def more(self) -> str:
        """How many entries are not shown, as a line; empty where all are."""
        hidden = len(self.entries) - MOST_SHOWN
        return f"and {hidden} more" if hidden > 0 else ""

    @property
    def text(self) -> str:
        """The notice for people, without the subject: a line for each entry, with its links below it."""
        lines = []
        for entry in self.shown:
            lines += [f"- {entry.text}", *(f"  {label}: {address}" for label, address in entry.links.items())]
        lines += [self.more] if self.more else []
        return "\n".join([*lines, *(f"{label}: {address}" for label, address in self.links.items())])


def subject_of(what: str, entries: Sequence[Entry]) -> str:
    """A subject: what has happened, and to what.

    >>> subject_of("Run failed", [Entry("1", "refresh_text", ""), Entry("2", "tune", "")])
    'Run failed: refresh_text and 1 more'
    """
    first, *others = entries
    return f"{what}: {first.name}{f' and {len(others)} more' if others else ''}"
