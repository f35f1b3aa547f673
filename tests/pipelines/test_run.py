import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
import yaml

from pipelines.definitions import defs
from pipelines.run import main
from taproom.warehouse.warehouse import Warehouse
from tests.fcs_file import fcs_bytes
from tests.planted_corpus import planted_corpus
from tests.planted_images import planted_images, write_images

ROOT = Path(__file__).resolve().parents[2]
TUNED = {"trials", "challenges", "champions"}
TABLES, ASSAY_TABLES, TEXT_TABLES, IMAGE_TABLES = (
    sorted(TUNED | {key.path[0] for key in dg.AssetSelection.groups(chain).resolve(defs.resolve_asset_graph())})
    for chain in ("reviews", "assays", "text", "images")
)


@pytest.fixture
def run(warehouse, tmp_path):
    """Runs `python -m pipelines.run` as `make run` does, in a process of its own, with `ops` as configuration."""
    home = tmp_path / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())

    def command(**ops: dict) -> subprocess.CompletedProcess:
        config = tmp_path / "run.yaml"
        config.write_text(yaml.safe_dump({"ops": {op: {"config": given} for op, given in ops.items()}}))
        return subprocess.run(
            [sys.executable, "-m", "pipelines.run", "--config", str(config)],
            cwd=ROOT,
            env=os.environ | {"DAGSTER_HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return command


def changed(warehouse: Warehouse, before: dict[str, int]) -> set[str]:
    return {table for table, version in warehouse.heads().items() if before.get(table) != version}


def test_run_makes_everything_once_and_then_only_what_has_changed(
    run, write_csv, warehouse, themed_reviews, tmp_path, subtests
):
    path = write_csv("beers.csv", themed_reviews())
    reviews = {"source": "table", "path": str(path), "collection": "beers"}
    tuning = {"tune_item_map": {"trials": 2}}

    with subtests.test("the first run makes every table and tells of them"):
        first = run(reviews=reviews, **tuning)
        assert first.returncode == 0, first.stdout + first.stderr
        assert warehouse.tables() == TABLES
        assert "ingest_reviews of beers.csv-" in first.stdout
        assert all(table in first.stdout for table in TABLES)
        assert first.stdout.count("Nearest to item ") == 3
        assert "Errors of the map" in first.stdout
        assert "Champions (what products are made with, and why)\n  item_map " in first.stdout
        picture = Path(warehouse.root, "_figures", "item_map.png")
        assert str(picture) in first.stdout
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert "make ui" in first.stdout

    with subtests.test("an unchanged second run makes nothing and says so"):
        heads = warehouse.heads()
        runs = {table: warehouse.history(table)[0]["run_id"] for table in TABLES}
        second = run(reviews=reviews, **tuning)
        assert second.returncode == 0, second.stderr
        assert "Everything is fresh" in second.stdout
        assert "ingest_reviews" not in second.stdout
        assert warehouse.heads() == heads
        assert {table: warehouse.history(table)[0]["run_id"] for table in TABLES} == runs

    with subtests.test("a changed configuration makes only what depends on it"):
        third = run(reviews=reviews, neighbors={"k": 6}, **tuning)
        assert third.returncode == 0, third.stderr
        studied = "challenges/item_map_challenges, champions/item_map_champions, "
        mapped = "item_map, map_errors, map_methods, map_moves, neighbors, "
        assert f"make_reviews: {studied}{mapped}trials/item_map_trials\n" in third.stdout
        assert changed(warehouse, heads) <= TUNED | set(mapped.split(", "))
        assert len(warehouse.read("neighbors")["neighbor_ids"][0]) == 6

    with subtests.test("a bad file is refused in a sentence, and the tables stay"):
        heads = warehouse.heads()
        bad = tmp_path / "bad.csv"
        bad.write_text("item_id,score\nale,5\n")
        refused = run(reviews={**reviews, "path": str(bad)})
        assert refused.returncode == 1
        assert "Failed: reviews: " in refused.stderr
        assert "bad.csv has no column for text" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert warehouse.heads() == heads


def test_a_file_of_text_goes_to_topics_and_vectors_and_is_read_again_when_it_changes(
    run, tmp_path, warehouse, subtests
):
    path = tmp_path / "planted.txt"
    lines = list(islice(planted_corpus(seed=0), 3_000))
    path.write_text("\n".join(lines))
    ops = {
        "documents": {"source": "files", "path": str(path)},
        "topics": {"topics": 3},
        "topic_methods": {"topics": 3, "workers": 1},
        "word_vectors": {"dimensions": 24, "epochs": 2},
        "word_map": {"updates_per_word": 50},
        "tune_topics": {"trials": 2},
        "tune_word_vectors": {"trials": 2},
    }

    with subtests.test("the first run makes the tables of this chain and no others, and tells of them"):
        first = run(**ops)
        assert first.returncode == 0, first.stdout + first.stderr
        assert warehouse.tables() == TEXT_TABLES
        assert "3 of 3 topics" in first.stdout
        assert "king - man + woman = " in first.stdout

    with subtests.test("an unchanged second run makes nothing and says so"):
        heads = warehouse.heads()
        assert "Everything is fresh" in run(**ops).stdout
        assert warehouse.heads() == heads

    with subtests.test("a changed file is read again, and what follows is made again"):
        path.write_text("\n".join([*lines, "one more document"]))
        assert run(**ops).returncode == 0
        assert len(warehouse.read("documents")) == len(lines) + 1
        assert changed(warehouse, heads) >= {"documents", "bag_of_words", "document_topics"}


def test_a_plate_of_fcs_files_goes_from_the_folder_to_shares_and_a_corrected_label_is_noticed(
    run, tmp_path, warehouse, subtests
):
    random, folder = np.random.default_rng(0), tmp_path / "plate"
    folder.mkdir()
    wells = [("A1", "green"), ("A2", "green"), ("A3", "red"), ("A4", "red"), ("A5", "")]
    for place, (well, _) in enumerate(wells):
        values = random.normal(0, 30, (150, 2))
        values[::2, place // 2 % 2] += 3_000
        (folder / f"{well}.fcs").write_bytes(fcs_bytes(values))
    rows = [f"{well}.fcs,P1,{well},{label}" for well, label in wells]
    (folder / "plate_map.csv").write_text("\n".join(["file,plate,well,label", *rows]))
    ops = {
        "events": {"source": "fcs", "path": str(folder)},
        "mixture": {"sizes": [2, 3], "restarts": 1},
        "class_mixtures": {"sizes": [2], "restarts": 1},
        "tune_class_mixtures": {"trials": 2},
        "tune_kernel_density": {"trials": 4},
    }

    with subtests.test("the first run makes the tables of this chain and no others"):
        first = run(**ops)
        assert first.returncode == 0, first.stdout + first.stderr
        assert warehouse.tables() == ASSAY_TABLES
        assert "Classes in the wells to call" in first.stdout
        assert "Accuracy on wells left out" in first.stdout

    with subtests.test("an unchanged second run makes nothing and says so"):
        heads = warehouse.heads()
        assert "Everything is fresh" in run(**ops).stdout
        assert warehouse.heads() == heads

    with subtests.test("a corrected label makes its sample again, and what follows"):
        rows[0] = "A1.fcs,P1,A1,"
        (folder / "plate_map.csv").write_text("\n".join(["file,plate,well,label", *rows]))
        third = run(**ops)
        assert third.stdout.count("ingest_assays of P1-A1-") == third.stdout.count("ingest_assays of ") == 1
        assert warehouse.read("wells")["label"].to_pylist() == [None, "green", "red", "red", None]
        assert {"classes", "event_calls", "well_shares"} <= changed(warehouse, heads)


def test_a_configuration_that_is_none_is_refused_in_a_sentence(run, tmp_path, warehouse):
    missing = run(reviews={"source": "table", "path": str(tmp_path / "none.csv")})
    assert missing.returncode == 1
    assert "there is no file" in missing.stderr
    assert "Traceback" not in missing.stderr
    assert warehouse.tables() == []


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("ops:\n  tfidff:\n    config: {min_reviews: 5}\n", "tfidff"),
        ("ops:\n  reviews:\n    config: {source: tabel}\n", "tabel"),
        ("ops:\n  reviews:\n    config: {sourc: table}\n", "sourc"),
        ("reviews: {source: table}\n", "no mapping `ops`"),
        ("ops: [\n", "cannot be read"),
    ],
)
def test_a_configuration_that_nothing_takes_is_refused_before_anything_is_made(
    given, named, tmp_path, capsys, warehouse
):
    path = tmp_path / "run.yaml"
    path.write_text(given)
    assert main(["--config", str(path)]) == 1
    told = capsys.readouterr().err
    assert named in told
    assert "run.yaml" in told
    assert warehouse.tables() == []


def test_images_go_from_a_file_to_a_classifier_whatever_becomes_of_another_chain(
    run, tmp_path, warehouse, subtests, monkeypatch
):
    path = tmp_path / "planted.parquet"
    pixels, labels = planted_images(60)
    write_images(path, pixels, labels, [None] * len(labels))
    ops = {
        "images": {"source": "files", "path": str(path)},
        "filters": {"filters": 12, "patches": 2_000, "patch_size": 4, "pools": 2},
        "filter_gallery": {},
        "feature_baselines": {"training_images": 60, "test_images": 30},
        "tune_classifier": {"trials": 2},
    }
    damaged = tmp_path / "damaged.csv"
    damaged.write_text("item_id,score\nale,5\n")

    with subtests.test("a chain that fails keeps none after it from being made, and is told of at the end"):
        first = run(reviews={"source": "table", "path": str(damaged)}, **ops)
        assert first.returncode == 1
        assert warehouse.tables() == IMAGE_TABLES
        assert "The classifier of images is right on " in first.stdout
        assert first.stderr.strip().splitlines()[-1].startswith("Failed: reviews: ")

    with subtests.test("without it, everything is fresh"):
        second = run(**ops)
        assert second.returncode == 0, second.stderr
        assert "Everything is fresh" in second.stdout

    with subtests.test("a damaged data set is refused, and the tables stay"):
        heads = warehouse.heads()
        refused = run(**ops | {"images": {"source": "files", "path": str(damaged)}})
        assert refused.returncode == 1
        assert "Failed: images: images: " in refused.stderr
        assert "Traceback" not in refused.stderr
        assert warehouse.heads() == heads

    with subtests.test("where CIFAR-10 cannot be had, both ways are told of, and the tables stay"):
        for form in ("CIFAR10", "CIFAR10_BINARY"):
            monkeypatch.setenv(f"TAPROOM_SOURCE_{form}", str(tmp_path / f"no_{form}"))
        refused = run(**ops | {"images": {"source": "cifar10"}})
        assert refused.returncode == 1
        assert "Failed: images: " in refused.stderr
        assert "CIFAR-10 could not be had in either of its forms" in refused.stderr
        assert "no_CIFAR10 " in refused.stderr
        assert "no_CIFAR10_BINARY" in refused.stderr
        assert warehouse.heads() == heads
