import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taproom.words.normal_form import normal_form, with_pairs


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Süffig", "süffig"),
        (unicodedata.normalize("NFD", "Süffig naïve"), "süffig naïve"),
        ("İstanbul IZMIR İyi", "istanbul izmir iyi"),
        ("ＦＵＬＬ　ｗｉｄｔｈ", "full width"),
        ("ﬁne ﬂow", "fine flow"),
        ("Kül\u00adsch", "külsch"),
        ("zero\u200bwidth \ufeffmark\u200d", "zerowidth mark"),
        ("no\u00a0break é", "no break é"),
        ("हिन्दी", "हिन्दी"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("Straße", "straße"),
        ("ASCII Only", "ascii only"),
    ],
)
def test_a_word_is_the_same_however_it_is_written(written, expected):
    assert normal_form(written) == expected


@given(st.text(max_size=50))
def test_the_normal_form_of_a_normal_form_is_itself(text):
    assert normal_form(normal_form(text)) == normal_form(text)


@given(st.text(max_size=50))
def test_composed_and_decomposed_text_have_one_normal_form(text):
    assert normal_form(unicodedata.normalize("NFD", text)) == normal_form(unicodedata.normalize("NFC", text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("日本酒", ["日本", "本酒"]),
        ("この酒", ["この", "の酒"]),
        ("เบียร์ดี", ["เบี", "บีย", "ยร์", "ร์ดี"]),
        ("酒", ["酒"]),
        ("IPA酒場です", ["IPA", "酒場", "場で", "です"]),
        ("맥주 좋아요", ["맥주", "좋아요"]),
        ("plain", ["plain"]),
    ],
)
def test_scripts_without_blanks_become_overlapping_pairs(text, expected):
    assert with_pairs(text).split() == expected
