"""Events as the steps of a cluster share them: read from versions of the tables, by the process that needs them.

Here belong the functions of `taproom.compute.Made` values. The matrix itself is made by `taproom.sources.events`.
"""

from taproom.assays.held_out_wells import LabelledEvents
from taproom.assays.plate_scales import aligned
from taproom.sources.events import EventMatrix, event_matrix
from taproom.warehouse.table_version import TableVersion


def stored_matrix(events: TableVersion, wells: TableVersion) -> EventMatrix:
    """The events of all wells in the channels that these are compared in.

    Raises:
        InputError: as `taproom.sources.events.event_matrix` does.
        StorageError: the storage fails.
    """
    return event_matrix(events.read(), wells.read())


def aligned_matrix(events: TableVersion, wells: TableVersion, plate_scales: TableVersion) -> EventMatrix:
    """The same on the scale of the reference plate. Raises as `stored_matrix`, and as `aligned` does."""
    return aligned(stored_matrix(events, wells), plate_scales.read())


def stored_sample(
    events: TableVersion, wells: TableVersion, plate_scales: TableVersion, sample: TableVersion
) -> LabelledEvents:
    """The labelled events that a version of a table names (columns `sample`, `event`), in its order,
    on the scale of the reference plate.

    Raises:
        InputError: one of them is no event of the wells, or as `aligned` does.
        StorageError: the storage fails.
    """
    return labelled_events(aligned_matrix(events, wells, plate_scales).take(sample.read()))


def labelled_events(matrix: EventMatrix) -> LabelledEvents:
    """The values, labels and wells of a matrix whose events all have a label."""
    return LabelledEvents(matrix.values, matrix.labels, matrix.wells)
