import numpy as np
import pytest

from taproom.drawing import PALETTE
from taproom.text import topic_figures as figures
from tests.pictures import ODD_WORDS, has, picture

pytestmark = pytest.mark.filterwarnings("error")

RANDOM = np.random.default_rng(0)
SHARES = RANDOM.dirichlet(np.full(6, 0.3), size=4)
LABELS = ["sci.space", "rec.autos", "talk.religion.misc", "misc.forsale"]
TOPICS = [f"{number} car bike" for number in range(6)]


def topic(words=("car", "bike", "engine"), share=0.5):
    return list(words), list(np.linspace(0.9, 0.1, len(words))), share


def method(name="nmf_tfidf", seconds=2.0, **measured):
    measures = dict.fromkeys(("npmi", "diversity", "nmi", "nmi_training", "stability"))
    return {"method": name, "topics": 20, "seeds": 2, "seconds": seconds} | measures | measured


@pytest.mark.parametrize(
    ("colours", "draw"),
    [
        (
            PALETTE[:1] + PALETTE[5:6],
            lambda: figures.documents({("sci.space", "training"): 600, ("sci.space", "test"): 400}),
        ),
        (PALETTE[:1], lambda: figures.topic_words("Topics", [topic()])),
        (PALETTE[:1], lambda: figures.labels_by_topic(np.array([[0.5, 0.2, 1.0]]), ["sci.space"], TOPICS[:3])),
        (PALETTE[:1], lambda: figures.method_comparison([method(npmi=0.3)])),
    ],
    ids=lambda _: "figure",
)
def test_a_figure_is_a_picture_with_something_drawn_in_the_palette(colours, draw):
    png = draw()
    assert all(has(colour, png) for colour in colours)


def test_nothing_to_draw_is_drawn():
    assert picture(figures.documents({}))
    assert picture(figures.topic_words("None", []))
    assert picture(figures.labels_by_topic(np.zeros((0, 0)), [], []))
    assert picture(figures.method_comparison([]))


def test_words_of_any_kind_are_drawn_without_a_warning():
    many = len(ODD_WORDS)
    assert picture(figures.documents({(word, "training"): 5 for word in ODD_WORDS}))
    assert picture(figures.topic_words("$ 中国 _" * 40, [topic(ODD_WORDS)]))
    assert picture(figures.labels_by_topic(np.eye(many), ODD_WORDS, ODD_WORDS))
    assert picture(figures.method_comparison([method(word) for word in ODD_WORDS]))


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
