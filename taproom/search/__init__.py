"""Searches for parameters: spaces, samplers, trials, and challenges to a champion.

Here belongs what any product can be tuned with. A product's own objective lives with the product.
"""
