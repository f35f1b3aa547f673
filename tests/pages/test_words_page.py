"""The page of words, used as a person does."""

import numpy as np
import pytest

from taproom.text.analogies import complete
from taproom.text.text_lookup import TopicModel
from taproom.warehouse.warehouse import Warehouse
from taproom.words.vectors import vectors_from_table
from tests.browser import until
from tests.shown_tables import HOSTILE

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


def answered(tab, details: str, typed: str) -> str:
    """What is shown when something is typed into a part of the page that opens."""
    if not tab.evaluate(f"document.querySelector('{details}').open"):
        tab.click(f"{details} summary")
    tab.fill(f"{details} textarea, {details} input", typed)
    tab.click(f"{details} button")
    tab.wait_for_selector(f"{details} .answer h3, {details} .answer .notice:not(:has-text('Loading'))")
    return tab.inner_text(f"{details} .answer")


def test_an_analogy_is_answered_as_the_product_answers_it(tab, pages):
    assert tab.evaluate("Taproom.data.word_vectors === undefined")
    answered(tab, "#analogies", "King - man + woman")
    vectors = vectors_from_table(Warehouse(pages.parent).read("word_vectors"))
    wanted = complete(vectors, "man", "king", "woman", 10)
    found = tab.locator("#analogies .nearest li").all()
    assert found[0].inner_text().split()[0] == "queen" == wanted[0][0]
    cosines = [float(each.locator(".value").inner_text()) for each in found]
    np.testing.assert_allclose(cosines, [cosine for _, cosine in wanted], atol=0.01)


def test_words_of_a_sum_that_are_on_the_map_are_gone_to(tab):
    answered(tab, "#analogies", "- king + word1 + word2")
    button = tab.locator("#analogies .nearest button").first
    name = button.inner_text()
    button.click()
    assert tab.inner_text("#card h2") == name


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("king - qwertz", '"qwertz" is not among the 51 words'),
        ("king-man", "Signs need a blank before and after them."),
        ("king +  + man", "Type words with + or - between them"),
        ("", "Type words with + or - between them"),
    ],
)
def test_a_sum_that_is_none_is_answered_with_the_reason(tab, typed, said):
    assert said in answered(tab, "#analogies", typed)


def test_a_topic_has_documents_with_the_largest_share(tab):
    topic = tab.locator(".topics > details .topic-list > li").first
    topic.locator("summary").click()
    documents = topic.locator(".documents li").all_inner_texts()
    assert [text.split()[:2] for text in documents] == [["86", "%"], ["71", "%"], ["57", "%"]]  # 100 %: too short
    assert "document 1 car car" in documents[0]
    assert documents[0].endswith(" ...")
    assert HOSTILE[1] in documents[1]
    assert HOSTILE[0] in documents[0]
    assert tab.title() == "Words - Taproom"


@pytest.mark.parametrize("text", ["car", "Car engine engine zzz!", HOSTILE[0] + " engine"])
def test_topics_of_a_text_are_those_that_the_product_finds(tab, pages, text):
    shown = answered(tab, "#mixture", text)
    wanted = TopicModel(Warehouse(pages.parent)).topics_of(text, "tfidf")
    entries = tab.locator("#mixture .topic-list li").all()
    assert [each.locator(".share").inner_text() for each in entries] == [
        f"{100 * each.share:.1f} %" for each in wanted.topics
    ]
    assert [int(each.get_attribute("value")) - 1 for each in entries] == [each.topic for each in wanted.topics]
    assert f"{len(wanted.words)} of its words are terms of the topics; {len(wanted.unknown_words)} are not" in shown


def test_a_text_without_topics_is_answered_with_the_reason(tab):
    assert "None of the words of the text is in any topic." in answered(tab, "#mixture", "zzz")
