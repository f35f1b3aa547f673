"""A small street fight, run once for all tests."""

import pytest

from taproom.images.street_fight import compare
from tests.textures import TINY, draws_of_textures


@pytest.fixture(scope="session")
def fight() -> list[dict]:
    return compare(draws_of_textures(), TINY, n_jobs=1)
