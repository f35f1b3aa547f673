"""When and where assets are made: definitions, jobs, schedules, sensors, the IO manager, Dagster's own processes.

What a table is belongs to `assets`, how it is computed to `taproom`.
"""
