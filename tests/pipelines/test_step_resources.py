import json
import sys
from types import SimpleNamespace

import dagster as dg
import pytest

from pipelines.definitions import defs
from pipelines.step_resources import KUBERNETES_TAG, OTHERS, STEP_PODS_VARIABLE, step_executor
from taproom.errors import MissingPackageError


@pytest.fixture(scope="module")
def ops() -> dict[str, dg.OpDefinition]:
    """The ops of all assets, by their names, as jobs have them."""
    nodes = (job.graph.node_dict.values() for job in defs.resolve_all_job_defs())
    all_ops = {node.definition.name: node.definition for each in nodes for node in each}
    return {assets.op.name: all_ops[assets.op.name] for assets in defs.assets}


def limits(op: dg.OpDefinition) -> dict[str, str]:
    ((kind, resources),) = json.loads(op.tags[KUBERNETES_TAG])["container_config"].items()
    assert kind == "resources"
    assert resources["limits"] == resources["requests"]
    return resources["limits"]


def test_each_step_says_what_it_needs(ops):
    assert limits(ops["reviews"]) == limits(ops["pages"]) == {"cpu": "1", "memory": "4Gi"}
    assert limits(ops["neighbors"]) == limits(ops["tune_topics"]) == {"cpu": "4", "memory": "8Gi"}
    assert limits(ops["classifier"]) == {"cpu": "4", "memory": "16Gi"}


def test_steps_of_a_pool_and_no_others_have_several_cores(ops):
    pooled = {name for name, op in ops.items() if op.pool}
    assert {name for name, op in ops.items() if limits(op)["cpu"] != "1"} == pooled
    assert ops.keys() > pooled >= OTHERS.keys()


def test_runs_are_one_process_unless_steps_are_to_be_pods(monkeypatch):
    assert step_executor() is dg.in_process_executor
    assert defs.executor is dg.in_process_executor
    monkeypatch.setenv(STEP_PODS_VARIABLE, "yes")
    monkeypatch.setitem(sys.modules, "dagster_k8s", None)
    with pytest.raises(MissingPackageError, match=r"TAPROOM_STEP_PODS is set.*Install dagster-k8s"):
        step_executor()
    monkeypatch.setitem(sys.modules, "dagster_k8s", SimpleNamespace(k8s_job_executor=dg.multiprocess_executor))
    assert step_executor() is dg.multiprocess_executor
