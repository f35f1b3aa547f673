import dagster as dg
import pytest
from pydantic import Field

from pipelines.settings import StepConfig, config_with, requested_settings, settings_of
from taproom.errors import InputError


class Settings(dg.Config):
    k: int = Field(5, ge=1)
    workers: int = 1


def test_settings_are_requested_by_op():
    assert requested_settings({"neighbors": {"config": {"k": 3}}}, "neighbors") == {"k": 3}
    assert requested_settings({"neighbors": {"config": {}}}, "neighbors") == {}
    assert requested_settings({"neighbors": {}}, "neighbors") is requested_settings({}, "neighbors") is None


@pytest.mark.parametrize(
    ("settings", "previous", "is_new"),
    [({}, None, False), ({"k": 3}, None, True), ({"k": 3}, {"k": 3}, False), ({"workers": 8}, {}, False)],
)
def test_only_settings_that_can_change_a_row_are_new(settings, previous, is_new):
    assert StepConfig(settings, {}, previous).has_new_settings() is is_new


def test_a_commit_of_an_older_release_has_the_settings_that_are_not_defaults():
    assert settings_of({"settings": {"k": 5}, "config": {"k": 5, "workers": 2}}, Settings) == {"k": 5}
    assert settings_of({"settings": None, "config": {"k": 3, "workers": 1, "dropped": 0}}, Settings) == {"k": 3}


@pytest.mark.parametrize("settings", [{"neighbours": 3}, {"k": 0}, {"k": "many"}])
def test_settings_that_the_configuration_does_not_take_are_refused_by_name(settings):
    assert config_with({"k": 3}, Settings, "neighbors") == Settings(k=3)
    with pytest.raises(InputError, match=r"neighbors: the settings on record do not fit any more: .*Settings takes"):
        config_with(settings, Settings, "neighbors")
