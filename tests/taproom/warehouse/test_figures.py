from pathlib import Path

from tests.taproom.warehouse.tables import AT_ONCE, MAIL, NOTES, mail, notes


def test_rows_have_their_figure_and_the_newest_has_the_name_of_its_table_or_part(warehouse):
    one = warehouse.publish(NOTES, notes(1), since=None)
    two = warehouse.publish(NOTES, notes(2), since=0)
    for published in (two, one):
        path = warehouse.put_figure(published, str(published.version).encode())
    assert Path(path).read_bytes() == warehouse.figure("notes", one.content_hash) == b"0"
    assert warehouse.figure("notes", two.content_hash) == b"1"
    assert warehouse.put_figure(two, b"", part="odd") == f"{warehouse.root}/_figures/notes-odd.png"


def test_there_is_no_figure_outside_the_folder_of_figures(warehouse):
    published = warehouse.publish(NOTES, notes(1), since=None)
    warehouse.put_figure(published, b"picture")
    Path(warehouse.root, f"{published.content_hash}.png").write_bytes(b"beside the figures")
    for table, content_hash in ((".", published.content_hash), ("..", published.content_hash), ("notes", "../notes")):
        assert warehouse.figure(table, content_hash) is None
    assert warehouse.figure("notes", "0" * 64) is None


def test_figures_of_unused_versions_are_swept_except_the_newest_of_each_partition(warehouse):
    hashes = []
    for number, batch in enumerate(["a", "a", "b", "b"]):
        since = number - 1 if number else None
        published = warehouse.publish(MAIL, mail(batch, number), since=since, partition=batch)
        hashes.append(published.content_hash)
        warehouse.put_figure(published, b"picture")
    kept = {"keep_newest": 1, "keep_younger_than": AT_ONCE}
    warehouse.sweep(keep_newest=1)
    assert all(warehouse.figure("mail", each) for each in hashes)
    warehouse.sweep(**kept)
    assert [warehouse.figure("mail", each) for each in hashes] == [None, b"picture", None, b"picture"]
    assert Path(warehouse.root, "_figures", "mail.png").exists()
