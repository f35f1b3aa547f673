"""The introductions of studies, compared with the studies themselves."""

from assets.tuning import class_mixtures, classifier, item_map, kernel_density, topics, word_vectors
from pipelines.jobs import STUDIES as NAMES
from taproom.pages.studies import STUDIES, StudyIntroduction


def test_introductions_are_those_of_the_studies():
    modules = (class_mixtures, classifier, item_map, kernel_density, topics, word_vectors)
    studies = [module.STUDY for module in modules]
    assert STUDIES.keys() == set(NAMES) == {study.name for study in studies}
    for study in studies:
        (is_higher,) = {plan.higher_is_better for plan in study.plans.values()}
        log = tuple(name for name, dimension in study.space.items() if dimension.log)
        assert STUDIES[study.name] == StudyIntroduction(study.score, study.unit, is_higher, log)
