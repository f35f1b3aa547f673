"""What tests of the readers share."""

import pytest

from taproom.sources.review_files import ReviewFile
from tests.review_reading import read


@pytest.fixture
def read_bytes(tmp_path):
    """Read a file of reviews with the given content; options are those of `ReviewFile`; all rows may be bad."""

    def read_content(content, name="reviews.csv", **options):
        (tmp_path / name).write_bytes(content)
        return read(ReviewFile(tmp_path / name, **{"max_rejected_share": 1, **options}))

    return read_content
