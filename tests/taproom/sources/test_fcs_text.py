import pytest
from hypothesis import given
from hypothesis import strategies as st

from taproom.sources.fcs_text import parse_text

DELIMITERS = "/\\|+([?.^-,$!~\x0c\x1e\t\n"
CHANNEL = {"$PAR": "1", "$P1B": "16", "$P1N": "FL1", "$P1R": "1024", "$P1E": "4,1"}


def segment(pairs: dict[str, str], delimiter: str = "/") -> bytes:
    """A TEXT segment that keeps the standard."""
    doubled = [part.replace(delimiter, 2 * delimiter) for pair in pairs.items() for part in pair]
    return (delimiter + delimiter.join(doubled) + delimiter).encode()


@pytest.mark.slow
@given(
    st.sampled_from([each for each in DELIMITERS if each not in ",$"]),
    st.dictionaries(
        st.from_regex(r"\$?[A-Z][A-Z0-9 ]{0,8}[A-Z0-9]", fullmatch=True),
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), min_size=1),
        max_size=8,
    ),
)
def test_a_segment_that_keeps_the_standard_is_read_as_it_was_written(delimiter, pairs):
    pairs = {keyword: value for keyword, value in pairs.items() if delimiter not in (value[0], value[-1])}
    pairs = {keyword: value for keyword, value in pairs.items() if 2 * delimiter not in value}
    found = parse_text(segment(CHANNEL | pairs, delimiter))
    standard_last = sorted(pairs.items(), key=lambda pair: pair[0].startswith("$"))
    assert found.keywords == {
        keyword.removeprefix("$"): value for keyword, value in [*CHANNEL.items(), *standard_last]
    } | {keyword.removeprefix("$"): (CHANNEL | pairs)[keyword] for keyword in CHANNEL}
    assert not found.repairs
    assert not found.doubtful


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_any_character_may_be_the_delimiter(delimiter):
    pairs = CHANNEL if delimiter != "," else CHANNEL | {"$P1E": "0"}
    found = parse_text(segment(pairs | {"CYT": "ours"}, delimiter))
    assert found.keywords == {keyword.removeprefix("$"): value for keyword, value in pairs.items()} | {"CYT": "ours"}
    assert not found.doubtful


@pytest.mark.parametrize("value", ["a/b", "/a", "a/", "//", "a//b"])
def test_a_doubled_delimiter_is_one_that_is_meant(value):
    found = parse_text(segment({**CHANNEL, "$COM": value, "$TOT": "7"}))
    assert (found.keywords["COM"], found.keywords["TOT"]) == (value, "7")


@pytest.mark.parametrize("keyword", ["$P1E", "$SPILLOVER", "$TIMESTEP", "CYT"])
def test_an_empty_value_does_not_take_the_keyword_after_it(keyword):
    pairs = CHANNEL | {keyword: "4,1"}
    del pairs[keyword]
    text = segment(pairs) + b"EMPTY//" + keyword.encode() + b"/4,1/$TOT/7/"
    found = parse_text(text)
    assert found.keywords[keyword.removeprefix("$")] == "4,1"
    assert (found.keywords["EMPTY"], found.keywords["TOT"]) == ("", "7")
    assert found.repairs == ("empty values",)
    assert not found.doubtful


def test_several_empty_values_in_a_row():
    found = parse_text(segment(CHANNEL) + b"$P1S//$P2S//$TOT/7/")
    assert (found.keywords["P1S"], found.keywords["P2S"], found.keywords["TOT"]) == ("", "", "7")


def test_a_delimiter_too_many_does_not_shift_what_follows():
    found = parse_text(segment(CHANNEL) + b"A/1//$TOT/7/$TIMESTEP/2/")
    assert (found.keywords["A"], found.keywords["TOT"], found.keywords["TIMESTEP"]) == ("1", "7", "2")
    assert found.repairs == ("a delimiter too many",)


@pytest.mark.parametrize("tail", [b"", b"  ", b"\0\0", b"\r\n"])
def test_a_last_value_that_is_not_closed_is_whole(tail):
    found = parse_text(segment(CHANNEL) + b"$TIMESTEP/0.01" + tail)
    assert found.keywords["TIMESTEP"] == "0.01"
    assert found.repairs == ("the last value is not closed",)


def test_a_dollar_in_a_value_or_a_name_stays():
    found = parse_text(segment(CHANNEL | {"$COM": "5 $ each", "P$SPEED": "1"}))
    assert (found.keywords["COM"], found.keywords["P$SPEED"]) == ("5 $ each", "1")


def test_the_keyword_of_the_standard_counts_before_another_of_its_name():
    for text in (b"/$TOT/7/TOT/8/", b"/TOT/8/$TOT/7/"):
        assert parse_text(text).keywords == {"TOT": "7"}


def test_a_keyword_that_changes_numbers_and_cannot_be_made_out_is_doubtful():
    """The value that is missing before it moves it to where a value is wanted, and nothing shows where that began."""
    assert parse_text(segment(CHANNEL) + b"LONE/$SPILLOVER/1,FL1,1/").doubtful == ("SPILLOVER",)


@pytest.mark.parametrize("text", [b"", b"/", b"//", b"\0\0\0"])
def test_a_segment_without_keywords_has_none(text):
    assert parse_text(text).keywords == {}


@given(st.binary(max_size=200))
def test_any_bytes_are_read(text):
    parse_text(text)


def test_what_is_not_utf_8_is_latin_1():
    assert parse_text("/$OP/Käthe/".encode("latin-1")).keywords == {"OP": "Käthe"}
