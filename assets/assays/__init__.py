"""Assays become densities and calls.

events -> mixture -> density; plate_scales, class_mixtures -> event_calls, well_shares.
"""
