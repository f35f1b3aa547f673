import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import taproom
from assets.reviews.item_map import ITEM_MAP
from assets.reviews.neighbors import CONTRACT as NEIGHBORS
from assets.reviews.tfidf import TFIDF, VOCABULARY
from taproom.client.reader import default_reader
from taproom.errors import InputError, UnknownTableError
from taproom.maps import inverted_index, out_of_sample
from taproom.maps.neighbors import nearest
from taproom.maps.ordinal import OrdinalParameters, embed
from taproom.maps.out_of_sample import ItemMap, place_point
from taproom.warehouse.publishing import Origin
from taproom.warehouse.storage import WAREHOUSE_VARIABLE
from taproom.warehouse.warehouse import Warehouse
from taproom.words.counting import DEFAULT_TOKEN_PATTERN, count_words, tokens
from taproom.words.sparse import csr_to_lists, matrix_to_lists
from taproom.words.tfidf import select_words, weigh

THEMES = {
    "hoppy": "citrus pine grapefruit resin bitter piney floral",
    "roasty": "coffee chocolate roasted black espresso smoke char",
    "sour": "lemon tart funk barnyard vinegar cherry acidic",
}


def themed_texts(items=36, seed=0):
    """Texts that each say mostly the words of one theme, some words of others, and one of their own."""
    rng = np.random.default_rng(seed)
    everything = " ".join(THEMES.values()).split()
    texts = {}
    for number in range(items):
        theme = list(THEMES)[number % len(THEMES)]
        said = [*rng.choice(THEMES[theme].split(), 12), *rng.choice(everything, 4), "the", f"only{number // 2}"]
        texts[f"{theme} {number:02d}"] = " ".join(said)
    return texts


def publish_weights(warehouse, texts, pattern=DEFAULT_TOKEN_PATTERN):
    counts = count_words(list(texts), list(texts.values()), pattern)
    columns = select_words(counts, min_document_frequency=2)
    weights, frequency = weigh(counts, columns)
    items, words = weights.shape
    vocabulary = VOCABULARY.table_of(
        term_id=np.arange(words, dtype=np.int32),
        word=counts.words[columns],
        document_frequency=frequency,
        count=counts.counts.sum(axis=0)[columns],
        idf=np.log(items / frequency),
        token_pattern=[pattern] * words,
    )
    term_ids, values = csr_to_lists(weights)
    tfidf = TFIDF.table_of(
        item_id=counts.item_ids, words=counts.counts.sum(axis=1), term_ids=term_ids, weights=values
    )  # fmt: skip
    for contract, rows in ((VOCABULARY, vocabulary), (TFIDF, tfidf)):
        warehouse.publish(contract, rows, since=warehouse.head(contract.table))
    return counts.item_ids, weights


def publish_map(warehouse, texts, k=5, seed=0, without=(), **options):
    """The tables of the review chain from weights to map, as the assets make them."""
    item_ids, weights = publish_weights(warehouse, texts, **options)
    placed = np.diff(weights.indptr) > 0
    item_ids = item_ids[placed]
    indices, distances = nearest(weights[placed], k)
    ids = pa.array(item_ids, pa.string())
    neighbors = NEIGHBORS.table_of(
        item_id=ids,
        neighbor_ids=matrix_to_lists(ids.take(pa.array(indices.ravel())), k),
        distances=matrix_to_lists(pa.array(distances.ravel()), k),
    )
    warehouse.publish(NEIGHBORS, neighbors, since=warehouse.head("neighbors"))
    maps = []
    for dimension in (2, 3):
        parameters = OrdinalParameters(dimension=dimension, updates_per_item=50, seed=seed)
        positions = embed(indices, distances, parameters)
        columns = [positions[:, axis] if axis < dimension else pa.nulls(len(ids), pa.float64()) for axis in range(3)]
        maps.append(
            ITEM_MAP.table_of(
                dimension=pa.repeat(pa.scalar(dimension, pa.int32()), len(ids)),
                item_id=ids,
                item_name=[f"The {item}" for item in item_ids],
                category=[item.split()[0] for item in item_ids],
                **dict(zip("xyz", columns, strict=True)),
            )
        )
    inputs = {t: warehouse.head(t) for t in ("vocabulary", "tfidf", "neighbors") if t not in without}
    since = warehouse.head("item_map")
    warehouse.publish(ITEM_MAP, pa.concat_tables(maps), since=since, origin=Origin(inputs=inputs))


@pytest.fixture(scope="module")
def texts():
    return themed_texts()


@pytest.fixture(scope="module")
def themed_warehouse(texts, tmp_path_factory):
    warehouse = Warehouse(tmp_path_factory.mktemp("themed"))
    publish_map(warehouse, texts)
    return warehouse


@pytest.fixture(scope="module")
def themed_map(themed_warehouse):
    return ItemMap(themed_warehouse)


@pytest.fixture
def own_warehouse(themed_warehouse, tmp_path, monkeypatch):
    """A copy to change, which `taproom.place` reads."""
    folder = tmp_path / "warehouse"
    shutil.copytree(themed_warehouse.root, folder)
    monkeypatch.setenv(WAREHOUSE_VARIABLE, str(folder))
    return Warehouse()


def assert_same(one, other):
    assert replace(one, positions={}) == replace(other, positions={})
    assert one.positions.keys() == other.positions.keys()
    for dimension, position in one.positions.items():
        np.testing.assert_array_equal(position, other.positions[dimension])


def brute_force(warehouse, text):
    """(distance, item_id) of every item by plain loops over ascending words, nearest first, ties by item id."""
    vocabulary, tfidf = (warehouse.read(table).to_pylist() for table in ("vocabulary", "tfidf"))
    said = tokens(text, vocabulary[0]["token_pattern"])
    query = {row["term_id"]: said.count(row["word"]) / len(said) * row["idf"] for row in vocabulary}

    def product(one, other):
        total = 0.0
        for term in sorted(one.keys() & other.keys()):
            total += one[term] * other[term]
        return total

    found = []
    for row in tfidf:
        weights = dict(zip(row["term_ids"], row["weights"], strict=True))
        if weights:
            cosine = product(query, weights) / math.sqrt(product(query, query) * product(weights, weights))
            found.append((max(0.0, 1.0 - cosine), row["item_id"]))
    return sorted(found)


def found_by(placement):
    return [(neighbor.distance, neighbor.item_id) for neighbor in placement.neighbors]


@pytest.mark.slow
def test_the_text_of_an_item_finds_the_item_itself_and_then_its_neighbors(themed_warehouse, themed_map, texts):
    for row in themed_warehouse.read("neighbors").to_pylist():
        itself, *others = found_by(themed_map.place(texts[row["item_id"]]))
        assert itself == (0.0, row["item_id"])
        # one fewer, because the item is none of its own neighbours
        assert others == list(zip(row["distances"], row["neighbor_ids"], strict=True))[:-1]


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.sampled_from([*" ".join(THEMES.values()).split(), "the", "only3", "unheard"]), min_size=1), st.data()
)
def test_neighbors_equal_brute_force(themed_warehouse, said, data):
    text = " ".join(["citrus", *said])
    share = data.draw(st.sampled_from([-1.0, 0.5, 2.0]))  # every list dense, some, none
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inverted_index, "FREQUENT_SHARE", share)
        placement = ItemMap(themed_warehouse).place(text)
    assert found_by(placement) == brute_force(themed_warehouse, text)[:5]


def test_equal_items_and_items_without_any_word_of_the_text_come_in_the_order_of_their_ids(tmp_path):
    texts = {"a": "hop pine", "b": "oak smoke", "c": "pine hop", "d": "oak smoke", "e": "malt", "f": "malt"}
    publish_map(Warehouse(tmp_path), texts, k=4)
    item_map = ItemMap(Warehouse(tmp_path))
    placement = item_map.place("Smoke, oak!")
    assert found_by(placement) == [(0.0, "b"), (0.0, "d"), (1.0, "a"), (1.0, "c")]
    rows = Warehouse(tmp_path).read("item_map").to_pylist()
    b, d = (np.array([row["x"], row["y"]]) for row in rows if row["item_id"] in "bd" and row["dimension"] == 2)
    others = [np.array([row["x"], row["y"]]) for row in rows if row["item_id"] in "acef" and row["dimension"] == 2]
    position = placement.positions[2]
    to_alike = max(np.linalg.norm(position - b), np.linalg.norm(position - d))
    assert all(np.linalg.norm(position - other) > to_alike for other in others)


def test_a_placement_says_what_it_knows(themed_map):
    placement = themed_map.place("Citrus, PINE! Strange pine the qwertz; strange")
    assert placement.words == ("citrus", "pine", "the")
    assert placement.unknown_words == ("qwertz", "strange")
    assert len(placement.neighbors) == 5
    first = placement.neighbors[0]
    assert (first.item_name, first.category) == (f"The {first.item_id}", "hoppy")
    assert f"<td>{first.item_name}</td>" in placement._repr_html_()
    assert {dimension: (len(at), at.dtype) for dimension, at in placement.positions.items()} == {
        2: (2, np.float64),
        3: (3, np.float64),
    }


def test_unknown_words_dilute_the_text_without_turning_it(themed_map):
    plain, diluted = themed_map.place("citrus pine tart"), themed_map.place("citrus pine tart and many others")
    assert [near.item_id for near in plain.neighbors] == [near.item_id for near in diluted.neighbors]
    distances = [[near.distance for near in placement.neighbors] for placement in (plain, diluted)]
    np.testing.assert_allclose(*distances, rtol=1e-12)


@pytest.mark.parametrize("theme", THEMES)
def test_a_new_text_lands_among_its_own_kind(themed_warehouse, themed_map, theme):
    placement = themed_map.place(f"{THEMES[theme]} the unheard")
    assert {near.category for near in placement.neighbors} == {theme}
    rows = themed_warehouse.read("item_map").to_pandas()
    for dimension, position in placement.positions.items():
        on_map = rows[rows["dimension"] == dimension]
        away = np.linalg.norm(on_map[["x", "y", "z"][:dimension]].to_numpy() - position, axis=1)
        assert set(on_map["category"].to_numpy()[np.argsort(away)[:5]]) == {theme}


def test_the_same_text_gets_the_same_bits_whoever_asks(themed_warehouse, themed_map, texts):
    asked = list(texts.values())[:12]
    once = [themed_map.place(text) for text in asked]
    with ThreadPoolExecutor(4) as threads:
        at_once = list(threads.map(themed_map.place, asked))
    again = ItemMap(Warehouse(themed_warehouse.root))
    for text, one, other in zip(asked, once, at_once, strict=True):
        assert_same(one, other)
        assert_same(one, again.place(text))


def test_the_token_pattern_of_the_reviews_is_that_of_the_text(tmp_path):
    texts = {item: " ".join(f"#{word}" for word in text.split()) for item, text in themed_texts().items()}
    publish_map(Warehouse(tmp_path), texts, pattern=r"#(\w+)")
    placement = ItemMap(Warehouse(tmp_path)).place("#Coffee #char lemon")
    assert (placement.words, placement.unknown_words) == (("char", "coffee"), ())
    assert placement.neighbors[0].category == "roasty"


def test_tables_are_read_at_the_versions_that_the_map_recorded(own_warehouse, themed_map):
    before = taproom.place("citrus pine tart")
    assert_same(before, themed_map.place("citrus pine tart"))
    publish_weights(own_warehouse, themed_texts(items=21, seed=1))
    assert own_warehouse.head("tfidf") == own_warehouse.head("vocabulary") == 1
    assert_same(taproom.place("citrus pine tart"), before)
    assert_same(taproom.open().map.place("citrus pine tart"), before)


def test_a_map_is_loaded_once_until_there_is_a_newer_one(own_warehouse):
    first = default_reader().map.model
    assert default_reader().map.model is first
    publish_map(own_warehouse, themed_texts(items=21, seed=1), k=3)
    second = default_reader().map.model
    assert second is not first
    assert second.commit["version"] == 1
    assert len(taproom.place("citrus pine tart").neighbors) == 3
    assert_same(ItemMap(own_warehouse, version=0).place("citrus pine tart"), first.place("citrus pine tart"))
    assert default_reader().map.model is second


def test_another_warehouse_is_another_map_even_at_the_same_place(own_warehouse, tmp_path, monkeypatch):
    first = default_reader().map.model
    monkeypatch.setenv(WAREHOUSE_VARIABLE, str(tmp_path / "other"))
    with pytest.raises(UnknownTableError, match="no table 'item_map'"):
        taproom.place("citrus")
    publish_map(Warehouse(), themed_texts(items=21, seed=1), k=3)
    assert len(taproom.place("citrus").neighbors) == 3
    monkeypatch.setenv(WAREHOUSE_VARIABLE, own_warehouse.root)
    assert len(taproom.place("citrus").neighbors) == 5
    shutil.rmtree(own_warehouse.root)
    publish_map(own_warehouse, themed_texts(items=24, seed=2), k=4)
    assert own_warehouse.head("item_map") == first.commit["version"]
    assert len(taproom.place("citrus").neighbors) == 4


@pytest.mark.parametrize("given_", [None, 3, b"citrus", ["citrus", "pine"]])
def test_what_is_no_text_is_refused(themed_map, given_):
    with pytest.raises(InputError, match=f"one string; {type(given_).__name__} was given"):
        themed_map.place(given_)


@pytest.mark.parametrize("text", ["", "  \n", "?!", "a b"])
def test_a_text_without_words_is_refused(themed_map, text):
    with pytest.raises(InputError, match=r"has no word: nothing in it matches '\(\?u\)"):
        themed_map.place(text)


def test_a_text_without_a_known_word_is_refused(themed_map, themed_warehouse):
    words = len(themed_warehouse.read("vocabulary"))
    with pytest.raises(InputError, match=f"None of the 3 words of the text is among the {words} words of the map"):
        themed_map.place("quux quuz quux")


def test_a_text_of_words_that_every_item_has_is_refused(themed_map):
    with pytest.raises(InputError, match="Every item of the map has the words 'the', so they weigh nothing"):
        themed_map.place("the unheard")


def test_a_map_that_does_not_know_its_vocabulary_is_refused(tmp_path, texts):
    publish_map(Warehouse(tmp_path), texts, without=("vocabulary",))
    with pytest.raises(InputError, match=r"Version 0 of item_map does not say which version of vocabulary .* again"):
        ItemMap(Warehouse(tmp_path))


def test_a_vocabulary_without_a_token_pattern_is_refused(own_warehouse):
    older = replace(VOCABULARY, columns=VOCABULARY.columns[:-1], invariants=())
    own_warehouse.publish(older, own_warehouse.read("vocabulary").drop_columns("token_pattern"), since=0)
    republish_map(own_warehouse, vocabulary=1)
    with pytest.raises(InputError, match=r"Version 1 of vocabulary, .* no token_pattern.* again"):
        taproom.place("citrus")


@pytest.mark.parametrize("newer", ["vocabulary", "tfidf"])
def test_tables_that_are_not_of_one_making_are_refused(own_warehouse, newer):
    publish_weights(own_warehouse, themed_texts(items=36, seed=1))
    republish_map(own_warehouse, **{newer: 1})
    with pytest.raises(InputError, match="are not of one making: they have other words or items"):
        taproom.place("citrus")


def test_a_map_of_other_items_than_the_weights_is_refused(own_warehouse):
    publish_weights(own_warehouse, themed_texts(items=33))
    republish_map(own_warehouse, vocabulary=1, tfidf=1)
    with pytest.raises(InputError, match="are not of one making"):
        taproom.place("citrus")


def republish_map(warehouse, **inputs):
    """The same map, a little moved, as if made from other versions."""
    rows = warehouse.read("item_map")
    moved = rows.set_column(4, ITEM_MAP.schema.field("x"), pa.compute.add(rows["x"], 1e-9))
    origin = Origin(inputs={"vocabulary": 0, "tfidf": 0, "neighbors": 0, **inputs})
    warehouse.publish(ITEM_MAP, moved, since=warehouse.head("item_map"), origin=origin)


def hinge_loss(point, near, near_distances, reach, far):
    to_near, to_far = np.linalg.norm(near - point, axis=1), np.linalg.norm(far - point, axis=1)
    margin, share = out_of_sample.MARGIN, out_of_sample.WITHIN_SHARE
    within = [
        max(0.0, margin + to_near[one] - to_near[other])
        for one in range(len(near))
        for other in range(len(near))
        if near_distances[one] < near_distances[other]
    ]
    against = np.maximum(0.0, margin + to_near[:reach, None] - to_far[None, :])
    return share * np.mean(within or [0.0]) + (1 - share) * (against.mean() if against.size else 0.0)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(2, 3))
def test_a_point_is_placed_where_no_place_around_has_less_hinge_loss(seed, dimension):
    rng = np.random.default_rng(seed)
    near = rng.normal(size=(8, dimension)) * 0.3 + rng.normal(size=dimension)
    far = rng.normal(size=(40, dimension))
    near_distances = np.round(np.sort(rng.uniform(0.2, 0.9, 8)), 1)
    reach = int((near_distances < near_distances[-1]).sum())
    problem = near, near_distances, reach, far
    point = place_point(*problem)
    start = np.average(near, axis=0, weights=1 - near_distances)
    around = point + rng.choice([0.01, 0.05], (200, 1)) * rng.normal(size=(200, dimension))
    assert hinge_loss(point, *problem) <= hinge_loss(start, *problem) + 1e-3
    assert hinge_loss(point, *problem) <= min(hinge_loss(other, *problem) for other in around) + 1e-3


def test_a_point_that_no_triplet_moves_is_the_mean_of_its_neighbors():
    near, far = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[5.0, 5.0]])
    np.testing.assert_array_equal(place_point(near, np.array([0.4, 0.4]), 0, far), [0.5, 0.5])
    np.testing.assert_array_equal(place_point(near, np.array([0.4, 0.4]), 2, np.empty((0, 2))), [0.5, 0.5])


def test_a_point_in_one_place_with_its_only_neighbor_stays_there():
    alone = np.array([[0.3, -0.2, 0.1]])
    np.testing.assert_array_equal(place_point(alone, np.zeros(1), 1, alone + 10), alone[0])


def test_neighbours_at_distances_above_1_count_alike_at_the_start():
    near, far = np.array([[0.0, 0.0], [1.0, 1.0]]), np.empty((0, 2))
    np.testing.assert_array_equal(place_point(near, np.array([1.5, 1.5]), 2, far), [0.5, 0.5])
    assert (place_point(near, np.array([0.5, 1.5]), 0, far) < 0.5).all()
