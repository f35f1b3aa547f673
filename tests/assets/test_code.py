import sys
from pathlib import Path

import dagster as dg
import pytest

from assets import code

ASSET = '''"""A table."""

from taproom.weighing import weigh


def table(rows):
    """Weigh the rows."""
    # heavier first
    return weigh(rows)
'''
WEIGHING = "import math\n\n\ndef weigh(rows):\n    return [math.log(row) for row in rows]\n"


class Config(dg.Config):
    seed: int = 0


class OtherSeed(dg.Config):
    seed: int = 1


class Described(dg.Config):
    """The same default, said otherwise."""

    seed: int = 0


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(code, "ROOT", tmp_path)
    for folder in ("assets/chain", "taproom"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "assets/chain/table.py").write_text(ASSET)
    (tmp_path / "taproom/weighing.py").write_text(WEIGHING)
    return tmp_path


def version(config: type[dg.Config] | None = None) -> str:
    # files do not change while a process runs, so what was parsed is kept; here they do
    code._parsed.cache_clear()
    return code.code_version("assets.chain.table", config)


def rewritten(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# heavier first", "# lighter first, as it were"),
        ('"""Weigh the rows."""', '"""Weigh all rows, one by one."""'),
        ('"""A table."""', '"""A table of weights."""'),
        ("weigh(rows)\n", "weigh(\n        rows\n    )\n"),
    ],
    ids=["comment", "docstring", "module docstring", "layout"],
)
def test_what_cannot_change_a_row_leaves_the_version(repo, before, after):
    first = version()
    rewritten(repo / "assets/chain/table.py", before, after)
    assert version() == first


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("assets/chain/table.py", "return weigh(rows)", "return weigh(rows)[::-1]"),
        ("taproom/weighing.py", "math.log", "math.log1p"),
    ],
    ids=["the asset", "what it imports"],
)
def test_changed_code_changes_the_version(repo, file, before, after):
    first = version()
    rewritten(repo / file, before, after)
    assert version() != first


def test_code_imported_through_others_and_inside_functions_counts(repo):
    (repo / "taproom/deep.py").write_text("DEPTH = 1\n")
    rewritten(repo / "taproom/weighing.py", "    return", "    from taproom import deep\n\n    return")
    first = version()
    rewritten(repo / "taproom/deep.py", "1", "2")
    assert version() != first


@pytest.mark.parametrize("module", ["errors", "progress", "warehouse.contracts"])
def test_modules_that_cannot_change_a_row_do_not_count(repo, module):
    file = repo / f"taproom/{module.replace('.', '/')}.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text("WORDING = 1\n")
    rewritten(repo / "taproom/weighing.py", "import math", f"import math\nfrom taproom.{module} import WORDING")
    first = version()
    rewritten(file, "1", "2")
    assert version() == first


def test_modules_that_import_each_other_end(repo):
    (repo / "taproom/other.py").write_text("import taproom.weighing\n")
    rewritten(repo / "taproom/weighing.py", "import math", "import math\nimport taproom.other")
    assert len(version()) == 16


def test_defaults_of_the_configuration_count_and_their_wording_does_not(repo):
    assert version(Config) != version()
    assert version(Config) != version(OtherSeed)
    assert version(Config) == version(Described)


def kept(repo: Path) -> Path:
    (path,) = (repo / "taproom/__pycache__").glob("weighing.*.tree")
    return path


def test_what_was_parsed_is_kept_until_the_source_changes(repo, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    first = version()
    tree = kept(repo).read_text()
    rewritten(kept(repo), "log", "log1p")
    assert version() != first  # it is read
    rewritten(repo / "taproom/weighing.py", "math.log", "math.log2")
    second = version()
    rewritten(repo / "taproom/weighing.py", "math.log2", "math.log")
    assert second != version() == first
    assert kept(repo).read_text() == tree


@pytest.mark.parametrize("damaged", [b"", b"\xff", b"a\nb\nc", b"a\nb\nc\nd"])
def test_a_damaged_file_of_what_was_parsed_does_not_matter(repo, damaged, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    first, tree = version(), kept(repo).read_bytes()
    kept(repo).write_bytes(damaged)
    assert version() == first
    assert kept(repo).read_bytes() == tree


def test_nothing_is_kept_where_nothing_can_be_written_or_is_wanted(repo, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    first = version()
    assert not list(repo.rglob("*.tree"))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for folder in ("assets/chain", "taproom"):
        (repo / folder / "__pycache__").write_text("no folder")
    assert version() == first
