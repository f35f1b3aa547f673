import pytest

from taproom.errors import InputError


def test_every_method_is_judged_on_the_same_corpus_and_the_same_again(themes, make, warehouse):
    given = {"topic_methods": {"topics": 4, "workers": 1}}
    result = make("topic_methods", **given)
    rows = {row["method"]: row for row in warehouse.read("topic_methods").to_pylist()}
    assert list(rows) == [
        "lda", "k_means", "nmf_tfidf", "nmf_bag_of_words", "gaussian_mixture", "latent_semantic_analysis",
    ]  # fmt: skip
    assert {(row["topics"], row["seeds"]) for row in rows.values()} == {(4, 2)}
    assert rows["nmf_tfidf"]["nmi"] == rows["nmf_tfidf"]["nmi_training"] == pytest.approx(1)
    assert rows["nmf_tfidf"]["stability"] == pytest.approx(1, abs=0.2)
    assert all(row["seconds"] > 0 for row in rows.values())
    (check,) = result.get_asset_check_evaluations()
    assert check.metadata["best"].value in rows
    make("topic_methods", **given)
    first, again = (warehouse.commit_of("topic_methods", version)["content_hash"] for version in (0, 1))
    assert first == again  # seconds differ, which are promised to nobody


def test_a_method_that_cannot_be_fitted_is_left_out_with_its_reason(themes, make, warehouse):
    make("topic_methods", topic_methods={"topics": 60, "workers": 1})
    (materialized,) = warehouse.read("topic_methods").select(["method"]).to_pydict().values()
    assert "nmf_tfidf" not in materialized
    assert "lda" in materialized


def test_a_corpus_without_words_in_common_is_refused(themes, make, warehouse):
    for path in themes.rglob("*.txt"):
        path.unlink()
    (themes / "one.txt").write_text("only this document is left of the corpus")
    make("documents")
    make("terms", "bag_of_words", bag_of_words={"min_document_frequency": 1, "max_document_share": 1.0})
    with pytest.raises(InputError, match="at least 2 are needed"):
        make("topic_methods", topic_methods={"workers": 1})
    assert warehouse.head("topic_methods") is None
