"""What is reported to operators: runs and batches that failed, problems that begin and end, and new champions.

A failure is reported once, and its retries are not. A problem (a failed check, an overdue table, little disk space) is
reported when it begins and when it is over, and not in between.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets.table import table_and_part
from assets.tuning.champions import CHAMPIONS
from pipelines.dagster_internals import fresh_for
from pipelines.disk_space import little_disk_space
from pipelines.failures import failure_of
from pipelines.inbox import READ_BY
from pipelines.notices.delivery import Finding, Kind
from pipelines.notices.links import asset_link, run_link, runbook_link
from pipelines.notices.notice import Entry, Notice, subject_of
from pipelines.notices.records import Records
from pipelines.notices.redaction import redacted
from pipelines.notices.settings import warnings_count
from pipelines.records import recorded_value
from pipelines.retries import RETRY_TAG

# So many failed runs are looked at in one evaluation; more of them in the next.
MOST_RUNS = 200
WILL_RETRY_TAG = "dagster/will_retry"


def failed_runs(records: Records, reported: int | None) -> Finding:
    """The runs that have failed since the event `reported`, without retries and without those of refused batches."""
    return _failures(records, reported, "run_failed", "Run failed", _failed_run)


def refused_batches(records: Records, reported: int | None) -> Finding:
    """The batches that could not be read since the event `reported`, where a run has read several from an inbox."""
    return _failures(records, reported, "batch_refused", "Batch refused", _refused_batch)


def failed_checks(records: Records, reported: Mapping[str, str] | None) -> Finding:
    """The checks that fail, and those in `reported` that pass again."""
    severities = {dg.AssetCheckSeverity.ERROR, *([dg.AssetCheckSeverity.WARN] if warnings_count() else [])}
    passed, problems = set(), []
    for key, (run_id, evaluation) in sorted(records.checks.items()):
        if evaluation.passed:
            passed.add(_check_name(key))
        elif evaluation.severity in severities:
            problems.append(_failed_check(records, key, run_id, evaluation))
    # A check that is just being run has not passed yet.
    return _problems(
        records, reported, "check_failed", "Check failed", "Check passes again", problems, passed.__contains__
    )


def overdue_tables(records: Records, reported: Mapping[str, str] | None) -> Finding:
    """The tables that are older than their freshness policies allow, and those in `reported` that are not any more."""
    return _problems(records, reported, "overdue", "Overdue", "Not overdue any more", list(_overdue(records)))


def little_space(records: Records, reported: Mapping[str, str] | None) -> Finding:
    """The folders with little disk space left, and those in `reported` that have enough again."""
    problems = [
        Problem(name, f"{records.time:%Y-%m-%d}", f"The disk of {name} has {left}")
        for name, left in little_disk_space(records.instance, records.warehouse)
    ]
    return _problems(records, reported, "little_space", "Little disk space", "Enough disk space again", problems)


def changed_champions(records: Records, reported: Mapping[str, str] | None) -> Finding:
    """The studies whose champion is not the one in `reported`. A study's first champion, its defaults, is no change."""
    champions = {key: record for key, record in sorted(records.newest.items()) if key.path[0] == CHAMPIONS.table}
    now = {key.to_user_string(): recorded_value(record, "content_hash")[:16] for key, record in champions.items()}
    entries = []
    for key, record in champions.items():
        name = key.to_user_string()
        is_first = reported is not None and name not in reported and recorded_value(record, "verdict") == "first"
        if reported is not None and reported.get(name) != now[name] and not is_first:
            entries.append(_champion(key, now[name], record))
    return Finding(_notice(records, "champion_changed", ("Champion changed", entries)), now)


OPERATOR_KINDS: Mapping[str, Kind[Records]] = {
    "run_failed": failed_runs,
    "batch_refused": refused_batches,
    "check_failed": failed_checks,
    "overdue": overdue_tables,
    "little_space": little_space,
    "champion_changed": changed_champions,
}


@dataclass(frozen=True)
class Problem:
    """A problem that begins and ends.

    Attributes:
        name: the same as long as the problem lasts.
        occurrence: differs from that of an earlier problem of the same name.
        text: what is wrong.
        links: where to look.
        facts: the same as data.
    """

    name: str
    occurrence: str
    text: str
    links: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def _problems(
    records: Records,
    reported: Mapping[str, str] | None,
    kind: str,
    begins: str,
    ends: str,
    problems: Collection[Problem],
    has_ended: Callable[[str], bool] = lambda name: True,
) -> Finding:
    """The problems that are not in `reported`, and those in it that are no problems any more and `has_ended`.

    `reported` has the occurrence of each problem by its name.
    """
    known, now = dict(reported or {}), {problem.name: problem for problem in problems}
    begun = [
        Entry(f"{kind}/{name}/{each.occurrence}", name, each.text, each.links, {**each.facts, "state": "begun"})
        for name, each in now.items()
        if name not in known
    ]
    over = [name for name in known if name not in now and has_ended(name)]
    ended = [
        Entry(f"{kind}/{name}/{known[name]}/over", name, f"{ends}: {name}", facts={"state": "over"}) for name in over
    ]
    after = {name: known.get(name, each.occurrence) for name, each in now.items()}
    after |= {name: occurrence for name, occurrence in known.items() if name not in over}
    return Finding(_notice(records, kind, (begins, begun), (ends, ended)), after)


def _notice(records: Records, kind: str, *groups: tuple[str, list[Entry]]) -> Notice | None:
    """A notice of some entries, which are grouped by what has happened; None where there are none."""
    if not (entries := tuple(entry for _, of_group in groups for entry in of_group)):
        return None
    subject = "; ".join(subject_of(what, of_group) for what, of_group in groups if of_group)
    return Notice(kind, subject, entries, records.time, {"runbook": runbook_link(kind.replace("_", "-"))})


def _failures(
    records: Records,
    reported: int | None,
    kind: str,
    what: str,
    entry_of: Callable[[Records, dg.DagsterRun], Entry | None],
) -> Finding:
    """The runs that have failed since the event `reported`; from now on, where that is None."""
    instance = records.instance
    if reported is None:
        newest = instance.fetch_run_status_changes(dg.DagsterEventType.RUN_FAILURE, limit=1).records
        return Finding(None, newest[0].storage_id if newest else 0)
    since = dg.RunStatusChangeRecordsFilter(dg.DagsterEventType.RUN_FAILURE, after_storage_id=reported)
    events = instance.fetch_run_status_changes(since, limit=MOST_RUNS, ascending=True).records
    ids = list(dict.fromkeys(event.run_id for event in events))
    runs = {run.run_id: run for run in instance.get_runs(dg.RunsFilter(run_ids=ids))} if ids else {}
    entries = [entry for run_id in ids if run_id in runs and (entry := entry_of(records, runs[run_id]))]
    return Finding(_notice(records, kind, (what, entries)), events[-1].storage_id if events else reported)


def _failed_run(records: Records, run: dg.DagsterRun) -> Entry | None:
    if RETRY_TAG in run.tags or READ_BY in run.tags:
        return None
    failure = failure_of(records.instance, run.run_id)
    if failure.step and _has_refused_batches(records, run):
        return None
    reason = redacted(failure.reason)
    name = _run_name(run)
    place = f"{name}, step {failure.step}" if failure.step else name
    retried = " (it is tried again)" if run.tags.get(WILL_RETRY_TAG) == "true" else ""
    facts = {"job": run.job_name, "step": failure.step, "reason": reason, "run_id": run.run_id}
    return Entry(run.run_id, name, f"{place}: {reason}{retried}", {"run": run_link(run.run_id)}, facts)


def _run_name(run: dg.DagsterRun) -> str:
    """The job of a run; its assets, where it is of no job that has a name."""
    if run.asset_selection and run.job_name.startswith("__"):
        first, *others = sorted(key.to_user_string() for key in run.asset_selection)
        return f"{first} and {len(others)} more" if others else first
    return run.job_name


def _has_refused_batches(records: Records, run: dg.DagsterRun) -> bool:
    """Whether batches that a run should have read have failed, each in a run of its own."""
    failed = dg.RunsFilter(tags={READ_BY: run.run_id}, statuses=[dg.DagsterRunStatus.FAILURE])
    return records.instance.get_runs_count(failed) > 0


def _refused_batch(records: Records, run: dg.DagsterRun) -> Entry | None:
    if READ_BY not in run.tags:
        return None
    batch, reason = run.tags["dagster/partition"], redacted(failure_of(records.instance, run.run_id).reason)
    facts = {"job": run.job_name, "batch": batch, "reason": reason, "run_id": run.run_id}
    return Entry(run.run_id, batch, f"{batch}: {reason}", {"run": run_link(run.run_id)}, facts)


def _check_name(key: dg.AssetCheckKey) -> str:
    return f"{key.asset_key.to_user_string()}: {key.name}"


def _failed_check(records: Records, key: dg.AssetCheckKey, run_id: str, evaluation: dg.AssetCheckEvaluation) -> Problem:
    wanted = records.definitions.resolve_asset_graph().get(key).description or ""
    links = {"run": run_link(run_id), "check": f"{asset_link(key.asset_key)}?view=checks"}
    facts = {"asset": key.asset_key.to_user_string(), "check": key.name, "severity": evaluation.severity.value}
    text = f"{_check_name(key)} failed" + (f". Wanted: {wanted}" if wanted else "")
    return Problem(_check_name(key), run_id, text, links, {**facts, "run_id": run_id})


def _overdue(records: Records) -> Iterator[Problem]:
    graph = records.definitions.resolve_asset_graph()
    for key, record in sorted(records.newest.items()):
        limit, made = fresh_for(graph.get(key).freshness_policy), datetime.fromtimestamp(record.timestamp, UTC)
        if limit is not None and records.time - made > limit:
            name, hours = key.to_user_string(), limit.total_seconds() / 3600
            text = f"{name} was last made at {made:%Y-%m-%d %H:%M} UTC; its limit is {hours:.0f} hours"
            facts = {"asset": name, "made": made.isoformat(timespec="seconds"), "limit_hours": hours}
            yield Problem(name, str(record.storage_id), text, {"asset": asset_link(key)}, facts)


def _champion(key: dg.AssetKey, version: str, record: dg.EventLogRecord) -> Entry:
    _, name = table_and_part(key)
    assert name is not None  # each champion is a part of its table
    # A record that was restored from the warehouse has neither.
    verdict, why = recorded_value(record, "verdict"), redacted(recorded_value(record, "why") or "")
    text = f"{name} has another champion" + (f" ({verdict}: {why})" if verdict else "")
    links = {"champion": asset_link(key), "run": run_link(record.run_id)}
    facts = {"study": name, "verdict": verdict, "why": why, "run_id": record.run_id}
    return Entry(f"champion_changed/{name}/{version}", name, text, links, facts)
