from assets.images.street_fight import SIZES
from tests.pipelines.made_by_run import BRIEF, tables_of
from tests.planted_images import SMALL_FIGHT, planted_images, write_images


def test_images_go_from_a_file_to_a_classifier(run, tmp_path, warehouse, subtests, monkeypatch):
    path = tmp_path / "planted.parquet"
    pixels, labels = planted_images(60)
    write_images(path, pixels, labels, [None] * len(labels))
    ops = {
        "images": {"source": "files", "path": str(path)},
        "filters": {"filters": 12, "patches": 2_000, "patch_size": 4, "pools": 2},
        "filter_gallery": {},
        "feature_baselines": {"training_images": 60, "test_images": 30, "workers": 1},
        "street_fight": {"workers": 1},
        "tune_classifier": BRIEF,
    }
    monkeypatch.setitem(SIZES, "small", SMALL_FIGHT)
    damaged = tmp_path / "damaged.csv"
    damaged.write_text("item_id,score\nale,5\n")

    with subtests.test("the first run makes the tables of this chain and no others, and tells of them"):
        first = run(**ops)
        assert first.returncode == 0, first.stdout + first.stderr
        assert warehouse.tables() == tables_of("images")
        assert "Accuracy of the classifier of images: " in first.stdout

    with subtests.test("an unchanged second run makes nothing and says so"):
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
        assert "CIFAR-10 is not available in either of its forms" in refused.stderr
        assert "no_CIFAR10 " in refused.stderr
        assert "no_CIFAR10_BINARY" in refused.stderr
        assert warehouse.heads() == heads
