"""Training word vectors by gensim's Word2Vec, the reference of `taproom.text.skip_gram`.

gensim's workers read words from a file without the GIL. gensim 4.4 has two pitfalls with such a file. A worker reads
lines until it has more than 10,000 words, trains on the first 10,000 and drops the others. And each worker starts at an
equal share of the bytes, but stops after an equal share of the words. To lose no word, words are written in batches of
10,000, each with one additional unknown word that takes the reader over its limit; and each word is written as a number
of five characters, so that equal shares of bytes are equal shares of words. Words that contain blanks, which a token
pattern may match, are possible for the same reason.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from taproom.progress import progress
from taproom.text.word_vectors_corpus import END, Corpus, Vocabulary, append

if TYPE_CHECKING:
    from gensim.models import Word2Vec
    from gensim.models.callbacks import CallbackAny2Vec
    from tqdm import tqdm

    from taproom.text.word_vectors import WordVectorParameters

# Number of words that gensim trains on at a time, and number of words that are written at a time.
BATCH_TOKENS = 10_000
BLOCK_TOKENS = 1 << 20
_ALPHABET = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+-", np.uint8)
_SHIFTS = np.arange(24, -1, -6)
_NO_WORD = np.frombuffer(b"..... ", np.uint8)


def train_by_gensim(
    corpus: Corpus, vocabulary: Vocabulary, parameters: "WordVectorParameters", workers: int
) -> tuple[np.ndarray, int]:
    """The vectors (V, D) float32 of the vocabulary, and the number of words trained on, over all epochs.

    With one worker, the result is reproducible bit for bit. Several update the same vectors without locks (Niu, Recht,
    Re and Wright, Hogwild, 2011), so that every run differs.

    Raises:
        StorageError: the temporary file, of six bytes per word, cannot be written.
    """
    from gensim.models import Word2Vec

    p = parameters
    model = Word2Vec(
        sg=1,
        hs=0,
        vector_size=p.dimensions,
        window=p.window,
        negative=p.negative,
        min_count=1,
        sample=p.sample,
        alpha=p.step,
        seed=p.seed,
        workers=workers,
        sorted_vocab=0,
    )
    spelled = _spelled(vocabulary.numbers)[:, :-1].tobytes().decode("ascii")
    keys = [spelled[first : first + len(_SHIFTS)] for first in range(0, len(spelled), len(_SHIFTS))]
    model.build_vocab_from_freq(dict(zip(keys, vocabulary.counts.tolist(), strict=True)))
    with (
        TemporaryDirectory(prefix="taproom-") as folder,
        progress(doing="training word vectors", total=p.epochs, unit="epoch") as bar,
    ):
        path = Path(folder) / "corpus"
        words_to_read = _write(corpus, path, workers) // BATCH_TOKENS * (BATCH_TOKENS + 1)
        trained, _ = model.train(
            corpus_file=str(path),
            total_words=words_to_read - workers,  # a worker stops when it has read more than its share
            epochs=p.epochs,
            callbacks=[_epochs_shown(bar)],
        )
    return model.wv.vectors, trained


def _write(corpus: Corpus, path: Path, workers: int) -> int:
    """Write the words for gensim, padded to the same number of batches for each worker; how many there are then."""
    stream, written = corpus.stream, 0
    for first in range(0, len(stream), BLOCK_TOKENS):
        block = stream[first : first + BLOCK_TOKENS + 1]
        words, is_last = block[:BLOCK_TOKENS], np.append(block[1:] == END, True)[:BLOCK_TOKENS]
        lines = _spelled(words[words != END])
        lines[is_last[words != END], -1] = ord("\n")
        append(path, _batches(lines, written))
        written += len(lines)
    padding = np.tile(_NO_WORD, (-written % (workers * BATCH_TOKENS), 1))
    padding[-1:, -1] = ord("\n")
    append(path, _batches(padding, written))
    return written + len(padding)


def _spelled(numbers: np.ndarray) -> np.ndarray:
    """Each number in base 64, as five characters and a blank: (n, 6) uint8."""
    spelled = np.full((len(numbers), len(_SHIFTS) + 1), ord(" "), np.uint8)
    spelled[:, :-1] = _ALPHABET[(numbers[:, None] >> _SHIFTS) & 63]
    return spelled


def _batches(lines: np.ndarray, written: int) -> np.ndarray:
    """The words with an unknown word inserted at the start of each batch, after `written` earlier words."""
    begins = np.arange(-written % BATCH_TOKENS, len(lines), BATCH_TOKENS)
    lines[begins[begins > 0] - 1, -1] = ord("\n")
    return np.insert(lines, begins, _NO_WORD, axis=0)


def _epochs_shown(bar: "tqdm") -> "CallbackAny2Vec":
    from gensim.models.callbacks import CallbackAny2Vec

    class EpochsShown(CallbackAny2Vec):
        def on_epoch_end(self, model: "Word2Vec") -> None:
            bar.update()

    return EpochsShown()
