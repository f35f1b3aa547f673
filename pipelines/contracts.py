"""The contracts as Open Data Contract Standard files, one a table, under `data/contracts/`.

    python -m pipelines.contracts          writes the files
    python -m pipelines.contracts --check  exits 1 if a file differs from its contract

The files are generated for readers who do not use Python; what is checked are the contracts in `assets/`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from assets.table import CONTRACTS
from pipelines.definitions import defs
from pipelines.open_data_contract import open_data_contract

FOLDER = Path(__file__).resolve().parents[1] / "data" / "contracts"


def drifted(folder: Path = FOLDER) -> list[str]:
    """Names of the files that are missing, out of date, or belong to no table."""
    wanted = {f"{table}.odcs.yaml": open_data_contract(contract, defs) for table, contract in CONTRACTS.items()}
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.odcs.yaml")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def write(folder: Path = FOLDER) -> None:
    """Write one file a contract to the folder, and delete the files there that belong to no table."""
    for path in folder.glob("*.odcs.yaml"):
        path.unlink()
    for table, contract in CONTRACTS.items():
        (folder / f"{table}.odcs.yaml").write_text(open_data_contract(contract, defs), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the files; return the exit status."""
    if "--check" not in (sys.argv[1:] if arguments is None else arguments):
        write()
        return 0
    for name in (names := drifted()):
        print(f"data/contracts/{name} differs from its contract. Run `make contracts` and commit the change.")
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())
