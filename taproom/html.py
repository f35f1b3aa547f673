"""Tables of a notebook, as HTML."""

from collections.abc import Iterable, Sequence
from html import escape


def html_table(caption: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with a caption; None is shown as an empty cell.

    >>> html_table("beers", ["name"], [["ale & stout"]])
    '<table><caption>beers</caption><tr><th>name</th></tr><tr><td>ale &amp; stout</td></tr></table>'
    """
    lines = [_row("th", header), *(_row("td", row) for row in rows)]
    return f"<table><caption>{escape(caption)}</caption>{''.join(lines)}</table>"


def _row(tag: str, cells: Iterable[object]) -> str:
    texts = (escape("" if cell is None else str(cell)) for cell in cells)
    return f"<tr>{''.join(f'<{tag}>{text}</{tag}>' for text in texts)}</tr>"
