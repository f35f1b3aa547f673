"""Images: patches, whitening, filters, features, least squares, and the "street fight" experiments.

Here belongs what turns arrays of pixels into features and classes. Reading image files does not.
"""
