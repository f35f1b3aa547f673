import hashlib
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taproom.errors import SourceError
from taproom.sources.inbox import (
    DEFAULT_INBOX,
    INBOX_VARIABLE,
    Look,
    file_key,
    file_sha256,
    inbox_folder,
    look,
    read_settings,
)


def test_a_file_keeps_the_time_since_it_looked_so(tmp_path):
    (tmp_path / "june.csv").write_text("text")
    first = look(tmp_path, {}, now=10)
    assert first["june.csv"].since == 10
    assert look(tmp_path, first, now=20) == first


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_file_that_changed_starts_anew(tmp_path, change):
    path = tmp_path / "june.csv"
    path.write_text("text")
    first = look(tmp_path, {}, now=10)
    if change == "size":
        before = path.stat()
        path.write_text("longer text")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        os.utime(path, ns=(5, 5))
    assert look(tmp_path, first, now=20)["june.csv"].since == 20


def test_a_file_that_went_is_forgotten(tmp_path):
    assert look(tmp_path, {"gone.csv": Look(1, 2, 3.0)}, now=10) == {}


def test_what_is_no_data_file_is_passed_over(tmp_path):
    for name in (".hidden", "README.md", "inbox.toml"):
        (tmp_path / name).write_text("text")
    (tmp_path / "folder").mkdir()
    (tmp_path / ".hidden folder").mkdir()
    (tmp_path / ".hidden folder" / "june.csv").write_text("text")
    (tmp_path / "link.csv").symlink_to(tmp_path / "README.md")
    (tmp_path / "june.csv").write_text("text")
    assert list(look(tmp_path, {})) == ["june.csv"]


def test_files_in_folders_are_found_too(tmp_path):
    (tmp_path / "plate 7").mkdir()
    (tmp_path / "plate 7" / "a1.fcs").write_text("text")
    (tmp_path / "plate 7" / "plate_map.csv").write_text("text")
    assert list(look(tmp_path, {})) == ["plate 7/a1.fcs"]


def test_empty_files_are_passed_over(tmp_path):
    (tmp_path / "empty.csv").touch()
    assert look(tmp_path, {}) == {}


def test_no_folder_holds_no_files(tmp_path):
    assert look(tmp_path / "none", {}) == {}


def test_settings_are_read_and_none_are_none(tmp_path):
    assert read_settings(tmp_path) == {}
    (tmp_path / "inbox.toml").write_text('collection = "beers"\n[columns]\ntext = "body"\n')
    assert read_settings(tmp_path) == {"collection": "beers", "columns": {"text": "body"}}


@pytest.mark.parametrize("content", [b"a = ", b'a = "\xff"'])
def test_settings_that_are_not_toml_are_named(tmp_path, content):
    (tmp_path / "inbox.toml").write_bytes(content)
    with pytest.raises(SourceError, match=r"inbox\.toml is not TOML in UTF-8"):
        read_settings(tmp_path)


def test_the_folder_follows_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv(INBOX_VARIABLE, str(tmp_path))
    assert inbox_folder("reviews") == tmp_path / "reviews"
    monkeypatch.delenv(INBOX_VARIABLE)
    assert inbox_folder("reviews") == DEFAULT_INBOX / "reviews"


@pytest.mark.slow
@given(name=st.text(max_size=200), content=st.binary())
def test_a_key_is_a_plain_name_whatever_the_file_is_called(name, content):
    key = file_key(name, hashlib.sha256(content).hexdigest())
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}", key)
    assert ".." not in key
    assert key.endswith(hashlib.sha256(content).hexdigest()[:8])


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..", "/", "", "a/../b", "..\\x", "-rf", "....csv", "a...b", "\x00\n"]
)
def test_a_key_never_leaves_its_folder(tmp_path, name):
    key = file_key(name, "0123456789abcdef")
    assert (tmp_path / key).resolve().parent == tmp_path.resolve()
    assert (tmp_path / key).resolve() != tmp_path.resolve()
    assert not key.startswith(("-", "."))
    assert ".." not in key


def test_a_key_tells_name_and_content():
    assert file_key("june reviews.csv", "1f2e3d4c5b6a") == "june_reviews.csv-1f2e3d4c"
    assert file_key("june.csv", "1" * 64) != file_key("june.csv", "2" * 64)


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path):
    content = bytes(range(256)) * 10_000
    (tmp_path / "f").write_bytes(content)
    assert file_sha256(tmp_path / "f") == hashlib.sha256(content).hexdigest()


def test_settings_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "inbox.toml").write_bytes(b'\xef\xbb\xbfsource = "table"\n')
    assert read_settings(tmp_path) == {"source": "table"}
