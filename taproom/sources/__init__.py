"""Data from outside: fetching archives, inboxes, and a reader for each format.

Here belongs what turns a file that someone else wrote into checked rows or arrays: reviews, documents, images, FCS
files, plates, digits. What is computed from them does not.
"""
