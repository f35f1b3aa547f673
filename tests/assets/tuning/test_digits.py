import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pydantic import ValidationError

from assets.tuning.digits import CONTRACT, FEWEST_OF_A_LABEL, DigitsConfig, digits, enough_of_each_label, read_at_once
from pipelines.io_manager import TableIOManager
from pipelines.records import newest_materialization
from taproom.errors import ContractError, SourceError
from taproom.sources.digits import intensities
from taproom.sources.fetching import read_sources
from tests.mnist_files import mnist_archives
from tests.served_sources import served_sources

LEVELS = np.random.default_rng(0).integers(0, 256, (120, 784), dtype=np.uint8)
LABELS = np.arange(120) % 2 + 4


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "digits.npz"
    np.savez(path, x=LEVELS, y=LABELS)
    return path


@pytest.fixture
def make_digits(warehouse, instance):
    def run(**config):
        return dg.materialize(
            [digits, enough_of_each_label],
            resources={"io_manager": TableIOManager()},
            instance=instance,
            run_config={"ops": {"digits": {"config": config}}},
        )

    return run


def told(instance):
    return newest_materialization(instance, dg.AssetKey("digits")).asset_materialization.metadata


def test_a_file_of_digits_becomes_a_table(file, make_digits, warehouse, instance):
    result = make_digits(path=str(file))
    table = warehouse.read("digits")
    assert table.schema.equals(CONTRACT.schema)
    assert table["digit_id"].to_pylist()[::119] == ["000000", "000119"]
    assert table["label"].to_pylist() == [str(label) for label in LABELS]
    assert np.array_equal(intensities(table), LEVELS / np.float32(255))
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert checks["enough_of_each_label"].passed
    metadata = told(instance)
    assert {name: metadata[name].value for name in ("digits", "labels", "fewest_of_a_label", "most_of_a_label")} == {
        "digits": 120, "labels": 2, "fewest_of_a_label": 60, "most_of_a_label": 60,
    }  # fmt: skip
    assert Image.open(metadata["figure_path"].value).width > 400


def test_without_a_path_the_embedded_digits_are_read(make_digits, warehouse):
    make_digits()
    labels = warehouse.read("digits")["label"].to_pylist()
    assert {label: labels.count(label) for label in set(labels)} == dict.fromkeys("0123456789", 500)


def test_all_of_mnist_is_fetched(make_digits, warehouse, tmp_path):
    archives = mnist_archives(LEVELS, LABELS, training=100)
    assert {read_sources()[name].kind for name in archives} == {"https"}
    with served_sources(tmp_path, archives):
        make_digits(source="mnist")
    table = warehouse.read("digits")
    assert table["label"].to_pylist() == [str(label) for label in LABELS]
    assert np.array_equal(intensities(table), LEVELS / np.float32(255))


def test_a_path_beside_another_source_is_refused(file, make_digits):
    with pytest.raises(SourceError, match="source mnist, which has none"):
        make_digits(source="mnist", path=str(file))


def test_a_label_with_few_digits_is_a_warning_that_names_it(file, make_digits):
    np.savez(file, x=LEVELS[:99], y=LABELS[:99])
    checks = {check.check_name: check for check in make_digits(path=str(file)).get_asset_check_evaluations()}
    found = checks["enough_of_each_label"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.metadata["too_few"].value == {"5": 49}
    assert FEWEST_OF_A_LABEL == 50


def test_what_cannot_be_read_leaves_the_table_as_it_is(file, make_digits, warehouse, tmp_path):
    make_digits(path=str(file))
    np.savez(file, x=LEVELS, y=LABELS[:-1])
    with pytest.raises(SourceError, match="120 images and labels of the shape"):
        make_digits(path=str(file))
    with pytest.raises(SourceError, match="is not there"):
        make_digits(path=str(tmp_path / "missing"))
    assert len(warehouse.read("digits")) == 120


def test_a_configuration_gets_the_fingerprint_of_its_file(file, tmp_path):
    ((key, given),) = read_at_once({"path": str(file)}).items()
    assert key is None
    assert given["path"] == str(file)
    np.savez(file, x=LEVELS[:100], y=LABELS[:100])
    changed = read_at_once({"path": str(file)})[None]
    assert len({given["fingerprint"], changed["fingerprint"]}) == 2
    assert DigitsConfig(**changed).fingerprint == changed["fingerprint"]
    assert read_at_once({}) == {None: {}}
    with pytest.raises(SourceError, match="missing is not there"):
        read_at_once({"path": str(tmp_path / "missing")})


def test_a_fingerprint_that_is_none_is_refused():
    with pytest.raises(ValidationError, match="fingerprint"):
        DigitsConfig(fingerprint="new")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": bytes(783)}, "pixels has 784 bytes"),
        ({"label": " "}, "label is not blank"),
        ({"digit_id": ""}, "digit_id is not blank"),
    ],
)
def test_the_contract_refuses_what_is_no_digit(change, message):
    row = {"digit_id": "0", "label": "7", "pixels": bytes(784)}
    with pytest.raises(ContractError, match=message):
        list(CONTRACT.checked(pa.Table.from_pylist([row | change], CONTRACT.schema).to_batches()))
