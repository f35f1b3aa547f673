"""Maps: exact nearest neighbours, the ordinal embedding, other methods beside it, and placing new items.

Here belongs what puts items (or words) on a map and judges the map. How items are described does not.
"""
