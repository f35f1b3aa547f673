import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from taproom import counting
from taproom.counting import DEFAULT_TOKEN_PATTERN, WordCounter, add_counts, count_words
from taproom.errors import InputError

ITEM_IDS = st.sampled_from(["ale", "bock", "Äppelwoi", "z"])
TEXTS = st.text(alphabet="ab Cé1_-ß\u0130\x00.", max_size=30)
REVIEWS = st.lists(st.tuples(ITEM_IDS, TEXTS), max_size=25)


def as_dict(counts):
    entries = counts.counts.tocoo()
    named = zip(counts.item_ids[entries.row], counts.words[entries.col], entries.data.tolist(), strict=True)
    return {(item, word): count for item, word, count in named}


def count_reviews(reviews, token_pattern=DEFAULT_TOKEN_PATTERN):
    return count_words([item for item, _ in reviews], [text for _, text in reviews], token_pattern)


def count_by_hand(reviews):
    found = Counter()
    for item, text in reviews:
        found.update((item, word) for word in re.findall(DEFAULT_TOKEN_PATTERN, text.lower()))
    return dict(found)


def assert_same(one, other):
    assert one.item_ids.tolist() == other.item_ids.tolist()
    assert one.words.tolist() == other.words.tolist()
    assert one.counts.shape == other.counts.shape
    for part in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(one.counts, part), getattr(other.counts, part))


def assert_canonical(counts):
    assert counts.item_ids.tolist() == sorted(set(counts.item_ids))
    assert counts.words.tolist() == sorted(set(counts.words))
    assert counts.counts.shape == (len(counts.item_ids), len(counts.words))
    assert counts.counts.has_canonical_format
    assert counts.counts.dtype == np.int64
    assert (counts.counts.data > 0).all()
    assert (counts.counts.sum(axis=0) > 0).all()
    assert (counts.counts.sum(axis=1) > 0).all()


def test_counts_equal_those_of_scikit_learn():
    texts = [
        "Hoppy, hoppy IPA! It's a well-hopped 9/10 beer, isn't it?",
        "Naïve Weißbier — schmeckt SEHR gut; größer als 7 %.",
        "ÆØÅ øl_med underscore and 2nd place",
        "the the The THE",
    ]
    vectorizer = CountVectorizer()
    wanted = vectorizer.fit_transform(texts)
    counts = count_words(["a", "b", "c", "d"], texts)
    assert counts.words.tolist() == vectorizer.get_feature_names_out().tolist()
    np.testing.assert_array_equal(counts.counts.toarray(), wanted.toarray())


@given(REVIEWS)
def test_every_word_of_an_items_texts_counts(reviews):
    counts = count_reviews(reviews)
    assert_canonical(counts)
    assert as_dict(counts) == count_by_hand(reviews)


@given(REVIEWS, st.integers(1, 7), st.integers(0, 40))
def test_blocks_and_merges_leave_no_trace(reviews, texts_per_block, entries_before_merge):
    whole = count_reviews(reviews)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "TEXTS_PER_BLOCK", texts_per_block)
        patch.setattr(counting, "ENTRIES_BEFORE_MERGE", entries_before_merge)
        assert_same(count_reviews(reviews), whole)


@given(REVIEWS, st.randoms(use_true_random=False))
def test_the_order_of_reviews_leaves_no_trace(reviews, random):
    shuffled = random.sample(reviews, len(reviews))
    assert_same(count_reviews(shuffled), count_reviews(reviews))


@given(st.lists(REVIEWS, max_size=4), st.randoms(use_true_random=False))
def test_parts_add_up_to_the_whole_in_any_order(parts, random):
    whole = count_reviews([review for part in parts for review in part])
    counted = [count_reviews(part) for part in parts]
    assert_same(add_counts(counted), whole)
    assert_same(add_counts(random.sample(counted, len(counted))), whole)


@given(REVIEWS, REVIEWS)
def test_what_was_added_can_be_taken_out_again(kept, removed):
    both = add_counts([count_reviews(kept), count_reviews(removed)])
    assert_same(add_counts([both], subtract=[count_reviews(removed)]), count_reviews(kept))


def test_taking_out_more_than_there_is_is_refused():
    there, too_much = count_words(["ale"], ["hops malt"]), count_words(["ale"], ["hops hops hops"])
    with pytest.raises(InputError, match=r"'hops'.*'ale' 2 times more"):
        add_counts([there], subtract=[too_much])
    with pytest.raises(InputError, match="'stout'"):
        add_counts([there], subtract=[count_words(["stout"], ["hops"])])


def test_sums_do_not_overflow_32_bits():
    big = count_words(["ale"], ["hops"])
    big.counts.data[:] = 2**31 - 1
    assert add_counts([big, big, big]).counts.data.tolist() == [3 * (2**31 - 1)]


def test_a_counter_can_be_read_between_two_blocks():
    counter = WordCounter()
    counter.add(["ale"], ["hops malt"])
    assert as_dict(counter.result()) == {("ale", "hops"): 1, ("ale", "malt"): 1}
    counter.add(["ale", "stout"], ["hops", "roast"])
    assert as_dict(counter.result()) == {("ale", "hops"): 2, ("ale", "malt"): 1, ("stout", "roast"): 1}


@pytest.mark.parametrize("reviews", [[], [("ale", "")], [("ale", "? !"), ("stout", "a b c")]])
def test_items_without_a_word_are_not_counted(reviews):
    counts = count_reviews(reviews)
    assert counts.counts.shape == (0, 0)
    assert_canonical(add_counts([counts, count_words(["ale"], ["hops"])]))


def test_a_group_in_the_pattern_is_the_word():
    counts = count_reviews([("ale", "#Hops and #malt, # nothing")], r"#(\w*)")
    assert counts.words.tolist() == ["hops", "malt"]


@pytest.mark.parametrize("pattern", ["(", r"[z-a]", r"(\w)(\w)"])
def test_a_bad_pattern_is_refused(pattern):
    with pytest.raises(InputError, match=re.escape(repr(pattern))):
        WordCounter(pattern)


def test_reviews_without_text_or_item_are_refused():
    with pytest.raises(InputError, match="text at position 1 is None"):
        count_words(["ale", "ale"], ["hops", None])
    with pytest.raises(InputError, match="item id at position 0 is 7"):
        count_words([7], ["hops"])
    with pytest.raises(InputError, match="2 item ids for 1 texts"):
        count_words(["ale", "ale"], ["hops"])
