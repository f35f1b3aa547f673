import dagster as dg
import pytest

from assets.reviews.reviews import BATCHES
from assets.table import CONTRACTS
from pipelines.chains import REVIEWS
from pipelines.definitions import defs
from pipelines.products import Products
from pipelines.reconcile import reconcile
from taproom.errors import InputError, SourceError, TaproomError, UnknownTableError
from taproom.sources.inbox import file_key, file_sha256
from taproom.warehouse.publishing import Origin


@pytest.fixture
def remove(instance):
    """Runs the job that removes a batch."""

    def run(batch: str, **config) -> dg.ExecuteInProcessResult:
        given = {"chain": "reviews", "batch": batch, "reason": "another collection", "by": "ann", **config}
        job = defs.resolve_job_def("remove_batch")
        return job.execute_in_process({"ops": {"remove": {"config": given}}}, instance)

    return run


@pytest.fixture
def two_batches(write_csv, ingest, make, themed_reviews, warehouse, made_once):
    def read_and_make():
        rows = themed_reviews(items=16)
        ingest(write_csv("a.csv", rows[:36]))
        ingest(write_csv("b.csv", rows[36:]))
        make("items", "review_batches", "duplicate_reviews", "vocabulary", "tfidf", "neighbors")

    made_once(read_and_make)
    return warehouse.partitions("reviews")


def items(warehouse) -> int:
    return len(warehouse.read("items"))


def test_a_batch_is_removed_from_all_tables_and_older_versions_keep_it(two_batches, remove, warehouse, instance):
    kept, wrong = two_batches
    before = warehouse.head("reviews")
    assert items(warehouse) == 16
    assert remove(wrong).success

    assert warehouse.partitions("reviews") == warehouse.partitions("term_counts") == [kept]
    assert items(warehouse) == len(warehouse.read("neighbors")) == 12
    assert wrong in set(warehouse.read("reviews", before)["batch"].to_pylist())
    assert warehouse.history("reviews")[0]["config"] == {
        "removed_batch": wrong, "reason": "another collection", "by": "ann"
    }  # fmt: skip
    (observed,) = instance.fetch_observations(dg.AssetKey("reviews"), limit=2).records
    assert observed.asset_observation.metadata["by"].value == "ann"
    assert observed.partition_key == wrong
    assert instance.get_dynamic_partitions(BATCHES.name) == [kept]
    assert list(reconcile(instance, warehouse, defs)) == []


def test_its_file_is_not_read_again_until_a_person_puts_it_back(inbox, remove, instance, warehouse):
    for name in "ab":
        (inbox / f"{name}.csv").write_text(f"review_id,item_id,text\n{name},ale,citrus {name}\n")
    keys = {path.name: file_key(path.name, file_sha256(path)) for path in inbox.iterdir()}
    products = Products(instance, warehouse, defs, {})
    assert all(products.read(REVIEWS, {key: {"source": "table"} for key in keys.values()}).values())
    with pytest.raises(
        TaproomError, match="lower `min_reviews`"
    ):  # there is nothing to be made of one item, but the batch is gone
        remove(keys["b.csv"])
    assert warehouse.partitions("reviews") == [keys["a.csv"]]
    assert not (inbox / "b.csv").exists()
    assert (inbox / ".removed" / "b.csv").is_file()


def test_a_batch_that_cannot_be_removed_is_refused(two_batches, remove, warehouse, instance):
    heads = warehouse.heads()
    with pytest.raises(InputError, match=r"reviews has no batch 'c\.csv'; it has a\.csv-"):
        remove("c.csv")
    with pytest.raises(dg.DagsterInvalidConfigError):
        remove(two_batches[0], chain="text")
    assert warehouse.heads() == heads
    remove(two_batches[1])
    with pytest.raises(InputError, match="is the only batch of reviews"):
        remove(two_batches[0])
    contract, head = CONTRACTS["reviews"], warehouse.head("reviews")
    with pytest.raises(UnknownTableError, match="reviews has no batch"):
        warehouse.remove(contract, two_batches[1], since=head, origin=Origin())


def test_a_corrected_file_replaces_its_batch(write_csv, ingest, instance, warehouse):
    ingest(write_csv("june.csv", [{"review_id": "r1", "item_id": "ale", "text": "citrus pine", "overall": 1}]))
    (wrong,) = warehouse.partitions("reviews")
    right = write_csv("june_corrected.csv", [{"review_id": "r1", "item_id": "ale", "text": "citrus", "overall": 5}])
    settings = {"source": "table", "path": str(right), "replaces": "june.csv"}
    ((key, outcome),) = Products(instance, warehouse, defs, {}).read(REVIEWS, REVIEWS.reads(settings)).items()
    assert outcome is True
    assert warehouse.read("reviews")["overall"].to_pylist() == [5]
    assert warehouse.partitions("reviews") == [key] != [wrong]
    assert warehouse.history("reviews")[0]["config"]["reason"] == f"replaced by {key}"


def test_the_inbox_says_which_file_replaces_which_batch(inbox):
    settings = {"collection": "beers", "replaces": {"new.csv": "old.csv"}}
    named, other = (REVIEWS.batches.dropped(inbox / name, settings) for name in ("new.csv", "other.csv"))
    assert named.config == {"source": "table", "collection": "beers", "replaces": "old.csv"}
    assert other.config == {"source": "table", "collection": "beers"}
    with pytest.raises(SourceError, match=r"`replaces` is 'old\.csv'"):
        REVIEWS.batches.dropped(inbox / "new.csv", {"replaces": "old.csv"})
