"""A browser without a network, and pages of small tables for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from taproom.warehouse.warehouse import Warehouse
from tests.browser import CHROMIUM, FLAGS, Visit, written
from tests.shown_assays import publish_assays
from tests.shown_changes import publish_changes
from tests.shown_images import publish_images
from tests.shown_reviews import publish_moves, publish_reviews
from tests.shown_searches import publish_searches
from tests.shown_tables import publish_map, publish_words
from tests.shown_texts import publish_documents, publish_vectors

PUBLISHERS = (
    publish_map,
    publish_reviews,
    publish_moves,
    publish_words,
    publish_vectors,
    publish_documents,
    publish_assays,
    publish_images,
    publish_searches,
    publish_changes,
)


@pytest.fixture(scope="module")  # while Playwright runs, so does an event loop, which runs of Dagster do not expect
def chromium():
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH: apt-get install chromium-headless-shell")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make setup")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pages of a warehouse with tables of all chains."""
    warehouse = Warehouse(tmp_path_factory.mktemp("pages") / "warehouse")
    for publish in PUBLISHERS:
        publish(warehouse)
    return written(warehouse)


@contextmanager
def visiting(chromium) -> Iterator[Visit]:
    """A tab as wide as a laptop's."""
    visit = Visit(chromium, viewport={"width": 1200, "height": 800})
    yield visit
    visit.context.close()
    assert visit.problems == []


@pytest.fixture
def visit(chromium) -> Iterator[Visit]:
    with visiting(chromium) as visit:
        yield visit


@pytest.fixture(scope="module")
def shared_visit(chromium) -> Iterator[Visit]:
    """One tab for the tests of a file that do not depend on what others have done in it: opening one takes a second."""
    with visiting(chromium) as visit:
        yield visit
