"""A study of its own, of a table of its own: a setting x is the better the nearer it is to the table's one number."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from pydantic import ValidationError

from assets.table import CONTRACTS, part_key
from assets.tuning.champions import champion_of, resolve_parameters
from assets.tuning.study import SearchSize, Study, study_assets
from pipelines.freshness import fresh_assets
from pipelines.io_manager import TableIOManager
from pipelines.records import newest_materialization
from taproom.errors import InputError, WriteConflictError
from taproom.search.space import Real
from taproom.search.trials import Plan
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.storage import WAREHOUSE_VARIABLE
from taproom.warehouse.warehouse import Warehouse
from tests.assets.tuning.nearness import Nearness

ROOT = Path(__file__).resolve().parents[3]
TARGETS = Contract("targets", "a number", (Column("target", pa.float64(), "the best x"),), key=("target",))
MADE_WITH = Contract("made_with", "a setting", (Column("x", pa.float64(), "the x used"),), key=("x",))


@dataclass(frozen=True)
class Parameters:
    x: float = 0.5


class Config(dg.Config):
    x: float | None = None


STUDY = Study(
    name="planted",
    module=__name__,
    about="Searched: x.",
    objective=lambda targets, seed: Nearness(targets["target"][0].as_py()),
    first=Parameters,
    space={"x": Real(0.0, 1.0)},
    unit="steps",
    score="nearness",
    full_budget=1,
    plans={
        SearchSize.brief: Plan("random", trials=12, higher_is_better=True),
        SearchSize.small: Plan("tpe", trials=20, higher_is_better=True),
    },
)


def planted(study: Study = STUDY, target: float = 0.25) -> list:
    """The assets: a target, the study of it, and a product that is made with the champion."""

    @dg.asset(code_version="1")
    def targets() -> pa.Table:
        return TARGETS.table_of(target=[target])

    @dg.asset(code_version="1", ins={"champions": champion_of("planted")})
    def made_with(champions: pa.Table) -> pa.Table:
        return MADE_WITH.table_of(x=[resolve_parameters(Parameters(), champions, Config, {}).parameters.x])

    return [targets, study_assets(study), made_with]


@pytest.fixture(autouse=True)
def _declared(monkeypatch, warehouse):
    for each in (TARGETS, MADE_WITH):
        monkeypatch.setitem(CONTRACTS, each.table, each)


@pytest.fixture
def tune(instance):
    def run(study: Study = STUDY, target: float = 0.25, **config) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            planted(study, target),
            resources={"io_manager": TableIOManager()},
            instance=instance,
            run_config={"ops": {"tune_planted": {"config": {"workers": 1, **config}}}},
        )

    return run


@pytest.fixture
def tuned(tune, made_once):
    """A first search, with what is made of its champion."""
    return made_once(lambda: tune())


def rows(warehouse: Warehouse, table: str) -> list[dict]:
    return warehouse.read(table).to_pylist()


def told(instance, table: str) -> dict:
    record = newest_materialization(instance, part_key(table, "planted"))
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def reigning(warehouse: Warehouse) -> dict:
    (row,) = rows(warehouse, "champions")
    return row | {"x": json.loads(row["parameters"])["x"]}


def checks_of(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def test_a_search_finds_a_champion_and_the_product_is_made_with_it(tuned, warehouse, instance):
    assert tuned.success
    trials = rows(warehouse, "trials")
    assert [row["number"] for row in trials] == list(range(12))
    assert json.loads(trials[0]["parameters"]) == {"x": 0.5}
    assert {row["state"] for row in trials} == {"complete"}
    assert {row["data"] for row in trials} == {'{"targets": 0}'}
    champion = reigning(warehouse)
    assert champion["verdict"] == "crowned"
    assert abs(champion["x"] - 0.25) < 0.1
    assert champion["value_low"] < champion["value"] < champion["value_high"]
    assert [row["verdict"] for row in rows(warehouse, "challenges")] == ["first", "crowned"]
    assert warehouse.read("made_with")["x"].to_pylist() == [champion["x"]]
    assert told(instance, "trials")["best_value"] == pytest.approx(-abs(champion["x"] - 0.25))
    assert told(instance, "champions")["x"] == champion["x"]
    for table in ("trials", "challenges", "champions"):
        assert told(instance, table)["figure_path"].endswith(f"{table}-planted.png")


def test_the_same_search_again_changes_nothing(tuned, tune, warehouse):
    heads = warehouse.heads()
    tune()
    assert warehouse.heads() == heads


def test_the_tables_do_not_depend_on_the_workers(tuned, tune, warehouse, monkeypatch, tmp_path, instance):
    def hashes() -> dict[str, str]:
        return {table: told(instance, table)["content_hash"] for table in ("trials", "challenges", "champions")}

    alone = hashes()
    monkeypatch.setenv(WAREHOUSE_VARIABLE, str(tmp_path / "another"))
    tune(workers=2)
    assert Warehouse().head("trials") is not None
    assert hashes() == alone


def test_each_batch_is_published_as_soon_as_it_is_done(tuned, warehouse):
    assert [entry["rows"] for entry in reversed(warehouse.history("trials"))] == [4, 8, 12]
    assert {entry["partition"] for entry in warehouse.history("trials")} == {"planted"}


def test_a_search_goes_on_from_the_rows_that_it_has(tuned, tune, warehouse):
    whole = warehouse.read("trials")
    challenges = warehouse.read("challenges")
    partial = warehouse.read("trials", 0)
    assert len(partial) == 4
    warehouse.publish(CONTRACTS["trials"], partial, since=warehouse.head("trials"), partition="planted")
    tune()
    assert warehouse.read("trials").drop_columns("seconds").equals(whole.drop_columns("seconds"))
    assert warehouse.read("challenges").equals(challenges)


def test_one_that_the_clock_has_stopped_goes_on_when_it_is_run_again(tune, warehouse):
    slow = replace(STUDY, objective=lambda targets, seed: Nearness(targets["target"][0].as_py(), seconds=0.05))
    tune(slow, seconds=0.1)
    assert len(rows(warehouse, "trials")) == 4
    tune(slow)
    assert [row["number"] for row in rows(warehouse, "trials")] == list(range(12))


def test_another_search_begins_with_the_values_set_by_hand_and_the_best_so_far(tuned, tune, warehouse):
    best = reigning(warehouse)["x"]
    tune(search="nightly")
    nightly = [row for row in rows(warehouse, "trials") if row["search"] == "nightly"]
    assert [json.loads(row["parameters"])["x"] for row in nightly[:2]] == [0.5, best]
    assert len(rows(warehouse, "trials")) == 24
    tune()  # the first search is not begun anew for what came after it
    assert len(rows(warehouse, "trials")) == 24


def test_other_data_begin_the_search_anew_and_the_champion_is_challenged(tuned, tune, warehouse):
    old = reigning(warehouse)
    tune(target=0.9)
    assert [row["data"] for row in rows(warehouse, "trials")] == ['{"targets": 0}'] * 12 + ['{"targets": 1}'] * 12
    assert [row["verdict"] for row in rows(warehouse, "challenges")] == ["first", "crowned", "crowned"]
    new = reigning(warehouse)
    assert abs(new["x"] - 0.9) < abs(old["x"] - 0.9)


def test_another_plan_under_the_same_name_begins_anew_and_loses_no_trial(tuned, tune, warehouse):
    first = rows(warehouse, "trials")
    tune(trials=4, method="tpe")
    assert rows(warehouse, "trials")[:12] == first
    assert [row["number"] for row in rows(warehouse, "trials")[12:]] == [0, 1, 2, 3]
    tune()
    assert len(rows(warehouse, "trials")) == 16


def test_what_reads_a_champion_reads_the_version_on_record(tune, caplog):
    tune()
    tune()
    assert "no materialization on record" not in caplog.text


def test_after_a_search_by_another_name_nothing_is_stale_unless_it_is_asked_for(tune, warehouse, instance):
    def fresh(**asked) -> bool:
        definitions = dg.Definitions(planted(), resources={"io_manager": TableIOManager()})
        ops = {"tune_planted": {"config": asked}} if asked else {}
        key = part_key("champions", "planted")
        return key in fresh_assets(instance, warehouse, definitions, [key], ops)

    tune(search="nightly")
    assert fresh()
    assert fresh(search="nightly", workers=1)
    assert not fresh(search="another")


def test_a_refusal_leaves_the_champion_and_what_is_made_with_it_as_they_are(tuned, tune, warehouse, instance):
    before = told(instance, "champions")["content_hash"], warehouse.head("made_with")
    tune(search="later", trials=2)  # which tries no more than the first and the best so far
    assert rows(warehouse, "challenges")[-1]["why"] == "the best setting found is the champion's own"
    assert (told(instance, "champions")["content_hash"], warehouse.head("made_with")) == before


def test_trials_that_fail_are_kept_with_the_reason_and_the_champion_stays(tune, warehouse, instance):
    failing = replace(STUDY, objective=lambda targets, seed: Nearness(0.25, most=-1.0))
    result = tune(failing)
    assert result.success
    trials = rows(warehouse, "trials")
    assert {(row["state"], row["reason"], row["value"]) for row in trials} == {
        ("failed", "ValueError: x is too large", None)
    }
    assert reigning(warehouse)["verdict"] == "first"
    assert rows(warehouse, "challenges")[-1]["why"].startswith("all 12 trials failed; the first: ValueError")
    assert warehouse.read("made_with")["x"].to_pylist() == [0.5]
    assert checks_of(result) == {
        "most_trials_succeed": False, "newest_is_settled": False, "inside_the_ranges": True
    }  # fmt: skip
    assert told(instance, "trials")["failed"] == 12


def test_checks_tell_of_a_champion_at_the_end_of_its_range_but_not_of_one_that_a_person_chose(tuned, tune):
    assert set(checks_of(tuned).values()) == {True}
    beyond = tune(replace(STUDY, space={"x": Real(0.4, 1.0)}), search="narrow", method="grid")
    assert checks_of(beyond) == {
        "most_trials_succeed": True, "newest_is_settled": True, "inside_the_ranges": False
    }  # fmt: skip
    assert checks_of(tune(pin={"x": 1.0}))["inside_the_ranges"]


def test_too_little_to_search_by_keeps_no_product_from_being_made(tune, warehouse):
    def objective(targets, seed):
        raise InputError("1 target was given; wanted: at least 20")

    assert tune(replace(STUDY, objective=objective)).success
    assert rows(warehouse, "trials") == []
    assert rows(warehouse, "challenges")[-1]["why"].startswith("nothing could be tried: 1 target was given")
    assert warehouse.read("made_with")["x"].to_pylist() == [0.5]


def test_a_person_pins_a_champion_and_releases_it(tuned, tune, warehouse):
    tune(pin={"x": 0.875})
    assert (reigning(warehouse)["verdict"], reigning(warehouse)["x"]) == ("pinned", 0.875)
    assert warehouse.read("made_with")["x"].to_pylist() == [0.875]
    tune(search="nightly")
    assert reigning(warehouse)["x"] == 0.875
    assert rows(warehouse, "challenges")[-1]["why"] == "the champion is pinned"
    tune(search="nightly", release=True)
    assert abs(reigning(warehouse)["x"] - 0.25) < 0.1


def test_what_cannot_be_pinned_is_refused_and_the_champion_stays(tuned, tune, warehouse):
    before = reigning(warehouse)
    with pytest.raises(InputError, match="was to be pinned"):
        tune(pin={"y": 1.0})
    assert reigning(warehouse) == before


def test_of_two_runs_of_one_study_at_once_the_second_is_refused_by_name(tune, warehouse):
    @dataclass(frozen=True)
    class Overtaken(Nearness):
        def score(self, parameters, budget, seed):
            if warehouse.head("trials") is None:  # another run publishes while this one tries its first batch
                inner = planted()
                with dg.DagsterInstance.ephemeral() as other:
                    resources = {"io_manager": TableIOManager()}
                    config = {"ops": {"tune_planted": {"config": {"workers": 1}}}}
                    assert dg.materialize(
                        inner[1:2] + inner[:1], resources=resources, instance=other, run_config=config
                    )
            return super().score(parameters, budget, seed)

    overtaken = replace(STUDY, objective=lambda targets, seed: Overtaken(targets["target"][0].as_py()))
    with pytest.raises(WriteConflictError, match="trials, study=planted was version None when this step began"):
        tune(overtaken)
    assert len(rows(warehouse, "trials")) == 12


@pytest.mark.parametrize("wrong", [{"trials": 0}, {"seconds": 0.0}, {"search": ""}])
def test_a_budget_of_zero_is_refused(tune, warehouse, wrong):
    with pytest.raises(ValidationError, match=r"greater than|at least 1 character"):
        tune(**wrong)
    assert warehouse.head("trials") is None


def test_an_unknown_method_is_refused(tune):
    with pytest.raises(InputError, match="'annealing' was given; wanted: one of grid"):
        tune(method="annealing")


def study_job() -> dg.JobDefinition:
    """The planted study as a job whose steps are processes of their own, which call this function, too."""
    CONTRACTS.update(targets=TARGETS, made_with=MADE_WITH)
    job = dg.define_asset_job(
        "tune_planted", [part_key(table, "planted") for table in ("trials", "challenges", "champions")]
    )
    resources = {"io_manager": TableIOManager()}
    definitions = dg.Definitions(planted(), jobs=[job], resources=resources, executor=dg.multiprocess_executor)
    return definitions.resolve_job_def("tune_planted")


@pytest.mark.slow
def test_a_step_of_its_own_process_ends_when_its_search_has_ended(warehouse, tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        targets = planted()[:1]
        assert dg.materialize(targets, resources={"io_manager": TableIOManager()}, instance=instance).success
        started = time.monotonic()
        with dg.execute_job(
            dg.reconstructable(study_job), instance, run_config={"ops": {"tune_planted": {"config": {"workers": 2}}}}
        ) as result:
            seconds = time.monotonic() - started
            assert result.success
    assert len(rows(warehouse, "trials")) == 12
    assert seconds < 120  # idle workers would keep the step for 300


@pytest.mark.slow
def test_a_killed_run_loses_no_trial_and_doubles_none(tmp_path, warehouse):
    script = textwrap.dedent("""
        import sys
        from dataclasses import replace
        import dagster as dg
        from assets.table import CONTRACTS
        from pipelines.io_manager import TableIOManager
        from tests.assets.tuning.nearness import Nearness
        from tests.assets.tuning.test_study import MADE_WITH, STUDY, TARGETS, planted

        CONTRACTS.update(targets=TARGETS, made_with=MADE_WITH)
        slow = replace(STUDY, objective=lambda targets, seed: Nearness(0.25, seconds=float(sys.argv[1])))
        config = {"ops": {"tune_planted": {"config": {"workers": int(sys.argv[2]), "trials": 40}}}}
        with dg.DagsterInstance.ephemeral() as instance:
            dg.materialize(
                planted(slow), resources={"io_manager": TableIOManager()}, instance=instance, run_config=config
            )
    """)

    def start(seconds: float, workers: int) -> subprocess.Popen:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            [sys.executable, "-c", script, str(seconds), str(workers)], cwd=ROOT, env=environment,
            start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    killed = start(seconds=0.3, workers=2)
    while (warehouse.head("trials") or 0) < 1:
        assert killed.poll() is None
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    there = rows(warehouse, "trials")
    assert 0 < len(there) < 40
    assert len(there) % 4 == 0
    assert {row["state"] for row in there} == {"complete"}
    assert start(seconds=0, workers=1).wait() == 0
    after = rows(warehouse, "trials")
    assert [row["number"] for row in after] == list(range(40))
    assert after[: len(there)] == there  # to the second that they took
