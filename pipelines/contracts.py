"""Files that are generated from the contracts, and the release of contracts.

    python -m pipelines.contracts            writes the files
    python -m pipelines.contracts --check    exits 1 if a file is out of date or a version too low
    python -m pipelines.contracts --release  makes the contracts of now the released ones, and writes the files

The files are the contracts in the Open Data Contract Standard (`data/contracts/<table>.odcs.yaml`), for readers who do
not use Python, and `docs/contract-changes.md`. What is checked on tables are the contracts in `assets/`.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from assets.table import CONTRACTS
from pipelines.contract_versions import (
    Released,
    page_of_changes,
    release,
    released_from,
    released_text,
    version_errors,
)
from pipelines.definitions import defs
from pipelines.open_data_contract import open_data_contract

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "data/contracts"
RELEASED = f"{FOLDER}/released.yaml"
CHANGES = "docs/contract-changes.md"


def released_contracts(root: Path = ROOT) -> dict[str, Released]:
    """The released contracts by table; none before the first release."""
    path = root / RELEASED
    return released_from(path.read_text(encoding="utf-8")) if path.exists() else {}


def generated(root: Path = ROOT) -> dict[str, str]:
    """The content of each generated file, by its path from the root."""
    files = {f"{FOLDER}/{table}.odcs.yaml": open_data_contract(each, defs) for table, each in CONTRACTS.items()}
    return files | {CHANGES: page_of_changes(released_contracts(root), CONTRACTS)}


def drifted(root: Path = ROOT) -> list[str]:
    """Paths of the files that are missing, out of date, or belong to no table."""
    wanted = generated(root)
    found = {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in _existing(root)}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def write(root: Path = ROOT) -> None:
    """Write the generated files, and delete contracts that belong to no table."""
    files = generated(root)
    for path in _existing(root):
        path.unlink()
    for name, text in files.items():
        (root / name).write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write, check or release; return the exit status."""
    parser = ArgumentParser(prog="python -m pipelines.contracts", description="Generate files from the contracts.")
    parser.add_argument("--check", action="store_true", help="only say which files are out of date or versions too low")
    parser.add_argument("--release", action="store_true", help="make the contracts of now the released ones")
    wanted = parser.parse_args(arguments)
    released = released_contracts(root)
    errors = list(version_errors(released, CONTRACTS)) if wanted.check or wanted.release else []
    if wanted.check:
        errors += [f"{name} differs from the contracts. Run `make contracts` and commit." for name in drifted(root)]
    for error in errors:
        print(error)
    if errors:
        return 1
    if wanted.release:
        (root / RELEASED).write_text(released_text(release(released, CONTRACTS)), encoding="utf-8")
    if not wanted.check:
        write(root)
    return 0


def _existing(root: Path) -> list[Path]:
    return [*(root / FOLDER).glob("*.odcs.yaml"), *(path for path in [root / CHANGES] if path.exists())]


if __name__ == "__main__":
    sys.exit(main())
