"""Files that people give: whether they have content, and their fingerprints."""

import re

import pytest

from taproom.errors import SourceError
from taproom.sources.files import check_has_content, fingerprint
from taproom.sources.inbox import file_sha256


@pytest.mark.parametrize(
    ("name", "complaint"), [("none", "is not there"), (".", "is not a file"), ("empty", "is empty")]
)
def test_a_path_without_content_is_refused_by_name(tmp_path, name, complaint):
    (tmp_path / "empty").touch()
    path = tmp_path / name
    with pytest.raises(SourceError, match=rf"{re.escape(str(path))} .*{complaint}.*Wanted: a file of reviews"):
        check_has_content(path, "a file of reviews")


def test_a_file_of_one_byte_has_content(tmp_path):
    (tmp_path / "full").write_text("x")
    check_has_content(tmp_path / "full", "a file of reviews")


def test_the_fingerprint_of_a_file_is_the_hash_of_its_content(tmp_path):
    path = tmp_path / "a"
    path.write_text("one")
    assert fingerprint(path) == file_sha256(path)


def test_the_fingerprint_of_a_folder_changes_with_names_and_content(tmp_path):
    (tmp_path / "a").write_text("one")
    first = fingerprint(tmp_path)
    (tmp_path / ".hidden").write_text("passed over")
    assert fingerprint(tmp_path) == first
    (tmp_path / "a").write_text("two")
    second = fingerprint(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({first, second, fingerprint(tmp_path)}) == 3


def test_without_a_file_there_is_no_fingerprint(tmp_path):
    with pytest.raises(SourceError, match=r"none is not there.* Wanted: a file, or a folder"):
        fingerprint(tmp_path / "none")
