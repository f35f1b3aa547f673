import numpy as np
import pytest

from taproom.errors import InputError
from taproom.maps.ordinal import OrdinalParameters
from taproom.maps.word_map import map_words
from taproom.words.vectors import WordVectors

QUICK = OrdinalParameters(updates_per_item=80)


def grouped_vectors(groups=4, each=50, seed=0):
    """Words of a few kinds: vectors of a kind lie in nearly one direction; kinds take turns by frequency."""
    draw = np.random.default_rng(seed)
    kinds = np.tile(np.arange(groups), each)
    vectors = draw.normal(size=(groups, 20))[kinds] + 0.3 * draw.normal(size=(len(kinds), 20))
    words = np.array([f"kind{kind} word{number}" for number, kind in enumerate(kinds)], dtype=object)
    return kinds, WordVectors(words, np.arange(len(kinds), 0, -1), vectors.astype(np.float32))


def test_words_of_a_kind_lie_together():
    kinds, vectors = grouped_vectors()
    fitted = map_words(vectors, parameters=QUICK)
    assert fitted.positions.shape == (200, 2)
    distances = np.linalg.norm(fitted.positions[:, None] - fitted.positions, axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (kinds[distances.argmin(axis=1)] == kinds).mean() > 0.95
    held_out = {row["kind"]: row["error"] for row in fitted.errors if row["split"] == "held_out"}
    assert set(held_out) == {"random", "within", "near_miss"}
    assert held_out["random"] < 0.1


def test_only_the_most_frequent_words_are_mapped():
    _, vectors = grouped_vectors()
    few = WordVectors(vectors.words[:60], vectors.counts[:60], vectors.vectors[:60])
    assert (
        map_words(vectors, words=60, parameters=QUICK).positions.tobytes()
        == map_words(few, parameters=QUICK).positions.tobytes()
    )


def test_workers_do_not_change_a_bit():
    _, vectors = grouped_vectors()
    one, two = (map_words(vectors, parameters=QUICK, n_jobs=n_jobs).positions for n_jobs in (1, 2))
    assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("words", [4, 11])
def test_a_handful_of_words_has_a_map(words):
    _, vectors = grouped_vectors()
    assert np.isfinite(map_words(vectors, words=words, parameters=QUICK).positions).all()


@pytest.mark.parametrize("words", [3, 1, 0, -1])
def test_too_few_words_for_a_map_are_refused(words):
    _, vectors = grouped_vectors()
    with pytest.raises(InputError, match="needs at least 4 items"):
        map_words(vectors, words=words)


def test_words_of_one_direction_have_a_map():
    words = np.array([f"word{number:02}" for number in range(40)], dtype=object)
    same = WordVectors(words, np.ones(40, np.int64), np.ones((40, 3), np.float32))
    assert np.isfinite(map_words(same, parameters=QUICK).positions).all()
