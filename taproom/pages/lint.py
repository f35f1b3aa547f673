"""Lint and format the scripts and styles of the pages with Biome, by the rules in `pages/biome.json`.

python -m taproom.pages.lint           lists findings; the exit status is 1 if there are any
python -m taproom.pages.lint --fix     formats, and fixes what can be fixed safely

Biome is a single program, pinned in `data/sources.toml` like a library of the pages, so that no package manager of
JavaScript is needed. On other machines than those it is made for, nothing is checked.
"""

import argparse
import platform
import subprocess
import sys
from collections.abc import Sequence

from taproom.errors import SourceError
from taproom.pages.site import SOURCE
from taproom.sources.fetching import member, read_sources

PLATFORM = ("Linux", "x86_64", "glibc")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the scripts and styles, or fix them, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m taproom.pages.lint", description=__doc__.split("\n\n")[0])
    parser.add_argument("--fix", action="store_true", help="format, and fix what can be fixed safely")
    fix = ["--write"] if parser.parse_args(arguments).fix else []
    here = (platform.system(), platform.machine(), platform.libc_ver()[0])
    if here != PLATFORM:
        print(f"pages: not linted: Biome is pinned for {' '.join(PLATFORM)}, and this is {' '.join(here).strip()}.")
        return 0
    try:
        biome = member(read_sources()["biome"], "package/biome")
    except SourceError as error:
        print(f"pages: not linted: {error}", file=sys.stderr)
        return 1
    biome.chmod(0o755)
    return subprocess.run([biome, "check", "--error-on-warnings", *fix, "."], cwd=SOURCE, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
