"""The lint of scripts and styles finds what is wrong with them."""

import platform
import shutil

import pytest

from taproom.pages import lint


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """A folder of a script of its own, with the rules of the pages."""
    shutil.copy(lint.SOURCE / "biome.json", tmp_path)
    (tmp_path / "scripts").mkdir()
    monkeypatch.setattr(lint, "SOURCE", tmp_path)
    return tmp_path / "scripts"


@pytest.mark.slow
@pytest.mark.skipif((platform.system(), platform.machine()) != lint.PLATFORM[:2], reason="Biome is pinned for another")
def test_an_unknown_name_is_found_and_a_bad_format_is_fixed(scripts, capfd):
    script = scripts / "beers.js"
    script.write_text('"use strict";\n\nTaproom.beers = beeers;\n')
    assert lint.main([]) == 1
    assert "beeers" in capfd.readouterr().err
    script.write_text("'use strict'\nTaproom.beers=[1,2]")
    assert lint.main([]) == 1
    assert lint.main(["--fix"]) == 0
    assert script.read_text() == '"use strict";\nTaproom.beers = [1, 2];\n'


def test_on_another_machine_nothing_is_checked(monkeypatch, capsys):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert lint.main([]) == 0
    assert "riscv64" in capsys.readouterr().out
