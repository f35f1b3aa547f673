"""Synthetic reviews at the deck's scale, in which items of the same style have similar words.

    python benchmarks/corpus.py PATH [--items N] [--words N] [--tokens N] [--seed N]

writes Parquet, or CSV if PATH ends in .csv or .csv.gz, with one row a review and the reviews of an item together. At
any scale only a few blocks of reviews are in memory. The defaults are the numbers of the lecture deck: 50,000 items,
400,000 words.

Word frequencies fall as a power of their rank, and frequent words are short (Zipf 1949, Human Behavior and the
Principle of Least Effort). Each token is drawn from a distribution that all items share, from the item's style, from
the item's second style, or from a few words of the item itself. Each word is in at least two items by construction:
tokens at fixed intervals are the words in turn, each once in each half of the corpus.
"""

import argparse
from collections.abc import Iterator
from itertools import chain, count, islice, product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from taproom.errors import InputError
from taproom.progress import progress

SCHEMA = pa.schema([(name, pa.string()) for name in ("item_id", "item_name", "category", "text")])
STYLES = 40
OWN_WORDS = 20
OWN_SHARE = 0.05
STYLE_SHARE = (0.05, 0.25)
SECOND_STYLE_SHARE = (0.0, 0.20)
REVIEW_WORDS = (50, 150)
FEWEST_REVIEWS = 2
SKEW_OF_REVIEWS = 1.2  # standard deviation of the logarithm
ITEMS_PER_BLOCK = 250


def corpus(items: int, words: int, tokens: int, seed: int = 0) -> Iterator[pa.RecordBatch]:
    """Reviews in blocks of `ITEMS_PER_BLOCK` items, columns as in `SCHEMA`.

    Args:
        items: how many items.
        words: size of the vocabulary; every word is in at least two items.
        tokens: words in all reviews together, to within a per cent or so.
        seed: the same seed and sizes give the same reviews.

    Raises:
        InputError: too few tokens for two reviews of each item or for two places of each word.
    """
    reviews = round(tokens / np.mean(REVIEW_WORDS))
    if items < 100 or words < 100 or reviews < FEWEST_REVIEWS * items or tokens < 3 * words:
        raise InputError(
            f"{items} items, {words} words and {tokens} tokens do not make a corpus. Give at least 100 items and 100 "
            f"words, 3 tokens for each word and {FEWEST_REVIEWS * np.mean(REVIEW_WORDS):.0f} for each item."
        )
    generator = np.random.default_rng(seed)
    names = pa.array(spelled(max(items, words)))
    popularity = generator.lognormal(sigma=SKEW_OF_REVIEWS, size=items)
    reviews_of = FEWEST_REVIEWS + generator.multinomial(reviews - FEWEST_REVIEWS * items, popularity / popularity.sum())
    lengths = generator.integers(*REVIEW_WORDS, size=reviews, endpoint=True)
    tokens_of = np.add.reduceat(lengths, np.cumsum(reviews_of) - reviews_of)
    draw = _Vocabulary(items, words, int(lengths.sum()), generator)
    first_review = first_token = 0
    for first in range(0, items, ITEMS_PER_BLOCK):
        block = np.arange(first, min(first + ITEMS_PER_BLOCK, items))
        item_of = np.repeat(block, reviews_of[block])
        ends = np.cumsum(lengths[first_review : first_review + len(item_of)])
        drawn = names.take(pa.array(draw(np.repeat(block, tokens_of[block]), first_token)))
        texts = pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]), pa.int32()), drawn)
        columns = [
            pa.array([f"item {item}" for item in block]).take(pa.array(item_of - first)),
            pc.utf8_capitalize(names.take(pa.array(item_of))),
            pa.array([f"style {style}" for style in range(STYLES)]).take(pa.array(draw.style[item_of])),
            pc.binary_join(texts, " "),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
        first_review += len(item_of)
        first_token += len(drawn)


class _Vocabulary:
    """Draws words, as numbers, for tokens whose items are given."""

    def __init__(self, items: int, words: int, tokens: int, generator: np.random.Generator):
        self._generator = generator
        self._words = words
        self._stride = tokens // (2 * words)
        self.style = generator.integers(STYLES, size=items)
        self._second_style = generator.integers(STYLES, size=items)
        shares = np.array([generator.uniform(*share, items) for share in (STYLE_SHARE, SECOND_STYLE_SHARE)])
        self._up_to = OWN_SHARE + np.cumsum(shares, axis=0)
        self._own = generator.integers(words, size=(items, OWN_WORDS))
        # Distribution d (0: all items', 1 + s: style s's) has the cumulative probabilities d to d + 1, so that one
        # search finds words of any.
        raised = [generator.permutation(words)[: max(10, words // 100)] for _ in range(STYLES)]
        parts = [np.arange(words), *raised]
        self._word_at = np.concatenate(parts)
        self._cumulative = np.concatenate([number + _zipf(len(part)) for number, part in enumerate(parts)])

    def __call__(self, item: np.ndarray, first_token: int) -> np.ndarray:
        source = self._generator.random(len(item))
        style, second = (source < up_to[item] for up_to in self._up_to)
        distribution = np.where(second, 1 + self._second_style[item], 0)
        distribution[style] = 1 + self.style[item[style]]
        place = np.searchsorted(self._cumulative, distribution + self._generator.random(len(item)), side="right")
        word = self._word_at[place]
        own = np.flatnonzero(source < OWN_SHARE)
        word[own] = self._own[item[own], self._generator.integers(OWN_WORDS, size=len(own))]
        position = np.arange(first_token, first_token + len(item))
        reserved = position % self._stride == 0
        word[reserved] = position[reserved] // self._stride % self._words
        return word


def _zipf(words: int) -> np.ndarray:
    """Cumulative probabilities of words whose frequency falls as 1 / rank; the last is 1 exactly."""
    cumulative = np.cumsum(1 / np.arange(1, words + 1))
    return cumulative / cumulative[-1]


def spelled(words: int) -> list[str]:
    """The first `words` pronounceable words, of at least two letters, shortest first."""
    syllables = ["".join(pair) for pair in product("bcdfghjklmnpqrstvwxz", "aeiou")]
    of_all_lengths = chain.from_iterable(product(syllables, repeat=length) for length in count(1))
    return ["".join(word) for word in islice(of_all_lengths, words)]


def write_corpus(path: Path, items: int, words: int, tokens: int, seed: int = 0) -> None:
    """Write `corpus` block by block to a file, CSV or Parquet by its name."""
    blocks = corpus(items, words, tokens, seed)
    total = -(-items // ITEMS_PER_BLOCK)
    with _writer(path) as writer:
        for block in progress(blocks, doing="writing reviews", total=total, unit="block"):
            writer.write_batch(block)


def _writer(path: Path) -> parquet.ParquetWriter | csv.CSVWriter:
    if ".csv" in path.suffixes:
        return csv.CSVWriter(pa.output_stream(path), SCHEMA)
    return parquet.ParquetWriter(path, SCHEMA, compression="zstd", use_dictionary=SCHEMA.names[:-1])


def main() -> None:
    """Write the corpus that the command line describes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("path", type=Path, help="file to write: .parquet, .csv or .csv.gz")
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--words", type=int, default=400_000)
    parser.add_argument("--tokens", type=int, default=150_000_000)
    parser.add_argument("--seed", type=int, default=0)
    write_corpus(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
