"""What is concluded from the first rows of a file, and what is not."""

import pytest

from taproom.sources.text_form import delimiter_of, encoding_of, has_bare_returns, object_format, quoting_of

NAMES = {"item_id", "text"}


@pytest.mark.parametrize(
    ("lines", "default", "expected"),
    [
        (["item_id,text", "1;2,a"], ";", ","),
        (["item_id;text;a,b,c,d"], ",", ";"),
        (['"item_id"|"text"'], ",", "|"),
        (["sep=\t\n", "item_id\ttext"], ",", "\t"),
        (["name;body;x", "1;2;3"], ",", ";"),
        (["text"], "\t", "\t"),
        ([], ",", ","),
    ],
)
def test_the_delimiter_is_the_one_that_finds_the_wanted_names(lines, default, expected):
    assert delimiter_of(lines, NAMES.__contains__, default) == expected


@pytest.mark.parametrize(
    ("lines", "delimiter", "expected"),
    [
        (["a,b", "1,x"], ",", "quoted"),
        (["a\tb", "1\tx"], "\t", "none"),
        (["a\tb", '1\t"x"', '2\t"y"'], "\t", "quoted"),
        (["a\tb", '1\t"x', '2\ty"'], "\t", "none"),
        (["a\tb", '1\t"x\ty"'], "\t", "quoted"),
        (["a\tb", '1\t"x', 'y"', "2\tz"], "\t", "quoted"),
        (["a,b", '1,"x', '2,y"'], ",", "none"),
        (["a,b", '1,"x, y"', '2,"z'], ",", "quoted"),
        (["a,b", r'1,"say \"x, y\" twice"'], ",", "escaped"),
        (["a,b", r'1,"a path \, and ""x"""'], ",", "quoted"),
        ([], ",", "quoted"),
    ],
)
def test_quotes_quote_only_where_rows_agree(lines, delimiter, expected):
    assert quoting_of(lines, delimiter) == expected


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (b"", "utf-8"),
        (b"plain", "utf-8"),
        ("Früli".encode("latin-1"), "cp1252"),
        ("café".encode("latin-1"), "cp1252"),
        (b"it\x92s", "cp1252"),
        (b"it\x92s \x93good\x94 \x96 really " * 9, "cp1252"),
        (("plain\n" * 1000 + "1,crème brûlée").encode("cp1252"), "cp1252"),
        ("€ 5 für ½ l, ¿qué?".encode("cp1252"), "cp1252"),
        ("пиво".encode("cp1251"), "utf-8"),
        ("пиво".encode("koi8_r"), "utf-8"),
        ("酒ビール".encode("cp932"), "utf-8"),
        ("źle, łódź".encode("cp1250"), "utf-8"),
        ("café".encode("mac_roman"), "utf-8"),
        ("büro".encode("cp850"), "utf-8"),
        ("café".encode()[:-1], "utf-8"),
        (b"caf\xe9 \x81", "utf-8"),
        ("é\nè\n".encode() + "ü\n".encode("latin-1"), "utf-8"),
        ("a;ü".encode("utf-16-be"), "utf-16-be"),
        (b"\xff\xfe\0\0" + "a".encode("utf-32-le"), "utf-32"),
    ],
)
def test_an_encoding_is_recognised_or_left_as_utf_8(sample, expected):
    assert encoding_of(sample) == expected


def test_other_forms():
    assert [has_bare_returns(text) for text in ("a\rb", "a\r\nb", "a")] == [True, False, False]
    texts = ("\n [ {}]", "[1]", " {'a': 1}", "beer/name: Ale", "item,text")
    assert [object_format(text) for text in texts] == ["json", None, "jsonl", "beer_text", None]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Früli schmeckt süß und fruchtig; très léger, déjà goûté à Liège."),
        ("cp1251", "Тёмное пиво с горчинкой, хлебный вкус и долгое послевкусие."),
        ("koi8_r", "Тёмное пиво с горчинкой, хлебный вкус и долгое послевкусие."),
        ("iso8859_7", "Μια σκούρα μπύρα με γεύση ψωμιού και μακρά επίγευση."),
        ("cp932", "この黒ビールはとても美味しいです。香ばしい味がします。"),
        ("gb18030", "这种黑啤酒非常好喝，有烤面包的味道，余味悠长。"),
    ],
)
def test_an_older_encoding_is_recognised(encoding, text):
    sample = "\n".join([text] * 5).encode(encoding)
    assert sample.decode(encoding_of(sample)) == sample.decode(encoding)
