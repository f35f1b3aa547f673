"""trials, challenges, champions: the settings that searches tried, how the best compare, and the settings in use.

A study is a search for the parameters of one product, declared in a file of this folder. Here belongs what all studies
share: their three tables, and the asset that searches, challenges the champion and records the winner. The rows of each
study are assets of their own (`trials/<study>_trials` and so on), with the inputs of that study.

A search has a name. Run again under this name, with the same data, plan and code, it continues from its recorded
trials; a finished search stays as it is. With other data, plan or code, a new search starts, and the rows of the old
one stay. The best setting found then challenges the champion on data that no trial of the search was judged on.

Grain: a trial of a search of a study; a challenge in a study; a study. Source: the deck's slides "Hyperparameter
Optimization".
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum
from inspect import signature
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.code import code_version
from assets.table import Draft, part_key, refreshed_out
from assets.tuning.champions import CHAMPIONS
from taproom.compute import Made
from taproom.errors import InputError
from taproom.search.space import Parameters, Space
from taproom.search.trials import METHODS, STATES, Objective, Plan
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank, OneOf, SameLength, Usual
from taproom.warehouse.foreign_keys import ForeignKey
from taproom.warehouse.table_version import TableVersion

if TYPE_CHECKING:
    from taproom.search.trials import Trial

TRIALS = Contract(
    table="trials",
    grain="a trial of a search",
    columns=(
        Column("study", pa.string(), "the study, called after its product"),
        Column("search", pa.string(), "the name of the search"),
        Column("number", pa.int32(), "the trial, from 0, in the order of the search"),
        Column("parameters", pa.string(), "the setting that was tried, as JSON"),
        Column("method", pa.string(), "what chose it; the first trials are given, values set by hand before all"),
        Column("seed", pa.int64(), "seed of its fits"),
        Column("budgets", pa.list_(pa.int64()), "the budget at each rung that it reached, in the study's unit"),
        Column("values", pa.list_(pa.float64()), "its score there on validation data"),
        Column("value", pa.float64(), "the last of these", nullable=True),
        Column("budget_used", pa.int64(), "all budgets together: each rung is a fit of its own"),
        Column("state", pa.string(), "complete, with the full budget; stopped, at an earlier rung; promoted, with its "
               "next rung to come; failed"),
        Column("reason", pa.string(), "why it failed", nullable=True),
        Column("seconds", pa.float64(), "that its fits took", unit="s", volatile=True),
        Column("data", pa.string(), "the versions of the tables that it was judged on, as JSON"),
        Column("made_from", pa.string(), "a hash of these, the plan, the space and the code: what differs in it is "
               "another search, whatever its name"),
    ),
    key=("study", "search", "made_from", "number"),
    usual=Usual(added=math.inf, drift=1, reason="each search adds trials, and looks elsewhere than the one before"),
    partition="study",
    invariants=(
        NotBlank("search"),
        Between("number", 0),
        NotBlank("parameters"),
        OneOf("method", METHODS),
        SameLength("budgets", "values"),
        Between("values"),
        Between("budget_used", 0),
        OneOf("state", STATES),
        Between("seconds", 0),
    ),
    may_be_empty=True,
    limits=(
        "The search chose by these scores, so the best of them is too high; challenges has scores on fresh data.",
    ),
)  # fmt: skip

# Share of the trials of a search. If more fail, the space is too wide or there are too few data.
MOST_FAILED = 0.5

VERDICTS = ("first", "crowned", "refused", "pinned", "released")

CHALLENGES = Contract(
    table="challenges",
    grain="a challenge in a study",
    columns=(
        Column("study", pa.string(), "the study"),
        Column("number", pa.int32(), "the challenge, from 0"),
        Column("search", pa.string(), "the search whose best setting it was", nullable=True,
               made_from=("trials.search",)),
        Column("trial", pa.int32(), "its trial in that search; null where all failed", nullable=True,
               made_from=("trials.number",)),
        Column("parameters", pa.string(), "the challenger's setting, as JSON; null without one", nullable=True,
               made_from=("trials.parameters",)),
        Column("verdict", pa.string(), "first: values set by hand; crowned; refused; pinned or released by a person"),
        Column("why", pa.string(), "the reason, in words"),
        Column("value", pa.float64(), "the challenger's mean score on fresh data", nullable=True),
        Column("value_low", pa.float64(), "lower end of its 95 % interval", nullable=True),
        Column("value_high", pa.float64(), "upper end of it", nullable=True),
        Column("difference", pa.float64(), "mean difference to the champion of then, unit by unit", nullable=True),
        Column("difference_low", pa.float64(), "lower end of its 95 % interval", nullable=True),
        Column("difference_high", pa.float64(), "upper end of it", nullable=True),
        Column("units", pa.int64(), "of fresh data that both were judged on", nullable=True),
        Column("data", pa.string(), "the versions of the tables that both were judged on, as JSON"),
        Column("made_from", pa.string(), "the same of the search's trials", made_from=("trials.made_from",)),
        Column("decided_at", pa.timestamp("us", "UTC"), "when", volatile=True),
    ),
    key=("study", "number"),
    usual=Usual(added=math.inf, drift=1, reason="each search adds its challenges"),
    partition="study",
    invariants=(
        Between("number", 0),
        OneOf("verdict", VERDICTS),
        NotBlank("why"),
        Between("value"),
        Between("difference"),
        Between("units", 2),
    ),
    foreign_keys=(
        ForeignKey(("study", "search", "made_from", "trial"), "trials", ("study", "search", "made_from", "number")),
    ),
    limits=(
        "A setting that was refused may be as good as the champion: the fresh data did not show that it is better.",
    ),
)  # fmt: skip


class SearchSize(Enum):
    """How much a search may spend."""

    brief = "brief"
    small = "small"
    large = "large"


class SearchConfig(dg.Config):
    """Which search, what it may spend, and what a person decides; null: as in the file of the study."""

    search: str = Field("first", min_length=1, description="its name; under the same name, it goes on")
    size: SearchSize = Field(
        SearchSize.brief, description="the plan: brief (seconds), small (a minute or so) or large (many minutes)"
    )
    method: str | None = Field(None, description=f"what chooses settings: {', '.join(METHODS)}")
    trials: int | None = Field(None, ge=1, description="how many times the full budget may be spent")
    seed: int = Field(0, ge=0, description="seed of the parts that data are cut into, and of all choices")
    seconds: float | None = Field(None, gt=0, description="after which no batch of trials is begun; null: no limit")
    workers: int = Field(-1, ge=-1, description="processes as joblib counts them; -1: one for each core")
    pin: dict[str, Any] | None = Field(
        None, description="a setting that is to be the champion, whatever searches find, until it is released"
    )
    release: bool = Field(False, description="let searches challenge a pinned champion again")


@dataclass(frozen=True, kw_only=True)
class Study:
    """A search for a product's parameters.

    Attributes:
        name: of its product.
        module: the study's own file (`__name__`).
        about: what is searched, and for which score, in a sentence.
        objective: makes the objective from tables and a seed. Its arguments are named after the tables, none of which
            is downstream of the champion; one that is annotated as a `TableVersion` is not read before.
        ins: how those tables are read of which not everything is needed.
        first: gives the product's own default parameters, a dataclass.
        space: what may be chosen, by the names of the product's parameters.
        unit: of the budget.
        score: what it is, in words.
        full_budget: what challenges are judged with: what the product itself has, or as near to it as is quick.
        plans: the brief one, as in `make run`, the small and the large one.
    """

    name: str
    module: str
    about: str
    objective: Callable[..., Objective]
    ins: Mapping[str, dg.AssetIn] = field(default_factory=dict)
    first: Callable[[], Any]
    space: Space
    unit: str
    score: str
    full_budget: int
    plans: Mapping[SearchSize, Plan]

    def inputs(self) -> dict[str, dg.AssetIn]:
        """The tables that the objective is made from, by name; as versions, which workers read."""
        names = signature(self.objective).parameters.keys() - {"seed"}
        given = {name: self.ins.get(name, dg.AssetIn()) for name in sorted(names)}
        return {
            name: dg.AssetIn(key=place.key, metadata=place.metadata, dagster_type=TableVersion)
            for name, place in given.items()
        }

    def made_objective(self, tables: Mapping[str, TableVersion], seed: int) -> Made[Objective]:
        """The objective, which each worker makes from the tables."""
        return Made(_objective, (self.objective, tuple(tables.items()), seed))

    def first_setting(self) -> dict[str, Any]:
        """The values set by hand, of the parameters that are searched."""
        defaults = self.first()
        return {name: getattr(defaults, name) for name in self.space}

    def plan(self, config: SearchConfig, seed: int) -> Plan:
        """The plan that a configuration asks for."""
        chosen: dict[str, Any] = {"method": config.method, "trials": config.trials}
        given = {name: value for name, value in chosen.items() if value is not None}
        return replace(self.plans[config.size], **given, seed=seed)


def study_assets(study: Study) -> dg.AssetsDefinition:
    """The assets of a study: its trials, challenges and champion, made in one step."""
    inputs = study.inputs()
    keys = {contract.table: part_key(contract.table, study.name) for contract in (TRIALS, CHALLENGES, CHAMPIONS)}

    def out(contract: Contract, description: str) -> dg.AssetOut:
        return refreshed_out(
            contract, f"{description} {study.about}", module=study.module, config=SearchConfig,
            key=keys[contract.table], automation_condition=None,
        )  # fmt: skip

    @dg.multi_asset(
        name=f"tune_{study.name}",
        outs={
            "trials": out(TRIALS, "The settings that searches have tried."),
            "challenges": out(CHALLENGES, "How the best settings found compare with the champion."),
            "champions": out(CHAMPIONS, "The setting that the product is made with."),
        },
        ins=inputs,
        internal_asset_deps={
            "trials": {place.key or dg.AssetKey(name) for name, place in inputs.items()},
            "challenges": {keys["trials"]},
            "champions": {keys["challenges"]},
        },
        check_specs=[
            dg.AssetCheckSpec(
                "most_trials_succeed",
                asset=keys["trials"],
                description=f"At most {MOST_FAILED:.0%} of the trials of the search have failed.",
            ),
            dg.AssetCheckSpec(
                "newest_is_settled",
                asset=keys["challenges"],
                description="The newest search had a best setting, and it could be judged.",
            ),
            dg.AssetCheckSpec(
                "inside_the_ranges",
                asset=keys["champions"],
                description="No value that a search found is at an end of its range, beyond which a better one may be.",
            ),
        ],
        required_resource_keys={"io_manager"},
        pool="numerics",
    )
    def tune(context: dg.AssetExecutionContext, config: SearchConfig, **tables: TableVersion) -> Iterator:
        run = StudyRun(study, context, config)
        objective = study.made_objective(tables, run.plan.seed)
        trials: list[Trial] = []
        reason: str | None
        try:
            _ = objective.here
        except InputError as error:  # too few data for a search must not stop the product
            reason = str(error)
        else:
            trials = run.search(objective)
            reason = next((trial.reason for trial in trials if trial.state == "failed"), None)
        yield dg.Output(run.trials(trials), "trials")
        yield run.most_succeed(trials)
        rows = run.challenge(objective, trials, reason)
        yield dg.Output(run.challenges(rows), "challenges")
        yield run.newest_is_settled(rows)
        yield dg.Output(run.champion(rows), "champions")
        yield run.inside_the_ranges(rows)

    return tune


def _objective(make: Callable[..., Objective], tables: tuple[tuple[str, TableVersion], ...], seed: int) -> Objective:
    parameters = signature(make).parameters
    given = {name: table if parameters[name].annotation is TableVersion else table.read() for name, table in tables}
    return make(**given, seed=seed)


class StudyRun:
    """One run of a study: the rows of earlier runs, and the rows that it adds."""

    def __init__(self, study: Study, context: dg.AssetExecutionContext, config: SearchConfig) -> None:
        """Read what is there, and find the rows of the search that this run goes on with."""
        from taproom.search.trial_rows import made_from, parted
        from taproom.search.trials import seed_of

        self.study, self.config = study, config
        self._context, self._tables = context, context.resources.io_manager
        self.plan = study.plan(config, seed_of(study.name, config.search, config.seed))
        self._data = json.dumps(dict(sorted(self._tables.inputs.items())))
        self._made_from = made_from(self._data, self.plan, study.space, code_version(study.module))
        known = self._tables.newest_rows(TRIALS.table, study.name).to_pylist()
        self._before, self._own, self._after = parted(known, config.search, self._made_from)
        self._known_challenges = self._tables.newest_rows(CHALLENGES.table, study.name).to_pylist()

    def search(self, objective: Made[Objective]) -> "list[Trial]":
        """All trials of the search, each batch published as soon as it is done."""
        from taproom.search.trial_rows import best_of_last, trials_of_rows
        from taproom.search.trials import search

        study, plan, config = self.study, self.plan, self.config
        first: list[Parameters] = [study.first_setting()]
        found = best_of_last(self._before, study.space, plan.higher_is_better) if self._before else None
        if found is not None and found not in first:
            first.append(found)
        return search(
            objective,
            study.space,
            plan,
            first,
            known=trials_of_rows(self._own),
            record=self._publish_trials,
            n_jobs=config.workers,
            seconds=config.seconds,
        )

    def _publish_trials(self, trials: "Sequence[Trial]") -> None:
        """Publish the trials so far, so that a killed search goes on from them."""
        self._tables.publish_checkpoint(self._context, TRIALS.table, self.study.name, self._trial_rows(trials))

    def _trial_rows(self, trials: "Sequence[Trial]") -> pa.Table:
        from taproom.search.trial_rows import rows_of_trials

        same = {"search": self.config.search, "method": self.plan.method, "made_from": self._made_from}
        own = rows_of_trials(trials, study=self.study.name, data=self._data, **same)
        return pa.Table.from_pylist([*self._before, *own, *self._after], TRIALS.schema)

    def trials(self, trials: "Sequence[Trial]") -> Draft:
        """The rows of `trials`."""
        from taproom.search import search_figures as figures
        from taproom.search.importances import importances
        from taproom.search.trials import best

        study, higher_is_better = self.study, self.plan.higher_is_better
        found = best(trials, higher_is_better)
        shares = importances(trials, study.space)
        return Draft(
            self._trial_rows(trials),
            metadata={
                "search": self.config.search,
                "method": self.plan.method,
                "score": study.score,
                "unit": study.unit,
                **{state: sum(trial.state == state for trial in trials) for state in STATES},
                "budget_used": sum(sum(trial.budgets) for trial in trials),
                **({"best_value": found.value, "best_trial": found.number} if found else {}),
                **{f"importance_{name}": share for name, share in shares.items()},
            },
            figure=figures.trials(
                trials, study.space, shares, title=f"{study.name}: search {self.config.search!r} by {self.plan.method}",
                unit=study.unit, higher_is_better=higher_is_better,
            )
            if trials
            else None,
        )  # fmt: skip

    def most_succeed(self, trials: "Sequence[Trial]") -> dg.AssetCheckResult:
        """Whether few trials have failed; else the space is too wide, or the data too few."""
        reasons = [trial.reason for trial in trials if trial.state == "failed"]
        metadata = {"failed": len(reasons), "first_reason": reasons[0] if reasons else "none failed"}
        return self._check(TRIALS, "most_trials_succeed", len(reasons) <= MOST_FAILED * len(trials), metadata)

    def newest_is_settled(self, rows: list[dict[str, Any]]) -> dg.AssetCheckResult:
        """Whether the newest search had a best setting that could be judged."""
        from taproom.search.challenge import came_to_nothing

        return self._check(CHALLENGES, "newest_is_settled", not came_to_nothing(rows[-1]), {"newest": rows[-1]["why"]})

    def inside_the_ranges(self, rows: list[dict[str, Any]]) -> dg.AssetCheckResult:
        """Whether a champion that a search found is at no end of the ranges; else they may be too narrow."""
        from taproom.search.space import at_an_end

        row = _champion_of(rows)
        found = at_an_end(self.study.space, json.loads(row["parameters"])) if row["verdict"] == "crowned" else []
        return self._check(CHAMPIONS, "inside_the_ranges", not found, {"at_an_end": ", ".join(found) or "none"})

    def _check(self, contract: Contract, name: str, passed: bool, metadata: dict[str, Any]) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            check_name=name,
            asset_key=part_key(contract.table, self.study.name),
            passed=passed,
            severity=dg.AssetCheckSeverity.WARN,
            metadata=metadata,
        )

    def challenge(
        self, objective: Made[Objective], trials: "Sequence[Trial]", reason: str | None
    ) -> list[dict[str, Any]]:
        """The rows of the study's challenges, with what is decided now; `reason` is why there is no best trial."""
        from taproom.search.challenge import Challenger, Comparison, decide, judge
        from taproom.search.trials import best

        config = self.config
        found = best(trials, self.plan.higher_is_better)
        challenger = Challenger(
            config.search,
            self._made_from,
            trials=len(trials),
            trial=found.number if found else None,
            parameters=found.parameters if found else None,
            reason=reason,
        )

        def compared(challenger: Parameters, champion: Parameters) -> Comparison:
            budget = self.study.full_budget
            return judge(objective, challenger, champion, budget, self.plan, config.workers)

        first, space = self.study.first_setting(), self.study.space
        added = decide(self._known_challenges, challenger, first, space, compared, config.pin, config.release)
        same = {"study": self.study.name, "data": self._data, "decided_at": datetime.now(UTC)}
        start = len(self._known_challenges)
        return self._known_challenges + [{**same, **row, "number": start + place} for place, row in enumerate(added)]

    def challenges(self, rows: list[dict[str, Any]]) -> Draft:
        """The rows of `challenges`."""
        from taproom.search import search_figures as figures

        return Draft(
            pa.Table.from_pylist(rows, CHALLENGES.schema),
            metadata={
                **{verdict: sum(row["verdict"] == verdict for row in rows) for verdict in VERDICTS},
                "newest": f"{rows[-1]['verdict']}: {rows[-1]['why']}",
            },
            figure=figures.challenges(
                rows, title=f"{self.study.name}: challenges", higher_is_better=self.plan.higher_is_better
            ),
        )

    def champion(self, rows: list[dict[str, Any]]) -> Draft:
        """The row of `champions`."""
        from taproom.search import search_figures as figures

        row = _champion_of(rows)
        first, own = self.study.first_setting(), json.loads(row["parameters"])
        return Draft(
            pa.Table.from_pylist(
                [{**{name: row.get(name) for name in CHAMPIONS.schema.names}, "challenge": row["number"]}],
                CHAMPIONS.schema,
            ),
            metadata={**own, "verdict": row["verdict"], "why": row["why"]},
            figure=figures.champion(first, own, self.study.space, title=f"{self.study.name}: the champion"),
        )


def _champion_of(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The row of `challenges` that made the champion."""
    from taproom.search.challenge import reigning

    row = reigning(rows)
    assert row is not None  # the first challenge of a study makes one
    return row
