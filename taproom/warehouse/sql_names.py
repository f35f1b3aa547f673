"""Names of tables and columns in SQL."""


def sql_name(name: str) -> str:
    """The name of a table or a column in SQL, quoted because some are words of the language.

    >>> print(sql_name('the "best" values'))
    "the ""best"" values"
    """
    return '"' + name.replace('"', '""') + '"'
