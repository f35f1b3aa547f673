"""The snippets, commands, configurations and links of the documents, checked as a reader would use them."""

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
import yaml

from assets.assays.events import EventsConfig
from assets.reviews.reviews import ReviewsConfig
from assets.table import CONTRACTS
from assets.tuning.item_map import STUDY as ITEM_MAP
from pipelines.chains import CHAINS
from pipelines.definitions import defs
from pipelines.products import Products
from taproom.client import command_line
from taproom.sources.inbox import file_key, file_sha256
from taproom.sources.plates import read_plate_map
from taproom.warehouse.warehouse import Warehouse
from tests.fcs_file import fcs_bytes
from tests.planted_images import planted_images, write_images

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "data").rglob("inbox/**/*.md")])
READING = ROOT / "docs" / "reading_tables.md"
RULES = ROOT / "docs" / "contracts.md"
# A guide is called after the chain whose input it is about, and has an example of one.
GUIDES = {chain: ROOT / "docs" / f"{chain.name}.md" for chain in CHAINS if chain.name != "tuning"}


def snippets(document: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(encoding="utf-8"), flags=re.DOTALL)


def run_as_script(code: str, document: Path) -> None:
    exec(compile(code, str(document), "exec"), {"__name__": "__main__"})


def commands(document: Path) -> list[str]:
    """The lines of its shell snippets, and what it shows as code in a line."""
    shell = "".join(snippets(document, "sh")).splitlines()
    return shell + re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", document.read_text("utf-8"), flags=re.DOTALL))


def anchors(document: Path) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture
def reader(tmp_path, monkeypatch, themed_reviews, write_csv, instance, plate_of_wells, ingest_events, make):
    """A folder with `data/warehouse` in it, as a reader of the README has it after `make run`."""
    monkeypatch.setenv("TAPROOM_WAREHOUSE", str(tmp_path / "data" / "warehouse"))
    path = write_csv("ales.csv", themed_reviews())
    ops = {"reviews": {"config": {"source": "table", "path": str(path)}}}
    key = file_key(path.name, file_sha256(path))
    instance.add_dynamic_partitions("review_batches", [key])
    quick = {"item_map": {"config": {"updates_per_item": 8}}}
    defs.resolve_job_def("ingest_reviews").execute_in_process({"ops": ops}, instance, partition_key=key)
    defs.resolve_job_def("refresh_reviews").execute_in_process({"ops": quick}, instance)
    plate = plate_of_wells(channels=("Y2-A", "B1-A"))
    ingest_events(plate, columns={"plate": "plate", "well": "well", "label": "label"})
    keywords = {"P1N": "Y2-A", "P2N": "B1-A"}
    (tmp_path / "A5.fcs").write_bytes(fcs_bytes(np.array([[8000.0, 20.0], [60.0, 30000.0]]), keywords))
    ingest_events(tmp_path / "A5.fcs", source="fcs", plate="P2", well="A5", transform="linear")
    make(
        "wells",
        "plate_scales",
        "class_mixtures",
        "classes",
        "held_out_events",
        "share_errors",
        "event_calls",
        "well_shares",
    )
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
    make("image_features", "landmarks", "classifier")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("reader")
def test_snippets_run_and_the_examples_of_the_guides_are_read(capsys, instance, tmp_path, monkeypatch, subtests):
    for document, count in (
        (ROOT / "README.md", 1),
        (ROOT / "docs" / "tables.md", 4),
        (ROOT / "docs" / "exporting.md", 5),
        (READING, 5),
    ):
        with subtests.test(document.name):
            # tests/taproom/images/test_onnx_model.py runs the one of ONNX.
            found = [snippet for snippet in snippets(document, "python") if "onnx" not in snippet]
            assert len(found) == count
            for snippet in found:
                run_as_script(snippet, document)
                assert capsys.readouterr().out.strip()

    for command in "".join(snippets(READING, "sh") + snippets(RULES, "sh")).splitlines():
        if command.startswith("taproom "):
            with subtests.test(command):
                assert command_line.main(shlex.split(command)[1:]) == 0
                assert capsys.readouterr().out.strip()

    for guide in GUIDES.values():
        run_as_script(snippets(guide, "python")[0], guide)
    monkeypatch.setenv("TAPROOM_WAREHOUSE", str(tmp_path / "of_examples"))
    warehouse = Warehouse()
    for chain, guide in GUIDES.items():
        with subtests.test(f"the example of {guide.name}"):
            ops = yaml.safe_load(snippets(guide, "yaml")[0])["ops"]
            reads = chain.reads(ops[chain.read]["config"])
            outcomes = Products(instance, warehouse, defs, ops).read(chain, reads)
            assert outcomes == dict.fromkeys(reads, True)
            assert len(warehouse.read(chain.read)) > 0


@pytest.mark.slow
def test_the_examples_of_the_estimators_run(capsys):
    document = ROOT / "docs" / "estimators.md"
    found = snippets(document, "python")
    assert len(found) == 5
    for snippet in found:
        run_as_script(snippet, document)
        assert capsys.readouterr().out.strip()


def test_every_configuration_shown_is_one_that_jobs_take():
    jobs = [job for job in defs.resolve_all_job_defs() if not job.name.startswith("__")]
    for document in DOCUMENTS:
        for snippet in snippets(document, "yaml"):
            given = yaml.safe_load(snippet)["ops"]
            for op, config in given.items():
                takers = [job for job in jobs if op in job.graph.node_dict]
                assert takers, (document, op)
                assert dg.validate_run_config(takers[0], {"ops": {op: config}}), (document, op)


def test_a_configuration_that_a_command_names_is_shown_beside_it():
    for document in DOCUMENTS:
        shown = {snippet.split("\n", 1)[0].removeprefix("# ") for snippet in snippets(document, "yaml")}
        named = re.findall(r"\bCONFIG=(\S+)", "".join(snippets(document, "sh")))
        assert set(named) <= shown, document


def test_the_pinned_setting_shown_has_all_parameters_of_the_study():
    (shown,) = [snippet for snippet in snippets(ROOT / "docs" / "tuning.md", "yaml") if "pin:" in snippet]
    pin = yaml.safe_load(shown)["ops"]["tune_item_map"]["config"]["pin"]
    assert pin.keys() == ITEM_MAP.space.keys()


@pytest.mark.parametrize(("chain", "config"), [("reviews", ReviewsConfig), ("assays", EventsConfig)])
def test_the_inbox_settings_shown_are_fields_of_the_configuration(chain, config):
    (snippet,) = snippets(ROOT / "data" / "inbox" / chain / "README.md", "toml")
    assert set(tomllib.loads(snippet)) <= set(config.model_fields)


def test_the_plate_map_shown_is_one(tmp_path):
    (snippet,) = snippets(ROOT / "data" / "inbox" / "assays" / "README.md", "csv")
    (tmp_path / "plate_map.csv").write_text(snippet)
    assert [well.label for well in read_plate_map(tmp_path / "plate_map.csv").values()] == ["CFP", None]


def test_every_make_command_names_a_target_and_its_variables():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    variables = set(re.findall(r"^([A-Z]+) \?=", makefile, flags=re.MULTILINE))
    for document in DOCUMENTS:
        for command in commands(document):
            for target, variable in re.findall(r"(?:^|\s)make ([a-z-]+)\b(?: ([A-Z]+)=)?", command):
                assert target in targets, (document, command)
                assert variable in variables | {""}, (document, command)


def test_every_python_command_names_a_module_or_script():
    for document in DOCUMENTS:
        for command in commands(document):
            for flag, named in re.findall(r"\bpython (-m )?([\w./]+)", command):
                if flag:
                    assert importlib.util.find_spec(named), (document, command)
                elif named != "example.py":
                    assert (ROOT / named).is_file(), (document, command)


def test_every_table_is_listed():
    text = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    assert {table for table in CONTRACTS if f"`{table}`" not in text} == set()


def test_links_between_documents_lead_to_a_file_and_a_heading():
    for document in DOCUMENTS:
        for target, anchor in re.findall(r"\]\(([^)#:]*)#?([^):]*)\)", document.read_text(encoding="utf-8")):
            linked = (document.parent / target) if target else document
            assert linked.exists(), (document, target)
            assert not anchor or anchor in anchors(linked), (document, target, anchor)


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
