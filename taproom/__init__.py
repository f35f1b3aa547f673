"""How Taproom's tables are computed and read. Nothing in this package knows of Dagster.

`load` and `history` are the reader's client: they need pyarrow and deltalake, and no orchestrator. `place` puts a new
text on the map that is there, `call` says which class events are of, `classify` which class images are of; these need
the numerics too (SciPy and numba).
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
    """Read a table from the warehouse (`$TAPROOM_WAREHOUSE`, by default `data/warehouse`), every byte verified.

    `version` is one of those that `history` lists; None is the newest. Raises `taproom.errors.UnknownTableError` where
    there is no such table or version, and `taproom.errors.DamagedFileError` where a file is not what was committed.
    """
    from taproom.warehouse.warehouse import Warehouse

    return Warehouse().read(table, version)


def history(table: str) -> list[dict[str, Any]]:
    """What each version of a table was made from (run, inputs and their versions, config), newest first."""
    from taproom.warehouse.warehouse import Warehouse

    return Warehouse().history(table)


def place(text: str) -> "Placement":
    """Find the items nearest to a text and its place on the newest map, without a refit.

    The first call loads the map and the tables it was made from, at the versions it recorded; later ones only look
    whether there is a newer map, or `$TAPROOM_WAREHOUSE` names another warehouse. See
    `taproom.maps.out_of_sample.Placement` for what comes back.

    Raises `taproom.errors.InputError` where the text is no string or has no word that the map knows, and
    `taproom.errors.UnknownTableError` where there is no map yet.
    """
    from taproom.maps.out_of_sample import newest_map

    return newest_map().place(text)


def call(events: "str | Path | pa.Table | pd.DataFrame | Mapping[str, Any]") -> "pa.Table":
    """Call the class of each event by the newest class mixtures, from the tables alone.

    `events` is a table of channels (pyarrow, pandas, or a mapping of names to numbers), compensated but on no scale, or
    the path of an FCS file, whose own spillover matrix is applied (the schema's metadata has `compensation`, and
    `repairs`: where the file departs from the standard). Channels that are not there and values that are NaN,
    null or infinite are missing: the rest decides. Gives a row an event: `called`, `posteriors` (a list, in the order
    of the classes that the schema's metadata names), `log_density` in nats, `ambiguous` and `anomalous`.

    Raises `taproom.errors.InputError` where no channel is one of the classes', `taproom.errors.SourceError` where a
    file is not sound, and `taproom.errors.UnknownTableError` where nothing has been called yet.
    """
    from taproom.assays.event_calls import call_events

    return call_events(events)


def topics_of(text: str, weighting: str = "tfidf") -> "TopicMixture":
    """Find what a text is about: its shares of the newest topics of a weighting ("tfidf" or "bag_of_words").

    A document of the corpus gets the mixture that it has in `document_topics`. See
    `taproom.text.text_lookup.TopicMixture` for what comes back.

    Raises `taproom.errors.InputError` where the text is no string or has no word that topics are made of, and
    `taproom.errors.UnknownTableError` where there are no topics yet.
    """
    from taproom.text.text_lookup import newest_topics

    return newest_topics.get().topics_of(text, weighting)


def nearest(word: str, k: int = 10) -> list[tuple[str, float]]:
    """Find the k words whose newest vectors are most similar to a word's, with their cosines, most similar first.

    Raises `taproom.errors.InputError` where the word has no vector (the nearest spellings are offered) or k is out of
    range, and `taproom.errors.UnknownTableError` where there are no vectors yet.
    """
    from taproom.text.text_lookup import nearest_words

    return nearest_words(word, k)


def analogy(a: str, b: str, c: str, k: int = 5) -> list[tuple[str, float]]:
    """Answer "a is to b as c is to ?" from the newest word vectors: k words with their cosines, the best first.

    `analogy("man", "king", "woman")` asks for king - man + woman. Raises as `nearest` does.
    """
    from taproom.text.text_lookup import complete_analogy

    return complete_analogy(a, b, c, k)


def classify(images: "str | Path | np.ndarray | pa.Table") -> "pa.Table":
    """Find the class of images by the newest classifier, from the tables alone.

    `images` is the path of a picture, an array (n, height, width, 3) or (height, width, 3) of uint8, or rows of the
    table `images`. They have the size of the images that the classifier was fitted to. Gives a row an image:
    `predicted` and `scores` (a list, in the order of the classes that the schema's metadata names).

    Raises `taproom.errors.InputError` for images of another size or kind, `taproom.errors.SourceError` where a file is
    no sound picture, and `taproom.errors.UnknownTableError` where there is no classifier yet.
    """
    from taproom.images.image_lookup import newest_classifier

    return newest_classifier.get().classify(images)


def features(images: "str | Path | np.ndarray | pa.Table") -> "np.ndarray":
    """Features of images by the newest encoder that a classifier was fitted with: (n, dimensions) float32.

    Takes and refuses what `classify` does. An image of the table gets the features that it has in `image_features`,
    where that has any.
    """
    from taproom.images.image_lookup import newest_classifier

    return newest_classifier.get().features(images)
