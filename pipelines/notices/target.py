"""What a target of notices is, and the simplest one, the log."""

import logging
from abc import ABC, abstractmethod

from pipelines.notices.notice import Notice
from taproom.errors import TaproomError

log = logging.getLogger("taproom.pipelines")

# For each wait: for a connection, for an answer.
ATTEMPT_SECONDS = 5.0


class NotDeliveredError(TaproomError):
    """A target has not taken a notice.

    Attributes:
        is_temporary: whether the same attempt may succeed in a moment.
        wait_seconds: for how long the target does not want another attempt; None where it did not say so.
    """

    def __init__(self, message: str, *, is_temporary: bool, wait_seconds: float | None = None) -> None:
        """Keep the arguments."""
        super().__init__(message)
        self.is_temporary = is_temporary
        self.wait_seconds = wait_seconds


class Target(ABC):
    """Where notices are sent to.

    Attributes:
        id: the same at each evaluation of a sensor. Holds no secret.
        name: for messages. Holds no secret.
    """

    id: str
    name: str

    @abstractmethod
    def attempt(self, notice: Notice) -> None:
        """Send a notice, once.

        Raises:
            NotDeliveredError: the target has not taken it, or has not said so in `ATTEMPT_SECONDS`.
        """


class LogLine(Target):
    """The log of the process, which every notice goes to."""

    id = name = "log"

    def attempt(self, notice: Notice) -> None:
        """Write a line; this always succeeds."""
        log.warning("%s\n%s", notice.subject, notice.text)
