"""Text that was UTF-8 and was read as Windows-1252 or Latin-1 on its way, so that Kölsch became KÃ¶lsch.

Here belongs recognizing and undoing that one mistake, which is by far the most frequent one. Readers report how many
texts show it, and repair them only if they are asked to.

Source: the W3C's "Character encodings: essential concepts"; RFC 3629 for UTF-8; the WHATWG's Encoding Standard for
Windows-1252, in which bytes without a character of their own stand for the control character of their number.
"""

import re

# Runs of characters beyond ASCII; UTF-8 writes each character beyond ASCII in at least two bytes.
_RUN = re.compile(r"[^\x00-\x7f]{2,}")
# Characters that a short run may become: Latin letters with marks, and the punctuation of typesetters.
_LIKELY = re.compile(r"[\u00a0-\u017f\u2010-\u2044\u20ac\u2122]+")
# So many characters that come out of one run are no coincidence, whatever they are.
_FEWEST_OF_ANY = 3


def repair_mojibake(text: str) -> str:
    """The text with its runs of UTF-8 that were read as Windows-1252 read as UTF-8; the same text where it has none.

    >>> repair_mojibake("KÃ¶lsch â€“ sÃ¼ffig"), repair_mojibake("Kölsch – süffig")
    ('Kölsch – süffig', 'Kölsch – süffig')
    """
    return text if text.isascii() else _RUN.sub(_read_again, text)


def has_mojibake(text: str) -> bool:
    """Whether `repair_mojibake` would change the text."""
    return repair_mojibake(text) != text


def _read_again(run: re.Match[str]) -> str:
    try:
        text = b"".join(map(_byte, run[0])).decode()
    except UnicodeError:
        return run[0]
    return text if _LIKELY.fullmatch(text) or len(text) >= _FEWEST_OF_ANY else run[0]


def _byte(character: str) -> bytes:
    if "\x80" <= character <= "\x9f":
        return character.encode("latin-1")
    return character.encode("cp1252")
