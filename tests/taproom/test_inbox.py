import os

import pytest

from taproom.errors import SourceError
from taproom.inbox import DEFAULT_INBOX, INBOX_VARIABLE, Look, inbox_folder, look, read_settings


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
    (tmp_path / "link.csv").symlink_to(tmp_path / "README.md")
    (tmp_path / "june.csv").write_text("text")
    assert list(look(tmp_path, {})) == ["june.csv"]


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
