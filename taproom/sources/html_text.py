"""Texts that were HTML: characters for entities, and no tags.

Here belongs markup inside a value of a table. Whole files of markup belong to `taproom.sources.corpus`.

Source: the HTML standard's elements and named character references.
"""

import html
import re
from html.entities import html5

# Tags after which another word begins, and tags that may stand within a word.
_BREAKING = "address|blockquote|br|dd|div|dl|dt|h[1-6]|hr|img|li|ol|p|pre|table|tbody|td|th|thead|tr|ul"
_INLINE = "a|abbr|b|big|cite|code|del|em|font|i|ins|mark|q|s|small|span|strike|strong|sub|sup|tt|u"
_TAG = re.compile(rf"</?(?:(?P<breaking>{_BREAKING})|{_INLINE})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def without_html(text: str) -> str:
    """The text with entities decoded once and known tags removed; what only looks like them stays.

    >>> without_html("it&#39;s <b>good</b><br />&amp; fine"), without_html("<3 S&M; a < b")
    ("it's good & fine", '<3 S&M; a < b')
    """
    if "&" in text:
        text = _ENTITY.sub(_character, text)
    return _TAG.sub(lambda tag: " " if tag["breaking"] else "", text) if "<" in text else text


def _character(entity: re.Match) -> str:
    """What the entity means; one that is not in the standard stays."""
    name = entity[0][1:]
    return html.unescape(entity[0]) if name.startswith("#") else html5.get(name, entity[0])
