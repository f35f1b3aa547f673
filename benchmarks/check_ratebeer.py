"""Claim: on RateBeer the ten nearest beers have the same style far more often than by chance, and the neighbours on the
deck's slide are found.

    python benchmarks/check_ratebeer.py WAREHOUSE

reads the tables `items` and `neighbors` of a warehouse made from RateBeer reviews by beer name, items with at least 5
reviews (`tfidf: min_reviews: 5`). Peer: the deck's own list of neighbours of Bell's Two Hearted Ale.
"""

import sys

import numpy as np

from taproom.warehouse.warehouse import Warehouse

ANCHOR = "Bells Two Hearted Ale"
# The fifteen of the slide "Two Hearted Ale - Nearest Neighbors", by words that identify them in RateBeer's names.
DECK = (
    "Racer 5", "Avery IPA", "Stone IPA", "Founders Centennial", "Smuttynose IPA", "Hop Ottin", "AleSmith IPA",
    "BridgePort I", "Mojo I", "Goose Island I", "Titan I", "Mad Hatter", "Lagunitas I", "Loose Cannon", "SweetWater I",
)  # fmt: skip


def main(root: str) -> None:
    """Print the share of equal styles, and the neighbours that are on the slide."""
    warehouse = Warehouse(root)
    style = warehouse.read("items").to_pandas().set_index("item_id").category
    nearest = warehouse.read("neighbors").to_pandas().set_index("item_id").neighbor_ids
    own, of_neighbors = style[nearest.index].to_numpy(), [style[list(ids[:10])].to_numpy() for ids in nearest]
    purity = np.mean([(found == mine).mean() for found, mine in zip(of_neighbors, own, strict=True)])
    shares = style[nearest.index].value_counts(normalize=True)
    print(f"{len(nearest)} items; style purity of the 10 nearest {purity:.3f} (chance {np.square(shares).sum():.3f})")
    listed = list(nearest[ANCHOR][:20])
    found = [name for name in listed if any(part.lower() in name.lower() for part in DECK)]
    print(f"of the deck's fifteen among the 20 nearest to {ANCHOR}: {len(found)}: {', '.join(found)}")


if __name__ == "__main__":
    main(sys.argv[1])
