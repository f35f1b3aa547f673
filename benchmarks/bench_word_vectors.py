"""Claim: from a table of a million words or more to word vectors, two workers are at least 2.5 times as fast as
gensim from a ready file, from an iterable or from lists in memory, with the same settings.

    python benchmarks/bench_word_vectors.py [DOCUMENTS]

Our time includes reading the table and tokenizing and counting its words. Peers: gensim's Word2Vec on text that is
already tokenized, in a file that it reads itself or that gensim's LineSentence iterates over; and on lists of words in
memory, which a large corpus does not fit. A random sample of the 18,821 documents of 20 Newsgroups.
"""

import random
import sys
import tempfile
from pathlib import Path

from gensim.models.word2vec import LineSentence, Word2Vec
from measure import compare

from assets.text.documents import CONTRACT
from taproom.sources.corpus import DocumentReader, newsgroups
from taproom.sources.fetching import members
from taproom.text.word_vectors import WordVectorParameters, train
from taproom.warehouse.warehouse import Warehouse
from taproom.words.counting import tokens

WORKERS = 2
RUNS = 3
# The defaults of gensim, as in published results.
PARAMETERS = WordVectorParameters(dimensions=100, negative=5, epochs=5, sample=1e-3, step=0.025)
SETTINGS = {
    "sg": 1,
    "vector_size": PARAMETERS.dimensions,
    "window": PARAMETERS.window,
    "negative": PARAMETERS.negative,
    "min_count": PARAMETERS.min_count,
    "epochs": PARAMETERS.epochs,
    "sample": PARAMETERS.sample,
    "alpha": PARAMETERS.step,
    "workers": WORKERS,
}


def main(documents: int = 9_000) -> None:
    """Publish the documents to a temporary warehouse, write the peers' input, and compare."""
    found = list(newsgroups(*members("newsgroups")))
    found = random.Random(0).sample(found, min(documents, len(found)))
    lists = [tokens(document.text) for document in found]
    words = sum(map(len, lists))
    with tempfile.TemporaryDirectory() as folder:
        warehouse, path = Warehouse(f"{folder}/warehouse"), Path(folder) / "sentences"
        warehouse.publish(CONTRACT, DocumentReader(found, "newsgroups", CONTRACT.schema).reader(), since=None)
        path.write_text("".join(" ".join(line) + "\n" for line in lists), encoding="utf-8")
        claim = f"{words:,} words, {PARAMETERS.epochs} epochs, {WORKERS} workers"
        ours = lambda: from_table(warehouse)  # noqa: E731
        compare(claim, ours, lambda: Word2Vec(corpus_file=str(path), **SETTINGS), "gensim from a file", RUNS)
        compare(claim, ours, lambda: Word2Vec(LineSentence(path), **SETTINGS), "gensim from an iterable", RUNS)
        compare(claim, ours, lambda: Word2Vec(lists, **SETTINGS), "gensim from lists in memory", RUNS)


def from_table(warehouse: Warehouse) -> None:
    """Train our word vectors from the warehouse."""
    batches = warehouse.stream("documents", columns=["text"])
    train((batch["text"].to_pylist() for batch in batches), PARAMETERS, workers=WORKERS)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
