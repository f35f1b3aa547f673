"""Assays become densities and calls: events -> mixture -> density; class_mixtures -> event_calls, well_shares."""
