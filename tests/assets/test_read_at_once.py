"""Configurations of tables that are read at once: the fingerprint of their files."""

import pytest

from assets.read_at_once import with_fingerprint
from taproom.errors import SourceError
from taproom.sources.files import fingerprint


def test_a_configuration_gets_the_fingerprint_of_its_path(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("one")
    given = {"path": str(path), "fingerprint": "of what was there before"}
    assert with_fingerprint(given, path) == {None: {"path": str(path), "fingerprint": fingerprint(path)}}


def test_a_configuration_without_a_path_stays():
    assert with_fingerprint({"unit": "line"}, None) == {None: {"unit": "line"}}


def test_a_missing_path_is_refused(tmp_path):
    with pytest.raises(SourceError, match="none is not there"):
        with_fingerprint({}, tmp_path / "none")
