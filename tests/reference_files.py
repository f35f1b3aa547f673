"""Small files in the formats of WordNet and of the summaries of Wikipedia, for tests."""

import io
import json
import tarfile
import zipfile

_LICENCE = "  1 This software and database is being provided to you, the LICENSEE, by  \n"
# Lines of WordNet 3.1, with other offsets and fewer pointers.
DATA_FILES = {
    "data.noun": _LICENCE
    + "00000001 13 n 02 beer 0 malt_liquor 0 003 @ 00000002 n 0000 ~ 00000003 n 0000 + 00000001 a 0101 "
    '| fermented beverage; "a glass of beer"  \n'
    "00000002 13 n 01 brew 0 001 ~ 00000001 n 0000 | drink made by steeping  \n"
    "00000003 13 n 01 ale 0 000 | a general name for beer  \n",
    "data.verb": "00000001 36 v 02 brew 0 make_beer 1 001 + 00000002 n 0201 01 + 08 00 | sit or let sit  \n",
    "data.adj": "00000001 00 a 01 beery(p) 0 000 | smelling of beer  \n"
    "00000002 00 s 01 malty 0 001 & 00000001 a 0000 | like malt  \n",
    "data.adv": "00000001 02 r 01 beerily 0 001 ! 00000001 a 0101 | like one who has had beer  \n",
}
SUMMARIES = {"Hop": {"title": "Hop", "extract": "Hops are flowers.", "description": "A flower", "topic": "Biology"}}


def wordnet_package() -> bytes:
    """The data files as in the npm package."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in DATA_FILES.items():
            entry = tarfile.TarInfo(f"package/dict/{name}")
            entry.size = len(content.encode())
            archive.addfile(entry, io.BytesIO(content.encode()))
    return buffer.getvalue()


def summaries_wheel() -> bytes:
    """The summaries as in a wheel."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("summaries.json", json.dumps(SUMMARIES))
    return buffer.getvalue()
