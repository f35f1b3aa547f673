import json

import pytest

from taproom.errors import SourceError
from taproom.sources.corpus import Document
from taproom.sources.reference_works import wikipedia_summaries, wordnet_entries
from tests.reference_files import DATA_FILES, SUMMARIES


def read(folder, **changes):
    for name, content in (DATA_FILES | changes).items():
        (folder / name).write_text(content)
    return list(wordnet_entries([folder / name for name in DATA_FILES]))


def test_a_synset_is_its_words_its_gloss_and_related_words_but_no_narrower_ones(tmp_path):
    assert read(tmp_path) == [
        Document(
            "00000001-n", "noun.food", None, 'beer, malt liquor: fermented beverage; "a glass of beer"; brew, beery'
        ),
        Document("00000002-n", "noun.food", None, "brew: drink made by steeping"),
        Document("00000003-n", "noun.food", None, "ale: a general name for beer"),
        Document("00000001-v", "verb.creation", None, "brew, make beer: sit or let sit; brew"),
        Document("00000001-a", "adj.all", None, "beery: smelling of beer"),
        Document("00000002-a", "adj.all", None, "malty: like malt; beery"),
        Document("00000001-r", "adv.all", None, "beerily: like one who has had beer; beery"),
    ]


@pytest.mark.parametrize(
    "line",
    ["beer is a drink", "00000001 99 n 01 beer 0 000 | x", "00000001 13 q 01 beer 0 000 | x", "00000001 13 n zz"],
)
def test_a_line_that_is_no_synset_is_refused_by_its_number(tmp_path, line):
    with pytest.raises(SourceError, match=r"data\.verb: line 2 is not a synset\. Wanted: a data file of WordNet"):
        read(tmp_path, **{"data.verb": DATA_FILES["data.verb"] + line})


def test_files_of_which_one_is_of_another_release_are_refused(tmp_path):
    with pytest.raises(SourceError, match="synset 00000001-n refers to another that is not there"):
        read(tmp_path, **{"data.adj": ""})


def test_a_summary_is_a_document_with_its_topic_as_label(tmp_path):
    (tmp_path / "summaries.json").write_text(json.dumps(SUMMARIES))
    found = list(wikipedia_summaries(tmp_path / "summaries.json"))
    assert found == [Document("Hop", "Biology", None, "Hop. Hops are flowers.")]


@pytest.mark.parametrize("content", ["{", "[]", '{"Hop": {"title": "Hop"}}', '{"Hop": "flowers"}'])
def test_summaries_in_another_form_are_refused(tmp_path, content):
    (tmp_path / "summaries.json").write_text(content)
    with pytest.raises(SourceError, match=r"summaries\.json has no summaries of Wikipedia in the expected form"):
        list(wikipedia_summaries(tmp_path / "summaries.json"))
