"""What is made: one folder a chain, one file a table with its contract, configuration, asset and checks.

No numerics, which are in `taproom`, and no jobs, schedules or sensors, which are in `pipelines`.
"""

import warnings

import dagster as dg

# Parameters and metadata that are beta are used on purpose: those of `follow_changes` (ADR 17), and links to code.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
