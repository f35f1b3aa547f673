"""Claim: a corpus of 1 GB is read, counted and trained on within 3 GB of memory.

    python benchmarks/bench_large_corpus.py [MEGABYTES]

The corpus is 20 Newsgroups, repeated in random order, in a file with one document a line. Each step is a separate
process with two workers, which reads from the warehouse. The claim is for 1000 megabytes.
"""

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WORKERS = 2


def main(megabytes: int = 50) -> None:
    """Run the steps one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        for step in STEPS:
            subprocess.run([sys.executable, __file__, step, folder, str(megabytes)], check=True)


def write(folder: Path, megabytes: int) -> None:
    """Write the corpus to a file."""
    from taproom.sources.corpus import newsgroups
    from taproom.sources.fetching import members

    texts = [document.text for document in newsgroups(*members("newsgroups"))]
    draw = random.Random(0)
    with (folder / "corpus.txt").open("w", encoding="utf-8") as file:
        while file.tell() < 1e6 * megabytes:
            draw.shuffle(texts)
            file.writelines(f"{text}\n" for text in texts)


def read(folder: Path, megabytes: int) -> None:
    """Read the file into the table `documents`."""
    from assets.text.documents import CONTRACT
    from taproom.sources.corpus import DocumentReader, TextFiles, text_files
    from taproom.warehouse.warehouse import Warehouse

    found = text_files(TextFiles(folder / "corpus.txt"))
    reader = DocumentReader(found, "large", CONTRACT.schema)
    with measured("read into the warehouse"):
        Warehouse(folder / "warehouse").publish(CONTRACT, reader.reader(), since=None)
    print(
        f"{reader.counts['documents']:,} documents, {(folder / 'corpus.txt').stat().st_size / 1e6:.0f} MB", flush=True
    )


def count(folder: Path, megabytes: int) -> None:
    """Count the words of the table."""
    from assets.text.bag_of_words import BAG_OF_WORDS
    from taproom.text.bag_of_words import BagRows, choose_terms, count_documents
    from taproom.warehouse.warehouse import Warehouse
    from taproom.words.counting import DEFAULT_TOKEN_PATTERN

    columns = ["document_id", "label", "split", "text"]
    with measured("counted"):
        documents = Warehouse(folder / "warehouse").stream("documents", columns=columns)
        bags = count_documents(documents, DEFAULT_TOKEN_PATTERN, WORKERS)
        terms = choose_terms(bags, min_document_frequency=5, max_document_share=0.2, max_words=100_000)
        rows = BagRows(bags, terms, BAG_OF_WORDS.schema).reader()
        Warehouse(folder / "warehouse").publish(BAG_OF_WORDS, rows, since=None)
    print(f"{bags.counts.sum():,} words, {len(bags.words):,} of them distinct", flush=True)


def train(folder: Path, megabytes: int) -> None:
    """Train word vectors on the table for one epoch."""
    from taproom.text.word_vectors import WordVectorParameters
    from taproom.text.word_vectors import train as train_vectors
    from taproom.warehouse.warehouse import Warehouse

    with measured("trained on"):
        documents = Warehouse(folder / "warehouse").stream("documents", columns=["text"])
        texts = (batch["text"].to_pylist() for batch in documents)
        trained = train_vectors(texts, WordVectorParameters(dimensions=64, epochs=1), workers=WORKERS)
    print(f"{trained.tokens:,} words in an epoch of {trained.seconds:.0f} s", flush=True)


STEPS = {"write": write, "read": read, "count": count, "train": train}


@contextmanager
def measured(what: str) -> Iterator[None]:
    """Print how long the block takes, and this process's peak memory (Linux)."""
    started = time.perf_counter()
    yield
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(f"{what}: {time.perf_counter() - started:.1f} s, peak {peak / 1e6:.2f} GB", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in STEPS:
        STEPS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main(*map(int, sys.argv[1:]))
