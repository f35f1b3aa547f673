"""Claim: a file of reviews of any size is read in bounded memory. Peer: pandas, which reads the whole file at once.

python benchmarks/bench_reading.py [MEGABYTES]
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OURS = """
from assets.reviews.reviews import CONTRACT
from taproom.sources.review_files import ReviewFile
from taproom.sources.reviews import ReviewReader
from taproom.warehouse.warehouse import Warehouse
reader = ReviewReader(ReviewFile(path), "big", "table", CONTRACT.schema)
Warehouse(folder).publish(CONTRACT, reader.reader(), since=None, partition="big")
"""
PEER = "import pandas; pandas.read_csv(path)"


def main(megabytes: int) -> None:
    """Write a CSV of that size, read it both ways, print seconds and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big.csv"
        text = "a plain review of a plain thing neither long nor short and " * 4
        with path.open("w", encoding="utf-8") as file:
            file.write("review_id,item_id,text\n")
            number = 0
            while file.tell() < megabytes * 1e6:
                file.writelines(f"{n},item {n % 5000},{n} {text}\n" for n in range(number, number + 10_000))
                number += 10_000
        for name, code in (("ours, into the warehouse", OURS), ("pandas, into memory", PEER)):
            started = time.perf_counter()
            before = f"from pathlib import Path\npath, folder = Path({str(path)!r}), {folder + '/warehouse'!r}\n"
            subprocess.run([sys.executable, "-c", before + code], check=True)
            seconds = time.perf_counter() - started
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
            print(f"{megabytes} MB, {number:,} reviews: {name} {seconds:.1f} s, peak so far {peak:.2f} GB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
