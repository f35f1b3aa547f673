"""Assays: Gaussian mixtures, populations, densities, class mixtures and calls of events.

Here belongs what is fitted to events (cells by channels). Reading FCS files and plates does not.
"""
