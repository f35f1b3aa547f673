from dataclasses import replace

from pipelines.notices.notice import MOST_SHOWN, Entry


def test_the_id_is_that_of_the_entries_whenever_they_are_found(notice):
    later = replace(notice, time=notice.time.replace(year=2027), entries=notice.entries[::-1])
    assert later.id == notice.id
    assert replace(notice, entries=notice.entries[:1]).id != notice.id
    assert replace(notice, kind="batch_refused").id != notice.id


def test_people_are_shown_ten_entries_and_how_many_more_there_are(notice):
    many = replace(notice, entries=tuple(Entry(str(number), "tune", f"tune {number}") for number in range(13)))
    assert len(many.shown) == MOST_SHOWN
    assert many.text.splitlines()[-2:] == ["- tune 9", "and 3 more"]
    assert notice.text.splitlines() == [
        "- refresh_text, step topics: no words",
        "  run: http://ui.example/runs/run-1",
        "- tune: <the run> was killed & gone",
    ]
