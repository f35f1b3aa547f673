"""The code version of a table: a hash of the code that makes it and of its default configuration.

Dagster compares it with that of the last materialization, so a change of either makes the table stale. Comments,
docstrings and layout do not count, nor does code that cannot change a row (errors, progress, contracts): a table must
not be made again because a sentence was corrected.
"""

import ast
import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import dagster as dg

ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("assets", "taproom")
# Part of the key of what is kept: another version of this module may parse files otherwise.
_OWN_SOURCE = Path(__file__).read_bytes()
_CANNOT_CHANGE_A_ROW = {
    "assets.automation",
    "assets.code",
    "assets.table",
    "taproom.warehouse.contracts",
    "taproom.errors",
    "taproom.progress",
}


def code_version(module: str, config: type[dg.Config] | None = None) -> str:
    """16 hexadecimal digits: a hash of `module`, of all modules of this repo it imports, and of `config`'s defaults."""
    whole = hashlib.sha256()
    for name in sorted(_imported(module)):
        tree, _ = _parsed(name)
        whole.update(f"{name}\n{tree}\n".encode())
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
            _, imports = _parsed(name)
            waiting.extend(imports - found)
    return found


@cache
def _parsed(module: str) -> tuple[str, frozenset[str]]:
    """The syntax tree of a module as text, without docstrings, and the modules of this repo that it imports."""
    file = _file(module)
    source = file.read_bytes()
    key = hashlib.sha256(_OWN_SOURCE + source).hexdigest()
    kept = file.parent / "__pycache__" / f"{file.stem}.{sys.implementation.cache_tag}.tree"
    try:
        known, names, tree = kept.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError):
        known = names = tree = ""
    if known != key:
        tree, names = _parse(source)
        _keep(kept, f"{key}\n{names}\n{tree}")
    imports = (name for name in names.split() if name not in _CANNOT_CHANGE_A_ROW)
    return tree, frozenset(name for name in imports if _file(name).exists())


def _parse(source: bytes) -> tuple[str, str]:
    """The syntax tree of a source on one line, without docstrings, and the names that it imports from our packages."""
    tree = ast.parse(source)
    names: set[str] = set()
    for statement in _statements(tree):
        names.update(_imports_of(statement))
        body = getattr(statement, "body", [])
        if body and _is_docstring(body[0]):
            del body[0]
    return ast.dump(tree), " ".join(sorted(name for name in names if name.split(".")[0] in _PACKAGES))


def _keep(path: Path, text: str) -> None:
    """Write what was parsed beside Python's compiled modules: parsing all files is a third of loading the assets."""
    if sys.dont_write_bytecode:
        return
    part = path.with_suffix(f".{os.getpid()}.part")
    with suppress(OSError):  # a folder that cannot be written to, which Python then has no compiled modules in either
        path.parent.mkdir(exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """`node` and all statements in it. Expressions hold none; skipping them makes the code location load faster."""
    yield node
    for field in ("body", "orelse", "handlers", "finalbody", "cases"):
        for statement in getattr(node, field, []):
            yield from _statements(statement)


def _imports_of(statement: ast.AST) -> Iterator[str]:
    """Names of the modules that a statement imports; those of `from a import b` may be modules, `a.b`, too."""
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
    elif isinstance(statement, ast.ImportFrom) and statement.module:
        yield statement.module
        yield from (f"{statement.module}.{alias.name}" for alias in statement.names)


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _file(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")
