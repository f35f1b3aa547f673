"""When and where assets are made: definitions, jobs, schedules, sensors, the IO manager, Dagster's own processes.

What a table is belongs to `assets`, how it is computed to `taproom`.
"""

import warnings

import dagster as dg

# The sensor `follow_changes` uses a beta parameter of Dagster on purpose (ADR 17).
warnings.filterwarnings("ignore", category=dg.BetaWarning)
