"""The chains as the home page introduces them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ChainIntroduction:
    """A chain in a sentence and a picture: that of the first of `pictures` that has one.

    `page` is the page that shows its products, if there is one.
    """

    name: str
    title: str
    sentence: str
    pictures: tuple[str, ...]
    page: str | None = None


INTRODUCTIONS = (
    ChainIntroduction(
        "reviews",
        "Reviews become a map",
        "Items lie close together if their reviews use the same words; each item has its nearest items and its most "
        "weighted words.",
        ("item_map", "neighbors", "items"),
        page="map.html",
    ),
    ChainIntroduction(
        "text",
        "Text becomes topics and word vectors",
        "A corpus of documents is factorised into topics. Each word of the documents, a dictionary and an encyclopedia "
        "gets a vector that is similar to those of words in the same contexts.",
        ("word_map", "topics", "documents"),
        page="words.html",
    ),
    ChainIntroduction(
        "assays",
        "Assays of cells become densities and classes",
        "Mixtures of Gaussians describe the events of each well; class mixtures call each cell and estimate the share "
        "of each class in a well.",
        ("density", "well_shares", "events"),
        page="cells.html",
    ),
    ChainIntroduction(
        "images",
        "Images become features and a classifier",
        "Filters learned by k-means describe an image; a linear classifier on these features predicts its class.",
        ("filters", "confusion", "images"),
        page="pictures.html",
    ),
    ChainIntroduction(
        "tuning",
        "Searches find the parameters of the products",
        "Each product is made with the best setting that a search has found and that was confirmed on fresh data.",
        ("champions", "search_comparison", "trials"),
        page="searches.html",
    ),
)
