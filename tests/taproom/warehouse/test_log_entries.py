import json
from pathlib import Path

import pytest

from taproom.errors import CollectionError, DamagedLogError
from taproom.warehouse.publishing import Origin
from tests.taproom.warehouse.tables import MAIL, ids, mail


def as_an_older_release_wrote_it(warehouse, table):
    """Take from a table's log what older releases did not write: hashes, and the copy beside the log."""
    Path(warehouse.uri(table), "_newest_commit").unlink()
    own = {"version", "committed_at", "table_rows", "files_sha256", "described", "ranges"}
    for path in Path(warehouse.uri(table), "_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in path.read_text().splitlines()]
        info = actions[0]["commitInfo"]
        del info["taproom_sha256"]
        metadata = json.loads(info.pop("taproom"))
        info |= {name: value for name, value in metadata.items() if name not in own}
        path.write_text("".join(f"{json.dumps(action)}\n" for action in actions))


def test_a_warehouse_of_an_older_release_is_read_and_continued(warehouse):
    origin = Origin(run_id="r", inputs={"beers": 3}, config={"k": 1})
    for batch, number in (("a", 1), ("b", 2), ("a", 3)):
        warehouse.publish(MAIL, mail(batch, number), since=warehouse.head("mail"), partition=batch, origin=origin)
    history = warehouse.history("mail")
    as_an_older_release_wrote_it(warehouse, "mail")
    assert warehouse.heads() == {"mail": 2}
    assert ids(warehouse.read("mail")) == [3, 2]
    assert ids(warehouse.read("mail", 1)) == [1, 2]
    old = warehouse.history("mail")
    assert [{**entry, "time": 0} for entry in old] == [{**entry, "time": 0} for entry in history]
    assert warehouse.check("mail").readable == (0, 1, 2)
    assert warehouse.repair("mail").problems == ()
    assert not warehouse.publish(MAIL, mail("b", 2), since=2, partition="b").changed
    with pytest.raises(CollectionError):
        warehouse.publish(MAIL, mail("c", 4, collection="brewery"), since=2, partition="c")
    warehouse.publish(MAIL, mail("c", 4), since=2, partition="c")
    assert ids(warehouse.read("mail")) == [3, 2, 4]
    entry = Path(warehouse.uri("mail"), "_delta_log", f"{0:020d}.json")
    entry.write_bytes(entry.read_bytes().replace(b'"batch":"a"', b'"batch":"b"'))
    assert ids(warehouse.read("mail")) == [3, 2, 4]  # what entry 0 added is no part of it
    entry = Path(warehouse.uri("mail"), "_delta_log", f"{1:020d}.json")
    entry.write_bytes(entry.read_bytes().replace(b'"batch": "b"', b'"batch": "a"'))
    with pytest.raises(DamagedLogError, match="its files and rows"):
        warehouse.read("mail")
