"""The page of words, used as a person does."""

import pytest

from tests.browser import until

pytestmark = pytest.mark.slow


@pytest.fixture
def tab(visit, pages):
    return visit.open(pages, "words.html")


def test_a_word_is_found_and_shows_its_nearest(tab):
    tab.fill("#search-input", "windws")
    tab.wait_for_selector("[role=option]")
    tab.press("#search-input", "Enter")
    assert tab.inner_text("#card h2") == "windows"
    assert tab.locator(".nearest .value").all_inner_texts() == ["0.900", "0.740", "0.580", "0.420", "0.260", "0.100"]
    until(tab, "location.hash.includes('word=windows')")
    assert "windows" in tab.locator(".labels .first").all_inner_texts()


def test_a_nearest_word_is_clicked_unless_it_is_not_on_the_map(tab):
    tab.evaluate("Taproom.page.link.select(0, true)")
    assert tab.locator(".nearest li").last.inner_text().startswith("outside")
    assert tab.locator(".nearest li").last.locator("button").count() == 0
    name = tab.locator(".nearest button").first.inner_text()
    tab.locator(".nearest button").first.click()
    assert tab.inner_text("#card h2") == name


def test_the_arrows_choose_among_the_matches(tab):
    tab.fill("#search-input", "word1")
    tab.wait_for_selector("[role=option]")
    tab.press("#search-input", "ArrowDown")
    chosen = tab.locator("[aria-selected=true]").inner_text()
    tab.press("#search-input", "Enter")
    assert tab.inner_text("#card h2") == chosen
    assert tab.locator("#search-matches").is_hidden()


def test_topics_have_words_and_shares(tab):
    topics = tab.locator(".topic-list > li").all_inner_texts()
    assert "70.0 %" in topics[0]
    assert "<script>" in topics[0]
    assert "car" in topics[0]
    assert "engine" in topics[1]
    assert tab.title() == "Words - Taproom"
