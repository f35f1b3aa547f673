import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from assets.text.word_vectors import WORD_VECTORS
from taproom.client.command_line import COMMANDS, main
from taproom.warehouse.publishing import Origin
from taproom.warehouse.storage import WAREHOUSE_VARIABLE
from taproom.warehouse.warehouse import Warehouse
from tests.shown_tables import publish_map, publish_words
from tests.taproom.client.test_reader import BEERS, FIRST, SECOND, STYLES


@pytest.fixture
def taproom(tmp_path, capsys):
    """Runs the command on a warehouse of beers and styles; gives exit status, output and errors."""
    warehouse = Warehouse(tmp_path / "warehouse")
    warehouse.publish(BEERS, FIRST, since=None, partition="a")
    warehouse.publish(BEERS, SECOND, since=0, partition="b")
    warehouse.publish(STYLES, STYLES.table_of(style=["dark"]), since=None)

    def run(*arguments):
        status = main([*arguments, "--warehouse", warehouse.root])
        output, errors = capsys.readouterr()
        return status, output, errors

    run.warehouse = warehouse
    return run


def test_people_read_text(taproom):
    assert taproom("tables")[1].splitlines() == ["beers   @1    one beer", "styles  @0    one style"]
    assert "alcohol by volume" in taproom("show", "beers")[1]
    assert taproom("head", "beers", "--rows", "1")[1].split() == [*BEERS.schema.names, "a", "ale", "5.5", "[4,", "5]"]
    assert taproom("sql", "select count(*) as beers from beers")[1].split() == ["beers", "3"]
    assert [line.split()[0] for line in taproom("history", "beers")[1].splitlines()] == ["1", "0"]
    assert taproom("diff", "beers", "0")[1].splitlines()[0].startswith("beers: version 0 -> 1, 2 -> 3 rows: 1 added")
    assert taproom("verify")[1].splitlines()[0].startswith("beers: 2 versions, 2 files")


def test_scripts_read_json(taproom):
    def answer(*arguments):
        status, output, _ = taproom(*arguments, "--json")
        assert status == 0
        return json.loads(output)

    assert [row["table"] for row in answer("tables")] == ["beers", "styles"]
    assert answer("show", "beers")["key"] == ["batch", "beer"]
    assert answer("head", "beers", "--version", "0") == FIRST.to_pylist()
    assert answer("sql", "from styles") == [{"style": "dark"}]
    assert [commit["version"] for commit in answer("history", "beers")] == [1, 0]
    assert [report["files"] for report in answer("verify", "beers")] == [2]
    assert answer("diff", "beers", "0", "1")["rows_added"] == SECOND.num_rows


def test_tables_are_exported_and_a_folder_with_files_is_refused(taproom, tmp_path):
    folder = tmp_path / "export"
    status, output, _ = taproom("export", str(folder), "styles", "--format", "csv", "--json")
    assert status == 0
    assert [(table["path"], table["rows"]) for table in json.loads(output)] == [("styles.csv", 1)]
    assert (folder / "styles.csv").read_text().split() == ['"style"', '"dark"']
    status, _, errors = taproom("export", str(folder))
    assert status == 1
    assert "is not an empty folder" in errors


def test_a_snapshot_is_saved_and_read(taproom, tmp_path):
    lock = tmp_path / "tables.lock.json"
    assert taproom("snapshot", str(lock))[:2] == (0, "beers@1\nstyles@0\n")
    taproom.warehouse.publish(STYLES, STYLES.table_of(style=["pale"]), since=0)
    assert taproom("sql", "from styles", "--snapshot", str(lock))[1].split() == ["style", "dark"]
    assert taproom("sql", "from styles")[1].split() == ["style", "pale"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "beer"], "did you mean 'beers'"),
        (["sql", "drop table beers"], "tables can only be read"),
        (["head", "beers", "--at", "soon"], "'soon' is no time"),
        (["place", "a text"], "no table 'item_map'"),
        (["call", "a.fcs"], "no table 'event_calls'"),
        (["classify", "a.png"], "no table 'classifier'"),
        (["topics", "a text"], "no table 'topics'"),
        (["nearest", "word"], "no table 'word_vectors'"),
        (["snapshot", "absent/folder/lock.json"], "No such file"),
    ],
)
def test_an_error_is_one_line_and_status_1(taproom, arguments, message):
    status, output, errors = taproom(*arguments)
    assert (status, output) == (1, "")
    assert errors.startswith("taproom: ")
    assert message in errors


@pytest.mark.parametrize("arguments", [[], ["bogus"], ["show"], ["head", "beers", "--rows", "-1"]])
def test_wrong_arguments_have_status_2(taproom, arguments):
    with pytest.raises(SystemExit) as ended:
        taproom(*arguments)
    assert ended.value.code == 2


def test_damage_of_any_version_is_found(taproom):
    taproom.warehouse.publish(STYLES, STYLES.table_of(style=["pale"]), since=0)
    (old,) = taproom.warehouse.files("styles", 0)
    path = Path(taproom.warehouse.root, "styles", old.path)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    status, output, _ = taproom("verify", "--json")
    assert status == 1
    ((table, (problem,)),) = json.loads(output).items()
    assert table == "styles"
    assert "not those that were committed" in problem


def test_a_version_that_another_table_was_made_from_must_be_there(taproom):
    taproom.warehouse.publish(STYLES, STYLES.table_of(style=["pale"]), since=0, origin=Origin(inputs={"beers": 0}))
    old, new = (taproom.warehouse.files("beers", version) for version in (0, 1))
    taproom.warehouse.publish(BEERS, FIRST.slice(0, 1), since=1, partition="a")
    assert set(old) < set(new)
    Path(taproom.warehouse.root, "beers", old[0].path).unlink()
    status, output, _ = taproom("verify", "beers")
    assert (status, output) == (1, "beers: version 0, which another table was made from, is gone\n")


def test_each_command_has_help_and_an_example(capsys):
    for command in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([command.name, "--help"])
        assert ended.value.code == 0
        assert command.example.startswith(f"taproom {command.name}")
        assert f"example: {command.example}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_the_examples_work(tmp_path, monkeypatch, capsys):
    warehouse = Warehouse(tmp_path / "warehouse")
    publish_words(warehouse)
    for _ in range(2):  # the example of `diff` compares two versions
        publish_map(warehouse, seed=warehouse.head("item_map") is None)
    words = {
        "word": ["orbit", *"abcde"],
        "count": [6, 5, 4, 3, 2, 1],
        "vector": [[1.0, each / 10] for each in range(6)],
    }
    warehouse.publish(WORD_VECTORS, WORD_VECTORS.table_of(**words), since=None)
    monkeypatch.setenv(WAREHOUSE_VARIABLE, warehouse.root)
    monkeypatch.chdir(tmp_path)
    # these reach the models, which are of other words here, or absent
    refused = {
        "place": "None of the 2 words",
        "topics": "None of the",
        "call": "no table 'event_calls'",
        "classify": "no table 'classifier'",
    }
    for command in COMMANDS:
        status = main(shlex.split(command.example)[1:])
        output, errors = capsys.readouterr()
        assert status == (1 if command.name in refused else 0), errors
        assert refused.get(command.name, "") in errors
        assert output.strip() or command.name in refused


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--help"], {"pyarrow", "deltalake", "duckdb", "numpy"}),
        (["tables"], {"duckdb", "pandas", "pyarrow.compute", "pyarrow.dataset"}),
        (["show", "beers"], {"duckdb", "pandas", "pyarrow.compute", "pyarrow.dataset"}),
        (["head", "styles"], {"duckdb", "pandas", "pyarrow.dataset"}),
        (["history", "beers"], {"duckdb", "pandas", "pyarrow.compute", "pyarrow.dataset"}),
    ],
)
def test_a_command_imports_only_what_it_needs(taproom, arguments, unwanted):
    code = (
        "import sys; from taproom.client.command_line import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        f"print(sorted(sys.modules.keys() & {unwanted}))"
    )
    where = [] if arguments == ["--help"] else ["--warehouse", taproom.warehouse.root]
    ran = subprocess.run([sys.executable, "-c", code, *arguments, *where], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
