"""Debian's chromium without a network, and the pages of a warehouse for it."""

import shutil
from pathlib import Path

import dagster as dg

from pipelines.definitions import defs
from pipelines.pages_asset import make_pages
from taproom.warehouse.warehouse import Warehouse
from tests.waiting import wait_for

# The headless shell has the same engine, without windows: the tests of the pages take half of the processor time.
CHROMIUM = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser"))), None)
# WebGL by software, and no sandbox because containers often forbid it; the pages are our own.
FLAGS = ("--enable-unsafe-swiftshader", "--no-sandbox")
# What drivers print about how fast they are.
UNIMPORTANT = ("GPU stall due to ReadPixels",)


def written(warehouse: Warehouse) -> Path:
    with dg.DagsterInstance.ephemeral() as instance:
        return Path(make_pages(instance, warehouse, defs).address).parent


def until(tab, expression: str) -> None:
    """Wait until an expression is true. (Playwright's own function needs `eval`, which the pages forbid.)"""
    wait_for(lambda: tab.evaluate(expression), expression, every=0.05)


def resize(tab, width: int, height: int) -> None:
    """Give a tab another size, and wait until what is drawn by width was drawn again.

    A frame tells observers of sizes after its layout, so the second frame from now finds all of them done.
    """
    tab.set_viewport_size({"width": width, "height": height})
    until(tab, f"innerWidth === {width}")
    tab.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


class Visit:
    """A tab that fails the test on an error, and on every request outside the pages."""

    def __init__(self, browser, **options) -> None:
        self.context = browser.new_context(offline=True, reduced_motion="reduce", **options)
        self.tab = self.context.new_page()
        self.problems: list[str] = []
        self.tab.on("console", self._on_message)
        self.tab.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.tab.on("requestfailed", lambda request: self.problems.append(f"failed: {request.url}"))
        self.tab.on("request", self._on_request)

    def _on_message(self, message) -> None:
        if message.type in ("error", "warning") and not any(text in message.text for text in UNIMPORTANT):
            self.problems.append(f"{message.type}: {message.text}")

    def _on_request(self, request) -> None:
        if not request.url.startswith((self.root, "data:")):
            self.problems.append(f"request: {request.url}")

    def open(self, folder: Path | str, page: str = "index.html"):
        """Open a page of a folder, or of a server's address, and wait until its map, if it has one, is drawn."""
        self.root = folder.as_uri() if isinstance(folder, Path) else folder
        address = f"{self.root}/{page}"
        if self.tab.url.partition("#")[0] == address.partition("#")[0]:  # where only the fragment differs, none loads
            self.tab.goto("about:blank")
        self.tab.goto(address)
        if self.tab.locator(".map canvas").count():
            until(self.tab, "Taproom.page.map.isLoaded && document.querySelector('.labels span') !== null")
        return self.tab
