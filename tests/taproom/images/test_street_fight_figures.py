import io

import pytest
from PIL import Image

from taproom.images.street_fight_figures import street_fight as picture


@pytest.mark.filterwarnings("error")
def test_the_picture_is_drawn_of_any_rows(fight):
    single = [row | dict.fromkeys(("low", "high", "difference_low", "difference_high")) for row in fight]
    for given_rows in (fight, single, fight[:5], fight[:1]):
        drawn = Image.open(io.BytesIO(picture(given_rows)))
        assert drawn.format == "PNG"
        assert 100 < min(drawn.size) <= max(drawn.size) < 2_500
