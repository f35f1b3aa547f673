import numpy as np
import pytest

from taproom.drawing import PALETTE
from taproom.text import word_vector_figures as figures
from tests.pictures import ODD_WORDS, has, picture

pytestmark = pytest.mark.filterwarnings("error")

RANDOM = np.random.default_rng(0)


def pairs(words, window=2, document_id="train-00001"):
    return [
        {
            "document_id": document_id,
            "sentence": " ".join(words),
            "position": position,
            "centre": words[position],
            "place": place,
            "context": words[place],
        }
        for position in range(len(words))
        for place in range(max(0, position - window), min(len(words), position + window + 1))
        if place != position
    ]


@pytest.mark.parametrize(
    ("colours", "draw"),
    [
        (PALETTE[1:2], lambda: figures.word_lengths(["the", "car"], np.array([90, 5]), np.array([1.0, 2.0]))),
        (PALETTE[:1], lambda: figures.training_pairs(pairs(["the", "quick", "fox"]))),
        (PALETTE[5:6], lambda: figures.word_map(RANDOM.normal(size=(9, 2)), [*ODD_WORDS, "car", "bike"], "Words")),
    ],
    ids=lambda _: "figure",
)
def test_a_figure_is_a_picture_with_something_drawn_in_the_palette(colours, draw):
    png = draw()
    assert all(has(colour, png) for colour in colours)


def test_nothing_to_draw_is_drawn():
    assert picture(figures.word_lengths([], np.zeros(0), np.zeros(0)))
    assert picture(figures.training_pairs([]))


def test_words_of_any_kind_are_drawn_without_a_warning():
    many = len(ODD_WORDS)
    assert picture(figures.word_lengths(ODD_WORDS, np.arange(1, many + 1), np.arange(many) / 2))
    assert picture(figures.training_pairs(pairs(ODD_WORDS, document_id="$_中")))


def test_words_that_all_occur_once_have_their_lengths_drawn():
    assert picture(figures.word_lengths(["one", "two"], np.array([1, 1]), np.array([1.0, 1.0])))


@pytest.mark.parametrize(("length", "window"), [(2, 1), (3, 5), (40, 5)])
def test_sentences_and_windows_of_any_length_are_drawn(length, window):
    words = [f"word{number}" for number in range(length)]
    assert picture(figures.training_pairs(pairs(words, window)))


def test_only_the_first_sentence_is_drawn():
    first = pairs(["the", "quick", "brown", "fox"])
    second = pairs(["another", "sentence"], document_id="train-00002")
    assert figures.training_pairs(first + second) == figures.training_pairs(first)
