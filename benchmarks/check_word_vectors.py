"""How good our word vectors are beside gensim's with the same settings, and with the settings of `make run`.

    python benchmarks/check_word_vectors.py [TEXTS [SEEDS]]

The texts are those of 20 Newsgroups (`newsgroups`), of the dictionary and the encyclopedia (`reference_texts`), of all
three (`both`, which `make run` trains on), or the lines of a file, plain or packed with gzip. Measured for each seed:
Spearman's correlation of cosines with the judgements of WordSim-353 (Finkelstein et al., 2002) and SimLex-999 (Hill,
Reichart and Korhonen, 2015), over the pairs whose words both have a vector; the share of analogies whose words all have
a vector, and that of these answered right; and processor seconds. The three sets are part of gensim.
"""

import gzip
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from itertools import chain
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from taproom.sources.corpus import newsgroups
from taproom.sources.fetching import members
from taproom.sources.reference_works import wikipedia_summaries, wordnet_entries
from taproom.text.analogies import answer, questions
from taproom.text.word_vectors import METHODS, WordVectorParameters, train
from taproom.words.vectors import WordVectors

# The defaults of gensim, as in published results.
PARAMETERS = WordVectorParameters(dimensions=100, negative=5, epochs=5, sample=1e-3, step=0.025)
SETTINGS = {method: replace(PARAMETERS, method=method) for method in METHODS} | {"make run": WordVectorParameters()}


def main(of: str = "newsgroups", seeds: int = 5) -> None:
    """Print the measures of each setting and seed, their means and their standard deviations."""
    texts = TEXTS[of]() if of in TEXTS else lines(Path(of))
    for name, parameters in SETTINGS.items():
        found = []
        for seed in range(seeds):
            started = time.process_time()
            trained = train([texts], replace(parameters, seed=seed), workers=1)
            seconds = time.process_time() - started
            correlations = [correlation(trained, judged) for judged in ("wordsim353.tsv", "simlex999.txt")]
            found.append([*correlations, *accuracy(trained), seconds])
            print(name, seed, *(f"{value:.4f}" for value in found[-1]), flush=True)
        print(name, "mean", np.mean(found, axis=0).round(4), "deviation", np.std(found, axis=0, ddof=1).round(4))


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


def accuracy(vectors: WordVectors) -> tuple[float, float]:
    """The share of analogies whose words are known, and that of these answered right."""
    asked = questions()
    ranks = np.array([row["rank"] for row in answer(vectors, asked)])
    return len(ranks) / len(asked), float((ranks == 1).mean())


def lines(path: Path) -> list[str]:
    """The lines of a file."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        return file.read().splitlines()


def newsgroup_texts() -> list[str]:
    """The texts of 20 Newsgroups."""
    return [document.text for document in newsgroups(*members("newsgroups"))]


def reference_texts() -> list[str]:
    """The texts of the dictionary and the encyclopedia."""
    (summaries,) = members("wikipedia_summaries")
    entries = chain(wordnet_entries(members("wordnet")), wikipedia_summaries(summaries))
    return [entry.text for entry in entries]


TEXTS = {
    "newsgroups": newsgroup_texts,
    "reference_texts": reference_texts,
    "both": lambda: newsgroup_texts() + reference_texts(),
}


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
