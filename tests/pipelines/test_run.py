import logging
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipelines import making
from pipelines.chains import CHAINS
from pipelines.definitions import defs
from pipelines.products import Products
from pipelines.run import main
from taproom.errors import StorageError
from tests.pipelines.made_by_run import BRIEF, ROOT, TUNED, broken_rules, changed, tables_of, write_config
from tests.waiting import is_alive, wait_for

TABLES = tables_of("reviews")


def test_run_makes_everything_once_and_then_only_what_has_changed(
    run, write_csv, warehouse, themed_reviews, tmp_path, subtests
):
    path = write_csv("beers.csv", themed_reviews())
    reviews = {"source": "table", "path": str(path), "collection": "beers"}
    tuning = {"tune_item_map": BRIEF}

    with subtests.test("the first run makes every table and tells of them, beside a chain that fails"):
        digits = {"path": str(tmp_path / "none.npz")}
        config = write_config(tmp_path, {"reviews": reviews, "digits": digits, **tuning})
        command = [sys.executable, "-m", "pipelines.run", "--config", str(config)]
        first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
        assert first.returncode == 1
        assert "Traceback" not in first.stderr
        assert first.stderr.strip().splitlines()[-1].startswith("Failed: tuning: ")
        assert "none.npz is not there" in first.stderr
        assert warehouse.tables() == TABLES
        assert "ingest_reviews of beers.csv-" in first.stdout
        assert all(table in first.stdout for table in TABLES)
        assert first.stdout.count("Nearest to item ") == 3
        assert "Errors of the map" in first.stdout
        _, summary = first.stdout.split("\nTables\n")
        assert len(summary.splitlines()) < 40
        assert re.search(r"\nChampions .*\n  item_map ", first.stdout)
        picture = Path(warehouse.root, "_figures", "item_map.png")
        assert str(picture) in first.stdout
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert "make ui" in first.stdout

    with subtests.test("all rows keep the rules of their contracts, and their references lead to rows"):
        assert broken_rules(warehouse) == {}

    with subtests.test("an unchanged second run makes nothing and says so"):
        heads = warehouse.heads()
        runs = {table: warehouse.history(table)[0]["run_id"] for table in TABLES}
        second = run(reviews=reviews, **tuning)
        assert second.returncode == 0, second.stderr
        assert "Everything is fresh" in second.stdout
        assert "ingest_reviews" not in second.stdout
        assert warehouse.heads() == heads
        assert {table: warehouse.history(table)[0]["run_id"] for table in TABLES} == runs

    with subtests.test("a changed configuration makes only what depends on it"):
        third = run(reviews=reviews, neighbors={"k": 6}, **tuning)
        assert third.returncode == 0, third.stderr
        studied = "challenges/item_map_challenges, champions/item_map_champions, "
        mapped = "item_map, map_errors, map_methods, map_moves, neighbors, "
        assert f"make_reviews: {studied}{mapped}trials/item_map_trials\n" in third.stdout
        assert changed(warehouse, heads) <= TUNED | set(mapped.split(", "))
        assert len(warehouse.read("neighbors")["neighbor_ids"][0]) == 6

    with subtests.test("a bad file is refused in a sentence, and the tables stay"):
        heads = warehouse.heads()
        bad = tmp_path / "bad.csv"
        bad.write_text("item_id,score\nale,5\n")
        refused = run(reviews={**reviews, "path": str(bad)})
        assert refused.returncode == 1
        assert "Failed: reviews: " in refused.stderr
        assert "bad.csv has no column for text" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert warehouse.heads() == heads


def test_what_was_rejected_or_left_out_is_said_and_another_collection_is_not_read(
    warehouse, instance, write_csv, themed_reviews, caplog
):
    rows = [*themed_reviews(items=6), {"review_id": "x", "item_id": "item 000", "text": ""}]
    rows[0]["overall"] = "often"
    (chain,) = [chain for chain in CHAINS if chain.name == "reviews"]
    reads = chain.reads({"source": "table", "path": str(write_csv("beers.csv", rows)), "collection": "beers"})
    with caplog.at_level(logging.INFO, "taproom.pipelines"):
        Products(instance, warehouse, defs, {}).read(chain, reads)
    assert "  reviews: 1 of 19 rows were rejected (empty_text 1): line 20: text is blank" in caplog.messages
    assert "  reviews: 1 value was left out as bad_score (line 2: overall is 'often')" in caplog.messages
    Products(instance, warehouse, defs, {"tfidf": {"config": {"min_reviews": 3}}}).make(chain)
    assert "tfidf" in warehouse.tables()
    assert warehouse.partitions("reviews") == list(reads)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("ops:\n  tfidff:\n    config: {min_reviews: 5}\n", "tfidff"),
        ("ops:\n  reviews:\n    config: {source: tabel}\n", "tabel"),
        ("ops:\n  reviews:\n    config: {sourc: table}\n", "sourc"),
        ("ops:\n  term_counts:\n    config: {token_pattern: '('}\n", "not a regular expression"),
        ("reviews: {source: table}\n", "no mapping `ops`"),
        ("ops: [\n", "cannot be read"),
    ],
)
def test_a_configuration_that_nothing_takes_is_refused_before_anything_is_made(
    given, named, tmp_path, capsys, warehouse
):
    path = tmp_path / "run.yaml"
    path.write_text(given)
    assert main(["--config", str(path)]) == 1
    told = capsys.readouterr().err
    assert named in told
    assert "run.yaml" in told
    assert warehouse.tables() == []


def test_an_interrupt_at_the_start_is_said_and_leaves_no_process(home, warehouse):
    # A process that is started where an interrupt is ignored would ignore it, too.
    listening = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code = f"{listening}from pipelines.run import main\nraise SystemExit(main([]))"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True, **pipes) as process:
        (child,) = wait_for(psutil.Process(process.pid).children, "the command is started", every=0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "Interrupted." in said
    assert "Traceback" not in said
    assert not is_alive(child.pid)
    assert warehouse.tables() == []


def test_a_failure_is_told_although_the_summary_fails(run, monkeypatch, tmp_path):
    def broken(*_):
        raise StorageError("the disk is gone")

    monkeypatch.setattr(making, "summary", broken)
    failed = run(digits={"path": str(tmp_path / "none.npz")})
    assert failed.returncode == 1
    assert "Failed: tuning: " in failed.stderr
    assert "Failed: make run: the disk is gone" in failed.stderr
