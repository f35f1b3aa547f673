"""Small files of the Flow Cytometry Standard, written by hand, whole or broken."""

from collections.abc import Callable, Mapping

import numpy as np

VALUES = np.array([[1.5, -2.0, 3.0], [4.0, 5.25, -6.0]])
DTYPES = {("F", 32): "f4", ("D", 64): "f8", ("I", 8): "u1", ("I", 16): "u2", ("I", 32): "u4"}
TEXT_BEGIN = 58


def fcs_bytes(
    values: np.ndarray = VALUES,
    keywords: Mapping[str, object] | None = None,
    header: Mapping[str, object] | None = None,
    bits: tuple[int, ...] | None = None,
    version: str = "3.1",
    delimiter: str = "/",
    rewrite: Callable[[str], str] = str,
    data: bytes | None = None,
) -> bytes:
    """A file of the standard; `keywords` replaces those in TEXT (None: not there), `header` the offsets.

    `rewrite` changes the TEXT segment, and `data` replaces the bytes of the events.
    """
    said = {"DATATYPE": "F", "BYTEORD": "1,2,3,4", "MODE": "L", "NEXTDATA": "0", "CYT": "Ours", **(keywords or {})}
    channels = values.shape[1]
    bits = bits or ({"D": 64, "I": 16}.get(said["DATATYPE"], 32),) * channels
    order = ">" if str(said["BYTEORD"]).startswith(("4", "2")) else "<"
    formats = [order + DTYPES.get((said["DATATYPE"], width), "f4") for width in bits]
    if data is None:
        dtype = [(f"c{place}", format) for place, format in enumerate(formats)]
        data = np.rec.fromarrays([*values.T], dtype=dtype).tobytes()
    text = {"PAR": channels, "TOT": len(values), "BEGINDATA": " " * 8, "ENDDATA": " " * 8}
    for number, width in enumerate(bits, 1):
        text |= {f"P{number}B": width, f"P{number}R": 256 if width == 8 else 1024, f"P{number}N": f"FL{number}-A"}
        text |= {f"P{number}E": "0,0"}
    text |= said
    text = {keyword: value for keyword, value in text.items() if value is not None}

    def segment() -> bytes:
        pairs = (f"${keyword}{delimiter}{value}" for keyword, value in text.items())
        return rewrite(delimiter + delimiter.join(pairs) + delimiter).encode("latin-1")

    begin = TEXT_BEGIN + len(segment())
    offsets = {"text": TEXT_BEGIN, "text_end": begin - 1, "data": begin, "data_end": begin + len(data) - 1}
    for keyword, name in (("BEGINDATA", "data"), ("ENDDATA", "data_end")):
        if text.get(keyword) == " " * 8:
            text[keyword] = f"{offsets[name]:8d}"
    offsets |= {"analysis": 0, "analysis_end": 0, **(header or {})}
    start = f"FCS{version}    " + "".join(f"{at:>8}" for at in offsets.values())
    return start.encode("latin-1") + segment() + data
