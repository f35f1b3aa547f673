import os
from pathlib import Path

import pytest

from taproom.errors import SourceError
from taproom.sources.allowed_folders import DATA, FOLDERS_VARIABLE, allowed_folders, allowed_path
from taproom.sources.inbox import INBOX_VARIABLE


@pytest.fixture
def inbox(tmp_path, monkeypatch) -> Path:
    """The one allowed folder, with a file in it; beside it lies a file that is not to be read."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "june.csv").write_text("a,b\n")
    (tmp_path / "secret.csv").write_text("a,b\n")
    monkeypatch.setenv(FOLDERS_VARIABLE, str(folder))
    return folder


def test_a_path_in_an_allowed_folder_is_given_back(inbox, monkeypatch):
    assert allowed_path(str(inbox / "june.csv"), "reviews") == inbox / "june.csv"
    assert allowed_path(inbox, "reviews") == inbox
    assert allowed_path(inbox / "not there yet.csv", "reviews") == inbox / "not there yet.csv"
    monkeypatch.chdir(inbox)
    assert allowed_path("june.csv", "reviews") == Path("june.csv")


@pytest.mark.parametrize("path", ["{0}/secret.csv", "{0}/inbox/../secret.csv", "{0}/inboxes/june.csv", "{0}", "/", "~"])
def test_a_path_outside_is_refused_with_what_to_do(inbox, path):
    given = path.format(inbox.parent)
    with pytest.raises(SourceError) as refused:
        allowed_path(given, "reviews")
    told = str(refused.value)
    assert told.startswith("reviews: ")
    assert str(Path(given).expanduser()) in told
    assert f"Allowed are paths in {inbox}." in told
    assert FOLDERS_VARIABLE in told


def test_a_link_that_leads_out_is_refused(inbox):
    link = inbox / "july.csv"
    link.symlink_to(inbox.parent / "secret.csv")
    with pytest.raises(SourceError, match=r"july.csv', which leads to '.*secret.csv', may not be read"):
        allowed_path(link, "reviews")


def test_a_folder_whose_link_leads_out_is_refused(inbox):
    folder = inbox / "corpus" / "label"
    folder.mkdir(parents=True)
    (folder / "inside.txt").symlink_to(inbox / "june.csv")
    assert allowed_path(inbox / "corpus", "documents") == inbox / "corpus"
    (folder / "outside").symlink_to(inbox.parent)
    with pytest.raises(SourceError, match="outside"):
        allowed_path(inbox / "corpus", "documents")


def test_an_allowed_folder_may_be_a_link_itself(inbox, monkeypatch):
    link = inbox.parent / "link"
    link.symlink_to(inbox)
    monkeypatch.setenv(FOLDERS_VARIABLE, os.pathsep.join([str(link), "", "/nowhere"]))
    assert allowed_path(link / "june.csv", "reviews")
    assert allowed_path(inbox / "june.csv", "reviews")
    assert allowed_folders() == [inbox.resolve(), Path("/nowhere")]


def test_without_the_variable_a_person_reads_what_is_theirs(inbox, monkeypatch, tmp_path):
    monkeypatch.delenv(FOLDERS_VARIABLE)
    monkeypatch.setenv(INBOX_VARIABLE, str(inbox))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (current := tmp_path / "current").mkdir()
    monkeypatch.chdir(current)
    assert allowed_folders() == [current, tmp_path / "home", DATA, inbox]
    assert allowed_path("beers.csv", "reviews") == Path("beers.csv")
    assert allowed_path("~/beers.csv", "reviews") == tmp_path / "home" / "beers.csv"
    with pytest.raises(SourceError, match=r"secret\.csv"):
        allowed_path(tmp_path / "secret.csv", "reviews")
