from dataclasses import replace

import pyarrow as pa
import pytest

from assets.table import CONTRACTS
from pipelines import contract_versions
from pipelines.contract_versions import (
    Changes,
    lowest_version,
    page_of_changes,
    release,
    released_from,
    released_text,
    version_errors,
    version_parts,
)
from pipelines.contracts import released_contracts
from taproom.warehouse.contracts import Between, Column, Contract, OneOf
from taproom.warehouse.foreign_keys import ForeignKey

NAME = Column("name", pa.string(), "its name")
ABV = Column("abv_percent", pa.float64(), "alcohol by volume", unit="%")
STYLE = Column("style", pa.string(), "its style", nullable=True)
BEERS = Contract(
    "beers",
    "a beer",
    (NAME, ABV, STYLE),
    key=("name",),
    invariants=(Between("abv_percent", 0, 100), OneOf("style", ("ale", "lager"))),
    foreign_keys=(ForeignKey(("style",), "styles", ("style",)),),
    limits=("The alcohol is what the label says.",),
)
RELEASED = release({}, {"beers": BEERS})


def with_column(old, **changes):
    return {"columns": tuple(replace(each, **changes) if each is old else each for each in BEERS.columns)}


def errors_of(**changes):
    return list(version_errors(RELEASED, {"beers": replace(BEERS, **changes)}))


BREAKING = {
    "a column is gone": {"columns": (NAME, STYLE), "invariants": BEERS.invariants[1:]},
    "a column has another name": with_column(ABV, name="abv") | {"invariants": BEERS.invariants[1:]},
    "another type": with_column(ABV, type=pa.float32()),
    "another unit": with_column(ABV, unit="per mille"),
    "nulls are allowed": with_column(ABV, nullable=True),
    "volatile": with_column(ABV, volatile=True),
    "another key": {"key": ("name", "abv_percent")},
    "a rule is gone": {"invariants": BEERS.invariants[:1]},
    "a rule is looser": {"invariants": (Between("abv_percent", 0, 200), BEERS.invariants[1])},
    "a word is added": {"invariants": (BEERS.invariants[0], OneOf("style", ("ale", "lager", "stout")))},
    "the foreign key is gone": {"foreign_keys": ()},
    "there may be no rows": {"may_be_empty": True},
}
ADDITIONS = {
    "a column": {"columns": (*BEERS.columns, Column("brewer", pa.string(), "who brews it", nullable=True))},
    "no nulls": with_column(STYLE, nullable=False),
    "a rule": {"invariants": (*BEERS.invariants, Between("abv_percent", 0, 60))},
    "a foreign key": {"foreign_keys": (*BEERS.foreign_keys, ForeignKey(("name",), "names", ("name",)))},
    "one value": {"single_valued": ("style",)},
}
CORRECTIONS = {
    "a description": with_column(ABV, description="alcohol"),
    "the grain": {"grain": "one beer"},
    "a limit": {"limits": (*BEERS.limits, "Styles are the brewer's.")},
    "no limit": {"limits": ()},
}


@pytest.mark.parametrize(
    ("changes", "wanted", "too_low"),
    [
        *((changes, "2.0.0", "1.1.0") for changes in BREAKING.values()),
        *((changes, "1.1.0", "1.0.1") for changes in ADDITIONS.values()),
        *((changes, "1.0.1", "1.0.0") for changes in CORRECTIONS.values()),
    ],
    ids=[*BREAKING, *ADDITIONS, *CORRECTIONS],
)
def test_a_change_needs_its_version(changes, wanted, too_low):
    for version in ("1.0.0", too_low):
        (error,) = errors_of(**changes, version=version)
        assert f"Set version {wanted} or a higher one in its contract" in error
    assert errors_of(**changes, version=wanted) == []
    assert errors_of(**changes, version="3.0.0") == []


def test_an_error_says_what_changed():
    (error,) = errors_of(**with_column(ABV, nullable=True))
    assert error == (
        "beers has version 1.0.0, but since the release of 1.0.0 it changed: gone: abv_percent has no nulls. "
        "Set version 2.0.0 or a higher one in its contract."
    )


def test_an_unchanged_contract_may_keep_its_version_but_not_have_a_lower_one():
    assert errors_of() == []
    assert errors_of(version="1.0.1") == []
    assert len(errors_of(version="0.9.0")) == 1
    assert list(version_errors({}, {"beers": BEERS})) == []


def test_a_table_that_is_removed_needs_a_major_version(monkeypatch):
    (error,) = version_errors(RELEASED, {})
    assert "gone: the table beers. Set version 2.0.0 or a higher one in REMOVED" in error
    monkeypatch.setattr(contract_versions, "REMOVED", {"beers": "2.0.0"})
    assert list(version_errors(RELEASED, {})) == []
    after = release(RELEASED, {})
    assert after["beers"].changes == {"1.0.0": ["the first version"], "2.0.0": ["gone: the table"]}
    assert list(version_errors(after, {})) == []
    assert release(after, {}) == after


def test_versions_have_three_numbers():
    assert version_parts("1.20.3") == (1, 20, 3)
    assert lowest_version("1.9.9", Changes([], [], [])) == "1.9.9"
    for wrong in ("1.0", "1.0.0.0", "1.0.x", "v1.0.0", ""):
        with pytest.raises(ValueError, match="wanted three numbers"):
            version_parts(wrong)


def test_a_release_is_read_back_and_adds_to_what_changed():
    assert released_from(released_text(RELEASED)) == RELEASED
    assert released_from("") == {}
    second = replace(BEERS, limits=(), version="1.0.1")
    after = release(RELEASED, {"beers": second})
    assert after["beers"].changes["1.0.1"] == ["text gone: The alcohol is what the label says."]
    assert release(after, {"beers": second}) == after


def test_the_page_has_the_newest_changes_first():
    ales = Contract("ales", "an ale", (NAME,), key=("name",))
    page = page_of_changes(RELEASED, {"beers": replace(BEERS, may_be_empty=True, version="2.0.0"), "ales": ales})
    assert page.endswith(
        "## beers\n\n- 2.0.0, not released yet\n  - gone: there is at least one row\n- 1.0.0\n  - the first version\n\n"
        "## Contracts in their first version\n\n`ales`\n"
    )


def test_the_versions_of_the_contracts_say_what_changed_since_their_release():
    assert list(version_errors(released_contracts(), CONTRACTS)) == []
