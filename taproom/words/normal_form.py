"""One normal form of text, so that a word is the same word however it was typed or encoded.

Every text is brought to it before anything is counted, whether it comes from a batch, a corpus or a query. How words
are cut out of it belongs to `taproom.words.counting`; the markup of texts that are HTML is removed where they are read.

Sources: Unicode Standard Annex 15 (normal forms), 29 (text segmentation) and 44 (case mapping, scripts); Manning,
Raghavan and Schuetze (2008), "Introduction to Information Retrieval", 2.2.1, on pairs of characters for languages that
are written without blanks.
"""

import unicodedata
from itertools import pairwise

import regex

# Soft hyphen, zero-width blanks and joiners, direction marks, byte-order mark: they are not seen, and cut words.
_INVISIBLE = regex.compile(r"[\u00AD\u061C\u180E\u200B-\u200F\u202A-\u202E\u2060-\u2064\uFEFF]")
# Scripts that are written without blanks between words; a mark belongs to the character before it.
_UNSPACED_CHARACTER = (
    r"[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}"
    r"\p{Script=Myanmar}\u30FC--\p{M}]\p{M}*"
)
_CHARACTER = regex.compile(_UNSPACED_CHARACTER, regex.V1)
_UNSPACED = regex.compile(f"(?:{_UNSPACED_CHARACTER})+", regex.V1)


def normal_form(text: str) -> str:
    r"""The text in lower case and in normal form KC, without characters that are not seen.

    The dot above that lower case leaves on the Turkish capital I with a dot is dropped. Of ASCII only the case changes.

    >>> normal_form("Sü\u00adffig, İstanbul, ﬁne Ｗｉｄｅ"), normal_form("su\u0308ffig") == "süffig"
    ('süffig, istanbul, fine wide', True)
    """
    if text.isascii():
        return text.lower()
    composed = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
    return unicodedata.normalize("NFKC", composed.lower().replace("i\u0307", "i"))


def with_pairs(text: str) -> str:
    """The text with each run of Chinese, Japanese, Thai and the like as its overlapping pairs of characters.

    These scripts have no blanks between words, and pairs find most of what a dictionary would.

    >>> with_pairs("ビールは美味しい beer")
    ' ビー ール ルは は美 美味 味し しい  beer'
    """
    return text if text.isascii() else _UNSPACED.sub(_pairs, text)


def _pairs(run: regex.Match) -> str:
    characters = _CHARACTER.findall(run[0])
    return f" {' '.join(map(''.join, pairwise(characters))) if len(characters) > 1 else characters[0]} "
