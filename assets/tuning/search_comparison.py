"""deck_settings, search_comparison: which search finds good settings of a network of digits, and how soon.

The deck's own experiment. First its ten settings, with our loss beside the published one: its loss and its data are not
stated, so only the order can be compared. Then grid, random and Bayesian search and Hyperband at the same number of
epochs. No product is made with what is found here.

Grain: a setting that the deck shows; a method after a number of epochs. Source: the deck's slides "Hyperparameter
Optimization"; Li and others, Hyperband, 2017.
"""

from collections.abc import Iterator
from enum import Enum
from functools import partial

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed_out, several_tables
from taproom.compute import Made
from taproom.search.search_comparison import (
    DECK_SETTINGS,
    REFERENCE,
    SPACE,
    SPENDINGS,
    Parted,
    final_loss,
    rank_correlation,
)
from taproom.search.trials import METHODS
from taproom.warehouse.contracts import FOLLOWS_SETTINGS, Between, Column, Contract, OneOf
from taproom.warehouse.table_version import TableVersion

_LOSSES = pa.list_(pa.float64())

DECK = Contract(
    table="deck_settings",
    grain="a setting that the deck shows",
    columns=(
        Column("setting", pa.int32(), "the setting, from 1, in the deck's order"),
        Column("learning_rate", pa.float64(), "eta"),
        Column("l2_penalty", pa.float64(), "lambda"),
        Column("hidden_nodes", pa.int32(), "N_hid"),
        Column("published_loss", pa.float64(), "the deck's loss; of which kind, and on which digits, it does not say"),
        Column("published_rank", pa.float64(), "its rank, 1 for the lowest"),
        Column("loss", pa.float64(), "our median over the seeds: mean cross-entropy on digits that it is not trained "
               "on; null where training diverges with most", unit="nats", nullable=True,
               made_from=("digits.label", "digits.pixels")),
        Column("rank", pa.float64(), "its rank; what diverges is last", made_from=("digits.label", "digits.pixels")),
        Column("error", pa.float64(), "the share of these digits that is called wrongly, likewise", nullable=True,
               made_from=("digits.label", "digits.pixels")),
        Column("losses", _LOSSES, "the loss with each seed, in their order; null where training diverges", unit="nats",
               made_from=("digits.label", "digits.pixels")),
    ),
    key=("setting",),
    invariants=(
        *(Between(name, 1, len(DECK_SETTINGS)) for name in ("setting", "published_rank", "rank")),
        *(Between(name, SPACE[name].low, SPACE[name].high) for name in ("learning_rate", "l2_penalty", "hidden_nodes")),
        *(Between(name, 0) for name in ("published_loss", "loss", "losses")),
        Between("error", 0, 1),
    ),
    limits=("Only the order of losses can be compared with the deck, which does not state its loss and its data.",),
)  # fmt: skip

COMPARISON = Contract(
    table="search_comparison",
    grain="a method after a number of epochs",
    columns=(
        Column("method", pa.string(), "what chooses settings"),
        Column("epochs", pa.int64(), "epochs spent so far, of all networks together; a network that is trained on "
               "spends what is added"),
        Column("median", pa.float64(), "median over the seeds of the best loss of a network so far: mean cross-entropy "
               "on digits that it is not trained on; null where there is none yet", unit="nats", nullable=True,
               made_from=("digits.label", "digits.pixels")),
        Column("low", pa.float64(), "lower quartile over the seeds", unit="nats", nullable=True,
               made_from=("digits.label", "digits.pixels")),
        Column("high", pa.float64(), "upper quartile", unit="nats", nullable=True,
               made_from=("digits.label", "digits.pixels")),
        Column("losses", _LOSSES, "the best loss with each seed, in their order; null where there is none yet",
               unit="nats", made_from=("digits.label", "digits.pixels")),
    ),
    key=("method", "epochs"),
    usual=FOLLOWS_SETTINGS,
    invariants=(
        OneOf("method", METHODS),
        Between("epochs", 1),
        *(Between(name, 0) for name in ("median", "low", "high", "losses")),
    ),
    limits=("The methods are compared on one problem; on others their order may differ.",),
)  # fmt: skip


class ComparisonSize(Enum):
    """How much is spent on the comparison."""

    small = "small"
    large = "large"


class SearchComparisonConfig(dg.Config):
    """What is spent, and the seed."""

    preset: ComparisonSize = Field(
        ComparisonSize.small,
        description="; ".join(
            f"{name}: {spending.seeds} seeds, each with {spending.trials} trials' worth of {spending.epochs} epochs, "
            f"{spending.digits or 'all'} digits"
            for name, spending in SPENDINGS.items()
        ),
    )
    seed: int = Field(0, ge=0, description="the first seed")
    workers: int = Field(-1, ge=-1, description="processes as joblib counts them; -1: one for each core")


def _parted(digits: TableVersion, most: int | None) -> Parted:
    """Digits to train on and to judge by, from the table; a worker of a cluster makes them so."""
    from taproom.images.image_arrays import labels_of
    from taproom.search.search_comparison import part
    from taproom.sources.digits import intensities

    rows = digits.read()
    return part(intensities(rows), labels_of(rows)[0], rows["digit_id"].to_pylist(), most)


_out = partial(refreshed_out, module=__name__, config=SearchComparisonConfig)


@several_tables(
    name="search_comparison",
    outs={
        "deck_settings": _out(DECK, "The ten settings that the deck shows, our losses beside the published ones."),
        "search_comparison": _out(COMPARISON, "The best loss that each way to search has found, by epochs spent."),
    },
    pool="numerics",
)
@keeps_settings
def search_comparison(config: SearchComparisonConfig, digits: TableVersion) -> Iterator[dg.Output]:
    """Train the deck's settings, and let each method search."""
    from taproom.search import search_comparison_figures as figures
    from taproom.search.search_comparison import compare, share_to_reach

    spending = SPENDINGS[config.preset.value]
    made = Made(_parted, (digits, spending.digits))
    of = {"seeds": spending.seeds, "trained_on": len(made.here.training), "judged_by": len(made.here.judging)}
    found = compare(made, spending, config.seed, config.workers)
    correlations = {
        f"rank_correlation_of_{column}": rank_correlation(found.settings, column) for column in ("loss", "error")
    }
    yield dg.Output(
        Draft(
            pa.Table.from_pylist(found.settings, schema=DECK.schema),
            metadata={**of, "epochs": spending.epochs, **_known(correlations)},
            figure=figures.deck_settings(found.settings),
        ),
        "deck_settings",
    )
    losses = {f"loss_{method}": final_loss(found.curves, method) for method in METHODS}
    shares = {
        f"share_to_reach_{REFERENCE}_{method}": share_to_reach(found.curves, method)
        for method in METHODS
        if method != REFERENCE
    }
    yield dg.Output(
        Draft(
            pa.Table.from_pylist(found.curves, schema=COMPARISON.schema),
            metadata={**of, "epochs": spending.all_epochs, **_known(losses), **_known(shares)},
            figure=figures.search_comparison(found.curves),
        ),
        "search_comparison",
    )


def _known(values: dict[str, float | None]) -> dict[str, float]:
    """The values that there are, by names that have no blanks."""
    return {name.replace(" ", "_"): value for name, value in values.items() if value is not None}


@dg.asset_check(asset="deck_settings", description="Settings with a lower published loss rather have a lower one here.")
def order_is_the_decks(deck_settings: pa.Table) -> dg.AssetCheckResult:
    """Where the ranks do not agree, the network or its training is another one than the deck's."""
    correlation = rank_correlation(deck_settings.to_pylist(), "loss")
    return dg.AssetCheckResult(
        passed=correlation is not None and correlation > 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=_known({"rank_correlation": correlation}),
    )


@dg.asset_check(
    asset="search_comparison", description="After all epochs, Hyperband's median loss is no worse than random search's."
)
def stopping_early_pays(search_comparison: pa.Table) -> dg.AssetCheckResult:
    """Where it is worse, the first epochs say too little of a setting, or there are too few seeds."""
    rows = search_comparison.to_pylist()
    hyperband, random = (final_loss(rows, method) for method in ("hyperband", REFERENCE))
    return dg.AssetCheckResult(
        passed=hyperband is not None and (random is None or hyperband <= random),
        severity=dg.AssetCheckSeverity.WARN,
        metadata=_known({"hyperband": hyperband, REFERENCE: random}),
    )
