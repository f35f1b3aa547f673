"""Computing and reading Taproom's tables. This package does not import Dagster.

`load` and `history` are the client for reading tables; they need only pyarrow and deltalake. The other functions apply
the newest models to new data: `place` a text on the map, `topics_of` a text, `nearest` and `analogy` to words, `call`
to the events of an assay, `classify` and `features` to images. They need the numerical packages, too (SciPy, numba).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from taproom.maps.out_of_sample import Placement
    from taproom.text.text_lookup import TopicMixture

__all__ = ["analogy", "call", "classify", "features", "history", "load", "nearest", "place", "topics_of"]


def load(table: str, version: int | None = None) -> "pa.Table":
    """Read a table from the warehouse (`$TAPROOM_WAREHOUSE`, by default `data/warehouse`) and verify its files.

    Args:
        table: name of the table.
        version: a version that `history` lists; None for the newest.

    Raises:
        UnknownTableError: there is no such table or version.
        DamagedFileError: a file differs from what was committed.
    """
    from taproom.warehouse.warehouse import Warehouse

    return Warehouse().read(table, version)


def history(table: str) -> list[dict[str, Any]]:
    """The provenance of each version of a table (run, inputs and their versions, config), newest first.

    Args:
        table: name of the table.

    Raises:
        UnknownTableError: there is no such table.
    """
    from taproom.warehouse.warehouse import Warehouse

    return Warehouse().history(table)


def place(text: str) -> "Placement":
    """Find the items nearest to a text, and its position on the newest map, without fitting the map again.

    The first call loads the map and the tables it was made from, at their recorded versions. Later calls only check
    whether there is a newer map or `$TAPROOM_WAREHOUSE` has changed.

    Args:
        text: any text, such as a review.

    Raises:
        InputError: the text is not a string, or has no word of the map's vocabulary.
        UnknownTableError: there is no map yet.
    """
    from taproom.maps.out_of_sample import newest_map

    return newest_map().place(text)


def call(events: "str | Path | pa.Table | pd.DataFrame | Mapping[str, Any]") -> "pa.Table":
    """Predict the class of each event with the newest class mixtures.

    Args:
        events: a table of channels (pyarrow, pandas, or a mapping of names to numbers), compensated but not
            transformed; or the path of an FCS file, whose own spillover matrix is applied. Absent channels and values
            that are NaN, null or infinite are treated as missing, and the class is predicted from the others.

    Returns:
        A row per event: `called`, `posteriors` (a list, in the order of the classes in the schema's metadata),
        `log_density` in nats, `ambiguous` and `anomalous`. Of a file, the schema's metadata also has `compensation`,
        and `repairs`: where the file departs from the standard.

    Raises:
        InputError: the events have none of the channels of the classes.
        SourceError: the file is damaged.
        UnknownTableError: there are no class mixtures yet.
    """
    from taproom.assays.event_calls import call_events

    return call_events(events)


def topics_of(text: str, weighting: str = "tfidf") -> "TopicMixture":
    """Find the topics of a text: its shares of the newest topics.

    A document of the corpus gets the same mixture as in the table `document_topics`.

    Args:
        text: any text.
        weighting: "tfidf" or "bag_of_words", the weighting that the topics were fitted to.

    Raises:
        InputError: the text is not a string or has none of the topics' words, or there is no such weighting.
        UnknownTableError: there are no topics yet.
    """
    from taproom.text.text_lookup import newest_topics

    return newest_topics.get().topics_of(text, weighting)


def nearest(word: str, k: int = 10) -> list[tuple[str, float]]:
    """Find the k words whose vectors are most similar to that of a word, with their cosines, most similar first.

    Args:
        word: the word, in any case.
        k: number of words.

    Raises:
        InputError: the word has no vector (the message suggests words of similar spelling), or k is out of range.
        UnknownTableError: there are no word vectors yet.
    """
    from taproom.text.text_lookup import nearest_words

    return nearest_words(word, k)


def analogy(a: str, b: str, c: str, k: int = 5) -> list[tuple[str, float]]:
    """Complete "a is to b as c is to ?" with the newest word vectors: k words with their cosines, the best first.

    `analogy("man", "king", "woman")` returns the words nearest to king - man + woman.

    Raises:
        InputError: a word has no vector, or k is out of range.
        UnknownTableError: there are no word vectors yet.
    """
    from taproom.text.text_lookup import complete_analogy

    return complete_analogy(a, b, c, k)


def classify(images: "str | Path | np.ndarray | pa.Table") -> "pa.Table":
    """Predict the class of images with the newest classifier.

    Args:
        images: the path of an image file, an array (n, height, width, 3) or (height, width, 3) of uint8, or rows of the
            table `images`. Images must have the size of those that the classifier was fitted to.

    Returns:
        A row per image: `predicted` and `scores` (a list, in the order of the classes in the schema's metadata).

    Raises:
        InputError: the images have another size or type.
        SourceError: the file is not a valid image.
        UnknownTableError: there is no classifier yet.
    """
    from taproom.images.image_lookup import newest_classifier

    return newest_classifier.get().classify(images)


def features(images: "str | Path | np.ndarray | pa.Table") -> "np.ndarray":
    """Compute the features of images with the encoder of the newest classifier: (n, dimensions) float32.

    An image of the table `images` gets the same features as in `image_features`. Arguments and exceptions are those of
    `classify`.
    """
    from taproom.images.image_lookup import newest_classifier

    return newest_classifier.get().features(images)
