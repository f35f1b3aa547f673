"""Chains side by side: in what order they begin and are made, and what becomes of those that fail or are killed.

`test_run.py` has the real chains.
"""

import io
import sys
from contextlib import ExitStack
from itertools import accumulate

import psutil
import pytest
import yaml

from pipelines import side_by_side
from pipelines.chains import ASSAYS, CHAINS, IMAGES, REVIEWS, TEXT, TUNING
from pipelines.definitions import defs
from pipelines.forks import Forks
from pipelines.products import Products
from pipelines.run import PROCESSES
from pipelines.run_display import Display
from pipelines.side_by_side import ORDER, PLACES, SideBySide
from tests.pipelines import quick_chains
from tests.pipelines.made_by_run import ROOT


@pytest.fixture
def started(instance, warehouse):
    """A function that gives chains to make by a function, and what is shown of them."""
    with ExitStack() as stack:

        def start(chains, function, **ops):
            command = (sys.executable, quick_chains.__file__, function.__name__)
            forks = stack.enter_context(Forks(command, len(CHAINS)))
            out = io.StringIO()
            display = Display([chain.name for chain in chains], out)
            return SideBySide(instance, Products(instance, warehouse, defs, ops), chains, ops, display, forks), out

        yield start


def told(out):
    """Each chain and what it said, in order."""
    return [tuple(line.split(maxsplit=2)[1:]) for line in out.getvalue().splitlines()]


def test_all_chains_read_and_as_many_as_there_are_places_are_made_at_a_time(started, tmp_path, monkeypatch):
    monkeypatch.setattr(side_by_side, "cpu_count", lambda: 8)
    chosen = [TUNING, ASSAYS, IMAGES, REVIEWS]
    files = ["tuning", "images", "assays has a place", "reviews has a place"]
    chains, out = started(chosen, quick_chains.is_made, folder=str(tmp_path), files=files)
    assert chains.make() == {}
    placed = [(name, text) for name, text in told(out) if text.startswith("has a place")]
    assert set(placed[:2]) == {("reviews", "has a place and 4 cores"), ("assays", "has a place and 4 cores")}
    assert {name for name, _ in placed[2:]} == {"images", "tuning"}
    changed = sorted((int(path.read_text()), path.name) for path in tmp_path.glob("* place*"))
    assert max(accumulate(1 if name.endswith("has a place") else -1 for _, name in changed)) == PLACES


def test_a_chain_begins_as_soon_as_what_it_reads_is_made(started, tmp_path):
    chains, out = started([TEXT, REVIEWS], quick_chains.is_read, folder=str(tmp_path), files=["text"])
    assert chains.make() == {}
    assert told(out)[0] == ("reviews", "makes items")


def test_a_chain_whose_process_is_killed_is_told_and_the_others_are_made(started, tmp_path):
    chains, out = started([REVIEWS, TEXT], quick_chains.is_killed, folder=str(tmp_path), files=["text"])
    failures = chains.make()
    assert failures.keys() == {"reviews"}
    assert "SIGKILL" in str(failures["reviews"])
    assert "memory" in str(failures["reviews"])
    assert told(out)[0] == ("reviews", "failed")
    assert told(out)[-1] == ("text", "made")


def test_failures_are_told_as_the_chains_give_them(started):
    chains, out = started([TUNING], quick_chains.fails, blamed="a.csv")
    assert {which: str(error) for which, error in chains.make().items()} == {"tuning, a batch": "a.csv is missing"}
    assert told(out) == [("tuning", "failed")]


def test_no_process_is_left_when_it_is_interrupted(started, monkeypatch):
    chains, out = started([REVIEWS, IMAGES], quick_chains.never_ends)

    def interrupt() -> None:
        if len(told(out)) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(chains._display, "refresh", interrupt)
    before = set(psutil.Process().children())
    with pytest.raises(KeyboardInterrupt):
        chains.make()
    assert set(psutil.Process().children()) <= before


def test_every_chain_has_its_turn():
    assert set(ORDER) == set(CHAINS)


@pytest.mark.parametrize("settings", ["dagster.yaml", "deploy/dagster.yaml"])
def test_no_chain_that_has_a_place_waits_for_one_in_the_pool(settings):
    given = yaml.safe_load((ROOT / settings).read_text())
    assert given["concurrency"]["pools"]["default_limit"] == PLACES


def test_there_is_a_process_for_each_chain():
    assert len(CHAINS) == PROCESSES
