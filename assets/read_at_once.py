"""Configurations of tables that are read from files all at once, not batch by batch.

Here belongs what such configurations have in common: a fingerprint of the files, so that files that have changed are
read again. Which files a configuration names belongs to the table's own file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def with_fingerprint(given: Mapping[str, Any], path: Path | None) -> dict[None, dict[str, Any]]:
    """What a configuration reads, as `pipelines.chains.Chain.reads` gives it: itself, with no batch as its key.

    Args:
        given: the configuration.
        path: the file or folder that it reads; None if it reads an embedded source or another table.

    Returns:
        The configuration with the `fingerprint` of the content of the path, if there is one.

    Raises `SourceError` if there is nothing at the path, or an empty file.

    >>> with_fingerprint({"source": "newsgroups"}, None)
    {None: {'source': 'newsgroups'}}
    """
    from taproom.sources.files import fingerprint

    return {None: {**given, "fingerprint": fingerprint(path)} if path else dict(given)}
