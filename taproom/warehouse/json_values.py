"""Values of tables as JSON: lists, maps, bytes, times, and numbers that are not finite."""

import base64
import json
import math
from collections.abc import Mapping
from datetime import date
from typing import Any


def json_value(value: Any) -> Any:
    """A value of a table, as Arrow gives it to Python, in the types of JSON.

    Bytes become base64 text and times ISO 8601 text. JSON has no numbers that are not finite: they become text, as
    Table Schema (datapackage.org) writes them.

    >>> json_value([1.5, float("nan"), float("-inf"), None, b"ale"])
    [1.5, 'NaN', '-INF', None, 'YWxl']
    >>> json_value([("aroma", 4.5), ("taste", None)])  # a map
    {'aroma': 4.5, 'taste': None}
    """
    match value:
        case float() if math.isnan(value):
            return "NaN"
        case float() if math.isinf(value):
            return "INF" if value > 0 else "-INF"
        case bytes():
            return base64.b64encode(value).decode()
        case date():  # also a time
            return value.isoformat()
        case Mapping():
            return {str(key): json_value(each) for key, each in value.items()}
        case [tuple(), *_]:
            return {str(key): json_value(each) for key, each in value}
        case list():
            return [json_value(each) for each in value]
    return value


def json_text(value: Any) -> str:
    """A value of a table as JSON text.

    >>> json_text([0.1, None, "Kölsch"])
    '[0.1, null, "Kölsch"]'
    """
    return json.dumps(json_value(value), ensure_ascii=False)
