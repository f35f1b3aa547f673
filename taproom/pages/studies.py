"""The studies as the page of searches introduces them: what the tables of searches do not say."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class StudyIntroduction:
    """What a study's score is, the unit of its budget, and the parameters that are searched on a log scale."""

    score: str = "score"
    unit: str = "budget"
    higher_is_better: bool = False
    log: tuple[str, ...] = ()


STUDIES: Mapping[str, StudyIntroduction] = {
    "item_map": StudyIntroduction(
        "mean error of held-out triplets, random and within the neighbours, in two and three dimensions",
        "updates per item",
        log=("step", "margin"),
    ),
    "topics": StudyIntroduction(
        "NPMI of the topics' heaviest words + share of the documents that topics explain, both held out",
        "documents",
        higher_is_better=True,
        log=("topics", "tolerance"),
    ),
    "word_vectors": StudyIntroduction(
        "how often a held-out text's two sides are nearer to each other than to another text's",
        "documents",
        higher_is_better=True,
        log=("dimensions", "sample", "step"),
    ),
    "classifier": StudyIntroduction(
        "accuracy on held-out images", "filters", higher_is_better=True, log=("contrast", "zca_epsilon")
    ),
    "class_mixtures": StudyIntroduction(
        "log loss on held-out events, in nats", "events per well", log=("components", "regularization")
    ),
    "kernel_density": StudyIntroduction(
        "mean log density of held-out events, in nats", "events", higher_is_better=True, log=("bandwidth",)
    ),
}
