"""Records that span lines: what a line that is too long, or a stray quote, costs."""

from tests.review_reading import rejections


def test_a_stray_quote_costs_its_own_row_only(read_bytes):
    good = "".join(f'{n},text {n},"quoted, {n}"\n' for n in range(100))
    content = "item_id,text,category\n" + good + '100,"stray,x\n' + good.replace("text", "more") + '101,z,"stray\n'
    table, reader = read_bytes(content.encode(), quoting="quoted")
    assert table.num_rows == 200
    assert rejections(reader) == [(102, "unreadable"), (203, "unreadable")]


def test_a_stray_quote_that_nothing_closes_costs_its_own_row_only(read_bytes):
    good = "".join(f"{n},text {n}\n" for n in range(20_000))
    table, reader = read_bytes(('item_id,text\n0,"stray\n' + good).encode(), quoting="quoted")
    assert table.num_rows == 20_000
    assert rejections(reader) == [(2, "too_long")]


def test_a_long_line_inside_quotes_does_not_hide_the_rows_around_it(read_bytes):
    content = b'item_id,text\n1,a\n2,"stray\n3,b\n' + b"z" * 200_000 + b"\n4,c\n"
    table, reader = read_bytes(content, quoting="quoted")
    assert table["text"].to_pylist() == ["a", "b", "c"]
    assert rejections(reader) == [(3, "too_long"), (5, "too_long")]


def test_a_file_full_of_quotes_is_read_in_linear_time(read_bytes):
    content = b"item_id,text\n1,first\n" + b'x","\n' * 200_000 + b'"\n2,last\n'
    table, reader = read_bytes(content, quoting="quoted")
    assert "first" in table["text"].to_pylist()
    assert any("are lost" in row["detail"] for row in reader.rejected.to_pylist())
