import os

import pyarrow as pa
import pytest

from taproom.warehouse.warehouse import Warehouse
from tests.taproom.warehouse.tables import MAIL, mail


@pytest.mark.parametrize("root", ["{folder}/warehouse", "{folder}/two words", "file://{folder}/warehouse/"])
def test_a_root_is_a_folder_or_a_url(tmp_path, root):
    warehouse = Warehouse(root.format(folder=tmp_path))
    warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    published = warehouse.publish(MAIL, mail("b", 2), since=0, partition="b")
    assert warehouse.tables() == ["mail"]
    assert warehouse.uri("mail") == f"{warehouse.root}/mail"
    assert warehouse.read("mail").equals(pa.concat_tables([mail("a", 1), mail("b", 2)]))
    assert [entry["partition"] for entry in warehouse.history("mail")] == ["b", "a"]
    (folder,) = tmp_path.iterdir()
    stray = folder / "mail" / "batch=a" / "stray.parquet"
    stray.write_bytes(b"")
    os.utime(stray, (0, 0))
    assert warehouse.sweep() == {"mail": ["batch=a/stray.parquet"]}
    assert warehouse.put_figure(published, b"picture") == f"{warehouse.root}/_figures/mail.png"
    assert (folder / "_figures" / "mail.png").read_bytes() == b"picture"
    assert warehouse.figure("mail", published.content_hash) == b"picture"
    assert warehouse.tables() == ["mail"]
