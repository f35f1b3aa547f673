"""Why an FCS file is refused: the kinds of damage, and the error that says which.

Here belongs the wording that all readers of parts of a file share. What is damaged is found where that part is read.
"""

from enum import StrEnum
from pathlib import Path

from taproom.errors import SourceError


class Damage(StrEnum):
    """The kinds of damage that a file is refused for."""

    NOT_FCS = "not_fcs"
    VERSION = "version"
    OFFSETS = "offsets"
    TRUNCATED = "truncated"
    KEYWORDS = "keywords"
    UNSUPPORTED_TYPE = "unsupported_type"
    SEVERAL_DATA_SETS = "several_data_sets"
    CHANNEL_COUNT = "channel_count"
    BIT_WIDTH = "bit_width"
    CHANNEL_RANGE = "channel_range"
    EVENT_COUNT = "event_count"
    TOO_LARGE = "too_large"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    UNREADABLE = "unreadable"


class FcsError(SourceError):
    """An FCS file is refused. The message is for people, `damage` for programs that count or compare.

    >>> FcsError("a.fcs is not a file; wanted: an FCS file.").damage
    <Damage.UNREADABLE: 'unreadable'>
    """

    def __init__(self, message: str, damage: Damage = Damage.UNREADABLE):
        super().__init__(message)
        self.damage = damage


def refusal(path: Path, damage: Damage, found: str, wanted: str) -> FcsError:
    """The error that says what was found in a file, and what was wanted.

    >>> str(refusal(Path("a.fcs"), Damage.CHANNEL_COUNT, "$PAR is 0", "at least 1"))
    'a.fcs: $PAR is 0; wanted at least 1.'
    """
    return FcsError(f"{path}: {found}; wanted {wanted}.", damage)


def truncation(path: Path, what: str, end: int, size_bytes: int) -> FcsError:
    """The error for a part of a file (`what`) that ends at byte `end`, after the end of the file."""
    found = f"its {what} end at byte {end:,}, but the file has {size_bytes:,} bytes"
    return refusal(path, Damage.TRUNCATED, found, "a whole file (was its copy cut off?)")


def shown(value: str) -> str:
    """A value from a file in quotes, cut after 40 characters: it may be of any length.

    >>> shown("3"), len(shown(50 * "3"))
    ("'3'", 45)
    """
    return repr(value) if len(value) <= 40 else f"{value[:40]!r}..."
