"""The check that words are words: what it says and when it fails, for all tables that count them."""

import dagster as dg

from taproom.words.counting import LONG_WORD

MAX_LONG_SHARE = 0.02
FEW_LONG_WORDS = (
    f"At most {MAX_LONG_SHARE:.0%} of the tokens have more than {LONG_WORD} characters, as whole sentences have in "
    "scripts that the token pattern does not cut into words."
)


def few_long_words(table: str, share: float) -> dg.AssetCheckResult:
    """The check of a table, of whose tokens the given share is long."""
    return dg.AssetCheckResult(
        check_name="few_long_words",
        asset_key=table,
        passed=share <= MAX_LONG_SHARE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"long_share": share, "to_do": "set `token_pattern` to one that matches single words of this text"},
    )
