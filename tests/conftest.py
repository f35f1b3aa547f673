"""What tests of assets and pipelines share: a warehouse, an inbox and a Dagster instance of their own, and reviews."""

import csv
import gc
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings

from assets.assays.events import SAMPLES, batches_of
from assets.reviews.reviews import BATCHES
from assets.table import Draft
from assets.tuning.champions import CHAMPIONS
from pipelines.definitions import defs
from taproom.sources.allowed_folders import FOLDERS_VARIABLE
from taproom.sources.inbox import INBOX_VARIABLE, file_key, file_sha256
from taproom.warehouse.contracts import Contract
from taproom.warehouse.publishing import Origin
from taproom.warehouse.storage import WAREHOUSE_VARIABLE
from taproom.warehouse.table_version import TableVersion
from taproom.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    from sqlalchemy import Connection

THEMES = {
    "hoppy": "citrus pine grapefruit resin bitter piney floral",
    "roasty": "coffee chocolate roasted black espresso smoke char",
    "sour": "lemon tart funk barnyard vinegar cherry acidic",
    "malty": "caramel toffee bread biscuit nutty raisin brown",
}
FIELDS = ("review_id", "item_id", "category", "overall", "text")
# How long an example takes says more of what else the machine does; speed is measured in benchmarks/.
settings.register_profile("taproom", deadline=None)
settings.register_profile("fast", settings.get_profile("taproom"), max_examples=25)  # of `make test-fast`
settings.load_profile("taproom")

# A cluster mostly waits, and by default looks at itself up to a hundred times a second, a twelfth of a core.
SELDOM_WATCHED = {
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.tick.interval": "1s",
    "distributed.worker.memory.monitor-interval": "1s",
    "distributed.worker.profile.enabled": False,
}
# Fixtures that are records of Dagster, or the processes of `make ui`.
DAGSTERS = {"instance", "home", "served"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what needs records of Dagster: it runs jobs, a large part of a second for each table.

    The tests of clusters begin: they mostly wait, for a minute, and as the last ones they would wait alone.
    """
    items.sort(key=lambda item: item.path.name != "test_cluster.py")
    for item in items:
        if DAGSTERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Look for garbage less often, and not among modules and tests: that took a twentieth of the suite's time."""
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def readable(tmp_path_factory: pytest.TempPathFactory):
    """Runs, in this process and in those that tests start, may read the tests' own files and the repo's."""
    folders = [tmp_path_factory.getbasetemp(), Path(__file__).resolve().parents[1]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDERS_VARIABLE, os.pathsep.join(map(str, folders)))
        yield


@pytest.fixture(scope="session")
def warehouse_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for all tests: Dagster's records name it, and are copied from one test to another (`made_once`)."""
    return tmp_path_factory.mktemp("house") / "warehouse"


@pytest.fixture
def warehouse(warehouse_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    shutil.rmtree(warehouse_folder, ignore_errors=True)
    monkeypatch.setenv(WAREHOUSE_VARIABLE, str(warehouse_folder))
    return Warehouse()


@pytest.fixture
def stored(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TableVersion]:
    """A function that publishes rows of a table, as assets read them that are called directly."""

    def store(
        contract: Contract, rows: pa.Table, config: Mapping[str, Any] | None = None, partition: str | None = None
    ) -> TableVersion:
        stored = Warehouse(tmp_path_factory.mktemp("stored"))
        origin = Origin(config=config or {})
        published = stored.publish(contract, rows, since=None, partition=partition, origin=origin)
        return TableVersion(stored.root, contract.table, published.version)

    return store


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(INBOX_VARIABLE, str(tmp_path / "inbox"))
    folder = tmp_path / "inbox" / "reviews"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def dask_cluster():
    """The address of a Dask scheduler with two workers of one thread."""
    import dask
    from distributed import LocalCluster

    with dask.config.set(SELDOM_WATCHED):
        cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0")
    with cluster:
        yield cluster.scheduler_address


@pytest.fixture
def on_cluster(dask_cluster: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The cluster that blocks of work are computed on meanwhile."""
    monkeypatch.setenv("TAPROOM_CLUSTER", dask_cluster)
    return dask_cluster


class Records:
    """Dagster's records as they were at a time, of an ephemeral instance, which keeps them in memory."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._copies = []
        for database in self._databases(instance):
            self._copies.append(sqlite3.connect(":memory:"))
            database.backup(self._copies[-1])

    def restore(self, instance: dg.DagsterInstance) -> None:
        for database, copy in zip(self._databases(instance), self._copies, strict=True):
            copy.backup(database)

    @staticmethod
    def _databases(instance: dg.DagsterInstance) -> list[sqlite3.Connection]:
        storages = (instance.run_storage, instance.event_log_storage)
        return [storage._held_conn.connection.dbapi_connection for storage in storages]


@pytest.fixture(autouse=True, scope="session")
def records_on_one_connection() -> Iterator[None]:
    """Records in memory use the connection that they hold: opening another for each statement takes longer than it.

    SQLite allows that in the thread that made the records only.
    """
    from dagster._core.storage.event_log import InMemoryEventLogStorage
    from dagster._core.storage.runs import InMemoryRunStorage

    @contextmanager
    def held(storage: InMemoryEventLogStorage | InMemoryRunStorage) -> Iterator["Connection"]:
        with storage._held_conn.begin():
            storage._held_conn.exec_driver_sql("PRAGMA foreign_keys=ON")
            yield storage._held_conn

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InMemoryEventLogStorage, "_connect", held)
        patch.setattr(InMemoryRunStorage, "connect", held)
        yield


@pytest.fixture(autouse=True, scope="session")
def empty_instance() -> Iterator[None]:
    """Assets that are called directly share an instance, which they do not use: Dagster makes one for each call.

    Making one takes longer than most of the calls.
    """
    with dg.DagsterInstance.ephemeral() as empty, pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "dagster._core.execution.api.ephemeral_instance_if_missing", lambda given: nullcontext(given or empty)
        )
        yield


@pytest.fixture(scope="session")
def ephemeral():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral, Records(ephemeral)


@pytest.fixture
def instance(ephemeral) -> dg.DagsterInstance:
    """One without records; emptying one costs a thousandth of making one."""
    instance, empty = ephemeral
    empty.restore(instance)
    return instance


class State:
    """Tables and Dagster's records as they were at a time, and what the making of them gave."""

    def __init__(self, warehouse: Warehouse, instance: dg.DagsterInstance, folder: Path, given: Any) -> None:
        self._folder, self._records, self.given = folder, Records(instance), given
        shutil.copytree(warehouse.root, folder)

    def restore(self, warehouse: Warehouse, instance: dg.DagsterInstance) -> None:
        shutil.rmtree(warehouse.root, ignore_errors=True)
        shutil.copytree(self._folder, warehouse.root)
        self._records.restore(instance)


@pytest.fixture(scope="session")
def states() -> dict[str, State]:
    return {}


@pytest.fixture
def made_once(
    warehouse: Warehouse,
    instance: dg.DagsterInstance,
    states: dict[str, State],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Callable[[], Any]], Any]:
    """Calls a function that makes tables; where it was called before, copies what it made then, which is faster.

    Each test has tables and records of its own to change. The function must always make the same of the same tables.
    """

    def run(make: Callable[[], Any]) -> Any:
        name = f"{make.__module__}.{make.__qualname__}"
        if name in states:
            states[name].restore(warehouse, instance)
        else:
            given = make()
            states[name] = State(warehouse, instance, tmp_path_factory.mktemp("state") / "warehouse", given)
        return states[name].given

    return run


@pytest.fixture
def themed_reviews() -> Callable[..., list[dict]]:
    """Makes reviews of items that each belong to one of four themes and say mostly its words."""

    def make(items: int = 40, reviews_each: int = 3) -> list[dict]:
        rows = []
        for item in range(items):
            theme = list(THEMES)[item % len(THEMES)]
            words = THEMES[theme].split()
            for review in range(reviews_each):
                start = item // len(THEMES) + review
                said = [words[(start + step * (review + 1)) % len(words)] for step in range(5)]
                rows.append(
                    {
                        "review_id": f"r{item}-{review}",
                        "item_id": f"item {item:03d}",
                        "category": theme,
                        "overall": 1 + (item + review) % 5,
                        "text": " ".join([*said, f"beer{item % 9}", f"glass{review}"]),
                    }
                )
        return rows

    return make


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[[str, Iterable[dict]], Path]:
    def write(name: str, rows: Iterable[dict]) -> Path:
        path = tmp_path / name
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS, restval="")
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


@pytest.fixture
def ingest(warehouse: Warehouse, instance: dg.DagsterInstance) -> Callable[..., dg.ExecuteInProcessResult]:
    """Makes a file a batch and runs the job that reads it; an error is raised as the asset raised it."""

    def run(
        path: Path, /, *, batch: str | None = None, words: dict | None = None, **config
    ) -> dg.ExecuteInProcessResult:
        key = batch or file_key(path.name, file_sha256(path))
        instance.add_dynamic_partitions(BATCHES.name, [key])
        ops = {"reviews": {"config": {"source": "table", "path": str(path), **config}}}
        return defs.resolve_job_def("ingest_reviews").execute_in_process(
            run_config={"ops": {**ops, **({"term_counts": {"config": words}} if words else {})}},
            instance=instance,
            partition_key=key,
        )

    return run


@cache
def refresh_of(*tables: str) -> dg.JobDefinition:
    """The part of a chain's job that makes these tables: a run records it, and that of the whole chain takes longer."""
    chain = defs.resolve_asset_graph().get(dg.AssetKey(tables[0])).group_name
    return defs.resolve_job_def(f"refresh_{chain}").get_subset(asset_selection=frozenset(map(dg.AssetKey, tables)))


@pytest.fixture
def make(warehouse: Warehouse, instance: dg.DagsterInstance) -> Callable[..., dg.ExecuteInProcessResult]:
    """Materializes tables of a chain that do not belong to a batch, with configuration by op."""

    def run(*tables: str, **configs: dict) -> dg.ExecuteInProcessResult:
        return refresh_of(*tables).execute_in_process(
            run_config={"ops": {op: {"config": config} for op, config in configs.items()}},
            instance=instance,
            asset_selection=[dg.AssetKey(table) for table in tables],
        )

    return run


@pytest.fixture
def crown(warehouse: Warehouse) -> Callable[..., None]:
    """Makes a setting the champion of a study."""

    def run(study: str, **setting) -> None:
        row = {
            **dict.fromkeys(CHAMPIONS.schema.names),
            "study": study,
            "parameters": json.dumps(setting),
            "verdict": "crowned",
            "search": "planted",
            "trial": 7,
            "why": "planted",
            "data": "{}",
            "challenge": 1,
            "decided_at": datetime.now(UTC),
        }
        rows = pa.Table.from_pylist([row], CHAMPIONS.schema)
        planted = Origin(run_id="planted")
        warehouse.publish(CHAMPIONS, rows, since=warehouse.head("champions"), partition=study, origin=planted)

    return run


@pytest.fixture
def change_rows(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the asset in a module give other rows of a table than it has computed."""

    def run(module: str, contract: Contract, change: Callable[[pa.Table], pa.Table]) -> None:
        def draft(rows: pa.Table, **more: Any) -> Draft:
            return Draft(change(rows) if rows.schema.equals(contract.schema) else rows, **more)

        monkeypatch.setattr(f"{module}.Draft", draft)

    return run


@pytest.fixture
def plate_of_wells(tmp_path: Path) -> Callable[..., Path]:
    """Writes a table of events: wells of two classes on a plate, and one well to call, in two channels.

    Half of a labelled well's events are of a background that all wells share, the others shine in one of the channels.
    """

    def write(
        name: str = "plate.csv", events: int = 120, seed: int = 0, channels: tuple[str, str] = ("green", "red")
    ) -> Path:
        random = np.random.default_rng(seed)
        lines = [f"plate,well,label,{','.join(channels)}"]
        for place, label in enumerate(["green", "green", "red", "red", ""]):
            shining = {"green": [1.0, 0.0], "red": [0.0, 1.0], "": [0.7, 0.3]}[label]
            for event in range(events):
                centre = np.zeros(2)
                if event % 2:
                    centre[random.choice(2, p=shining)] = 6.0
                values = random.normal(centre, 1.0)
                lines.append(f"P1,A{place + 1},{label},{values[0]:.4f},{values[1]:.4f}")
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def ingest_events(warehouse: Warehouse, instance: dg.DagsterInstance) -> Callable[..., str]:
    """Makes a file a sample and runs the job that reads it; gives the sample's key."""

    def run(path: Path | str, **config) -> str:
        given = {"source": "table", "path": str(path), **config}
        ((key, described),) = batches_of(given).items()
        instance.add_dynamic_partitions(SAMPLES.name, [key])
        result = defs.resolve_job_def("ingest_assays").execute_in_process(
            run_config={"ops": {"events": {"config": dict(described)}}}, instance=instance, partition_key=key
        )
        assert result.success
        return key

    return run


@pytest.fixture
def plate(plate_of_wells, ingest_events, make, made_once) -> str:
    """A plate of wells, read and rolled up; gives the sample's key."""

    def read_and_roll_up() -> str:
        key = ingest_events(plate_of_wells(), columns={name: name for name in ("plate", "well", "label")})
        make("wells")
        make("plate_scales")
        return key

    return made_once(read_and_roll_up)


@pytest.fixture
def corpus_folder(warehouse_folder: Path) -> Path:
    """A folder of documents about one of four themes each, in a folder of its theme's name; the same for all tests."""
    corpus = warehouse_folder.with_name("themes")
    shutil.rmtree(corpus, ignore_errors=True)
    for number in range(80):
        theme = list(THEMES)[number % len(THEMES)]
        words = THEMES[theme].split()
        said = [words[(number // len(THEMES) + 2 * step + step // 3) % len(words)] for step in range(30)]
        folder = corpus / theme
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:03d}.txt").write_text(" ".join([*said, "beer", f"glass{number % 7}"]), encoding="utf-8")
    return corpus


@pytest.fixture
def themes(
    corpus_folder: Path,
    make: Callable[..., dg.ExecuteInProcessResult],
    made_once: Callable[[Callable[[], Any]], Any],
) -> Path:
    """The same read as the corpus, with its bags of words; gives the folder."""

    def read_and_count() -> None:
        make("documents", documents={"source": "files", "path": str(corpus_folder)})
        make("terms", "bag_of_words", bag_of_words={"min_document_frequency": 2, "max_document_share": 0.5})

    made_once(read_and_count)
    return corpus_folder
