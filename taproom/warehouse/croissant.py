"""The description of exported tables in Croissant, which libraries of machine learning read.

Source: Croissant 1.0, https://docs.mlcommons.org/croissant/docs/croissant-spec.html
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from taproom.warehouse.data_package import ExportedTable

# The standard's own, which every file has to repeat.
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_MEDIA_TYPES = {"parquet": "application/x-parquet", "csv": "text/csv"}  # the standard's
_TYPES = {
    "bool": "sc:Boolean",
    "int": "sc:Integer",
    "uint": "sc:Integer",
    "double": "sc:Float",
    "float": "sc:Float",
    "timestamp": "sc:Date",
    "date": "sc:Date",
}


def croissant(tables: Sequence[ExportedTable]) -> dict[str, Any]:
    """The content of `croissant.json`: a file and a set of records for each table.

    It was published when the newest of the versions was committed. A licence is not stated, because that of the data is
    its source's.
    """
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "taproom",
        "description": f"Tables of Taproom: {', '.join(table.table for table in tables)}.",
        "datePublished": max(table.time for table in tables).date().isoformat(),
        "distribution": [_file(table) for table in tables],
        "recordSet": [_records(table) for table in tables],
    }


def _file(table: ExportedTable) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": table.path,
        "name": table.path,
        "contentUrl": table.path,
        "contentSize": f"{table.size_bytes} B",
        "encodingFormat": _MEDIA_TYPES[table.format],
        "sha256": table.sha256,
    }


def _records(table: ExportedTable) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": table.table,
        "name": table.table,
        "description": f"One row is {table.grain}.",
        **({"key": [{"@id": f"{table.table}/{name}"} for name in table.key]} if table.key else {}),
        "field": [_field(table, column) for column in table.schema],
    }


def _field(table: ExportedTable, column: pa.Field) -> dict[str, Any]:
    is_list = pa.types.is_list(column.type) and table.format == "parquet"  # in CSV it is JSON text
    kind = column.type.value_type if is_list else column.type
    return {
        "@type": "cr:Field",
        "@id": f"{table.table}/{column.name}",
        "name": column.name,
        "description": (column.metadata or {}).get(b"description", b"").decode() or column.name,
        "dataType": next((name for prefix, name in _TYPES.items() if str(kind).startswith(prefix)), "sc:Text"),
        **({"repeated": True} if is_list else {}),
        "source": {"fileObject": {"@id": table.path}, "extract": {"column": column.name}},
    }
