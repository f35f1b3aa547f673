import numpy as np
import pytest
from scipy import sparse
from sklearn.manifold import trustworthiness

from taproom.maps import neighborhoods
from taproom.maps.neighborhoods import neighborhood_scores

UNKNOWN = {"trustworthiness": None, "continuity": None, "category_purity": None}


def fan(items):
    """Angles, and as many items, whose cosine distances grow with the difference of their angles."""
    angles = np.random.default_rng(0).uniform(0, np.pi / 2, items)
    return angles[:, None], sparse.csr_array(np.column_stack([np.cos(angles), np.sin(angles)]))


def lost_ranks(near, among, k=10):
    """Venna and Kaski's sum by its definition: from 1 for a perfect map, by the distances of all pairs."""
    items, lost = len(near), 0
    for item in range(items):
        others = [other for other in range(items) if other != item]
        ranks = {other: rank for rank, other in enumerate(sorted(others, key=lambda other: among[item, other]), 1)}
        lost += sum(max(0, ranks[other] - k) for other in sorted(others, key=lambda other: near[item, other])[:k])
    return 1 - 2 * lost / (items * k * (2 * items - 3 * k - 1))


def test_trustworthiness_and_continuity_are_those_of_their_definition():
    random = np.random.default_rng(1)
    angles, rows = fan(40)
    positions = np.column_stack([angles, np.zeros(40)]) + random.normal(0, 0.1, (40, 2))
    on_map = np.linalg.norm(positions[:, None] - positions, axis=2)
    by_words = 1 - (rows @ rows.T).toarray()
    found = neighborhood_scores(positions, rows)
    assert found["trustworthiness"] == pytest.approx(lost_ranks(on_map, by_words))
    assert found["continuity"] == pytest.approx(lost_ranks(by_words, on_map))
    assert found["trustworthiness"] != found["continuity"]


def test_a_map_torn_in_two_is_trustworthy_and_a_folded_one_is_continuous():
    angles, rows = fan(100)
    torn, folded = np.where(angles < 0.6, angles, 9 - angles), np.abs(angles - 0.6)
    assert neighborhood_scores(angles, rows)["trustworthiness"] == 1
    of_torn, of_folded = neighborhood_scores(torn, rows), neighborhood_scores(folded, rows)
    assert of_torn["trustworthiness"] > of_torn["continuity"]
    assert of_folded["continuity"] > of_folded["trustworthiness"]


def test_of_many_items_some_are_ranked_and_the_purity_is_of_all(monkeypatch):
    monkeypatch.setattr(neighborhoods, "MOST_RANKED", 50)
    angles, rows = fan(100)
    positions = angles + np.random.default_rng(2).normal(0, 0.2, (100, 1))
    categories = np.array(["one", "other"])[np.arange(100) % 2]
    found = neighborhood_scores(positions, rows, categories)
    ranked = np.linspace(0, 99, 50).astype(int)
    wanted = trustworthiness(rows[ranked], positions[ranked], n_neighbors=10, metric="cosine")
    assert found["trustworthiness"] == wanted
    assert found["category_purity"] == neighborhood_scores(positions, rows, categories)["category_purity"]


def test_purity_is_of_the_nearest_items_that_have_a_category():
    line = np.arange(44.0)[:, None]
    categories = np.array(["low", None, "high", None], object)[np.arange(44) % 2 + 2 * (np.arange(44) >= 22)]
    known = np.arange(0, 44, 2)
    shares = []
    for item in known:
        others = known[known != item]
        nearest = others[np.argsort(np.abs(others - item), kind="stable")[:10]]
        shares.append((categories[nearest] == categories[item]).mean())
    assert 0.6 < np.mean(shares) < 0.9
    found = neighborhood_scores(line, fan(44)[1], categories)["category_purity"]
    assert found == pytest.approx(np.mean(shares), abs=0.02), "items as far on either side are in any order"


def test_what_too_few_items_have_no_value_for_is_unknown():
    angles, rows = fan(21)
    categories = np.array(["a"] * 10 + [None] * 11, object)
    assert neighborhood_scores(angles[:20], rows[:20], None) == UNKNOWN
    found = neighborhood_scores(angles, rows, categories)
    assert found == {"trustworthiness": 1, "continuity": 1, "category_purity": None}
    assert neighborhood_scores(angles, rows, np.array(["a"] * 11 + [None] * 10, object))["category_purity"] == 1
