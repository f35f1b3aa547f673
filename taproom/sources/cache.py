"""The cache folder: copies of what comes from elsewhere, which can be fetched again."""

import os
from pathlib import Path


def cache_folder(cache: Path | None = None) -> Path:
    """`cache`, by default `$TAPROOM_CACHE`, or else the user's cache folder for taproom; an absolute path."""
    if cache is None:
        import pooch

        cache = Path(os.environ.get("TAPROOM_CACHE") or pooch.os_cache("taproom"))
    return cache.expanduser().absolute()
