import pytest


def test_every_method_is_judged_on_the_same_corpus_and_the_same_again_on_a_cluster(
    themes, make, warehouse, dask_cluster, monkeypatch
):
    make("topics", "document_topics", topics={"topics": 4})
    given = {"topic_methods": {"workers": 1}}
    result = make("topic_methods", **given)
    rows = {row["method"]: row for row in warehouse.read("topic_methods").to_pylist()}
    assert list(rows) == [
        "lda", "k_means", "nmf_tfidf", "nmf_bag_of_words", "gaussian_mixture", "latent_semantic_analysis",
    ]  # fmt: skip
    assert {(row["topics"], row["seeds"]) for row in rows.values()} == {(4, 2)}
    assert rows["nmf_tfidf"]["nmi"] == rows["nmf_tfidf"]["nmi_training"] == pytest.approx(1)
    assert rows["nmf_tfidf"]["stability"] == pytest.approx(1, abs=0.2)
    assert all(row["seconds"] > 0 for row in rows.values())
    check, *_ = result.get_asset_check_evaluations()
    assert check.metadata["best"].value in rows
    monkeypatch.setenv("TAPROOM_CLUSTER", dask_cluster)
    make("topic_methods", **given)
    first, again = (warehouse.commit_of("topic_methods", version)["content_hash"] for version in (0, 1))
    assert first == again  # seconds differ, which are promised to nobody


def test_a_method_that_cannot_be_fitted_is_left_out_with_its_reason(themes, make, warehouse):
    make("topics", "document_topics", topics={"topics": 4})
    make("topic_methods", topic_methods={"topics": 60, "workers": 1})
    (materialized,) = warehouse.read("topic_methods").select(["method"]).to_pydict().values()
    assert "nmf_tfidf" not in materialized
    assert "lda" in materialized
