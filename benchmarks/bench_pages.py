"""Claim: the page of a map of RateBeer's size (7,000 items) is at most 4 MB and shows its first points within 1.5 s.

    python benchmarks/bench_pages.py [ITEMS [WORDS_PER_ITEM]]

Measured are the bytes of the page with all its files and, in Debian's chromium with software rendering, the time to the
first points, of a search, and the longest time between two frames while the map is dragged. Peer: plotly's page of the
same points, which has names, but no cards, nearest items or search.
"""

import re
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

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

WORDS, K = 50_000, 20
SEARCHES = ("brewry 17 beer numbr 42", "brewery 976 beer number 42", "beer 4", "br")
SECONDS = 120
FRAMES = """() => new Promise((resolve) => {
  const end = performance.now() + 2000; let last = performance.now(), longest = 0;
  const frame = (now) => { longest = Math.max(longest, now - last); last = now;
    now < end ? requestAnimationFrame(frame) : resolve(longest); };
  requestAnimationFrame(frame); })"""


def main(items: int = 7_000, words_each: int = 300) -> None:
    """Publish a synthetic map, write the pages and plotly's, and measure both in a browser."""
    positions = np.random.default_rng(0).normal(size=(items, 3))
    names = [f"Brewery {item % 977} Beer number {item}" for item in range(items)]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        warehouse = Warehouse(Path(folder, "warehouse"))
        publish_map(warehouse, positions, names, words_each)
        started = time.perf_counter()
        pages = Path(write_pages(warehouse, ()).address).parent
        print(f"{items:,} items: written in {time.perf_counter() - started:.1f} s")
        peer = Path(folder, "plotly.html")
        points = go.Scattergl(x=positions[:, 0], y=positions[:, 1], mode="markers", text=names)
        go.Figure(points).write_html(peer, include_plotlyjs=True)
        size = sum(path.stat().st_size for path in files_of(pages / "map.html"))
        print(f"bytes of the page: ours {size / 1e6:.2f} MB, plotly {peer.stat().st_size / 1e6:.2f} MB")
        bags = (pages / "data/map_bags.js").stat().st_size
        print(f"bytes of what is loaded to place a text: {bags / 1e6:.2f} MB")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        ours = measure(browser, pages / "map.html", "Taproom.page?.map.isLoaded === true", "#map canvas")
        theirs = measure(browser, peer, "document.querySelector('canvas.gl-canvas') !== null", ".plotly .draglayer")
        for what, mine, other in zip(("first points", "longest frame while dragged"), ours, theirs, strict=True):
            print(f"{what}: ours {mine:.0f} ms, plotly {other:.0f} ms")
        for typed, milliseconds in search(browser, pages).items():
            print(f"a search for {typed!r}: first {milliseconds[0]:.0f} ms, then {median(milliseconds[1:]):.0f} ms")
        browser.close()


def files_of(page: Path) -> list[Path]:
    """The page and the files that it loads when it is opened."""
    named = re.findall(r'(?:src|href)="((?:data|libraries|scripts|styles)/[^"]+)"', page.read_text(encoding="utf-8"))
    return [page, *(page.parent / name for name in named)]


def publish_map(warehouse: Warehouse, positions: np.ndarray, names: list[str], words_each: int) -> None:
    """The tables of the page of the map, with random neighbours and Zipf-like words."""
    items, random = len(names), np.random.default_rng(1)
    ids = [str(item) for item in range(items)]
    matrix = zipf_matrix(items, WORDS, words_each // 2)
    matrix.data = np.ceil(matrix.data * 2)  # counts
    matrix = matrix[:, np.unique(matrix.indices)]  # no word that no item has
    words = matrix.shape[1]
    frequency = np.bincount(matrix.indices)
    idf = np.log(items / frequency)
    matrix.data *= idf[matrix.indices] / words_each
    matrix.eliminate_zeros()
    vocabulary = {"term_id": np.arange(words, dtype=np.int32), "word": [f"word{number}" for number in range(words)]}
    counts = {"document_frequency": frequency, "count": frequency, "idf": idf}
    publish(warehouse, VOCABULARY, {**vocabulary, **counts, "token_pattern": [DEFAULT_TOKEN_PATTERN] * words})
    terms, weights = csr_to_lists(matrix)
    tfidf = {"item_id": ids, "words": np.full(items, words_each), "term_ids": terms, "weights": weights}
    publish(warehouse, TFIDF, tfidf)
    categories = [f"style {item % 80}" for item in range(items)]
    reviews = np.sort(random.zipf(1.6, items).clip(max=4_000))[::-1]
    about = {"item_id": ids, "item_name": names, "category": categories, "reviews": reviews}
    publish(warehouse, ITEMS, {**about, "spellings": [[]] * items, "mean_overall": random.random(items) * 5})
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


def search(browser: Browser, pages: Path) -> dict[str, list[float]]:
    """Milliseconds of searches for names, once they are indexed: by what is typed, of several times."""
    tab = browser.new_page()
    tab.goto((pages / "map.html").as_uri())
    until(tab, "Taproom.page?.map.isLoaded === true", SECONDS)
    tab.evaluate("Taproom.page.search.indexed")
    timed = (
        "(typed) => Array.from({ length: 8 }, () => { const start = performance.now();"
        " Taproom.page.search.find(typed); return performance.now() - start; })"
    )
    milliseconds = {typed: tab.evaluate(timed, typed) for typed in SEARCHES}
    tab.close()
    return milliseconds


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
