import io

import numpy as np
import pytest
from matplotlib import rc_context
from PIL import Image

from taproom import drawing


def colours(png: bytes) -> set:
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    assert min(picture.size) > 100
    return {colour for _, colour in picture.getcolors(maxcolors=2**24)}


NAMES = {
    "Chinese": "精酿啤酒",
    "Japanese": "ビールの泡",
    "Korean": "맥주 한 잔",
    "Thai": "เบียร์ดี",
    "Hindi": "अच्छी बीयर",
    "Arabic": "بيرة جيدة",
    "Hebrew": "בירה טובה",
    "Greek": "μπύρα",
    "Russian": "пиво",
    "Tamil": "பீர்",
    "Emoji": "🍺🎉👍🏽❤️👩‍🔬🇩🇪",
}


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


@pytest.mark.parametrize(
    "draw", [lambda: drawing.bars("Nothing", {}, "rows"), lambda: drawing.histogram("One", np.array([1]), "items")]
)
def test_little_or_nothing_to_draw_is_no_error(draw):
    assert colours(draw())


@pytest.mark.parametrize(
    ("limits", "labels"),
    [
        ((1, 40), ["1", "3", "10", "30"]),
        ((0.02, 0.5), ["0.03", "0.1", "0.3"]),
        ((900, 5e6), ["1,000", "3,000", "10,000"]),
        ((1, 1e9), ["1", "10", "100", "1,000"]),
        ((3.6, 4.4), ["3.6", "3.7", "3.8"]),
    ],
)
def test_logarithmic_axes_have_plain_numbers(limits, labels):
    figure, axes = drawing.new_figure(4, 3)
    axes.set_xlim(limits)
    drawing.use_logarithms(axes, "x")
    figure.draw_without_rendering()
    shown = [
        tick.label1.get_text() for tick in axes.xaxis.get_major_ticks() if limits[0] <= tick.get_loc() <= limits[1]
    ]
    assert shown[: len(labels)] == labels
    assert axes.get_yscale() == "linear"


def test_a_name_with_dollars_is_drawn_as_it_is():
    escaped, as_it_is = drawing.new_figure(3, 2), drawing.new_figure(3, 2)
    escaped[1].set_title(drawing.plain_text(r"$a$ \$ $"))
    as_it_is[1].set_title(r"$a$ \$ $", parse_math=False)
    assert drawing.png_of(escaped[0]) == drawing.png_of(as_it_is[0])


@pytest.mark.parametrize("script", NAMES)
def test_every_character_of_a_name_has_a_shape_of_its_own(script):
    assert {ord(letter) for letter in NAMES[script]} <= drawing.drawable_characters()


def test_a_text_has_its_own_fonts_and_ours_after_them_only_if_those_lack_a_character():
    with rc_context({"font.family": ["DejaVu Serif"]}):
        assert drawing.fonts_for("Köstritzer − ½\n") == ["DejaVu Serif"]
        first, second, *rest = drawing.fonts_for("Köstritzer 黑啤酒")
        assert (first, second) == ("DejaVu Serif", drawing.CJK_FACE)
        assert len(rest) == len(set(rest))
    assert drawing.fonts_for("啤", ["DejaVu Sans Mono"])[:2] == ["DejaVu Sans Mono", drawing.CJK_FACE]


def test_a_text_is_shortened_to_one_line_with_boxes_for_characters_that_no_font_has():
    assert drawing.shortened("two\r\n lines") == "two lines"
    assert drawing.shortened("слово 中国") == "слово 中国"
    assert drawing.shortened("слово \ue000\ue001") == "слово ▯▯"
    assert drawing.shortened("abcdefgh", 5) == "abcd…"
    assert drawing.shortened("abcde", 5) == "abcde"
