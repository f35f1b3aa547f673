"""An installation that is started once for all tests of a file."""

import pytest

from tests.pipelines.installation import Installation


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    installation = Installation(tmp_path_factory.mktemp("installation"))
    installation.start()
    yield installation
    installation.stop()
