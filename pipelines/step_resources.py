"""What each step needs, in cores and memory, and the executor that gives each step a container of its own.

Here belongs how much a step gets from Kubernetes. The tags on a step's op say so, because tags of a job or a run do not
reach the containers of its steps. The amounts are for tables some ten times larger than those of the sources that come
with the repo; a deployment changes them in a run's configuration (docs/deployment.md).
"""

import json
import os
from dataclasses import dataclass
from importlib import import_module

import dagster as dg

from pipelines.dagster_internals import with_op_tags
from taproom.errors import MissingPackageError

STEP_PODS_VARIABLE = "TAPROOM_STEP_PODS"
KUBERNETES_TAG = "dagster-k8s/config"


@dataclass(frozen=True)
class StepResources:
    """What a step may use.

    Attributes:
        cores: processor cores; the numerics start a worker for each.
        memory_gib: GiB of memory; a step that uses more is killed.
    """

    cores: int
    memory_gib: int

    def op_tags(self) -> dict[str, str]:
        """The tags that dagster-k8s reads from a step's op.

        >>> StepResources(1, 4).op_tags()["dagster-k8s/config"][:33]
        '{"container_config": {"resources"'
        """
        amounts = {"cpu": str(self.cores), "memory": f"{self.memory_gib}Gi"}
        resources = {"requests": amounts, "limits": amounts}
        return {KUBERNETES_TAG: json.dumps({"container_config": {"resources": resources}})}


ONE_CORE = StepResources(cores=1, memory_gib=4)
# A step in a pool uses all cores of its machine.
POOLED = StepResources(cores=4, memory_gib=8)
# Steps with needs of their own, by the name of the op: the kernel of 50,000 images and 25,000 landmarks has 5 GB, and
# those landmarks' own three times 2.5 GB.
OTHERS = {"classifier": StepResources(cores=4, memory_gib=16)}


def step_resources(op: dg.OpDefinition) -> StepResources:
    """What a step of an op needs."""
    return OTHERS.get(op.name, POOLED if op.pool else ONE_CORE)


def with_resources(assets: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """The assets of a step, whose op says what it needs."""
    return with_op_tags(assets, step_resources(assets.op).op_tags())


def step_executor() -> dg.ExecutorDefinition:
    """The executor of all jobs: each run is one process, or, with `$TAPROOM_STEP_PODS`, each step a pod of Kubernetes.

    A process for each step would take seconds to start, and would outlive a run that is killed. Steps run one by one in
    either case. A pod for each step pays where steps need much more memory than others.

    Raises:
        MissingPackageError: pods are wanted, and the package dagster-k8s is not installed.
    """
    if not os.environ.get(STEP_PODS_VARIABLE):
        return dg.in_process_executor
    try:
        executor: dg.ExecutorDefinition = import_module("dagster_k8s").k8s_job_executor
    except ImportError as error:
        raise MissingPackageError(
            f"{STEP_PODS_VARIABLE} is set, so each step is to be a pod of Kubernetes, but a package is missing: "
            f"{error}. Install dagster-k8s, as deploy/Containerfile does, or unset the variable."
        ) from error
    return executor
