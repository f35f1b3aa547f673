"""What `make` sets up, beside the environment."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = ROOT / "dagster.yaml"


def set_up(home: Path) -> str:
    command = ["make", "--no-print-directory", "dagster_home", f"DAGSTER_HOME={home}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_dagsters_settings_are_those_of_the_checkout(tmp_path):
    home = tmp_path / "a home"
    assert set_up(home) == set_up(home) == ""
    assert (home / "dagster.yaml").readlink() == SETTINGS


def test_a_copy_that_a_former_version_made_becomes_a_link(tmp_path):
    (tmp_path / "dagster.yaml").write_text(SETTINGS.read_text())
    assert set_up(tmp_path) == ""
    assert (tmp_path / "dagster.yaml").readlink() == SETTINGS
    assert not (tmp_path / "dagster.yaml.before").exists()


def test_an_outdated_copy_is_replaced_and_kept(tmp_path):
    (tmp_path / "dagster.yaml").write_text("nux: {enabled: true}\n")
    assert "dagster.yaml.before" in set_up(tmp_path)
    assert (tmp_path / "dagster.yaml").readlink() == SETTINGS
    assert (tmp_path / "dagster.yaml.before").read_text() == "nux: {enabled: true}\n"
    assert set_up(tmp_path) == ""


def test_a_link_to_settings_of_ones_own_stays(tmp_path):
    (tmp_path / "own.yaml").write_text("nux: {enabled: true}\n")
    (tmp_path / "dagster.yaml").symlink_to("own.yaml")
    assert set_up(tmp_path) == ""
    assert (tmp_path / "dagster.yaml").readlink() == Path("own.yaml")


def test_a_broken_link_is_mended(tmp_path):
    (tmp_path / "dagster.yaml").symlink_to(tmp_path / "gone.yaml")
    assert set_up(tmp_path) == ""
    assert (tmp_path / "dagster.yaml").readlink() == SETTINGS
