"""Pages to open in a browser, made from the newest tables: home, the map, words, and the catalogue of all tables.

Here belongs what goes into each page, the data beside it, and the libraries. How pages look and behave is in `pages/`
at the top of the repo (templates, scripts, styles). Computing anything that a table does not have belongs to a subject.
"""
