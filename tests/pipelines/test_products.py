"""Which chains `make run` has to make; `test_run*.py` make them."""

from pipelines.chains import CHAINS, REVIEWS, TEXT, TUNING
from pipelines.definitions import defs
from pipelines.products import Products


def test_a_chain_is_looked_at_again_if_it_reads_from_one_that_is_stale(instance, warehouse, monkeypatch):
    products = Products(instance, warehouse, defs, {})
    for stale, chosen in (([REVIEWS], [REVIEWS, TEXT]), ([TEXT, TUNING], [TEXT, TUNING]), ([], [])):
        monkeypatch.setattr(products, "_is_fresh", lambda chain, stale=stale: chain not in stale)
        assert products.stale_chains() == chosen


def test_only_chains_that_are_configured_are_made(instance, warehouse):
    assert Products(instance, warehouse, defs, {}).stale_chains() == list(CHAINS)
    assert Products(instance, warehouse, defs, {"digits": {}, "neighbors": {}}).stale_chains() == [REVIEWS, TUNING]


def test_a_chain_whose_input_is_not_there_is_stale_and_says_why_when_it_is_made(instance, warehouse, tmp_path):
    none = str(tmp_path / "none.npz")
    products = Products(instance, warehouse, defs, {"digits": {"config": {"path": none}}})
    assert products.stale_chains() == [TUNING]
    failures = products.make(TUNING)
    assert f"{none} is not there" in str(failures["tuning"])
