"""Dumps of beer reviews: both forms, what they are turned into, and what damage costs."""

import gzip
import json
import tracemalloc
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taproom.errors import SourceError
from taproom.sources import text_rows
from taproom.sources.beer_text import BeerReviews
from taproom.sources.rejected_rows import Reason
from taproom.sources.review_files import beer_text
from tests.review_reading import read, reader_of, rejections, values_left_out, written

RATEBEER = {
    "beer/name": "Deep Cellar Früli &#40;Draught&#41;",
    "beer/beerId": "63836",
    "beer/brewerId": "8481",
    "beer/ABV": "5.4",
    "beer/style": "India Pale Ale &#40;IPA&#41;",
    "review/appearance": "4/5",
    "review/aroma": "6/10",
    "review/palate": "3/5",
    "review/taste": "10/10",
    "review/overall": "13/20",
    "review/time": "1157587200",
    "review/profileName": "hopfen: und malz",
    "review/text": 'Pours deep orange. It\'s "resinous": pine, R&D; a 20/20? <b>No</b>.',
}
BEERADVOCATE = {
    **RATEBEER,
    "beer/name": "Red Moon",
    "beer/beerId": "48213",
    "beer/ABV": "",
    "beer/style": "English Strong Ale",
    "review/appearance": "3",
    "review/aroma": "2.5",
    "review/palate": "3.0",
    "review/taste": "0",
    "review/overall": "1.5",
    "review/profileName": "",
    "review/text": "A lot of foam.\tIn the smell some banana.\t\tTart \\ sour.\t",
}
LEAST = {"beer/name": "Nameless", "review/text": "Fine"}

ROWS = [
    {
        "item_id": "63836",
        "item_name": "Deep Cellar Früli (Draught)",
        "category": "India Pale Ale (IPA)",
        "reviewer_id": "hopfen: und malz",
        "time": datetime(2006, 9, 7, tzinfo=UTC),
        "overall": 13.0,
        "scores": [("aroma", 6.0), ("appearance", 4.0), ("taste", 10.0), ("palate", 3.0)],
        "attributes": [("abv_percent", "5.4"), ("brewer_id", "8481")],
        "text": 'Pours deep orange. It\'s "resinous": pine, R&D; a 20/20? <b>No</b>.',
    },
    {
        "item_id": "48213",
        "item_name": "Red Moon",
        "category": "English Strong Ale",
        "reviewer_id": None,
        "time": datetime(2006, 9, 7, tzinfo=UTC),
        "overall": 1.5,
        "scores": [("aroma", 2.5), ("appearance", 3.0), ("taste", 0.0), ("palate", 3.0)],
        "attributes": [("brewer_id", "8481")],
        "text": "A lot of foam.\tIn the smell some banana.\t\tTart \\ sour.",
    },
    {
        "item_id": "Nameless",
        "item_name": "Nameless",
        "category": None,
        "reviewer_id": None,
        "time": None,
        "overall": None,
        "scores": [],
        "attributes": [],
        "text": "Fine",
    },
]


def as_block(review):
    return "".join(f"{key}: {value}\n" for key, value in review.items()) + "\n"


def as_json(review):
    return json.dumps(review) + "\n"


def as_unescaped_json(review):
    return json.dumps(review, ensure_ascii=False) + "\n"


def as_python(review):
    return f"{review}\n"


def as_python_2(review):
    return "{" + ", ".join(f"u{key!r}: u{value!r}" for key, value in review.items()) + "}\n"


FORMS = [as_block, as_json, as_unescaped_json, as_python, as_python_2]


def read_dump(tmp_path, content, name="dump.txt", rows_per_batch=10_000, **options):
    file = beer_text(written(tmp_path / name, content), **{"max_rejected_share": 1, "encoding": "utf-8", **options})
    return read(file, rows_per_batch=rows_per_batch)


def without_constants(table):
    return table.drop_columns(["batch", "collection", "review_id"]).to_pylist()


# What comes through


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["dump.txt", "dump.json", "dump.txt.gz"])
def test_every_form_gives_the_same_rows(tmp_path, form, name):
    content = "".join(map(form, [RATEBEER, BEERADVOCATE, LEAST]))
    table, reader = read_dump(tmp_path, content, name)
    assert without_constants(table) == ROWS
    assert reader.counts == {"rows_read": 3, "rows_kept": 3, "left_out": 0, **dict.fromkeys(Reason, 0)}


def test_numbers_of_json_are_scores_times_and_strengths(tmp_path):
    review = {"beer/beerId": 7, "beer/ABV": 5.0, "review/overall": 1.5, "review/taste": 4, "review/time": 1157587200}
    table, _ = read_dump(tmp_path, as_json({**review, "review/text": "Fine"}))
    (row,) = without_constants(table)
    assert (row["item_id"], row["overall"], row["scores"]) == ("7", 1.5, [("taste", 4.0)])
    assert (row["attributes"], row["time"]) == ([("abv_percent", "5")], datetime(2006, 9, 7, tzinfo=UTC))


@pytest.mark.parametrize("form", [as_json, as_python])
def test_the_keys_of_the_extract_are_known(tmp_path, form):
    review = {
        "beer/beerId": "7",
        "review/timeStruct": {"year": 2006, "mon": 9},
        "review/timeUnix": 1157587200,
        "review/text": "Fine",
        "user/gender": "Male",
        "user/profileName": "mia",
    }
    table, _ = read_dump(tmp_path, form(review))
    assert table.select(["reviewer_id", "time"]).to_pylist() == [
        {"reviewer_id": "mia", "time": datetime(2006, 9, 7, tzinfo=UTC)}
    ]


def test_a_field_that_only_later_reviews_have_is_read_dump(tmp_path):
    content = "".join(as_block({**LEAST, "review/text": str(n)}) for n in range(10)) + as_block(RATEBEER)
    table, _ = read_dump(tmp_path, content, rows_per_batch=3)
    assert table["overall"].to_pylist() == [None] * 10 + [13.0]


def test_columns_replace_and_add_to_the_usual_ones(tmp_path):
    columns = {"item_id": "beer/name", "attributes.gender": "user/gender"}
    table, _ = read_dump(tmp_path, as_block({**RATEBEER, "user/gender": "Female"}), columns=columns)
    (row,) = without_constants(table)
    assert row["item_id"] == row["item_name"] == "Deep Cellar Früli (Draught)"
    assert dict(row["attributes"]) == {"abv_percent": "5.4", "brewer_id": "8481", "gender": "Female"}
    with pytest.raises(SourceError, match="no column 'beer/colour'"):
        read_dump(tmp_path, as_block(RATEBEER), columns={"category": "beer/colour"})


def test_a_strength_that_is_not_known_is_missing(tmp_path):
    table, _ = read_dump(
        tmp_path, "".join(as_block({**LEAST, "beer/ABV": abv, "beer/beerId": abv}) for abv in ("-", " "))
    )
    assert table["attributes"].to_pylist() == [[], []]


@pytest.mark.parametrize(
    ("written_as", "meant"),
    [
        ("K&ouml;lsch &#40;fresh&#x29;", "Kölsch (fresh)"),
        ("&#39;Malt&#39; &amp; hops", "'Malt' & hops"),
        ("S&M; &nothing; R&D &#; &#x; & hops", "S&M; &nothing; R&D &#; &#x; & hops"),
        ("&amp;#40;", "&#40;"),
        ("&#" + "9" * 5000 + ";", "&#" + "9" * 5000 + ";"),
    ],
)
def test_characters_written_as_html_references_are_resolved(tmp_path, written_as, meant):
    for form in (as_block, as_json):
        table, _ = read_dump(tmp_path, form({**LEAST, "review/text": written_as}))
        assert table["text"].to_pylist() == [meant]


def test_a_text_broken_into_lines_goes_on_to_the_next_blank_line(tmp_path):
    content = as_block({**LEAST, "review/text": "One\nnote: two\n three"}) + as_block(RATEBEER)
    table, _ = read_dump(tmp_path, content)
    assert table["text"].to_pylist() == ["One\nnote: two\n three", ROWS[0]["text"]]


@pytest.mark.slow
def test_a_text_of_very_many_lines_is_read_in_linear_time(tmp_path):
    text = "x\n" * 60_000
    table, _ = read_dump(tmp_path, "".join(as_block({**LEAST, "beer/name": n, "review/text": text}) for n in range(40)))
    assert set(table["text"].to_pylist()) == {text.strip()}


def test_blank_lines_line_ends_and_a_byte_order_mark_do_not_matter(tmp_path):
    content = "\n \n" + as_block(RATEBEER) + "\n\t\n" + as_block(LEAST).rstrip()
    for changed in (content, content.replace("\n", "\r\n"), "\ufeff" + content.strip()):
        table, reader = read_dump(tmp_path, changed)
        assert without_constants(table) == [ROWS[0], ROWS[2]]
        assert reader.rejected.num_rows == 0


def values(**options):
    characters = st.characters(exclude_characters="\0\n", exclude_categories=["Cs"])
    return st.text(characters, max_size=20, **options).map(str.strip)


@st.composite
def review_lists(draw):
    """Reviews by dump keys, any of the fields that need not be there missing or empty; texts are told apart."""
    optional = {
        "beer/name": values(),
        "beer/brewerId": values(),
        "beer/style": values(),
        "review/profileName": values(),
        "review/overall": st.integers(0, 20).map("{}/20".format),
        "review/aroma": st.integers(0, 10).map("{}/10".format),
        "review/taste": st.sampled_from(["1.5", "4", ""]),
        "review/time": st.integers(10**8, 10**10 - 1).map(str),
    }
    found = draw(st.lists(st.tuples(st.fixed_dictionaries({}, optional=optional), values()), min_size=1, max_size=8))
    return [
        {**fields, "beer/beerId": str(number), "review/text": f"{number} {text}".strip()}
        for number, (fields, text) in enumerate(found)
    ]


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_reviews=review_lists(), form=st.sampled_from(FORMS), rows_per_batch=st.integers(1, 10))
def test_what_is_written_in_any_form_is_read_again(tmp_path, given_reviews, form, rows_per_batch):
    escaped = [{key: value.replace("&", "&amp;") for key, value in review.items()} for review in given_reviews]
    table, reader = read_dump(tmp_path, "".join(map(form, escaped)), rows_per_batch=rows_per_batch)
    assert reader.rejected.num_rows == 0
    for review, row in zip(given_reviews, without_constants(table), strict=True):
        assert (row["item_id"], row["text"]) == (review["beer/beerId"], review["review/text"])
        assert row["item_name"] == (stated(review, "beer/name") or review["beer/beerId"])
        assert row["category"] == stated(review, "beer/style")
        assert row["reviewer_id"] == stated(review, "review/profileName")
        assert dict(row["attributes"]).get("brewer_id") == stated(review, "beer/brewerId")
        assert row["overall"] == points(review, "review/overall")
        assert dict(row["scores"]).get("aroma") == points(review, "review/aroma")
        assert dict(row["scores"]).get("taste") == points(review, "review/taste")
        assert (row["time"] and str(int(row["time"].timestamp()))) == review.get("review/time")


def stated(review, key):
    return value if (value := review.get(key)) not in ("", "NaN", "nan") else None


def points(review, key):
    return float(review[key].split("/")[0]) if review.get(key) else None


# What is set aside


def field(name, value):
    return as_block({**LEAST, name: value})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        ({"review/text": " "}, Reason.EMPTY_TEXT, "text is blank"),
        ({"review/text": None}, Reason.EMPTY_TEXT, "text is blank"),
        ({"beer/name": None}, Reason.NO_ITEM, "item_id and item_name are blank"),
    ],
)
def test_a_review_that_lacks_a_field_is_set_aside(tmp_path, form, change, reason, said):
    bad = {key: value for key, value in {**LEAST, **change}.items() if value is not None}
    table, reader = read_dump(tmp_path, form(RATEBEER) + form(bad) + form(BEERADVOCATE))
    assert without_constants(table) == ROWS[:2]
    assert rejections(reader) == [(15 if form is as_block else 2, reason)]
    assert reader.rejected["detail"][0].as_py() == said


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        ({"review/overall": "good"}, "bad_score", "overall is 'good'"),
        ({"review/overall": "21/20"}, "bad_score", "overall is '21/20'"),
        ({"review/taste": "6/"}, "bad_score", "scores.taste is '6/'"),
        ({"review/taste": "-1/10"}, "bad_score", "scores.taste is '-1/10'"),
        ({"review/taste": "1/0"}, "bad_score", "scores.taste is '1/0'"),
        ({"review/taste": "6/10/10"}, "bad_score", "scores.taste is '6/10/10'"),
        ({"review/time": "yesterday"}, "bad_time", "time is 'yesterday'"),
    ],
)
def test_a_garbled_value_is_left_out_and_its_review_counts(tmp_path, form, change, reason, said):
    table, reader = read_dump(tmp_path, form(RATEBEER) + form({**LEAST, **change}) + form(BEERADVOCATE))
    assert table.num_rows == 3
    assert values_left_out(reader) == {reason: 1}
    assert said in reader.notes[-1]


@pytest.mark.parametrize(
    ("block", "reason", "said"),
    [
        (as_block(LEAST).strip() + "\nbeer/name: Other\nreview/overall: 3\n\n", Reason.UNREADABLE, "'beer/name' twice"),
        ("beer/name: Ale\nfrom the tap\nreview/text: Fine\n\n", Reason.UNREADABLE, "'from the tap' is not a field"),
        ("last words of a text\nreview/overall: 3\n\n", Reason.UNREADABLE, "'last words of a text' is not a field"),
        (field("beer/style", "x" * 200_000) + "\n", Reason.TOO_LONG, "longer than"),
        (as_block({"beer/style": "x" * 200_000, **LEAST}), Reason.TOO_LONG, "longer than"),
        (field("review/text", "x\n" * 90_000).rstrip() + "\n\n", Reason.TOO_LONG, "no blank line follows"),
        (field("review/text", "a\0b"), Reason.NUL_BYTE, "text holds a NUL"),
    ],
)
def test_a_damaged_block_costs_itself_and_not_the_ones_around_it(tmp_path, block, reason, said):
    table, reader = read_dump(tmp_path, as_block(RATEBEER) + block + as_block(BEERADVOCATE))
    assert without_constants(table) == ROWS[:2]
    assert rejections(reader) == [(15, reason)]
    assert said in reader.rejected["detail"][0].as_py()


@pytest.mark.parametrize(
    ("line", "reason", "said"),
    [
        ('{"beer/name": "Ale", "review/text": "cut o', Reason.UNREADABLE, "neither a JSON object (Unterminated string"),
        ("{'beer/name': 'Ale', 'review/text': 'cut o", Reason.UNREADABLE, "nor a Python dict"),
        ("{'beer/name': open('/etc/passwd').read()}", Reason.UNREADABLE, "nor a Python dict"),
        ("{'beer/name': 'Ale', ['review/text']: 'Fine'}", Reason.UNREADABLE, "nor a Python dict"),
        ("{'beer/name': 'Ale', 'review/text': b'Fine'}", Reason.UNREADABLE, "'review/text' holds bytes"),
        ("{'beer/name', 'review/text'}", Reason.UNREADABLE, "nor a Python dict"),
        ("{'beer/name': " + "-" * 60_000 + "1}", Reason.UNREADABLE, "nor a Python dict"),
        ("{'beer/name': 1" + "+1" * 60_000 + "}", Reason.UNREADABLE, "nor a Python dict"),
        ('{"a":' * 20_000, Reason.UNREADABLE, "nested too deeply"),
        ("beer/name: Ale", Reason.UNREADABLE, "neither"),
        ('["beer/name", "Ale"]', Reason.UNREADABLE, "is a JSON list"),
        ('{"beer/name": "Ale", "beer/name": "Ale", "review/text": "Fine"}', Reason.UNREADABLE, "'beer/name' twice"),
        ("{'beer/name': 'Ale', 'review/text': 'a', 'review/text': 'b'}", Reason.UNREADABLE, "'review/text' twice"),
        ('{"beer/name": ["Ale"], "review/text": "Fine"}', Reason.NO_ITEM, "item_id and item_name are blank"),
        ('{"beer/name": "Ale", "review/text": "a\0b"}', Reason.NUL_BYTE, "text holds a NUL"),
        ("{'beer/name': 'Ale', 'review/text': 'a\\x00b'}", Reason.NUL_BYTE, "text holds a NUL"),
        ("{}", Reason.EMPTY_TEXT, "text is blank"),
        ('{"x": "' + "x" * 200_000 + '"}', Reason.TOO_LONG, "longer than"),
    ],
)
def test_a_damaged_line_costs_itself_and_not_the_ones_around_it(tmp_path, line, reason, said):
    table, reader = read_dump(tmp_path, as_python(RATEBEER) + line + "\n" + as_json(BEERADVOCATE))
    assert without_constants(table) == ROWS[:2]
    assert rejections(reader) == [(2, reason)]
    assert said in reader.rejected["detail"][0].as_py()


@pytest.mark.parametrize("form", [as_block, as_unescaped_json, as_python])
def test_latin_1_is_rejected_unless_it_is_said_to_be(tmp_path, form):
    content = "".join(map(form, [LEAST, RATEBEER, BEERADVOCATE])).encode("latin-1")
    table, reader = read_dump(tmp_path, content)
    # A Python dict is read as a whole, or not.
    named = [] if form is as_python else [RATEBEER["beer/beerId"]]
    assert table["item_name"].to_pylist() == ["Nameless", *named, "Red Moon"]
    assert "not utf-8" in reader.notes[-1]
    table, reader = read_dump(tmp_path, content, encoding="latin-1")
    assert without_constants(table) == [ROWS[2], *ROWS[:2]]
    assert reader.rejected.num_rows == 0


def test_the_same_review_twice_is_a_duplicate(tmp_path):
    table, reader = read_dump(tmp_path, (as_block(RATEBEER) + as_block(BEERADVOCATE)) * 2)
    assert table.num_rows == 2
    assert rejections(reader) == [(29, "duplicate"), (43, "duplicate")]
    assert reader.rejected["detail"][0].as_py() == "the same as on line 1"


@pytest.mark.parametrize("name", ["dump.txt", "dump.txt.gz"])
def test_a_file_that_ends_within_a_block_keeps_what_is_enough_of_a_review(tmp_path, name):
    whole = as_block(LEAST) + as_block(RATEBEER)
    table, reader = read_dump(tmp_path, whole[: whole.index(" It's")], name)
    assert table["text"].to_pylist() == ["Fine", "Pours deep orange."]
    assert reader.rejected.num_rows == 0
    for end in (whole.index("review/time"), whole.index(" hopfen")):
        table, reader = read_dump(tmp_path, whole[:end], name)
        assert table["text"].to_pylist() == ["Fine"]
        assert rejections(reader) == [(4, "empty_text")]
    _, reader = read_dump(tmp_path, whole[: whole.index("w/profileName")], name)
    assert rejections(reader) == [(4, "unreadable")]


# What is refused as a whole


DUMPED = gzip.compress("".join(as_block({**RATEBEER, "beer/beerId": n * n}) for n in range(5000)).encode())


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("dump.txt", b"", "is empty"),
        ("dump.txt", b"\n \n", "has no rows"),
        ("dump.txt.gz", b"", "has no rows"),
        (
            "dump.txt",
            b"item_id,text\n1,Fine\n",
            r"none of its 1 rows.*line 1: unreadable, 'item_id,text' is not a field",
        ),
        ("dump.json", b'[{"beer/name": "Ale"}]\n', "none of its 1 rows.*such as 'beer/name: Two Hearted Ale'"),
        ("dump.json", b'{"film": "Solaris", "review": "Long"}\n' * 2, "none of its 2 rows.*empty_text 2"),
        ("dump.txt", bytes(range(256)) * 2000, "none of its"),
        ("dump.txt", b"no blank line\n" * 50_000, "none of its.*too_long.*no blank line follows"),
    ],
)
def test_a_file_that_is_no_dump_is_refused_by_name(tmp_path, name, content, complaint):
    with pytest.raises(SourceError, match=complaint) as error:
        read_dump(tmp_path, content, name)
    assert str(tmp_path / name) in str(error.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (DUMPED[: len(DUMPED) // 2], r"cut off near line [\d,]{4,}"),
        (DUMPED[:-8] + b"\0\0\0\0" + DUMPED[-4:], r"damaged near line [\d,]{4,}"),
        (as_block(RATEBEER).encode(), "is not a .gz file"),
    ],
)
def test_a_damaged_gzip_file_is_refused_by_name(tmp_path, content, complaint):
    (tmp_path / "dump.txt.gz").write_bytes(content)
    with pytest.raises(SourceError, match=complaint):
        reader_of(beer_text(tmp_path / "dump.txt.gz")).reader().read_all()


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.sampled_from([as_block(LEAST), as_json(LEAST)]),
    content=st.lists(
        st.one_of(
            st.sampled_from(
                [b"\n", b"{", b"'", b":", b"&#4", b"\xff", b"\0", b"beer/name: ", b"review/text: ", b"{}\n"]
            ),
            st.binary(max_size=9),
        )
    ).map(b"".join),
)
def test_whatever_the_bytes_good_reviews_come_through_and_all_others_are_counted(tmp_path, first, content):
    table, reader = read_dump(tmp_path, first.encode() + content)
    assert table["text"][0].as_py() == "Fine"
    assert reader.rejected.num_rows == reader.counts["rows_read"] - table.num_rows


# Streaming


@pytest.mark.parametrize("form", [as_block, as_json])
def test_memory_is_bounded_by_the_batch_and_not_by_the_file(tmp_path, form):
    path = tmp_path / "dump.txt"
    with path.open("w") as file:
        file.writelines(form({**RATEBEER, "review/text": f"{n} " + "word " * 2000}) for n in range(1000))
    assert path.stat().st_size > 10e6
    tracemalloc.start()
    batches = reader_of(beer_text(path), rows_per_batch=100).reader()
    sizes = [batch.num_rows for batch in batches]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sizes == [100] * 10
    assert peak < 6e6


def test_batches_hold_at_most_so_many_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(text_rows, "BATCH_BYTES", 50_000)
    content = "".join(as_block({**LEAST, "review/text": f"{n} " + "long " * 2000}) for n in range(20))
    batches = reader_of(beer_text(written(tmp_path / "dump.txt", content))).reader()
    assert [batch.num_rows for batch in batches] == [5] * 4


def test_no_more_lines_are_taken_than_the_review_has():
    lines = iter([*as_block(LEAST).splitlines(keepends=True), "beer/name: Other\n"])
    assert BeerReviews(lines).read()["review/text"] == " Fine\n"
    assert next(lines) == "beer/name: Other\n"
