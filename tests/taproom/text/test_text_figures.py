import io

import numpy as np
import pytest
from PIL import Image

from taproom.drawing import PALETTE
from taproom.text import text_figures as figures

pytestmark = pytest.mark.filterwarnings("error")

RANDOM = np.random.default_rng(0)
ODD_WORDS = [r"$\frac{", r"_a\$b$", "слово 中国", "עברית", "two\nlines", "\udc80", "x" * 5_000]
SHARES = RANDOM.dirichlet(np.full(6, 0.3), size=4)
LABELS = ["sci.space", "rec.autos", "talk.religion.misc", "misc.forsale"]
TOPICS = [f"{number} car bike" for number in range(6)]
COUNTRIES = ["france", "italy", "greece"]
CAPITALS = ["paris", "rome", "athens"]
STARTS = RANDOM.normal(size=(3, 8))
ENDS = STARTS + 3 + RANDOM.normal(size=(3, 8)) / 4


def topic(words=("car", "bike", "engine"), share=0.5):
    return list(words), list(np.linspace(0.9, 0.1, len(words))), share


def method(name="nmf_tfidf", seconds=2.0, **measured):
    measures = dict.fromkeys(("npmi", "diversity", "nmi", "nmi_training", "stability"))
    return {"method": name, "topics": 20, "seeds": 2, "seconds": seconds} | measures | measured


def section(name="family", known=20, accuracy=0.2, accuracy_of_5=0.5):
    right = {"accuracy": accuracy, "accuracy_of_5": accuracy_of_5}
    return {"section": name, "questions": 506, "known": known, "known_share": known / 506} | right


def nearest(word="car", neighbors=("cars", "bike"), similarities=(0.9, 0.5)):
    return {"word": word, "neighbors": list(neighbors), "similarities": list(similarities)}


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


def picture(png: bytes) -> Image.Image:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(png) < 150_000
    drawn = Image.open(io.BytesIO(png)).convert("RGB")
    assert min(drawn.size) > 50
    assert max(drawn.size) < 2_500
    return drawn


def has(colour: str, png: bytes) -> bool:
    """Whether some pixel is of the palette's colour, up to what 256 colours round."""
    wanted = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8).astype(int)
    found = np.array([found for _, found in picture(png).getcolors(maxcolors=256)])
    return np.abs(found - wanted).max(axis=1).min() < 25


@pytest.mark.parametrize(
    ("colours", "png"),
    [
        (PALETTE[:1] + PALETTE[5:6], figures.documents({("sci.space", "training"): 600, ("sci.space", "test"): 400})),
        (PALETTE[:1], figures.topic_words("Topics", [topic()])),
        (PALETTE[:1], figures.labels_by_topic(np.array([[0.5, 0.2, 1.0]]), ["sci.space"], TOPICS[:3])),
        (PALETTE[:1], figures.method_comparison([method(npmi=0.3)])),
        (PALETTE[1:2], figures.word_lengths(["the", "car"], np.array([90, 5]), np.array([1.0, 2.0]))),
        (PALETTE[:1], figures.training_pairs(pairs(["the", "quick", "fox"]))),
        (PALETTE[:1] + PALETTE[5:6], figures.analogies_by_section([section()])),
        (PALETTE[:2], figures.country_capital_arrows(COUNTRIES, CAPITALS, STARTS, ENDS)),
        (PALETTE[5:6], figures.nearest_words([nearest()])),
        (PALETTE[5:6], figures.word_map(RANDOM.normal(size=(9, 2)), [*ODD_WORDS, "car", "bike"], "Words")),
    ],
    ids=lambda _: "figure",
)
def test_a_figure_is_a_picture_with_something_drawn_in_the_palette(colours, png):
    assert all(has(colour, png) for colour in colours)


def test_nothing_to_draw_is_drawn():
    assert picture(figures.documents({}))
    assert picture(figures.topic_words("None", []))
    assert picture(figures.labels_by_topic(np.zeros((0, 0)), [], []))
    assert picture(figures.method_comparison([]))
    assert picture(figures.word_lengths([], np.zeros(0), np.zeros(0)))
    assert picture(figures.training_pairs([]))
    assert picture(figures.analogies_by_section([]))
    assert picture(figures.country_capital_arrows([], [], np.zeros((0, 8)), np.zeros((0, 8))))
    assert picture(figures.nearest_words([]))


def test_words_of_any_kind_are_drawn_without_a_warning():
    many = len(ODD_WORDS)
    vectors = RANDOM.normal(size=(2, many, 8))
    assert picture(figures.documents({(word, "training"): 5 for word in ODD_WORDS}))
    assert picture(figures.topic_words("$ 中国 _" * 40, [topic(ODD_WORDS)]))
    assert picture(figures.labels_by_topic(np.eye(many), ODD_WORDS, ODD_WORDS))
    assert picture(figures.method_comparison([method(word) for word in ODD_WORDS]))
    assert picture(figures.word_lengths(ODD_WORDS, np.arange(1, many + 1), np.arange(many) / 2))
    assert picture(figures.analogies_by_section([section(word) for word in ODD_WORDS]))
    assert picture(figures.country_capital_arrows(ODD_WORDS, ODD_WORDS, *vectors))
    assert picture(figures.nearest_words([nearest(word, ODD_WORDS, np.linspace(1, 0, 7)) for word in ODD_WORDS[:3]]))
    assert picture(figures.training_pairs(pairs(ODD_WORDS, document_id="$_中")))


def test_a_word_is_shown_on_one_line_shortened_and_with_boxes_for_missing_letters():
    assert figures._shown("two\r\n lines") == "two lines"
    assert figures._shown("слово 中国") == "слово 中国"
    assert figures._shown("слово \ue000\ue001") == "слово ▯▯"
    assert figures._shown("abcdefgh", 5) == "abcd…"
    assert figures._shown("abcde", 5) == "abcde"


def test_documents_without_labels_and_of_more_labels_than_fit_are_drawn():
    assert picture(figures.documents({(None, "training"): 8, (None, "test"): 2}))
    many = {(f"label {number}", "test"): 100 - number for number in range(40)}
    assert picture(figures.documents(many)).height < 1_000


def test_labels_that_shorten_to_the_same_name_keep_a_bar_each():
    long = "a long name of a folder of documents"
    one = figures.documents({(f"{long} 1", "training"): 5})
    both = figures.documents({(f"{long} 1", "training"): 5, (f"{long} 2", "training"): 5})
    assert picture(both).height > picture(one).height


def test_the_twenty_topics_of_largest_share_are_drawn():
    largest = [topic(["car"], 0.04)] * 20
    drawn = figures.topic_words("Topics", [*largest, topic(["other"], 0.01)])
    assert drawn == figures.topic_words("Topics", [*largest, topic(["another"], 0.02)])
    assert drawn != figures.topic_words("Topics", [*largest, topic(["other"], 0.05)])


def test_only_ten_words_of_a_topic_are_drawn_and_a_topic_may_have_fewer_or_none():
    words = [f"word{number}" for number in range(12)]
    weights = list(np.linspace(1, 0.1, 12))
    full = figures.topic_words("Topics", [(words, weights, 1.0)])
    assert full == figures.topic_words("Topics", [(words[:10], weights[:10], 1.0)])
    assert picture(figures.topic_words("Topics", [topic(["one"]), topic([])]))


def test_labels_stand_in_the_order_of_their_topics_however_they_are_given():
    turned = [2, 0, 3, 1]
    given = figures.labels_by_topic(SHARES, LABELS, TOPICS)
    assert given == figures.labels_by_topic(SHARES[turned], [LABELS[place] for place in turned], TOPICS)


def test_a_heat_map_puts_its_dark_cells_on_the_diagonal():
    drawn = picture(figures.labels_by_topic(np.eye(6)[::-1], [f"label {number}" for number in range(6)], TOPICS))
    rows, columns = np.nonzero((np.asarray(drawn) == (0, 38, 61)).all(axis=2))
    cells = columns < drawn.width * 0.8  # right of them is the colour bar
    assert np.corrcoef(rows[cells], columns[cells])[0, 1] > 0.9


@pytest.mark.parametrize(("labels", "topics"), [(1, 1), (3, 40), (75, 120)])
def test_a_heat_map_has_few_or_many_labels_and_topics(labels, topics):
    shares = RANDOM.dirichlet(np.ones(topics), size=labels)
    names = [f"a label with a long name {number}" for number in range(labels)]
    assert picture(figures.labels_by_topic(shares, names, [f"{number} car" for number in range(topics)]))


def test_labels_without_shares_are_drawn():
    unknown = SHARES.copy()
    unknown[1] = np.nan
    assert picture(figures.labels_by_topic(unknown, LABELS, TOPICS))
    assert picture(figures.labels_by_topic(np.zeros((1, 6)), LABELS[:1], TOPICS))


def test_measures_may_be_negative_or_all_there():
    measures = {"npmi": -0.2, "diversity": 0.9, "nmi": 0.3, "stability": 0.1}
    without = figures.method_comparison([method("lda", **measures)])
    hollow = figures.method_comparison([method("lda", **measures, nmi_training=0.5)])
    assert picture(without).size == picture(hollow).size
    assert without != hollow


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


def test_sections_without_known_questions_or_all_right_are_drawn():
    assert picture(figures.analogies_by_section([section("deck", 0, None, None)]))
    assert picture(figures.analogies_by_section([section(accuracy=1.0, accuracy_of_5=1.0)]))


def test_arrows_are_drawn_the_same_way_whatever_sign_their_components_have():
    drawn = figures.country_capital_arrows(COUNTRIES, CAPITALS, STARTS, ENDS)
    assert drawn == figures.country_capital_arrows(COUNTRIES, CAPITALS, -STARTS, -ENDS)


def test_one_pair_many_pairs_and_pairs_in_one_place_are_drawn():
    assert picture(figures.country_capital_arrows(COUNTRIES[:1], CAPITALS[:1], STARTS[:1], ENDS[:1]))
    assert picture(figures.country_capital_arrows(COUNTRIES, CAPITALS, np.ones((3, 8)), np.ones((3, 8))))
    names = [str(number) for number in range(31)]
    vectors = RANDOM.normal(size=(31, 8)).astype(np.float32)
    many = figures.country_capital_arrows(names, names, vectors, vectors + 1)
    changed = np.vstack([vectors[:30], 9 * vectors[30:]])
    assert picture(many)
    assert many == figures.country_capital_arrows(names, names, changed, changed + 1)


def test_the_first_words_and_neighbours_are_shown_and_there_may_be_fewer():
    alone = nearest("alone", [], [])
    rows = [nearest("car", ["near"] * 9, [0.5] * 9)] + [alone] * 20
    assert figures.nearest_words(rows) == figures.nearest_words(
        [nearest("car", ["near"] * 8, [0.5] * 8)] + [alone] * 19
    )
