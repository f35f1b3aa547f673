"""Reading a warehouse from a program or the command line: `taproom.open` and the command `taproom`.

Here belongs what readers see: tables, descriptions, SQL, snapshots, and the models of all subjects by their names.
Reading needs pyarrow, deltalake and DuckDB alone; the models are imported when they are first used. How files are
verified is in `taproom.warehouse`, and the models are in the folders of their subjects.
"""
