"""Files that were good, with random damage, and the limits within which readers have to settle what they are."""

import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

MOST_KILOBYTES = 1_500_000
MOST_TIME = timedelta(seconds=10)

_INSERTED = [*(bytes([byte]) for byte in b"\"',\t;\n\r\0\xff{[]\\"), b"\xef\xbb\xbf", b"1" * 5000]


def many_examples(examples: int) -> settings:
    """The settings of a test with damaged files; it fails if reading one takes longer than `MOST_TIME`."""
    return settings(
        max_examples=examples, deadline=MOST_TIME, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )


@st.composite
def damaged(draw, good: Mapping[str, bytes], may_repeat: bool = True):
    """Name and content of a good file with a few bytes inserted, taken out or replaced, cut off, or behind itself."""
    name = draw(st.sampled_from(sorted(good)))
    content = good[name]
    for _ in range(draw(st.integers(0, 4))):
        at, length = draw(st.integers(0, len(content))), draw(st.integers(0, 30))
        inserted = draw(st.one_of(st.sampled_from(_INSERTED), st.binary(max_size=8)))
        content = content[:at] + inserted + content[at + length :]
    cut = draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    return name, content[:cut] * draw(st.integers(1, 2 if may_repeat else 1))


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Fail if the memory of this process has grown by `MOST_KILOBYTES` at any time meanwhile."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_KILOBYTES
