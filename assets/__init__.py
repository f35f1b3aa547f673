"""What is made: one folder a chain, one file a table with its contract, configuration, asset and checks.

No numerics, which are in `taproom`, and no jobs, schedules or sensors, which are in `pipelines`.
"""
