"""Claim: the page of a map of RateBeer's size (7,000 items) is at most 4 MB and shows its first points within 1.5 s.

    python benchmarks/bench_pages.py [ITEMS]

Measured are the bytes of the page with all its files and, in Debian's chromium with software rendering, the time to the
first points, of a search, and the longest time between two frames while the map is dragged. Peer: plotly's page of the
same points, which has names, but no cards, nearest items or search.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa
from playwright.sync_api import Browser, sync_playwright
from zipf import zipf_matrix

from assets.reviews.item_map import ITEM_MAP
from assets.reviews.items import ITEMS
from assets.reviews.neighbors import CONTRACT as NEIGHBORS
from assets.reviews.tfidf import TFIDF, VOCABULARY
from taproom.pages.site import write_pages
from taproom.warehouse.warehouse import Warehouse
from taproom.words.counting import DEFAULT_TOKEN_PATTERN
from taproom.words.sparse import csr_to_lists
from tests.browser import CHROMIUM, FLAGS, until
from tests.shown_tables import publish

WORDS, WORDS_EACH, K = 50_000, 300, 20
SECONDS = 120
SCRIPTS = ("base", "labels", "map_link", "map_page", "point_map", "points_layer", "search_box")
PAGE = (
    *("map.html", "data/map.js", "styles/pages.css", "libraries/deck.gl.js", "libraries/minisearch.js"),
    *(f"scripts/{name}.js" for name in SCRIPTS),
)
FRAMES = """() => new Promise((resolve) => {
  const end = performance.now() + 2000; let last = performance.now(), longest = 0;
  const frame = (now) => { longest = Math.max(longest, now - last); last = now;
    now < end ? requestAnimationFrame(frame) : resolve(longest); };
  requestAnimationFrame(frame); })"""


def main(items: int = 7_000) -> None:
    """Publish a synthetic map, write the pages and plotly's, and measure both in a browser."""
    positions = np.random.default_rng(0).normal(size=(items, 3))
    names = [f"Brewery {item % 977} Beer number {item}" for item in range(items)]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        warehouse = Warehouse(Path(folder, "warehouse"))
        publish_map(warehouse, positions, names)
        started = time.perf_counter()
        pages = Path(write_pages(warehouse, ()).address).parent
        print(f"{items:,} items: written in {time.perf_counter() - started:.1f} s")
        peer = Path(folder, "plotly.html")
        points = go.Scattergl(x=positions[:, 0], y=positions[:, 1], mode="markers", text=names)
        go.Figure(points).write_html(peer, include_plotlyjs=True)
        size = sum((pages / name).stat().st_size for name in PAGE)
        print(f"bytes of the page: ours {size / 1e6:.2f} MB, plotly {peer.stat().st_size / 1e6:.2f} MB")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        ours = measure(browser, pages / "map.html", "Taproom.page?.map.isLoaded === true", "#map canvas")
        theirs = measure(browser, peer, "document.querySelector('canvas.gl-canvas') !== null", ".plotly .draglayer")
        for what, mine, other in zip(("first points", "longest frame while dragged"), ours, theirs, strict=True):
            print(f"{what}: ours {mine:.0f} ms, plotly {other:.0f} ms")
        print(f"a search with a typing error: {search(browser, pages):.0f} ms")
        browser.close()


def publish_map(warehouse: Warehouse, positions: np.ndarray, names: list[str]) -> None:
    """The tables of the page of the map, with random neighbours and Zipf-like words."""
    items, random = len(names), np.random.default_rng(1)
    ids = [str(item) for item in range(items)]
    ones = np.ones(WORDS, np.int64)
    vocabulary = {"term_id": np.arange(WORDS, dtype=np.int32), "word": [f"word{number}" for number in range(WORDS)]}
    counts = {"document_frequency": ones, "count": ones, "idf": np.ones(WORDS)}
    publish(warehouse, VOCABULARY, {**vocabulary, **counts, "token_pattern": [DEFAULT_TOKEN_PATTERN] * WORDS})
    terms, weights = csr_to_lists(zipf_matrix(items, WORDS, WORDS_EACH // 2))
    tfidf = {"item_id": ids, "words": np.full(items, WORDS_EACH), "term_ids": terms, "weights": weights}
    publish(warehouse, TFIDF, tfidf)
    categories = [f"style {item % 80}" for item in range(items)]
    reviews = np.sort(random.zipf(1.6, items).clip(max=4_000))[::-1]
    about = {"item_id": ids, "item_name": names, "category": categories, "reviews": reviews}
    publish(warehouse, ITEMS, {**about, "mean_overall": random.random(items) * 5})
    nearest = random.integers(0, items, (items, K))
    neighbor_ids = [[ids[each] for each in row] for row in nearest]
    neighbors = {"item_id": ids, "neighbor_ids": neighbor_ids, "distances": list(np.sort(random.random((items, K))))}
    publish(warehouse, NEIGHBORS, neighbors)
    x, y, z = positions.T
    publish(
        warehouse,
        ITEM_MAP,
        {
            "dimension": np.repeat(np.array([2, 3], np.int32), items),
            "item_id": 2 * ids,
            "item_name": 2 * names,
            "category": 2 * categories,
            "x": np.tile(x, 2),
            "y": np.tile(y, 2),
            "z": pa.concat_arrays([pa.nulls(items, pa.float64()), pa.array(z)]),
        },
    )


def measure(browser: Browser, page: Path, is_drawn: str, dragged: str) -> tuple[float, float]:
    """Milliseconds from opening a page until it is drawn, and of the longest frame while it is dragged."""
    tab = browser.new_page(viewport={"width": 1200, "height": 800})
    started = time.perf_counter()
    tab.goto(page.as_uri())
    until(tab, is_drawn, SECONDS)
    drawn = 1_000 * (time.perf_counter() - started)
    tab.wait_for_timeout(2_000)
    box = tab.locator(dragged).first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.evaluate(f"void (window.longest = ({FRAMES})())")
    tab.mouse.move(x, y)
    tab.mouse.down()
    for step in range(40):
        tab.mouse.move(x + 4 * step, y + 2 * step)
        tab.wait_for_timeout(25)
    tab.mouse.up()
    longest = tab.evaluate("window.longest")
    tab.close()
    return drawn, longest


def search(browser: Browser, pages: Path) -> float:
    """Milliseconds of a search for a name with a typing error, once names are indexed."""
    tab = browser.new_page()
    tab.goto((pages / "map.html").as_uri())
    until(tab, "Taproom.page?.map.isLoaded === true", SECONDS)
    tab.evaluate("Taproom.page.search.indexed")
    milliseconds = tab.evaluate(
        "(() => { const start = performance.now(); Taproom.page.search.find('brewry 17 beer numbr 42');"
        " return performance.now() - start; })()"
    )
    tab.close()
    return milliseconds


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
