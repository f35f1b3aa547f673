"""The models of a warehouse by subject: `map`, `words`, `topics`, `cells` and `images` of a warehouse handle.

Each uses the version of its tables that the handle has (the newest, or the pinned one), refits nothing, and keeps what
it has loaded until there is another version. Two handles share nothing, so models of two warehouses are never mixed.
The numerical packages are imported at the first use.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from taproom.errors import InputError, MissingPackageError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pandas as pd

    from taproom.images.image_lookup import ImageClassifier
    from taproom.maps.out_of_sample import ItemMap, Placement
    from taproom.text.text_lookup import TopicMixture, TopicModel
    from taproom.warehouse.newest_cache import NewestCache
    from taproom.warehouse.warehouse import Warehouse
    from taproom.words.vectors import WordVectors

Loaded = TypeVar("Loaded")


class Tables(Protocol):
    """What models need of a warehouse handle."""

    root: str

    def load(self, table: str, *, columns: list[str] | None = None, where: pc.Expression | None = None) -> pa.Table:
        """The rows of a table."""

    def version(self, table: str) -> int:
        """The version of a table."""


class _Models:
    """The models of one subject in one warehouse."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    @cached_property
    def _warehouse(self) -> "Warehouse":
        from taproom.warehouse.warehouse import Warehouse

        return Warehouse(self._tables.root)

    def _cache(self, table: str, load: "Callable[[Warehouse, int | None], Loaded]") -> "NewestCache[Loaded]":
        from taproom.warehouse.newest_cache import NewestCache

        return NewestCache(self._warehouse, table, load, self._tables.version)


class MapModels(_Models):
    """The map of items."""

    def place(self, text: str) -> "Placement":
        """Find the items nearest to a text, and its position on the map, without fitting the map again.

        Args:
            text: any text, such as a review.

        Raises:
            InputError: the text is not a string, or has no word of the map's vocabulary.
            UnknownTableError: there is no map yet.
            MissingPackageError: the extra `models` is not installed.
        """
        with numerical_packages():
            return self.model.place(text)

    def neighbors(self, item_id: str, k: int | None = None) -> pa.Table:
        """The items nearest to an item, nearest first: item_id, item_name, category, distance (cosine).

        Args:
            item_id: the item.
            k: number of neighbours; None for all that the table `neighbors` has.

        Raises:
            InputError: there is no such item.
            UnknownTableError: the tables `neighbors` and `items` are not there.
        """
        row = self._tables.load("neighbors", where=pc.field("item_id") == item_id).slice(0, 1)
        if not row.num_rows:
            known = self._tables.load("neighbors", columns=["item_id"])["item_id"].to_pylist()
            raise InputError(
                f"There is no item {item_id!r}{did_you_mean(str(item_id), known)}. Give one of the table items."
            )
        near = row["neighbor_ids"].combine_chunks().flatten()[:k]
        items = self._tables.load(
            "items", columns=["item_id", "item_name", "category"], where=pc.field("item_id").isin(near)
        )
        places = pc.index_in(near, items["item_id"].combine_chunks())
        names = items.take(places).set_column(0, "item_id", near)
        return names.append_column("distance", row["distances"].combine_chunks().flatten()[:k])

    @property
    def model(self) -> "ItemMap":
        """The map, loaded; its `commit` says what it was made from. Raises as `place` does."""
        with numerical_packages():
            return self._item_map.get()

    @cached_property
    def _item_map(self) -> "NewestCache[ItemMap]":
        from taproom.maps.out_of_sample import ItemMap

        return self._cache("item_map", ItemMap)


class WordModels(_Models):
    """The word vectors."""

    def nearest(self, word: str, k: int = 10) -> list[tuple[str, float]]:
        """Find the k words whose vectors are most similar to that of a word, with their cosines, most similar first.

        Args:
            word: the word, in any case.
            k: number of words.

        Raises:
            InputError: the word has no vector (the message suggests words of similar spelling), or k is out of range.
            UnknownTableError: there are no word vectors yet.
            MissingPackageError: the extra `models` is not installed.
        """
        with numerical_packages():
            from taproom.text.text_lookup import nearest_words

            return nearest_words(self._vectors.get(), word, k)

    def analogy(self, a: str, b: str, c: str, k: int = 5) -> list[tuple[str, float]]:
        """Complete "a is to b as c is to ?": k words with their cosines, the best first.

        `analogy("man", "king", "woman")` returns the words nearest to king - man + woman.

        Raises:
            InputError: a word has no vector, or k is out of range.
            UnknownTableError: there are no word vectors yet.
            MissingPackageError: the extra `models` is not installed.
        """
        with numerical_packages():
            from taproom.text.analogies import complete

            return complete(self._vectors.get(), a, b, c, k)

    @cached_property
    def _vectors(self) -> "NewestCache[WordVectors]":
        from taproom.text.text_lookup import load_vectors

        return self._cache("word_vectors", load_vectors)


class TopicModels(_Models):
    """The topics."""

    def of(self, text: str, weighting: str = "tfidf") -> "TopicMixture":
        """Find the topics of a text: its shares of the topics.

        A document of the corpus gets the same mixture as in the table `document_topics`.

        Args:
            text: any text.
            weighting: "tfidf" or "bag_of_words", the weighting that the topics were fitted to.

        Raises:
            InputError: the text is not a string or has none of the topics' words, or there is no such weighting.
            UnknownTableError: there are no topics yet.
            MissingPackageError: the extra `models` is not installed.
        """
        with numerical_packages():
            return self._topics.get().topics_of(text, weighting)

    @cached_property
    def _topics(self) -> "NewestCache[TopicModel]":
        from taproom.text.text_lookup import TopicModel

        return self._cache("topics", TopicModel)


class CellModels(_Models):
    """The class mixtures of assays."""

    def call(
        self, events: "str | Path | pa.Table | pd.DataFrame | Mapping[str, Any]", plate: str | None = None
    ) -> pa.Table:
        """Predict the class of each event with the class mixtures.

        Args:
            events: a table of channels (pyarrow, pandas, or a mapping of names to numbers), compensated but not
                transformed; or the path of an FCS file, whose own spillover matrix is applied. Absent channels and
                values that are NaN, null or infinite are treated as missing, and the class is predicted from the
                others.
            plate: name of a plate in `plate_scales` that the events were measured on, to put them on the scale of the
                reference plate; by default they are taken to be on that scale.

        Returns:
            A row per event: `called`, `posteriors` (a list, in the order of the classes in the schema's metadata),
            `log_density` in nats, `ambiguous` and `anomalous`. Of a file, the schema's metadata also has
            `compensation`, and `repairs`: where the file departs from the standard.

        Raises:
            InputError: the events have none of the channels of the classes, or there is no such plate.
            SourceError: the file is damaged.
            UnknownTableError: there are no class mixtures yet.
            MissingPackageError: the extra `models` is not installed.
        """
        with numerical_packages():
            from taproom.assays.event_calls import call_events

            return call_events(events, self._warehouse, self._tables.version("event_calls"), plate)


class ImageModels(_Models):
    """The image classifier and its encoder."""

    def classify(self, images: "str | Path | np.ndarray | pa.Table") -> pa.Table:
        """Predict the class of images.

        Args:
            images: the path of an image file, an array (n, height, width, 3) or (height, width, 3) of uint8, or rows of
                the table `images`. Images must have the size of those that the classifier was fitted to.

        Returns:
            A row per image: `predicted`, and `scores` and `probabilities` (lists, in the order of the classes in the
            schema's metadata).

        Raises:
            InputError: the images have another size or type.
            SourceError: the file is not a valid image.
            UnknownTableError: there is no classifier yet.
            MissingPackageError: the extra `models` is not installed.
        """
        with numerical_packages():
            return self._classifier.get().classify(images)

    def features(self, images: "str | Path | np.ndarray | pa.Table") -> "np.ndarray":
        """Compute the features of images with the encoder of the classifier: (n, dimensions) float32.

        An image of the table `images` gets the same features as in `image_features`. Arguments and exceptions are those
        of `classify`.
        """
        with numerical_packages():
            return self._classifier.get().features(images)

    @cached_property
    def _classifier(self) -> "NewestCache[ImageClassifier]":
        from taproom.images.image_lookup import ImageClassifier

        return self._cache("classifier", ImageClassifier)


@contextmanager
def numerical_packages() -> Iterator[None]:
    """Turn a failed import into a `MissingPackageError` that names the extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"The models need packages that are not installed ({error.name} is missing). "
            'Install them: pip install "taproom[models]"'
        ) from error
