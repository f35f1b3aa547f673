import pytest
from hypothesis import given
from hypothesis import strategies as st

from taproom.sources.mojibake import has_mojibake, repair_mojibake


def garbled(text: str) -> str:
    """UTF-8 read as Windows-1252, as browsers do."""
    return "".join(
        chr(byte) if byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else bytes([byte]).decode("cp1252")
        for byte in text.encode()
    )


@pytest.mark.parametrize(
    "text", ["Kölsch", "café crème", "“quoted” – it’s 5 €…", "Früli à la carte", "пиво", "ビール", "ŁÓDŹ"]
)
def test_what_was_read_in_the_wrong_encoding_is_recognized_and_undone(text):
    assert has_mojibake(garbled(text))
    assert repair_mojibake(garbled(text)) == text


@pytest.mark.parametrize(
    "text", ["plain", "Kölsch", "CAFÉ–BAR", "“É”", "naïve façade", "пиво", "ビール", "½ 5°", "Ã", "São João", "ÂÂ"]
)
def test_sound_text_stays_as_it_is(text):
    assert not has_mojibake(text)
    assert repair_mojibake(text) == text


@given(st.text(st.characters(min_codepoint=0xA1, max_codepoint=0x17F), min_size=1, max_size=20))
def test_latin_text_comes_back_whole(text):
    assert repair_mojibake(garbled(text)) == text


@given(st.text(max_size=50))
def test_any_text_is_taken(text):
    assert isinstance(repair_mojibake(text), str)
