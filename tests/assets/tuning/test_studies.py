"""What holds of every study that there is."""

import importlib
from dataclasses import fields

import dagster as dg
import pytest

from assets.assays.class_mixtures import ClassMixturesConfig
from assets.assays.kernel_density import KernelDensityConfig
from assets.images.filters import FiltersConfig
from assets.reviews.item_map import ItemMapConfig
from assets.table import part_key
from assets.text.topics import TopicsConfig
from assets.text.word_vectors import WordVectorsConfig
from assets.tuning.study import SearchSize
from pipelines.definitions import defs
from pipelines.jobs import STUDIES
from taproom.assays.class_mixtures import ClassParameters
from taproom.images.image_features import BUDGETS
from taproom.maps.ordinal import OrdinalParameters
from taproom.search.space import holds
from taproom.search.trials import Plan

CONFIGS = {
    "item_map": ItemMapConfig,
    "topics": TopicsConfig,
    "word_vectors": WordVectorsConfig,
    "classifier": FiltersConfig,
    "class_mixtures": ClassMixturesConfig,
    "kernel_density": KernelDensityConfig,
}
GRAPH = defs.resolve_asset_graph()


def study_of(name: str):
    return importlib.import_module(f"assets.tuning.{name}").STUDY


def test_every_study_is_of_a_chain():
    assert set(STUDIES) == set(CONFIGS)


@pytest.mark.parametrize("name", STUDIES)
def test_every_point_of_its_space_is_taken_by_the_products_configuration(name):
    study = study_of(name)
    for place in (0.0, 0.37, 1.0):
        setting = {parameter: dimension.at(place) for parameter, dimension in study.space.items()}
        assert holds(study.space, setting)
        taken = CONFIGS[name](**setting)
        assert {parameter: getattr(taken, parameter) for parameter in setting} == setting


@pytest.mark.parametrize("name", STUDIES)
def test_no_parameter_is_set_in_two_places(name):
    study, config = study_of(name), CONFIGS[name]()
    defaults = {field.name for field in fields(study.first())} - {"seed"}
    assert set(study.space) <= defaults
    twice = {parameter: getattr(config, parameter) for parameter in defaults & type(config).model_fields.keys()}
    assert {parameter for parameter, value in twice.items() if value not in (None, {}, [])} == set()


@pytest.mark.parametrize("name", STUDIES)
def test_its_plans_can_be_searched_by_and_go_one_way(name):
    plans = study_of(name).plans
    assert set(plans) == set(SearchSize)
    assert all(isinstance(plan, Plan) for plan in plans.values())
    assert len({plan.higher_is_better for plan in plans.values()}) == 1
    spent = [plans[size].trials * plans[size].budget for size in SearchSize]
    assert spent == sorted(spent)


@pytest.mark.parametrize("name", STUDIES)
def test_what_it_reads_of_a_table_is_a_table_of_its_objective(name):
    study = study_of(name)
    assert study.ins.keys() <= study.inputs().keys()


@pytest.mark.parametrize("name", STUDIES)
def test_its_trials_follow_from_nothing_that_its_champion_leads_to(name):
    key = part_key("champions", name)
    led_to = dg.AssetSelection.assets(key).downstream().resolve(GRAPH) - {key}
    assert led_to
    before = dg.AssetSelection.assets(part_key("trials", name)).upstream().resolve(GRAPH)
    assert not led_to & before


@pytest.mark.parametrize("name", STUDIES)
def test_its_tables_stand_beside_each_other_in_one_step(name):
    nodes = [GRAPH.get(part_key(table, name)) for table in ("trials", "challenges", "champions")]
    assert {node.assets_def.op.name for node in nodes} == {f"tune_{name}"}
    assert {node.group_name for node in nodes} == {"tuning"}
    assert all(node.description for node in nodes)


def test_challenges_are_judged_with_what_the_product_has():
    assert study_of("item_map").full_budget == OrdinalParameters().updates_per_item
    assert study_of("class_mixtures").full_budget == ClassParameters().events_per_well
    assert study_of("classifier").full_budget == BUDGETS["small"]["filters"]


def test_no_champion_sets_what_a_preset_of_images_fixes():
    assert not study_of("classifier").space.keys() & {name for budget in BUDGETS.values() for name in budget}
