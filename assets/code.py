"""The code version of a table: a hash of the code that makes it and of its default configuration.

Dagster compares it with the one of the last materialization, so a change of either makes the table stale. Comments,
docstrings and layout do not count, nor does code that cannot change a row (errors, progress, contracts): a table must
not be made again because a sentence was mended.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

import dagster as dg

ROOT = Path(__file__).resolve().parents[1]
_ROOMS = ("assets", "taproom")
_CANNOT_CHANGE_A_ROW = {
    "assets.automation",
    "assets.code",
    "assets.table",
    "taproom.warehouse.contracts",
    "taproom.errors",
    "taproom.progress",
}


def code_version(module: str, config: type[dg.Config] | None = None) -> str:
    """16 hex digits over `module`, all it imports of this repo, and the defaults of `config`."""
    whole = hashlib.sha256()
    for name in sorted(_imported(module)):
        whole.update(f"{name}\n{_meaning(_file(name))}\n".encode())
    if config is not None:
        whole.update(config().model_dump_json().encode())
    return whole.hexdigest()[:16]


def _imported(module: str) -> set[str]:
    """`module` and the modules of this repo that it imports, directly or through others."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(_imports_of(_file(name)) - found)
    return found


@cache
def _imports_of(file: Path) -> frozenset[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    ours = {name for name in names if name.split(".")[0] in _ROOMS and name not in _CANNOT_CHANGE_A_ROW}
    return frozenset(name for name in ours if _file(name).exists())


@cache
def _meaning(file: Path) -> str:
    """The syntax tree without docstrings, as text."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and _is_text(body[0].value):
            del body[0]
    return ast.dump(tree)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _file(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")
