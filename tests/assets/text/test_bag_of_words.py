import numpy as np
import pyarrow as pa
import pytest

from assets.text.bag_of_words import terms_are_words
from taproom.errors import InputError

FEW_TERMS = {"min_document_frequency": 2, "max_document_share": 0.5}


def test_rows_are_shares_of_all_words_of_a_document(themes, warehouse):
    terms = warehouse.read("terms").to_pylist()
    words = {row["term_id"]: row["word"] for row in terms}
    assert [row["word"] for row in terms] == sorted(words.values())
    assert "beer" not in words.values()  # every document has it
    for row in warehouse.read("bag_of_words").to_pylist()[:5]:
        said = (themes / row["document_id"]).read_text().split()
        assert row["words"] == len(said)
        assert {words[term]: share for term, share in zip(row["term_ids"], row["shares"], strict=True)} == {
            word: pytest.approx(said.count(word) / len(said)) for word in set(said) if word in words.values()
        }


def test_words_are_chosen_and_weighed_by_the_training_documents_alone(themes, warehouse):
    bags = warehouse.read("bag_of_words").to_pylist()
    training = [set(row["term_ids"]) for row in bags if row["split"] == "training"]
    for row in warehouse.read("terms").to_pylist():
        frequency = sum(row["term_id"] in document for document in training)
        assert row["document_frequency"] == frequency
        assert row["idf"] == pytest.approx(np.log(len(training) / frequency))


def test_a_cluster_makes_the_same_tables(corpus_folder, make, warehouse, monkeypatch, dask_cluster):
    for limit in ("BYTES_PER_BATCH", "BYTES_PER_FILE"):
        monkeypatch.setattr(f"taproom.warehouse.data_files.{limit}", 4_000)
    make("documents", documents={"source": "files", "path": str(corpus_folder)})
    make("terms", "bag_of_words", bag_of_words=FEW_TERMS)
    monkeypatch.setenv("TAPROOM_CLUSTER", dask_cluster)
    terms, _ = make("terms", "bag_of_words", bag_of_words=FEW_TERMS).asset_materializations_for_node("bag_of_words")
    (usage,) = terms.metadata["cluster"].value
    assert usage["blocks"] == len(warehouse.files("documents")) > 2
    for table in ("terms", "bag_of_words"):
        assert len({commit["content_hash"] for commit in warehouse.history(table)}) == 1


def test_a_document_without_a_known_word_keeps_its_row_and_is_told(themes, make, warehouse):
    (themes / "odd.txt").write_text("zzz")
    make("documents", documents={"source": "files", "path": str(themes)})
    result = make("terms", "bag_of_words", bag_of_words=FEW_TERMS)
    (row,) = [row for row in warehouse.read("bag_of_words").to_pylist() if row["document_id"] == "odd.txt"]
    assert (row["label"], row["words"], row["term_ids"], row["shares"]) == (None, 1, [], [])
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert set(checks) >= {"documents_have_terms", "few_long_words", "terms_are_words"}
    assert all(check.passed for check in checks.values())
    assert checks["documents_have_terms"].metadata["documents_without_terms"].value == 1


@pytest.mark.parametrize(
    ("text", "config"),
    [
        ("one document alone\n", {}),
        ("这是一个没有空格的句子\n另一个没有空格的句子\n", {}),
        ("a word\nanother word\n", {"min_document_frequency": 3}),
    ],
)
def test_a_corpus_without_words_that_documents_share_is_refused(text, config, tmp_path, make, warehouse):
    (tmp_path / "corpus.txt").write_text(text, encoding="utf-8")
    make("documents", documents={"source": "files", "path": str(tmp_path / "corpus.txt")})
    with pytest.raises(InputError, match="raise the maximum share, or add texts"):
        make("terms", "bag_of_words", bag_of_words=config)
    assert warehouse.head("bag_of_words") is None


def test_words_that_no_blank_sets_apart_can_be_counted_by_the_character(tmp_path, make, warehouse):
    (tmp_path / "corpus.txt").write_text("啤酒很好\n啤酒不好\n茶很好\n", encoding="utf-8")
    make("documents", documents={"source": "files", "path": str(tmp_path / "corpus.txt"), "test_share": 0})
    given = {"token_pattern": r"(?u)\w", "min_document_frequency": 2, "max_document_share": 0.9}
    make("terms", "bag_of_words", bag_of_words=given)
    assert warehouse.read("terms")["word"].to_pylist() == sorted("啤酒很")


@pytest.mark.parametrize(
    ("words", "share"), [(["ale", "über", "啤酒", "b2", "7"], 0.8), (["ale", "malt", "hops", "1998", "7"], 0.6)]
)
def test_terms_without_letters_are_warned_of(words, share):
    result = terms_are_words(pa.table({"word": words}))
    assert result.metadata["share_with_letters"].value == share
    assert result.passed is (share >= 0.8)
