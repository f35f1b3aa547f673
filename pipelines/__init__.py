"""When and where the assets are made: definitions, jobs, schedules, sensors, and the warehouse's IO manager."""

import warnings

import dagster as dg

# The sensor `follow_changes` takes a beta parameter of Dagster's, knowingly (ADR 17).
warnings.filterwarnings("ignore", category=dg.BetaWarning)
