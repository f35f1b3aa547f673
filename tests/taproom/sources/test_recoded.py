import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taproom.errors import SourceError
from taproom.sources.recoded import Recoded


def recoded(content, encoding):
    return io.BufferedReader(Recoded(io.BytesIO(content), Path("r.csv"), encoding)).read()


@pytest.mark.slow
@given(st.text(st.characters(codec="utf-16")), st.sampled_from(["utf-16", "utf-32", "utf-16-le", "utf-8"]))
def test_text_is_the_same_in_utf_8_but_for_line_ends(text, encoding):
    assert recoded(text.encode(encoding), encoding).decode() == text.replace("\r\n", "\n").replace("\r", "\n")


def test_what_cannot_be_decoded_is_no_utf_8():
    assert recoded("a".encode("utf-16-le") + b"\x00\xd8", "utf-16-le") == b"a\xff"
    with pytest.raises(SourceError, match=r"r\.csv is not utf-16.*`encoding`"):
        recoded(b"item_id,text\n", "utf-16")
