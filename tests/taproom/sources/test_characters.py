"""Characters that a table can hold, encodings that Python knows, values in messages."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taproom.errors import SourceError
from taproom.sources.characters import check_encoding, is_storable, listed, printable, shown


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "idna", "punycode", "undefined"])
def test_text_encodings_of_python_are_known(encoding):
    check_encoding(Path("r.csv"), encoding)


@pytest.mark.parametrize("encoding", ["klingon", "rot13", "hex", ""])
def test_an_encoding_that_is_none_of_text_is_refused(encoding):
    with pytest.raises(SourceError, match=f"r.csv: there is no text encoding '{encoding}'"):
        check_encoding(Path("r.csv"), encoding)


@given(st.text(st.characters(codec=None)))
def test_a_text_is_storable_if_it_has_no_nul_and_can_be_encoded(text):
    assert is_storable(text) == (printable(text) == text and "\0" not in text)


def test_a_value_in_a_message_is_at_most_80_characters():
    assert shown("x" * 78) == repr("x" * 78)
    assert shown("x" * 79) == "'" + "x" * 75 + " ..."
    assert shown("\udcff").encode() == b"'\\udcff'"


def test_names_in_a_message_are_at_most_fifty():
    assert listed([]) == "none"
    assert listed(map(str, range(52))).endswith("'49', and 2 more")
