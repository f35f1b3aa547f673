import pytest

from taproom.sources.html_text import without_html


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("good<br />beer<BR>here", "good beer here"),
        ("un<b>believ</b>able", "unbelievable"),
        ('<a href="x">link</a>', "link"),
        ("&quot;fine&quot; &amp;amp; &eacute;t&#233; &#x27;", '"fine" &amp; été \''),
        ("R&D; S&M; <3 a<b> c > d", "R&D; S&M; <3 a c > d"),
        ("1 < 2 &notanentity; &#0;", "1 < 2 &notanentity; \ufffd"),
        ("<html> <beer>", "<html> <beer>"),
        ("&lt;br&gt;", " "),
    ],
)
def test_entities_are_decoded_once_and_known_tags_dropped(text, expected):
    assert without_html(text) == expected
