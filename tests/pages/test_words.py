"""The pages and the product give the same texts the same normal form and the same words."""

import json
import random
import sys
import unicodedata

import pytest
import regex

from taproom.pages.site import SOURCE
from taproom.words.counting import DEFAULT_TOKEN_PATTERN, tokens
from taproom.words.normal_form import normal_form

pytestmark = pytest.mark.slow

# Cases, marks, widths, invisible characters, digits and letters of scripts with and without blanks between words.
MEAN_CHARACTERS = (
    "ab Cé1_-'ß\u0130\x00.\n\u0301\u0307\u0345Σςσ٣७²Ⅷ𝔸ªǅ€—\u2028\u200d\u00ad\u200bﬁＷ😀"
    "日本酒ービールはカ\u3099\uff9eไทยเบีຍລາวខ្មែမြန်हिन्दी맥주\u1112\u1161\u11abשָׁקِمΆ"
)
WRITTEN = [
    "Süffig, İstanbul, ΣΊΣΥΦΟΣ, ﬁne Ｗｉｄｅ, Kül\u00adsch, Straße",
    "日本酒とビール IPA酒場です",
    "เบียร์ดีมาก and beer",
    "हिन्दी और தமிழ்",
    "It's 4.5% a well-hopped\tale_no 2!",
]
RANDOM = random.Random(0)
MIXED = ["".join(RANDOM.choices(MEAN_CHARACTERS, k=RANDOM.randrange(30))) for _ in range(3_000)]
PATTERNS = [
    DEFAULT_TOKEN_PATTERN,
    r"\b\w\w+\b",
    r"\w+",
    r"(?u)\b[^\W\d_]{3,}\b",
    r"[a-zäöü'-]+",
    r"[\u0430-\u044f\xe0-\xff]+|\d+(?:\.\d+)?",
    r"(\w)\d",
    r"\B\w+?\B",
    r"(?<!\S)\p{L}[\w\-]*(?=\s|\.|,)",
    r"\p{Script=Han}|[^\s\p{Script=Han}]+",
    r"(?:a|b\b).",
    r"[^\s.,;!?()\[\]{}/&-]+",
    r"\w+(?:['’-]\w+)*",
    r"#?\w{2,15}",
]
UNTRANSLATED = [
    r"(?i)\w+", r"\w++", r"(?>\w+)", r"[[:alpha:]]+", r"\m\w+\M", r"\X", r"^\w+", r"\w+$", r"(?P<word>\w+)", r"(\w)\1",
    r"(?:beer){e<=1}", r"[a-z\w-.]+", r"[--a]", r"\p{IsGreek}+", r"(?:(a)|b)+", r"\pL+",
]  # fmt: skip


# A text of a character, made here and in the browser: sending all the texts there takes ten times as long as the tests.
TEXT = "{0} a{0} {0}{0}b 日{0}"
TEXT_THERE = f"`{TEXT.replace('{0}', '${character}')}`"


@pytest.fixture(scope="module")
def known() -> str:
    """Each character that this Python knows; a browser may know more, which are left out.

    No capital sigma is beside them in a text: its lower case depends on its neighbours, and Unicode has changed what
    three of these characters are.
    """
    characters = map(chr, range(sys.maxunicode + 1))
    return "".join(each for each in characters if unicodedata.category(each) not in ("Cn", "Cs"))


@pytest.fixture(scope="module")
def tab(shared_visit):
    for name in ("base.js", "words.js"):
        shared_visit.tab.add_script_tag(path=SOURCE / "scripts" / name)
    return shared_visit.tab


def of_each(tab, function, texts):
    """What a function of the pages gives for each text; as JSON, since Playwright needs a minute for so many texts."""
    given = json.dumps(texts, ensure_ascii=False)
    return json.loads(tab.evaluate(f"(texts) => JSON.stringify(JSON.parse(texts).map((text) => {function}))", given))


def words(tab, texts, pattern):
    return of_each(tab, f"Taproom.words(text, {json.dumps(pattern)})", texts)


def test_the_normal_form_is_that_of_the_product(tab, known):
    texts = [*WRITTEN, *MIXED]
    assert of_each(tab, "Taproom.normalForm(text)", texts) == [normal_form(text) for text in texts]
    found = of_each(tab, f"[...text].map((character) => Taproom.normalForm({TEXT_THERE}))", [known])
    assert found == [[normal_form(TEXT.format(character)) for character in known]]


def test_what_is_typed_without_accents_is_found(tab):
    typed = ["Süffig", "İSTANBUL", "ﬁne Ｗｉｄｅ", "naïve"]
    assert of_each(tab, "Taproom.folded(text)", typed) == ["suffig", "istanbul", "fine wide", "naive"]


def test_every_character_is_in_the_words_of_the_product(tab, known):
    blocks = [known[start : start + 1_000] for start in range(0, len(known), 1_000)]
    text = f"[...text].map((character) => {TEXT_THERE}).join(' ')"
    found = of_each(tab, f"Taproom.words({text}, {json.dumps(DEFAULT_TOKEN_PATTERN)})", blocks)
    assert found == [tokens(" ".join(map(TEXT.format, block))) for block in blocks]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_words_are_those_of_the_product(tab, pattern):
    texts = [*WRITTEN, *MIXED]
    assert words(tab, texts, pattern) == [tokens(text, pattern) for text in texts]


@pytest.mark.parametrize("pattern", UNTRANSLATED)
def test_a_pattern_that_may_have_other_words_in_a_browser_is_not_used(tab, pattern):
    assert regex.compile(pattern)
    assert words(tab, ["beer αλε 酒"], pattern) == [None]


def test_a_pattern_that_matches_no_character_is_not_used(tab):
    assert tokens("ab12", r"[a-z]*|\d+") == ["ab", "12"]  # after nothing at the place of "1"
    assert words(tab, ["ab12", "a"], r"[a-z]*|\d+") == [None, None]
