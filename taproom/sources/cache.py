"""The cache folder: copies of what comes from elsewhere, and indexes of tables. All of it can be made again."""

import os
from pathlib import Path


def cache_folder(cache: Path | None = None) -> Path:
    """`cache`, by default `$TAPROOM_CACHE`, or else the user's cache folder for taproom; an absolute path."""
    if cache is None:
        import platformdirs

        cache = Path(os.environ.get("TAPROOM_CACHE") or platformdirs.user_cache_dir("taproom"))
    return cache.expanduser().absolute()
