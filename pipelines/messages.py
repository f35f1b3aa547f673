"""The messages of a process that makes a chain (`pipelines.chain_process`) to the one that has started it."""

from enum import Enum, auto


class Message(Enum):
    """The kinds of messages of a process that makes a chain, and what belongs to each."""

    PLANNED = auto()  # what is about to be done, its tables and its steps
    BEGUN = auto()  # a step
    ENDED = auto()  # a step
    PROGRESS = auto()  # a text: how far the step is
    LINE = auto()  # any other text
    DONE = auto()  # the reason of each failure, by what has failed
