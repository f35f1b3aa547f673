"""All pages with their files, written to the folder `_pages` of the warehouse.

The pages depend only on the versions of the tables, on what is said of the tables (`TableDescription`) and on the
address that they are served at: the same versions give the same bytes. Nothing local goes in: no absolute path, no
environment, no address of the warehouse. So pages are not made again while nothing that they are made from has changed.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from taproom.errors import DamagedFileError, InputError, UnknownTableError
from taproom.pages.cells_data import cells_data
from taproom.pages.chains import INTRODUCTIONS, ChainIntroduction
from taproom.pages.changes import TableChange, changes_of
from taproom.pages.feed import feeds, newest_versions
from taproom.pages.item_map_data import item_map_data
from taproom.pages.libraries import FOR_TESTS, LIBRARIES, Library, read_libraries
from taproom.pages.lineage import Graph, layered_graph, stacked_graph, without_shortcuts
from taproom.pages.map_bags_data import map_bags_data
from taproom.pages.pictures_data import pictures_data
from taproom.pages.scripts import data_script
from taproom.pages.searches_data import searches_data
from taproom.pages.tables import Failure, TableDescription, TableState, cell, first_line, size, states_of
from taproom.pages.topic_terms_data import topic_terms_data
from taproom.pages.word_vectors_data import word_vectors_data
from taproom.pages.words_data import words_data
from taproom.sources.fetching import read_sources
from taproom.warehouse.storage import Storage
from taproom.warehouse.warehouse import Warehouse

FOLDER = "_pages"
# Hashes of what the pages were made from and of the pages themselves.
MADE_FROM = "made_from.json"
SOURCE = Path(__file__).resolve().parents[2] / "pages"
CODE = Path(__file__).resolve().parents[1]
PRODUCT_PAGES: Mapping[str, Callable[[Warehouse], dict[str, Any]]] = {
    "map": item_map_data,
    "words": words_data,
    "cells": cells_data,
    "pictures": pictures_data,
    "searches": searches_data,
}
# Data that a page loads only when somebody wants what needs them: by page and name, what makes them.
ON_DEMAND: Mapping[str, Mapping[str, Callable[[Warehouse], dict[str, Any]]]] = {
    "map": {"map_bags": map_bags_data},
    "words": {"word_vectors": word_vectors_data, "topic_terms": topic_terms_data},
}
_NOT_READ = (
    "A table that this needs is gone, is damaged or does not match the others. `make doctor` finds damage, and "
    "`make run` makes tables again."
)


@dataclass(frozen=True)
class WrittenPages:
    """The address of the first page, the number of pages, and the bytes of all files."""

    address: str
    pages: int
    size_bytes: int


def write_pages(warehouse: Warehouse, tables: Sequence[TableDescription], address: str | None = None) -> WrittenPages:
    """Write all pages and delete files of earlier ones; leave them alone if they would be the same.

    Args:
        warehouse: where the tables are, and the pages will be.
        tables: every table that there may be, made or not.
        address: where the pages are served, for the links of the feeds; None where that is not known.

    Raises:
        SourceError: a library of the pages cannot be fetched.
        StorageError: the warehouse cannot be read or written.
    """
    storage, inputs = warehouse.storage, _inputs(warehouse, tables, address)
    pages = stored = _stored_pages(storage)
    if stored.get(MADE_FROM) != _made_from(inputs, stored):
        pages = build_pages(warehouse, tables, address)
        pages[MADE_FROM] = _made_from(inputs, pages)
    for path, content in sorted(pages.items(), key=lambda page: page[0] == "index.html"):  # the entrance last
        if stored.get(path) != content:
            with storage.errors(f"{FOLDER}/{path} could not be written to {storage.root}"):
                storage.replace(f"{FOLDER}/{path}", content, is_durable=False)
    for path in stored.keys() - pages.keys():
        with storage.errors(f"{FOLDER}/{path} could not be deleted from {storage.root}"):
            storage.delete(f"{FOLDER}/{path}")
    return WrittenPages(
        address=storage.uri(f"{FOLDER}/index.html"),
        pages=sum(path.endswith(".html") for path in pages),
        size_bytes=sum(map(len, pages.values())),
    )


def _stored_pages(storage: Storage) -> dict[str, bytes]:
    """The files of the pages as they are, by path."""
    paths = [storage.relative(info, FOLDER) for info in storage.listing(FOLDER, recursive=True) if info.is_file]
    return {path: storage.read(f"{FOLDER}/{path}") or b"" for path in paths}


def _inputs(warehouse: Warehouse, tables: Sequence[TableDescription], address: str | None) -> str:
    """A hash of all that pages are made from: what is said of tables and sources, code, templates, files of tables.

    Of the files of tables it has size and time, so that one that was damaged counts, too.
    """
    known = sorted(tables, key=lambda table: table.name), sorted(read_sources().items()), address
    whole = hashlib.sha256(repr(known).encode())
    for file in sorted((*CODE.rglob("*.py"), *SOURCE.rglob("*.*"))):
        whole.update(file.name.encode() + file.read_bytes())
    for info in sorted(warehouse.storage.listing(recursive=True), key=lambda info: info.path):
        path = warehouse.storage.relative(info, "")
        if info.is_file and not path.startswith(f"{FOLDER}/"):
            whole.update(f"{path} {info.size} {info.mtime_ns}".encode())
    return whole.hexdigest()


def _made_from(inputs: str, pages: Mapping[str, bytes]) -> bytes:
    """The content of the file `MADE_FROM` of these pages."""
    whole = hashlib.sha256()
    for path in sorted(pages.keys() - {MADE_FROM}):
        whole.update(path.encode() + hashlib.sha256(pages[path]).digest())
    return json.dumps({"inputs": inputs, "pages": whole.hexdigest()}).encode()


def build_pages(
    warehouse: Warehouse, tables: Sequence[TableDescription], address: str | None = None
) -> dict[str, bytes]:
    """The content of every file of the pages, by its path."""
    tables = sorted(tables, key=lambda table: table.name)
    states, damaged = states_of(warehouse, tables)
    libraries = read_libraries()
    render = _renderer(tables, states, damaged)
    files = {path: content for library in libraries for path, content in library.files.items()}
    files |= {
        f"{folder}/{path.name}": path.read_bytes()
        for folder in ("scripts", "styles")
        for path in sorted((SOURCE / folder).iterdir())
    }
    files |= {f"figures/{name}.png": state.figure for name, state in states.items() if state.figure}
    for name, data_of in PRODUCT_PAGES.items():
        files |= _product_page(name, data_of, warehouse, render)
    changes = changes_of(warehouse, tables, states)
    files |= _catalogue(tables, states, changes, render)
    files["changes.html"] = render("changes.html", changes=changes)
    files |= feeds(newest_versions(warehouse, states), address)
    files["index.html"] = render("home.html", **_home(tables, states, libraries))
    return files


def _renderer(
    tables: Sequence[TableDescription], states: Mapping[str, TableState], damaged: Mapping[str, DamagedFileError]
) -> Callable[..., bytes]:
    """A function that renders a template with what all pages know, as UTF-8."""
    known = {"tables": {table.name: table for table in tables}, "states": states, "damaged": damaged}

    def render(template: str, **values: Any) -> bytes:
        return _environment().get_template(template, globals=known).render(values).encode()

    return render


@cache
def _environment() -> jinja2.Environment:
    """The templates; those that were changed since they were last rendered are compiled again."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SOURCE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": cell, "first_line": first_line, "size": size}
    return environment


def _home(
    tables: Sequence[TableDescription], states: Mapping[str, TableState], libraries: Sequence[Library]
) -> dict[str, Any]:
    newest = sorted(states.items(), key=lambda named: (named[1].commits[0]["time"], named[0]), reverse=True)
    chains = [_chain(chain, tables, states) for chain in INTRODUCTIONS]
    sources = [source for name, source in read_sources().items() if name not in {*LIBRARIES, *FOR_TESTS}]
    failures: dict[Failure, list[str]] = {}
    for table in sorted(tables, key=lambda table: table.name):
        if table.failure:
            failures.setdefault(table.failure, []).append(table.name)
    return {"failures": failures, "chains": chains, "newest": newest[:10], "sources": sources, "libraries": libraries}


def _chain(
    chain: ChainIntroduction, tables: Sequence[TableDescription], states: Mapping[str, TableState]
) -> dict[str, Any]:
    """A chain as the home page shows it."""
    own = [table for table in tables if table.chain == chain.name]
    made = [table.name for table in own if table.name in states]
    return {
        "about": chain,
        "picture": next((name for name in chain.pictures if name in states and states[name].figure), None),
        "made": made,
        "newest": max((states[name].commits[0]["time"] for name in made), default=None),
        "count": len(own),
        "failed": sum(table.failure is not None for table in own),
    }


def _product_page(
    name: str, data_of: Callable[[Warehouse], dict[str, Any]], warehouse: Warehouse, render: Callable[..., bytes]
) -> dict[str, bytes]:
    """A page with its data; without data, where its tables were not made or are damaged, the page says so."""
    page = f"{name}.html"
    try:
        data = data_of(warehouse)
    except (UnknownTableError, DamagedFileError) as error:
        return {page: render(page, data=None, is_damaged=isinstance(error, DamagedFileError))}
    on_demand = {each: _or_reason(made_by, warehouse) for each, made_by in ON_DEMAND.get(name, {}).items()}
    return {
        page: render(page, data=data, is_damaged=False),
        f"data/{name}.js": data_script(name, data),
        **{f"data/{each}.js": data_script(each, values) for each, values in on_demand.items()},
    }


def _or_reason(made_by: Callable[[Warehouse], dict[str, Any]], warehouse: Warehouse) -> dict[str, Any]:
    """The data, or why there are none. Messages of errors may have local paths, so they are not shown."""
    try:
        return made_by(warehouse)
    except (UnknownTableError, DamagedFileError, InputError):
        return {"unavailable": _NOT_READ}


def _catalogue(
    tables: Sequence[TableDescription],
    states: Mapping[str, TableState],
    changes: Mapping[str, TableChange],
    render: Callable[..., bytes],
) -> dict[str, bytes]:
    entries = [
        {
            "table": table.name,
            "grain": table.contract.grain,
            "columns": [[column.name, column.description] for column in table.contract.columns],
        }
        for table in tables
    ]
    inputs = {table.name: table.inputs for table in tables}
    pages = {}
    for table in tables:
        users = sorted(each.name for each in tables if table.name in each.inputs)
        kinds = {table.name: "this"} | dict.fromkeys({*table.inputs, *users} - {table.name}, "own")
        own = {each: inputs[each] if each == table.name else {table.name} for each in (table.name, *users)}
        pages[f"tables/{table.name}.html"] = render(
            "table.html",
            table=table,
            state=states.get(table.name),
            change=changes.get(table.name),
            users=users,
            wide=layered_graph(own, kinds),
            narrow=stacked_graph(table.inputs, table.name, users),
        )
    graphs = {chain.name: _chain_graph(chain.name, tables) for chain in INTRODUCTIONS}
    listed = render("catalogue.html", chains=INTRODUCTIONS, graphs=graphs)
    return {"catalogue.html": listed, "data/catalogue.js": data_script("catalogue", {"tables": entries}), **pages}


def _chain_graph(chain: str, tables: Sequence[TableDescription]) -> Graph:
    """The tables of a chain, and those of other chains that they are made from; shortcuts are left out."""
    own = {table.name: table.inputs for table in tables if table.chain == chain}
    others = {name for inputs in own.values() for name in inputs} - own.keys()
    return layered_graph(without_shortcuts(own), dict.fromkeys(own, "own") | dict.fromkeys(others, "other"))
