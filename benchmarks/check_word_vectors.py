"""How good our word vectors are beside gensim's with the same settings.

    python benchmarks/check_word_vectors.py [FILE [SEEDS]]

The texts are the lines of a file, plain or packed with gzip, or those of 20 Newsgroups. Measured for each seed:
Spearman's correlation of cosines with the judgements of WordSim-353 (Finkelstein et al., 2002) and SimLex-999 (Hill,
Reichart and Korhonen, 2015), over the pairs whose words both have a vector; the share of analogies answered right; and
processor seconds. The three sets are part of gensim.
"""

import gzip
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from taproom.sources.corpus import newsgroups
from taproom.sources.fetching import member, read_sources
from taproom.text.analogies import answer, questions
from taproom.text.word_vectors import METHODS, WordVectorParameters, train
from taproom.words.vectors import WordVectors

# The defaults of gensim, as in published results.
PARAMETERS = WordVectorParameters(dimensions=100, negative=5, epochs=5, sample=1e-3, step=0.025)


def main(file: str = "", seeds: int = 5) -> None:
    """Print the measures of each method and seed, their means and their standard deviations."""
    texts = lines(Path(file)) if file else newsgroup_texts()
    for method in METHODS:
        found = []
        for seed in range(seeds):
            started = time.process_time()
            trained = train([texts], replace(PARAMETERS, method=method, seed=seed), workers=1)
            seconds = time.process_time() - started
            correlations = [correlation(trained, name) for name in ("wordsim353.tsv", "simlex999.txt")]
            found.append([*correlations, accuracy(trained), seconds])
            print(method, seed, *(f"{value:.4f}" for value in found[-1]), flush=True)
        print(method, "mean", np.mean(found, axis=0).round(4), "deviation", np.std(found, axis=0, ddof=1).round(4))


def correlation(vectors: WordVectors, name: str) -> float:
    """Spearman's correlation of cosines with the judgements of a set."""
    rows = [line.lower().split("\t") for line in judgements(name)]
    known = [(*map(vectors.row_of, row[:2]), float(row[2])) for row in rows if row[0] in vectors and row[1] in vectors]
    one, other, judged = map(np.array, zip(*known, strict=True))
    return float(spearmanr(vectors.cosines(vectors.vectors[one].astype(np.float64), other), judged).statistic)


def judgements(name: str) -> Iterator[str]:
    """The lines of a set of word pairs."""
    lines = (files("gensim") / "test" / "test_data" / name).read_text("utf-8").splitlines()
    return (line for line in lines if not line.startswith(("#", "word1")))


def accuracy(vectors: WordVectors) -> float:
    """The share of analogies that are answered right, of those whose words are known."""
    return float(np.mean([row["rank"] == 1 for row in answer(vectors, questions())]))


def lines(path: Path) -> list[str]:
    """The lines of a file."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        return file.read().splitlines()


def newsgroup_texts() -> list[str]:
    """The texts of 20 Newsgroups."""
    source = read_sources()["newsgroups"]
    return [document.text for document in newsgroups(*(member(source, name) for name in source.members))]


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
