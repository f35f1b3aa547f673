from itertools import islice

from tests.pipelines.made_by_run import BRIEF, broken_rules, changed, tables_of
from tests.planted_corpus import planted_corpus


def test_a_file_of_text_goes_to_topics_and_vectors_and_is_read_again_when_it_changes(
    run, tmp_path, warehouse, subtests
):
    path = tmp_path / "planted.txt"
    lines = list(islice(planted_corpus(seed=0), 1_000))
    path.write_text("\n".join(lines))
    ops = {
        "documents": {"source": "files", "path": str(path)},
        "reference_texts": {"source": "none"},
        "topics": {"topics": 3},
        "topic_methods": {"topics": 3, "workers": 1},
        "word_vectors": {"dimensions": 24, "epochs": 2},
        "word_map": {"updates_per_word": 8},
        "tune_topics": BRIEF,
        "tune_word_vectors": BRIEF,
    }

    with subtests.test("the first run makes the tables of this chain and no others, and tells of them"):
        first = run(**ops)
        assert first.returncode == 0, first.stdout + first.stderr
        assert warehouse.tables() == tables_of("text")
        assert "3 of 3 topics" in first.stdout
        assert "king - man + woman = " in first.stdout

    with subtests.test("all rows keep the rules of their contracts, and their references lead to rows"):
        assert broken_rules(warehouse) == {}

    with subtests.test("an unchanged second run makes nothing and says so"):
        heads = warehouse.heads()
        assert "Everything is fresh" in run(**ops).stdout
        assert warehouse.heads() == heads

    with subtests.test("a changed file is read again, and what follows is made again"):
        path.write_text("\n".join([*lines, "one more document"]))
        assert run(**ops).returncode == 0
        assert len(warehouse.read("documents")) == len(lines) + 1
        assert changed(warehouse, heads) >= {"documents", "bag_of_words", "document_topics"}
