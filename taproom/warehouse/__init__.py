"""Tables on disk or in an object store: versions, contracts, content hashes, damage and its repair.

Here belongs what every table needs, whatever its rows mean. What rows mean, and any file that is not a table of ours,
does not.
"""
