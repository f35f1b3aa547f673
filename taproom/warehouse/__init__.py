"""Tables on disk or in an object store: versions, contracts, content hashes, damage and its repair.

Here belongs what every table needs, whatever its rows mean. The meaning of rows, and files that are not such tables, do
not belong here. `warehouse.Warehouse` is the public face; each of the other modules has one concern.
"""
