import numpy as np

from taproom.assays.stored_events import stored_matrix, stored_sample
from taproom.sources.events import event_matrix
from taproom.warehouse.table_version import TableVersion


def test_events_are_read_from_versions_of_the_tables(plate, warehouse):
    events, wells, scales = (
        TableVersion(warehouse.root, table, warehouse.head(table)) for table in ("events", "wells", "plate_scales")
    )
    wanted = event_matrix(warehouse.read("events"), warehouse.read("wells"))
    np.testing.assert_array_equal(stored_matrix(events, wells).values, wanted.values)
    all_of_them = TableVersion(warehouse.root, "events", warehouse.head("events"), columns=("sample", "event"))
    sample = stored_sample(events, wells, scales, all_of_them)
    np.testing.assert_array_equal(sample.values, wanted.values)
    assert sample.labels.tolist() == wanted.labels.tolist()
    assert sample.wells.tolist() == wanted.wells.tolist()
