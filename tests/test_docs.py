"""What the documents show is run here as a reader would run it."""

import re
import tomllib
from pathlib import Path

import dagster as dg
import pytest
import yaml

from assets.assays.events import EventsConfig
from assets.assays.wells import WellsConfig
from assets.images.filters import FiltersConfig
from assets.images.images import ImagesConfig
from assets.reviews.reviews import ReviewsConfig
from assets.reviews.tfidf import TfidfConfig
from assets.table import CONTRACTS
from assets.text.documents import DocumentsConfig
from assets.text.word_vectors import WordVectorsConfig
from assets.tuning.item_map import STUDY as ITEM_MAP
from pipelines.definitions import defs
from taproom.sources.inbox import file_key, file_sha256
from taproom.sources.plates import read_plate_map
from tests.planted_images import planted_images, write_images

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "data").rglob("inbox/**/*.md")])


def snippets(document: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def reader(tmp_path, monkeypatch, themed_reviews, write_csv, instance, plate_of_wells, ingest_events, make):
    """A folder with `data/warehouse` in it, as a reader of the README has it after `make run`."""
    monkeypatch.setenv("TAPROOM_WAREHOUSE", str(tmp_path / "data" / "warehouse"))
    path = write_csv("ales.csv", themed_reviews())
    ops = {"reviews": {"config": {"source": "table", "path": str(path)}}}
    key = file_key(path.name, file_sha256(path))
    instance.add_dynamic_partitions("review_batches", [key])
    quick = {"item_map": {"config": {"updates_per_item": 50}}}
    defs.resolve_job_def("ingest_reviews").execute_in_process({"ops": ops}, instance, partition_key=key)
    defs.resolve_job_def("refresh_reviews").execute_in_process({"ops": quick}, instance)
    plate = plate_of_wells(channels=("Y2-A", "B1-A"))
    ingest_events(plate, columns={"plate": "plate", "well": "well", "label": "label"})
    make("wells", "class_mixtures", "classes", "held_out_events", "share_errors", "event_calls", "well_shares")
    text = tmp_path / "space.txt"
    text.write_text("the shuttle reached its orbit today\na man and a woman met king and queen\n" * 10)
    words = {"min_document_frequency": 2, "max_document_share": 0.9}
    make("documents", documents={"source": "files", "path": str(text)})
    make("terms", "bag_of_words", bag_of_words=words)
    make("topics", "document_topics", topics={"topics": 2})
    make("word_vectors", "training_pairs", word_vectors={"dimensions": 4, "min_count": 1, "epochs": 1})
    pictures = tmp_path / "planted.parquet"
    pixels, labels = planted_images(20)
    write_images(pictures, pixels, labels, [None] * len(labels))
    few = {"filters": 4, "patches": 200, "patch_size": 4, "pools": 2}
    make("images", images={"source": "files", "path": str(pictures)})
    make("patches", "whitening", "filters", "encoder", filters=few)
    make("gram", "image_features", "classifier")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("reader")
def test_python_snippets_of_the_readme_run_and_print(capsys):
    found = snippets(ROOT / "README.md", "python")
    assert len(found) == 7
    for snippet in found:
        exec(compile(snippet, "README.md", "exec"), {})
        assert capsys.readouterr().out.strip()


def test_the_readme_configuration_is_one_that_the_assets_take():
    given = [yaml.safe_load(snippet)["ops"] for snippet in snippets(ROOT / "README.md", "yaml")]
    ops, text, assays, images, tuning = given
    assert ReviewsConfig(**ops["reviews"]["config"]).columns["item_id"] == "beer_name"
    assert TfidfConfig(**ops["tfidf"]["config"]).min_reviews == 5
    job = defs.resolve_job_def("ingest_reviews")
    assert dg.validate_run_config(job, {"ops": {"reviews": ops["reviews"]}})
    assert DocumentsConfig(**text["documents"]["config"]).block_words == 1_000
    assert WordVectorsConfig(**text["word_vectors"]["config"]).workers == 2
    assert EventsConfig(**assays["events"]["config"]).transform.startswith("logicle")
    assert WellsConfig(**assays["wells"]["config"]).channels
    assert ImagesConfig(**images["images"]["config"]).source.value == "files"
    assert FiltersConfig(**images["filters"]["config"]).preset.value == "large"
    assert dg.validate_run_config(defs.resolve_job_def("tune"), {"ops": tuning})
    assert tuning["tune_item_map"]["config"]["pin"].keys() == ITEM_MAP.space.keys()


@pytest.mark.parametrize(("chain", "config"), [("reviews", ReviewsConfig), ("assays", EventsConfig)])
def test_the_inbox_settings_shown_are_fields_of_the_configuration(chain, config):
    (snippet,) = snippets(ROOT / "data" / "inbox" / chain / "README.md", "toml")
    assert set(tomllib.loads(snippet)) <= set(config.model_fields)


def test_the_plate_map_shown_is_one(tmp_path):
    (snippet,) = snippets(ROOT / "data" / "inbox" / "assays" / "README.md", "csv")
    (tmp_path / "plate_map.csv").write_text(snippet)
    assert [well.label for well in read_plate_map(tmp_path / "plate_map.csv").values()] == ["CFP", None]


def test_every_make_target_that_a_document_names_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for document in DOCUMENTS:
        named = re.findall(r"(?:`|^|\s)make ([a-z-]+)\b(?=[^\n]*`|\s{2,}#)", document.read_text(encoding="utf-8"))
        assert set(named) <= targets | {"run"}, document


def test_every_table_is_in_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {table for table in CONTRACTS if f"`{table}`" not in text} == set()


def test_links_between_documents_lead_somewhere():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), (document, target)


def test_the_table_of_the_contributing_guide_is_made(
    write_csv, ingest, make, warehouse, themed_reviews, monkeypatch
):  # fmt: skip
    (code,) = snippets(ROOT / "CONTRIBUTING.md", "python")
    monkeypatch.setattr("assets.table.code_version", lambda *_: "of a file that is not there")
    monkeypatch.setattr("assets.table.CONTRACTS", dict(CONTRACTS))
    shown = {"__name__": "assets.reviews.heaviest_words"}
    exec(code, shown)
    ingest(write_csv("ales.csv", themed_reviews(items=8)))
    make("items", "review_batches", "duplicate_reviews", "vocabulary", "tfidf")
    weighted = warehouse.read("tfidf")
    draft = shown["heaviest_words"](warehouse.stream("tfidf", warehouse.head("tfidf")), warehouse.read("vocabulary"))
    (rows,) = shown["CONTRACT"].checked(draft.rows.combine_chunks().to_batches())
    assert rows["item_id"].to_pylist() == weighted["item_id"].to_pylist()
    assert rows["weight"].to_pylist() == [max(weights) for weights in weighted["weights"].to_pylist()]
