import shutil
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from assets.table import CONTRACTS, Draft, part_key, table_assets
from pipelines.definitions import defs
from pipelines.freshness import fresh_assets
from pipelines.io_manager import TableIOManager
from pipelines.records import newest_materialization, recorded_version
from taproom.errors import ContractError, DamagedLogError, UnknownTableError, WriteConflictError
from taproom.warehouse.contracts import Between, Column, Contract
from taproom.warehouse.foreign_keys import ForeignKey
from taproom.warehouse.storage import WAREHOUSE_VARIABLE
from taproom.warehouse.table_version import TableVersion
from taproom.warehouse.warehouse import Warehouse

RESOURCES = {"io_manager": TableIOManager()}
PNG = b"\x89PNG not looked into"


def contract(table: str, **more) -> Contract:
    columns = (Column("n", pa.int64(), "a number"),)
    if "partition" in more:
        columns = (Column("part", pa.string(), "the partition"), *columns)
    return Contract(table, "a number", columns, key=("n",), invariants=(Between("n", 0),), **more)


NUMBERS = contract("numbers")
DOUBLES = Contract("doubles", "a number", (Column("n", pa.int64(), "double", made_from=("numbers.n",)),), key=("n",))
WISHES = contract("wishes", may_be_empty=True)
PARTS = contract("parts", partition="part")
PART_NAMES = dg.DynamicPartitionsDefinition(name="part_names")


@pytest.fixture(autouse=True)
def _declared(monkeypatch, warehouse):
    for each in (NUMBERS, DOUBLES, WISHES, PARTS):
        monkeypatch.setitem(CONTRACTS, each.table, each)


def numbers_of(*values: int) -> pa.Table:
    return NUMBERS.table_of(n=values)


def numbers_asset(*values: int, code_version: str = "1") -> dg.AssetsDefinition:
    @dg.asset(code_version=code_version)
    def numbers() -> pa.Table:
        return numbers_of(*values)

    return numbers


def wishes_asset(*values: int) -> dg.AssetsDefinition:
    @dg.asset
    def wishes() -> pa.Table:
        return WISHES.table_of(n=values)

    return wishes


@dg.asset(code_version="1")
def doubles(numbers: pa.Table) -> pa.Table:
    return DOUBLES.table_of(n=[2 * n for n in numbers["n"].to_pylist()])


def materialize(*assets, instance, select=None, **more):
    selection = [dg.AssetKey(name) for name in select] if select else None
    return dg.materialize(list(assets), resources=RESOURCES, instance=instance, selection=selection, **more)


def values(warehouse: Warehouse, table: str, version: int | None = None) -> list[int]:
    return warehouse.read(table, version)["n"].to_pylist()


def told(instance, table: str) -> dict:
    return newest_materialization(instance, dg.AssetKey(table)).asset_materialization.metadata


def data_version(instance, table: str) -> str:
    return newest_materialization(instance, dg.AssetKey(table)).asset_materialization.tags["dagster/data_version"]


@pytest.mark.parametrize("before", [None, 0])
def test_a_step_is_refused_if_the_table_was_written_since_it_started(warehouse, instance, before):
    if before is not None:
        warehouse.publish(NUMBERS, numbers_of(1), since=None)

    @dg.asset
    def numbers() -> pa.Table:
        Warehouse().publish(NUMBERS, numbers_of(7), since=before)
        return numbers_of(2, 3)

    with pytest.raises(WriteConflictError, match="another run wrote it"):
        materialize(numbers, instance=instance)
    assert values(warehouse, "numbers") == [7]
    assert warehouse.head("numbers") == (0 if before is None else 1)
    assert newest_materialization(instance, dg.AssetKey("numbers")) is None


def test_each_step_of_one_process_knows_the_heads_of_its_own_start(warehouse, instance):
    @dg.asset
    def numbers() -> pa.Table:
        # written after the run started, before the step of `doubles` does
        Warehouse().publish(DOUBLES, DOUBLES.table_of(n=[99]), since=None)
        return numbers_of(1, 2)

    assert materialize(numbers, doubles, instance=instance).success
    assert values(warehouse, "doubles") == [2, 4]
    assert warehouse.head("doubles") == 1


def test_every_step_notes_the_heads_of_its_tables_before_it_computes():
    """It does so when it loads its first input or looks up its settings, so each has one or the other."""
    for assets in defs.assets:
        if isinstance(assets, dg.AssetsDefinition) and table_assets(defs) & assets.keys:
            assert assets.op.ins or assets.op.has_config_field, assets.keys


def test_a_damaged_table_does_not_stop_a_step_that_has_nothing_to_do_with_it(warehouse, instance):
    materialize(numbers_asset(1, 2), doubles, instance=instance)
    warehouse.publish(WISHES, WISHES.table_of(n=[1]), since=None)
    (entry,) = Path(warehouse.uri("wishes"), "_delta_log").iterdir()
    entry.write_bytes(entry.read_bytes()[:-30])
    assert materialize(numbers_asset(3), doubles, instance=instance).success
    assert values(warehouse, "doubles") == [6]
    with pytest.raises(DamagedLogError, match=r"python -m taproom\.warehouse\.repair wishes"):
        materialize(wishes_asset(4), instance=instance)
    assert warehouse.repair("wishes").restored == 0
    assert materialize(wishes_asset(4), instance=instance).success
    assert values(warehouse, "wishes") == [4]


def test_a_version_that_a_repair_has_lost_is_refused_until_its_table_is_made_again(warehouse, instance):
    for number in (1, 2):
        materialize(numbers_asset(number), instance=instance)
    Path(warehouse.uri("numbers"), "_newest_commit").unlink()
    Path(warehouse.uri("numbers"), "_delta_log", f"{1:020d}.json").write_bytes(b"")
    assert (warehouse.repair("numbers").version, values(warehouse, "numbers")) == (2, [1])
    with pytest.raises(UnknownTableError, match="numbers: version 1 was lost when the log was repaired"):
        materialize(numbers_asset(2), doubles, instance=instance, select=["doubles"])
    assert materialize(numbers_asset(2), doubles, instance=instance).success
    assert (warehouse.head("numbers"), values(warehouse, "doubles")) == (3, [4])


def test_a_table_can_continue_its_newest_version_or_what_that_continued(warehouse, instance):
    @dg.asset(required_resource_keys={"io_manager"})
    def doubles(context, numbers: pa.Table) -> pa.Table:
        before = context.resources.io_manager.read_previous("doubles", made_from="numbers")
        return DOUBLES.table_of(n=[len(numbers) + (0 if before is None else sum(before["n"].to_pylist()))])

    def inputs():
        return warehouse.commit_of("doubles", warehouse.head("doubles"))["inputs"]

    materialize(numbers_asset(1), doubles, instance=instance)
    assert (values(warehouse, "doubles"), inputs()) == ([1], {"numbers": 0})
    materialize(numbers_asset(1), doubles, instance=instance)
    assert (values(warehouse, "doubles"), inputs()) == ([1], {"numbers": 0})
    for _ in range(2):
        materialize(numbers_asset(1, 2), doubles, instance=instance)
        assert (values(warehouse, "doubles"), inputs()) == ([3], {"numbers": 1, "doubles": 0})
    materialize(numbers_asset(1, 2, 3), doubles, instance=instance)
    assert (values(warehouse, "doubles"), inputs()) == ([6], {"numbers": 2, "doubles": 1})


def test_a_read_is_pinned_to_the_version_that_the_upstream_run_recorded(warehouse, instance):
    materialize(numbers_asset(1, 2), instance=instance)
    warehouse.publish(NUMBERS, numbers_of(50), since=0)
    materialize(numbers_asset(1, 2), doubles, instance=instance, select=["doubles"])
    assert values(warehouse, "doubles") == [2, 4]
    assert warehouse.commit_of("doubles", 0)["inputs"] == {"numbers": 0}
    assert told(instance, "doubles")["inputs"].value == {"numbers": 0}


def test_versions_of_a_warehouse_that_was_made_again_are_described_otherwise(warehouse, instance):
    described = []

    @dg.asset(name="doubles")
    def reader(numbers: TableVersion) -> pa.Table:
        described.append(numbers)
        return DOUBLES.table_of(n=numbers.read()["n"])

    for value in (1, 2):
        shutil.rmtree(warehouse.root, ignore_errors=True)
        materialize(numbers_asset(value), reader, instance=instance)
        assert described[-1].read()["n"].to_pylist() == [value]
    first, again = described
    assert (first.root, first.table, first.version) == (again.root, again.table, again.version)
    assert first != again


def test_the_data_version_is_the_content_hash(warehouse, instance):
    materialize(numbers_asset(1, 2), instance=instance)
    content_hash = warehouse.commit_of("numbers", 0)["content_hash"]
    assert data_version(instance, "numbers") == content_hash == told(instance, "numbers")["content_hash"].value
    materialize(numbers_asset(1, 3), instance=instance)
    assert data_version(instance, "numbers") != content_hash


def test_unchanged_rows_leave_version_and_downstream_as_they_were(warehouse, instance):
    def fresh(numbers):
        definitions = dg.Definitions([numbers, doubles], resources=RESOURCES)
        return doubles.key in fresh_assets(instance, warehouse, definitions, [doubles.key], ops={})

    materialize(numbers_asset(1, 2), doubles, instance=instance)
    first = data_version(instance, "numbers")
    materialize(numbers_asset(1, 2), instance=instance)
    assert data_version(instance, "numbers") == first
    assert warehouse.head("numbers") == 0
    assert fresh(numbers_asset(1, 2))

    materialize(numbers_asset(1, 2, 3), instance=instance)
    assert warehouse.head("numbers") == 1
    assert not fresh(numbers_asset(1, 2, 3))


def test_a_table_that_breaks_its_contract_is_not_published(warehouse, instance):
    materialize(numbers_asset(1, 2), instance=instance)
    with pytest.raises(ContractError, match="n is finite"):
        materialize(numbers_asset(1, -2), instance=instance)
    assert values(warehouse, "numbers") == [1, 2]
    assert warehouse.head("numbers") == 0
    assert told(instance, "numbers")["version"].value == 0


class PartConfig(dg.Config):
    n: int


OF_NUMBERS = (ForeignKey(("n",), "numbers", ("n",)),)


def test_references_are_checked_against_the_version_that_was_read(warehouse, instance, monkeypatch):
    monkeypatch.setitem(CONTRACTS, "doubles", contract("doubles", foreign_keys=OF_NUMBERS))
    assert materialize(numbers_asset(0), doubles, instance=instance).success
    with pytest.raises(ContractError, match=r"doubles: 1 references break .* of numbers', version 1; .* {'n': 2}"):
        materialize(numbers_asset(0, 1), doubles, instance=instance)
    assert values(warehouse, "doubles") == [0]


def test_references_are_checked_against_what_the_inputs_were_made_from_and_what_the_step_published(
    warehouse, instance, monkeypatch
):
    quadruples = contract("quadruples", foreign_keys=OF_NUMBERS)
    after = contract("after", foreign_keys=(ForeignKey(("n",), "quadruples", ("n",)),))
    for each in (quadruples, after):
        monkeypatch.setitem(CONTRACTS, each.table, each)

    @dg.multi_asset(outs={"quadruples": dg.AssetOut(), "after": dg.AssetOut(is_required=False)})
    def made_of_doubles(doubles: pa.Table):
        yield dg.Output(quadruples.table_of(n=[2 * n for n in doubles["n"].to_pylist()]), "quadruples")
        yield dg.Output(after.table_of(n=[4]), "after")

    with pytest.raises(ContractError, match=r"quadruples: 1 references break .* of numbers', version 0; .* {'n': 4}"):
        materialize(numbers_asset(0, 1), doubles, made_of_doubles, instance=instance)
    with pytest.raises(ContractError, match=r"after: 1 references break .* of quadruples', version 0; .* {'n': 4}"):
        materialize(numbers_asset(0), doubles, made_of_doubles, instance=instance)
    assert values(warehouse, "quadruples") == [0]


def test_a_table_is_not_published_before_one_of_its_step_that_it_refers_to(warehouse, instance, monkeypatch):
    monkeypatch.setitem(CONTRACTS, "doubles", contract("doubles", foreign_keys=OF_NUMBERS))
    warehouse.publish(NUMBERS, numbers_of(1), since=None)

    @dg.multi_asset(outs={"doubles": dg.AssetOut(), "numbers": dg.AssetOut()})
    def both():
        yield dg.Output(numbers_of(1), "doubles")
        yield dg.Output(numbers_of(1, 2), "numbers")

    with pytest.raises(ContractError, match="doubles refers to numbers, which this step has not published yet"):
        materialize(both, instance=instance)
    assert warehouse.heads() == {"numbers": 0}


def test_references_to_a_partition_of_the_step_are_checked_and_no_other_partition_is_read(
    warehouse, instance, monkeypatch
):
    pieces = contract("pieces", partition="part", foreign_keys=(ForeignKey(("part", "n"), "parts", ("part", "n")),))
    monkeypatch.setitem(CONTRACTS, "pieces", pieces)

    @dg.multi_asset(outs={"parts": dg.AssetOut(), "pieces": dg.AssetOut()}, partitions_def=PART_NAMES)
    def both(context: dg.AssetExecutionContext, config: PartConfig):
        part = [context.partition_key]
        yield dg.Output(PARTS.table_of(part=part, n=[1]), "parts")
        yield dg.Output(pieces.table_of(part=part, n=[config.n]), "pieces")

    def make_both(name: str, n: int):
        instance.add_dynamic_partitions(PART_NAMES.name, [name])
        materialize(both, instance=instance, partition_key=name, run_config={"ops": {"both": {"config": {"n": n}}}})

    make_both("a", 1)
    (file,) = warehouse.files("parts")
    Path(warehouse.uri("parts"), file.path).write_bytes(b"damaged")
    make_both("b", 1)
    with pytest.raises(ContractError, match=r"pieces: 1 references break .* of parts', version 2; .* 'n': 2}"):
        make_both("c", 2)
    assert warehouse.partitions("pieces") == ["a", "b"]


@pytest.mark.parametrize("before", [None, 0])
def test_a_contract_broken_in_mid_stream_commits_nothing(warehouse, instance, before):
    if before is not None:
        materialize(numbers_asset(1, 2), instance=instance)

    @dg.asset
    def numbers() -> pa.RecordBatchReader:
        batches = [batch for value in (5, 6, -7) for batch in numbers_of(value).to_batches()]
        return pa.RecordBatchReader.from_batches(NUMBERS.schema, iter(batches))

    with pytest.raises(ContractError):
        materialize(numbers, instance=instance)
    assert warehouse.head("numbers") == before
    if before is not None:
        assert values(warehouse, "numbers") == [1, 2]


def test_a_commit_remembers_run_inputs_code_and_config(warehouse, instance):
    class Settings(dg.Config):
        factor: int = 2

    @dg.asset(code_version="abc")
    def doubles(config: Settings, numbers: pa.Table) -> pa.Table:
        return DOUBLES.table_of(n=[config.factor * n for n in numbers["n"].to_pylist()])

    run_config = {"ops": {"doubles": {"config": {"factor": 3}}}}
    result = materialize(numbers_asset(1, 2), doubles, instance=instance, run_config=run_config)
    commit = warehouse.commit_of("doubles", 0)
    assert commit["run_id"] == result.run_id
    assert commit["inputs"] == {"numbers": 0}
    assert commit["code_version"] == "abc"
    assert commit["config"] == {"factor": 3}
    assert told(instance, "doubles")["config"].value == {"factor": 3}


def test_the_ui_gets_the_columns_that_a_column_is_made_from(instance):
    materialize(numbers_asset(1, 2), doubles, instance=instance)
    wanted = dg.TableColumnLineage({"n": [dg.TableColumnDep(dg.AssetKey("numbers"), "n")]})
    assert told(instance, "doubles")["dagster/column_lineage"].value == wanted
    assert "dagster/column_lineage" not in told(instance, "numbers")


def test_rows_bytes_and_seconds_are_in_the_metadata(warehouse, instance):
    materialize(numbers_asset(1, 2), instance=instance)
    metadata = {name: entry.value for name, entry in told(instance, "numbers").items()}
    assert metadata["dagster/row_count"] == 2
    assert metadata["version"] == 0
    assert metadata["dagster/uri"] == warehouse.uri("numbers")
    assert metadata["size_bytes"] == sum(file.size_bytes for file in warehouse.files("numbers"))
    assert metadata["seconds"] >= 0


def row_changes(instance, table: str) -> list[int | None]:
    metadata = told(instance, table)
    names = ("rows_added", "rows_gone", "rows_changed")
    return [metadata[name].value if name in metadata else None for name in names]


def test_rows_added_gone_and_changed_are_in_the_metadata(warehouse, instance, monkeypatch):
    for numbers, expected in (((1, 2), [2, 0, 0]), ((1, 2), [0, 0, 0]), ((2, 3, 4), [2, 1, 0])):
        materialize(numbers_asset(*numbers), instance=instance)
        assert row_changes(instance, "numbers") == expected
    monkeypatch.setattr("pipelines.io_manager.MAX_COMPARED_ROWS", 2)
    materialize(numbers_asset(7), instance=instance)
    assert row_changes(instance, "numbers") == [None, None, None]


def test_rows_of_a_partition_are_compared_with_those_before_without_volatile_columns(warehouse, instance, monkeypatch):
    columns = (
        Column("part", pa.string(), "the partition"),
        Column("n", pa.int64(), "a number"),
        Column("double", pa.int64(), "twice the number"),
        Column("seconds", pa.float64(), "how long it took", volatile=True),
    )
    timed = Contract("timed", "a number", columns, key=("n",), partition="part")
    monkeypatch.setitem(CONTRACTS, "timed", timed)

    def timed_asset(rows: dict[int, int], seconds: float) -> dg.AssetsDefinition:
        @dg.asset(partitions_def=PART_NAMES, name="timed")
        def asset(context: dg.AssetExecutionContext) -> pa.Table:
            part = [context.partition_key] * len(rows)
            return timed.table_of(part=part, n=[*rows], double=[*rows.values()], seconds=[seconds] * len(rows))

        return asset

    instance.add_dynamic_partitions("part_names", ["a", "b"])
    for part, rows, expected in (
        ("a", {1: 2, 2: 0, 3: 6}, [3, 0, 0]),
        ("b", {1: 2}, [1, 0, 0]),
        ("a", {1: 2, 2: 4, 4: 8}, [1, 1, 1]),
    ):
        materialize(timed_asset(rows, seconds=float(sum(rows))), instance=instance, partition_key=part)
        assert row_changes(instance, "timed") == expected


def test_a_table_is_recorded_even_if_the_version_before_is_damaged(warehouse, instance, caplog):
    materialize(numbers_asset(1, 2), instance=instance)
    (file,) = warehouse.files("numbers")
    Path(warehouse.uri("numbers"), file.path).write_bytes(b"damaged")
    materialize(numbers_asset(1, 2, 3), instance=instance)
    assert row_changes(instance, "numbers") == [None, None, None]
    assert told(instance, "numbers")["dagster/row_count"].value == 3
    assert "not those that were committed" in caplog.text


def test_what_another_warehouse_recorded_is_not_pinned(warehouse, instance, tmp_path, monkeypatch):
    materialize(numbers_asset(1, 2), instance=instance)
    monkeypatch.setenv(WAREHOUSE_VARIABLE, str(tmp_path / "another"))
    another = Warehouse()
    another.publish(NUMBERS, numbers_of(10), since=None)
    another.publish(NUMBERS, numbers_of(20), since=0)
    assert recorded_version(instance, another, dg.AssetKey("numbers")) is None
    materialize(numbers_asset(1, 2), doubles, instance=instance, select=["doubles"])
    assert values(another, "doubles") == [40]
    assert another.commit_of("doubles", 0)["inputs"] == {"numbers": 1}


def test_a_table_that_only_another_warehouse_has_is_named_in_the_error(warehouse, instance, tmp_path, monkeypatch):
    materialize(numbers_asset(1, 2), instance=instance)
    monkeypatch.setenv(WAREHOUSE_VARIABLE, str(tmp_path / "another"))
    with pytest.raises(UnknownTableError, match=r"numbers has not been made in .*another; materialize it first"):
        materialize(numbers_asset(1, 2), doubles, instance=instance, select=["doubles"])


def test_no_run_can_choose_where_tables_are_written(warehouse, tmp_path):
    config = {"resources": {"io_manager": {"config": {"root": str(tmp_path / "given")}}}}
    with pytest.raises(dg.DagsterInvalidConfigError):
        dg.validate_run_config(defs.resolve_job_def("refresh_reviews"), config)


def test_a_figure_is_stored_and_shown(warehouse, instance):
    @dg.asset
    def numbers() -> Draft:
        return Draft(numbers_of(1), metadata={"odd": 1}, figure=PNG)

    materialize(numbers, instance=instance)
    metadata = told(instance, "numbers")
    assert Path(metadata["figure_path"].value).read_bytes() == PNG
    content_hash = metadata["content_hash"].value
    address = f"/figures/numbers/{content_hash}.png"
    assert metadata["figure"].value == f"[![numbers]({address}?small)]({address})"
    assert warehouse.figure("numbers", content_hash) == PNG
    assert isinstance(metadata["figure"], dg.MarkdownMetadataValue)
    assert metadata["odd"].value == 1


def test_the_figure_is_first_in_the_metadata(warehouse, instance):
    @dg.asset
    def numbers() -> Draft:
        return Draft(numbers_of(1), metadata={"odd": 1}, figure=PNG)

    materialize(numbers, instance=instance)
    names = list(told(instance, "numbers"))
    assert names[:3] == ["figure", "figure_path", "odd"]
    assert names[-3:] == ["content_hash", "config", "settings"]


def test_a_table_is_recorded_even_if_its_figure_cannot_be_stored(warehouse, instance, caplog):
    @dg.asset
    def numbers() -> Draft:
        return Draft(numbers_of(1), metadata={"odd": 1}, figure=PNG)

    Path(warehouse.root).mkdir()
    Path(warehouse.root, "_figures").write_text("in the way")
    materialize(numbers, instance=instance)
    assert values(warehouse, "numbers") == [1]
    assert told(instance, "numbers").keys().isdisjoint({"figure", "figure_path"})
    assert "_figures/numbers" in caplog.text


def test_metadata_and_figure_of_a_stream_are_evaluated_after_it_was_read(instance, warehouse):
    @dg.asset
    def numbers() -> Draft:
        seen = []

        def batches():
            for value in (1, 2, 3):
                seen.append(value)
                yield from numbers_of(value).to_batches()

        stream = pa.RecordBatchReader.from_batches(NUMBERS.schema, batches())
        return Draft(stream, metadata=lambda: {"seen": len(seen)}, figure=lambda: bytes(seen))

    materialize(numbers, instance=instance)
    assert told(instance, "numbers")["seen"].value == 3
    assert Path(told(instance, "numbers")["figure_path"].value).read_bytes() == b"\1\2\3"


def test_a_declared_table_that_may_be_empty_reads_as_empty_until_it_is_made(warehouse, instance):
    @dg.asset
    def doubles(wishes: pa.Table) -> pa.Table:
        assert wishes.schema.equals(WISHES.schema)
        return DOUBLES.table_of(n=[len(wishes)])

    materialize(dg.AssetSpec("wishes"), doubles, instance=instance)
    assert values(warehouse, "doubles") == [0]
    assert warehouse.commit_of("doubles", 0)["inputs"] == {}

    warehouse.publish(WISHES, numbers_of(1, 2, 3), since=None)
    materialize(dg.AssetSpec("wishes"), doubles, instance=instance)
    assert values(warehouse, "doubles") == [3]
    assert warehouse.commit_of("doubles", 1)["inputs"] == {"wishes": 0}


def test_a_table_that_may_not_be_empty_must_be_made_first(warehouse, instance):
    with pytest.raises(UnknownTableError, match="numbers has not been made"):
        materialize(dg.AssetSpec("numbers"), doubles, instance=instance)


def test_an_input_that_only_some_configurations_read_is_read_as_another_table_did(warehouse, instance):
    @dg.asset(required_resource_keys={"io_manager"})
    def wishes(context: dg.AssetExecutionContext) -> pa.Table:
        tables = context.resources.io_manager
        found = [tables.stream("numbers", ["n"], as_read_by=by).read_all()["n"].to_pylist() for by in (None, "doubles")]
        assert found == [[1, 2, 3], [1, 2]]
        return numbers_of(*found[1])

    with pytest.raises(UnknownTableError, match="numbers has not been made"):
        materialize(wishes, instance=instance)
    materialize(numbers_asset(1, 2), doubles, instance=instance)
    materialize(numbers_asset(1, 2, 3), instance=instance)
    materialize(wishes, instance=instance)
    assert warehouse.commit_of("wishes", 0)["inputs"] == {"numbers": 0}


def test_a_check_compares_a_table_with_what_it_was_made_from_and_not_with_what_came_later(warehouse, instance):
    newer = numbers_of(5, 6)

    @dg.asset_check(asset="doubles", additional_ins={"numbers": dg.AssetIn(metadata={"as_read_by": "doubles"})})
    def are_double(doubles: pa.Table, numbers: pa.Table) -> dg.AssetCheckResult:
        assert warehouse.read("numbers") == newer
        return dg.AssetCheckResult(passed=doubles["n"].to_pylist() == [2 * n for n in numbers["n"].to_pylist()])

    materialize(numbers_asset(1, 2), doubles, instance=instance)
    materialize(numbers_asset(5, 6), instance=instance)
    assets = [dg.AssetSpec("numbers"), dg.AssetSpec("doubles")]
    job = dg.Definitions(assets, asset_checks=[are_double], resources=RESOURCES).resolve_implicit_global_asset_job_def()
    (evaluation,) = job.execute_in_process(instance=instance).get_asset_check_evaluations()
    assert evaluation.passed


@dg.asset(partitions_def=PART_NAMES)
def parts(context: dg.AssetExecutionContext, config: PartConfig) -> pa.Table:
    return PARTS.table_of(part=[context.partition_key], n=[config.n])


def make_part(instance, name: str, n: int):
    instance.add_dynamic_partitions(PART_NAMES.name, [name])
    config = {"ops": {"parts": {"config": {"n": n}}}}
    return materialize(parts, instance=instance, partition_key=name, run_config=config)


def test_partitions_are_read_one_by_one_and_together(warehouse, instance):
    @dg.asset
    def doubles(parts: pa.Table) -> pa.Table:
        return DOUBLES.table_of(n=parts["n"])

    @dg.asset(partitions_def=PART_NAMES, ins={"parts": dg.AssetIn(metadata={"columns": ["n"]})})
    def seen(parts: pa.RecordBatchReader) -> None:
        assert isinstance(parts, pa.RecordBatchReader)
        assert parts.read_all().to_pydict() == {"n": [2]}

    make_part(instance, "b", 1)
    make_part(instance, "a", 2)
    materialize(parts, doubles, instance=instance, select=["doubles"])
    assert values(warehouse, "doubles") == [2, 1]
    assert materialize(parts, seen, instance=instance, select=["seen"], partition_key="a").success


@pytest.mark.parametrize("key", ["../../escape", "a/../b", "..", "a/b"])
def test_a_partition_key_that_leaves_the_folder_is_refused(warehouse, instance, tmp_path, key):
    with pytest.raises(ContractError, match="cannot name a part"):
        make_part(instance, key, 1)
    assert warehouse.tables() == []
    assert not (tmp_path / "escape").exists()


def part_asset(name: str, *, fails_after: int | None = None, code_version: str = "1") -> dg.AssetsDefinition:
    """An asset that is a part of the table `parts`; it publishes one row after the other."""

    @dg.asset(key=part_key("parts", name), code_version=code_version, required_resource_keys={"io_manager"})
    def part(context: dg.AssetExecutionContext) -> Draft:
        tables = context.resources.io_manager
        rows = tables.newest_rows("parts", name)["n"].to_pylist()
        for n in range(len(rows), 3):
            rows.append(n)
            tables.publish_checkpoint(context, "parts", name, PARTS.table_of(part=[name] * len(rows), n=rows))
            if fails_after == n:
                raise RuntimeError("killed")
        return Draft(PARTS.table_of(part=[name] * len(rows), n=rows), figure=PNG)

    return part


class TestAPartOfATableAsAnAsset:
    def test_its_rows_are_a_partition_and_others_stay(self, warehouse, instance):
        materialize(part_asset("a"), instance=instance)
        materialize(part_asset("b"), instance=instance)
        assert warehouse.partitions("parts") == ["a", "b"]
        assert warehouse.read("parts", partitions=["b"]).to_pydict() == {"part": ["b"] * 3, "n": [0, 1, 2]}
        assert Path(warehouse.root, "_figures", "parts-a.png").read_bytes() == PNG

    def test_a_reader_of_one_part_does_not_depend_on_others(self, warehouse, instance):
        @dg.asset(code_version="1", ins={"part": dg.AssetIn(key=part_key("parts", "a"))})
        def doubles(part: pa.Table) -> pa.Table:
            return DOUBLES.table_of(n=part["n"])

        def fresh() -> bool:
            definitions = dg.Definitions([part_asset("a"), part_asset("b"), doubles], resources=RESOURCES)
            return doubles.key in fresh_assets(instance, warehouse, definitions, [doubles.key], ops={})

        materialize(part_asset("b"), instance=instance)
        materialize(part_asset("a"), doubles, instance=instance)
        assert values(warehouse, "doubles") == [0, 1, 2]
        assert fresh()
        rows = PARTS.table_of(part=["b"], n=[7])
        warehouse.publish(PARTS, rows, since=warehouse.head("parts"), partition="b")
        materialize(part_asset("b"), instance=instance)
        assert fresh()

    def test_a_part_that_was_never_made_is_empty_if_its_table_may_be(self, warehouse, instance, monkeypatch):
        maybe = contract("parts", partition="part", may_be_empty=True)
        monkeypatch.setitem(CONTRACTS, "parts", maybe)

        @dg.asset(ins={"part": dg.AssetIn(key=part_key("parts", "a"))})
        def doubles(part: pa.Table) -> pa.Table:
            return DOUBLES.table_of(n=[len(part)])

        materialize(part_asset("b"), instance=instance)
        materialize(dg.AssetSpec(part_key("parts", "a")), doubles, instance=instance)
        assert values(warehouse, "doubles") == [0]

    def test_a_step_goes_on_from_its_checkpoint_after_a_failure(self, warehouse, instance):
        with pytest.raises(RuntimeError, match="killed"):
            materialize(part_asset("a", fails_after=1), instance=instance)
        assert values(warehouse, "parts") == [0, 1]
        assert newest_materialization(instance, part_key("parts", "a")) is None
        materialize(part_asset("a"), instance=instance)
        assert [entry["rows"] for entry in warehouse.history("parts")] == [3, 2, 1]

    def test_a_checkpoint_records_run_and_code(self, warehouse, instance):
        result = materialize(part_asset("a", code_version="abc"), instance=instance)
        assert {entry["run_id"] for entry in warehouse.history("parts")} == {result.run_id}
        assert {entry["code_version"] for entry in warehouse.history("parts")} == {"abc"}

    def test_a_checkpoint_of_an_overtaken_run_is_refused(self, warehouse, instance):
        @dg.asset(key=part_key("parts", "a"), required_resource_keys={"io_manager"})
        def overtaken(context: dg.AssetExecutionContext) -> pa.Table:
            with dg.DagsterInstance.ephemeral() as other:
                materialize(part_asset("a"), instance=other)
            context.resources.io_manager.publish_checkpoint(context, "parts", "a", PARTS.table_of(part=["a"], n=[9]))

        with pytest.raises(WriteConflictError, match="parts, part=a was version None when this step began"):
            materialize(overtaken, instance=instance)
        assert values(warehouse, "parts") == [0, 1, 2]
