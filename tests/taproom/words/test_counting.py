import multiprocessing
import re
from collections import Counter
from itertools import pairwise

import joblib
import numpy as np
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st
from joblib.externals.loky import get_reusable_executor
from sklearn.feature_extraction.text import CountVectorizer

from taproom.errors import InputError
from taproom.words import counting
from taproom.words.counting import DEFAULT_TOKEN_PATTERN, add_counts, count_stream, count_words, numbered_tokens, tokens
from taproom.words.normal_form import normal_form, with_pairs

ITEM_IDS = st.sampled_from(["ale", "bock", "Äppelwoi", "z"])
# Among others: a dotted capital I, combining marks, all three sigmas, digits of other scripts, a lone surrogate.
MEAN_CHARACTERS = "ab Cé1_-ß\u0130\x00.\n\u0301\u0307Σςσ٣७²Ⅷ𝔸ªßdž€—\u2028\u200d\ud83d😀"
TEXTS = st.text(MEAN_CHARACTERS, max_size=30) | st.text(st.characters(), max_size=30)
REVIEWS = st.lists(st.tuples(ITEM_IDS, TEXTS), max_size=25)
PATTERNS = st.sampled_from([DEFAULT_TOKEN_PATTERN, r"\w+", r"[a-z]*", r"(\w)\d"])


def as_dict(counts):
    entries = counts.counts.tocoo()
    named = zip(counts.item_ids[entries.row], counts.words[entries.col], entries.data.tolist(), strict=True)
    return {(item, word): count for item, word, count in named}


def count_reviews(reviews, token_pattern=DEFAULT_TOKEN_PATTERN):
    return count_words([item for item, _ in reviews], [text for _, text in reviews], token_pattern)


def count_by_hand(reviews, token_pattern=DEFAULT_TOKEN_PATTERN):
    found = Counter()
    for item, text in reviews:
        normal = normal_form(text)
        spaced = with_pairs(normal) if token_pattern == DEFAULT_TOKEN_PATTERN else normal
        found.update((item, word) for word in regex.findall(token_pattern, spaced) if word)
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


@pytest.mark.slow
@given(REVIEWS, PATTERNS)
def test_every_word_of_an_items_texts_counts(reviews, token_pattern):
    counts = count_reviews(reviews, token_pattern)
    assert_canonical(counts)
    assert as_dict(counts) == count_by_hand(reviews, token_pattern)


@pytest.mark.slow
def test_every_character_is_what_a_regular_expression_takes_it_for():
    texts = [f"{c} a{c} {c}{c}Σ" for c in map(chr, range(0x110000))]
    reviews = [("ale", "\n".join(texts[start : start + 10_000])) for start in range(0, len(texts), 10_000)]
    assert as_dict(count_reviews(reviews)) == count_by_hand(reviews)


@pytest.mark.slow
@given(REVIEWS, PATTERNS, st.integers(1, 60), st.integers(1, 5), st.integers(0, 40))
def test_workers_blocks_and_merges_leave_no_trace(reviews, token_pattern, characters, at_once, entries_before_merge):
    whole = count_reviews(reviews, token_pattern)
    item_ids, texts = [item for item, _ in reviews], [text for _, text in reviews]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "BLOCK_CHARACTERS", characters)
        patch.setattr(counting, "BLOCKS_AT_ONCE", at_once)
        patch.setattr(counting, "ENTRIES_BEFORE_MERGE", entries_before_merge)
        for n_jobs in (1, 2):
            assert_same(count_words(item_ids, texts, token_pattern, n_jobs=n_jobs), whole)


@pytest.mark.slow
@given(st.lists(REVIEWS, max_size=4))
def test_a_stream_counts_as_its_texts_together(parts):
    stream = (([item for item, _ in part], [text for _, text in part]) for part in parts)
    assert_same(count_stream(stream), count_reviews([review for part in parts for review in part]))


@pytest.mark.slow
def test_workers_may_be_processes_but_small_input_starts_none(monkeypatch):
    get_reusable_executor().shutdown()
    before = multiprocessing.active_children()
    reviews = [(f"item {number % 7}", f"hops{number} malt é hops") for number in range(200)]
    with joblib.parallel_config(backend="loky", n_jobs=2):
        small = count_reviews(reviews, r"\w+")
        assert set(multiprocessing.active_children()) == set(before)
        monkeypatch.setattr(counting, "BLOCK_CHARACTERS", 1000)
        assert_same(count_reviews(reviews, r"\w+"), small)
        assert len(multiprocessing.active_children()) > len(before)
    get_reusable_executor().shutdown()


def test_an_error_in_the_stream_is_raised():
    def stream():
        yield ["ale"] * 3, ["hops"] * 3
        raise OSError("the file ended too soon")

    with pytest.raises(OSError, match="ended too soon"):
        count_stream(stream(), n_jobs=2)


@pytest.mark.slow
@given(REVIEWS, st.randoms(use_true_random=False))
def test_the_order_of_reviews_leaves_no_trace(reviews, random):
    shuffled = random.sample(reviews, len(reviews))
    assert_same(count_reviews(shuffled), count_reviews(reviews))


@pytest.mark.slow
@given(st.lists(REVIEWS, max_size=4), st.randoms(use_true_random=False))
def test_parts_add_up_to_the_whole_in_any_order(parts, random):
    whole = count_reviews([review for part in parts for review in part])
    counted = [count_reviews(part) for part in parts]
    assert_same(add_counts(counted), whole)
    assert_same(add_counts(random.sample(counted, len(counted))), whole)


@pytest.mark.slow
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
        count_words([], [], pattern)
    with pytest.raises(InputError, match=re.escape(repr(pattern))):
        tokens("hops", pattern)


def test_tokens_are_in_the_order_of_the_text():
    assert tokens("Malt, hops; a MALT") == ["malt", "hops", "malt"]
    assert tokens("#Hops and #malt, # nothing", r"#(\w*)") == ["hops", "malt"]


def test_a_lone_surrogate_is_no_word():
    assert count_words(["ale"], ["ho\ud83dps"]).words.tolist() == ["ho", "ps"]
    with pytest.raises(InputError, match=r"word 'ho\\ud83dps' contains '\\ud83d', a lone surrogate"):
        count_words(["ale"], ["ho\ud83dps"], r"\S+")
    with pytest.raises(InputError, match=r"item id '\\ud83d' contains"):
        count_words(["\ud83d"], ["hops"])


def test_reviews_without_text_or_item_are_refused():
    with pytest.raises(InputError, match="text at position 1 is None"):
        count_words(["ale", "ale"], ["hops", None])
    with pytest.raises(InputError, match="item id at position 0 is 7"):
        count_words([7], ["hops"])
    with pytest.raises(InputError, match="2 item ids for 1 texts"):
        count_words(["ale", "ale"], ["hops"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("su\u0308ffig nai\u0308ve", ["süffig", "naïve"]),
        ("हिन्दी बीयर", ["हिन्दी", "बीयर"]),
        ("İstanbul", ["istanbul"]),
        ("Ｆｕｌｌ ｗｉｄｔｈ ﬁne", ["full", "width", "fine"]),
        ("Kül\u00adsch zero\u200bwidth", ["külsch", "zerowidth"]),
        ("日本酒は良い", ["日本", "本酒", "酒は", "は良", "良い"]),
        ("தமிழ் சுவை", ["தமிழ்", "சுவை"]),
        ("a é 酒", []),
    ],
)
def test_words_of_all_scripts_are_whole_and_the_same_by_both_ways_of_finding_them(text, expected):
    assert tokens(text) == expected
    words, numbers, _ = numbered_tokens([text])
    assert [words[number].as_py() for number in numbers] == expected


@given(st.lists(st.text(max_size=30), max_size=5))
def test_both_ways_of_finding_words_agree_on_any_text(texts):
    words, numbers, starts = numbered_tokens(texts)
    found = [words[number].as_py() for number in numbers]
    assert [found[start:stop] for start, stop in pairwise(starts.tolist())] == [tokens(text) for text in texts]
