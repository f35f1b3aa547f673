"""Which chains `make run` has to make; `test_run*.py` make them."""

import pyarrow as pa

from assets.text.documents import CONTRACT
from pipelines.chains import CHAINS, REVIEWS, TEXT, TUNING
from pipelines.definitions import defs
from pipelines.products import Products
from taproom.warehouse.publishing import Origin


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


def test_a_chain_whose_settings_on_record_are_refused_says_so_when_it_is_made(instance, warehouse):
    row = {"corpus": "old", "document_id": "1", "label": None, "split": "training", "text": "ale"}
    earlier = Origin(settings={"source": "a source of an earlier release"})
    warehouse.publish(CONTRACT, pa.Table.from_pylist([row], CONTRACT.schema), since=None, origin=earlier)
    products = Products(instance, warehouse, defs, {})
    assert TEXT in products.stale_chains()
    failures = products.make(TEXT)
    assert "documents: the settings on record do not fit any more" in str(failures["text"])
