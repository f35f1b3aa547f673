"""Every page opens from disk and from a server, without a network, an error or a missing file."""

from pathlib import Path

import pytest

from taproom.sources.fetching import member, read_sources
from taproom.warehouse.warehouse import Warehouse
from tests.browser import Visit, written
from tests.serving import file_server, serving

MAIN = (
    "index.html",
    "map.html",
    "words.html",
    "cells.html",
    "pictures.html",
    "searches.html",
    "catalogue.html",
    "changes.html",
    "tables/item_map.html",
    "tables/events.html",
    "tables/training_pairs.html",
)

pytestmark = pytest.mark.slow


def names(pages: Path) -> list[str]:
    return sorted(path.relative_to(pages).as_posix() for path in pages.rglob("*.html"))


def test_every_page_opens_from_disk_and_has_what_it_links_to(visit, pages):
    missing, root = set(), pages.as_uri()
    assert len(names(pages)) > 60
    for name in names(pages):
        tab = visit.open(pages, name)
        assert tab.locator("h1").inner_text()
        assert tab.title().endswith("- Taproom")
        found = tab.evaluate(
            "[...document.querySelectorAll('[href], [src]')]"  # links in SVG have no text as href
            ".map((each) => new URL(each.getAttribute('href') ?? each.getAttribute('src'), document.baseURI).href)"
            ".filter((address) => !address.startsWith('data:'))"
        )
        assert [address for address in found if not address.startswith(root)] == []
        missing |= {
            address for address in found if not (pages / address.removeprefix(root)[1:].partition("#")[0]).is_file()
        }
    assert missing == set()


def test_pages_open_from_a_server(visit, pages):
    visit.context.set_offline(False)  # the loopback interface is a network, too
    with serving(file_server(pages)) as server:
        for name in MAIN:
            assert visit.open(f"http://127.0.0.1:{server.server_port}", name).locator("h1").inner_text()


def test_a_chain_that_was_not_made_says_how_to_make_it(visit, tmp_path):
    pages = written(Warehouse(tmp_path / "empty"))
    for name in ("map.html", "words.html", "cells.html", "pictures.html", "searches.html", "tables/topics.html"):
        tab = visit.open(pages, name)
        assert "Not made yet" in tab.inner_text("main")
        assert "make run" in tab.inner_text("main")
    home = visit.open(pages).inner_text("main")
    assert home.count("Not made yet") == 5


def opened(tab):
    """The page with all that opens open, with the data that it then loads, and on the map with chosen items."""
    tab.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    tab.evaluate("document.getElementById('in-view')?.click()")
    tab.wait_for_timeout(50)  # opening is an event, which comes later
    tab.evaluate("typeof Taproom === 'undefined' || Promise.all(Taproom.promised?.values() ?? []).then(() => null)")
    return tab


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_needs_no_scrolling_sideways(chromium, pages, scheme):
    visit = Visit(chromium, viewport={"width": 360, "height": 700}, color_scheme=scheme)
    for name in MAIN:
        assert opened(visit.open(pages, name)).evaluate("document.documentElement.scrollWidth") == 360, name
    visit.context.close()
    assert visit.problems == []


def test_dark_mode_is_dark(chromium, pages):
    lightness = {}
    for scheme in ("light", "dark"):
        visit = Visit(chromium, color_scheme=scheme)
        color = visit.open(pages).evaluate("getComputedStyle(document.body).backgroundColor")
        lightness[scheme] = sum(map(int, color.removeprefix("rgb(").removesuffix(")").split(",")))
        visit.context.close()
    assert lightness["dark"] < 150 < 600 < lightness["light"]


# What passes is not described, and violations are not described by selectors: that takes half of the time.
BRIEFLY = {"resultTypes": ["violations"], "selectors": False}


def test_pages_are_accessible(chromium, pages):
    axe = member(read_sources()["axe_core"], "package/axe.min.js").read_text(encoding="utf-8")
    visit, found = Visit(chromium, color_scheme="light"), {}

    def check(tab, what: str, options: dict) -> None:
        run = "(options) => axe.run(options).then((result) => result.violations)"
        violations = tab.evaluate(run, BRIEFLY | options)
        found.update({(what, each["id"]): [node["html"] for node in each["nodes"]] for each in violations})

    for name in (*MAIN, "map.html#item=beer_00042", "words.html#word=windows"):
        tab = opened(visit.open(pages, name))
        tab.evaluate(axe)
        check(tab, name, {})
        tab.emulate_media(color_scheme="dark")  # in which only colours are other ones
        check(tab, f"{name} in dark mode", {"runOnly": ["color-contrast"]})
        tab.emulate_media(color_scheme="light")
    visit.context.close()
    assert found == {}
