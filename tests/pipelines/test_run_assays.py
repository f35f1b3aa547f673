import numpy as np

from tests.fcs_file import fcs_bytes
from tests.pipelines.made_by_run import BRIEF, broken_rules, changed, tables_of


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
        "classifier_comparison": {"workers": 1},
        "tune_class_mixtures": BRIEF,
        "tune_kernel_density": BRIEF,
    }

    with subtests.test("the first run makes the tables of this chain and no others"):
        first = run(**ops)
        assert first.returncode == 0, first.stdout + first.stderr
        assert warehouse.tables() == tables_of("assays")
        assert "Classes in 1 of 1 unlabelled wells" in first.stdout
        assert "Accuracy on wells left out" in first.stdout

    with subtests.test("all rows keep the rules of their contracts, and their references lead to rows"):
        assert broken_rules(warehouse) == {}

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
