"""A dictionary and an encyclopedia as documents: short texts of many subjects, whose word vectors answer analogies.

Here belong the formats of WordNet's data files and of the summaries of Wikipedia's articles, and what of an entry is
text. Downloading is `taproom.sources.fetching`'s, and the table of documents `taproom.sources.corpus`'s.

Sources: Fellbaum (ed.), WordNet: An Electronic Lexical Database, 1998; its manual pages wndb(5WN), for the data files,
and lexnames(5WN), for the files of its lexicographers.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from taproom.errors import SourceError
from taproom.sources.corpus import Document

# The files that WordNet was written in, by number: each is a part of speech and a subject.
_LEXICOGRAPHER_FILES = (
    "adj.all", "adj.pert", "adv.all", "noun.Tops", "noun.act", "noun.animal", "noun.artifact", "noun.attribute",
    "noun.body", "noun.cognition", "noun.communication", "noun.event", "noun.feeling", "noun.food", "noun.group",
    "noun.location", "noun.motive", "noun.object", "noun.person", "noun.phenomenon", "noun.plant", "noun.possession",
    "noun.process", "noun.quantity", "noun.relation", "noun.shape", "noun.state", "noun.substance", "noun.time",
    "verb.body", "verb.change", "verb.cognition", "verb.communication", "verb.competition", "verb.consumption",
    "verb.contact", "verb.creation", "verb.emotion", "verb.motion", "verb.perception", "verb.possession", "verb.social",
    "verb.stative", "verb.weather", "adj.ppl",
)  # fmt: skip
_PARTS_OF_SPEECH = {"n": "n", "v": "v", "a": "a", "s": "a", "r": "r"}  # s: an adjective like another one
# A general word has hundreds of these.
_NARROWER = ("~", "~i")
_MARKER = re.compile(r"\((?:a|p|ip)\)$")  # where an adjective may stand


class _Synset(NamedTuple):
    """Words of one meaning; `related` are ids of synsets, each with the number of a word there, or 0 for all words."""

    subject: str
    words: list[str]
    related: list[tuple[str, int]]
    gloss: str


def wordnet_entries(data_files: Sequence[Path]) -> Iterator[Document]:
    """A document for each synset of WordNet: its words, definition and examples, and related words.

    Related are antonyms, derived and broader words, parts, wholes and others, but no narrower words. The id is the
    synset's, such as 08956760-n, and the label the lexicographers' file, such as noun.location.

    Args:
        data_files: `data.noun`, `data.verb`, `data.adj` and `data.adv`.

    Raises `SourceError`, from within the iteration, if a file is in another form.
    """
    synsets = dict(entry for path in data_files for entry in _synsets(Path(path)))
    for synset_id, (subject, words, related, gloss) in synsets.items():
        try:
            others = dict.fromkeys(synsets[other].words[max(number - 1, 0)] for other, number in related)
        except LookupError:
            raise SourceError(
                f"WordNet's synset {synset_id} refers to another that is not there. Wanted: all four data files of one "
                "release; fetch them again."
            ) from None
        entry = f"{', '.join(words)}: {gloss}"
        yield Document(synset_id, subject, None, f"{entry}; {', '.join(others)}" if others else entry)


def wikipedia_summaries(path: Path) -> Iterator[Document]:
    """The summaries of articles in a JSON object of objects with `title`, `extract` and `topic`.

    The title is the id, the topic the label. Raises `SourceError`, from within the iteration, if the file is in another
    form.
    """
    try:
        articles = json.loads(Path(path).read_bytes())
        for article in articles.values():
            yield Document(article["title"], article["topic"], None, f"{article['title']}. {article['extract']}")
    except (ValueError, AttributeError, LookupError, TypeError) as error:
        raise SourceError(
            f"{path} has no summaries of Wikipedia in the expected form ({error!r}). Fetch it again."
        ) from None


def _synsets(path: Path) -> Iterator[tuple[str, _Synset]]:
    """The synsets of a data file by their ids; the lines that begin with blanks are the licence."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.startswith("  "):
                try:
                    yield _synset(line)
                except (ValueError, LookupError):
                    raise SourceError(
                        f"{path}: line {number:,} is not a synset. Wanted: a data file of WordNet; fetch it again."
                    ) from None


def _synset(line: str) -> tuple[str, _Synset]:
    """The synset of a line: offset, file, part of speech, words, pointers, and after a bar the gloss."""
    head, _, gloss = line.partition(" | ")
    offset, file, part, count, *fields = head.split()
    end = 2 * int(count, 16)  # each word is followed by a number
    words = [_MARKER.sub("", word).replace("_", " ") for word in fields[:end:2]]
    pointers = [fields[place : place + 4] for place in range(end + 1, end + 1 + 4 * int(fields[end]), 4)]
    related = [
        (f"{to}-{_PARTS_OF_SPEECH[kind]}", int(numbers[2:], 16))
        for relation, to, kind, numbers in pointers
        if relation not in _NARROWER
    ]
    return f"{offset}-{_PARTS_OF_SPEECH[part]}", _Synset(_LEXICOGRAPHER_FILES[int(file)], words, related, gloss.strip())
