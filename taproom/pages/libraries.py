"""The JavaScript libraries of the pages, from pinned archives in `data/sources.toml`, and their licences."""

from dataclasses import dataclass

from taproom.sources.fetching import Source, member, read_sources

# source id -> (script, licence) among the members of the archive, and the names that they get in the pages
LIBRARIES = {
    "deck_gl": {"package/dist.min.js": "deck.gl.js", "package/LICENSE": "deck.gl.LICENSE.txt"},
    "minisearch": {"package/dist/umd/index.js": "minisearch.js", "package/LICENSE.txt": "minisearch.LICENSE.txt"},
}

# Sources that are in no table and on no page.
FOR_TESTS = ("axe_core", "biome", "cytometers")


@dataclass(frozen=True)
class Library:
    """A library with its files, by their path in the pages."""

    source: Source
    files: dict[str, bytes]


def read_libraries() -> list[Library]:
    """All libraries, verified; fetched the first time.

    Raises:
        SourceError: a library cannot be fetched.
    """
    sources = read_sources()
    return [
        Library(
            sources[name],
            {f"libraries/{called}": _without_source_map(member(sources[name], path).read_bytes())
             for path, called in files.items()},
        )
        for name, files in LIBRARIES.items()
    ]  # fmt: skip


def _without_source_map(script: bytes) -> bytes:
    """The script without the comment that names its source map, which developer tools would request."""
    return b"\n".join(line for line in script.split(b"\n") if not line.startswith(b"//# sourceMappingURL="))
