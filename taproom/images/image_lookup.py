"""Features and classes of new images, by the newest image tables.

Here belongs reading those tables, all at the versions that the newest classifier recorded. The encoder and the
classifier themselves are in `taproom.images.image_features` and `taproom.images.image_classifier`.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from taproom.errors import InputError
from taproom.images.calibration import probabilities
from taproom.images.image_arrays import pixels_of
from taproom.images.image_classifier import ImagesToScore, classifier_of, scores_of_images
from taproom.images.image_features import encoder_of
from taproom.sources.image_files import read_picture
from taproom.warehouse.catalog import existing_head
from taproom.warehouse.history import recorded_inputs
from taproom.warehouse.table_version import TableVersion
from taproom.warehouse.warehouse import Warehouse

PARTS = ("encoder", "whitening", "filters")
INPUTS = (*PARTS, "images", "landmarks")


class ImageClassifier:
    """A version of the table `classifier` (by default the newest), with the encoder that it was fitted with.

    Attributes:
        encoder: what turns images into features.
        classifier: what turns features into scores.
        classes: in the order of the scores.
        size: height and width of the images.

    Raises:
        UnknownTableError: there is no such version.
        DamagedFileError: a file is not what was committed.
    """

    def __init__(self, warehouse: Warehouse | None = None, version: int | None = None) -> None:
        """Load the tables."""
        warehouse = warehouse or Warehouse()
        version = existing_head(warehouse.storage, "classifier") if version is None else version
        table = warehouse.read("classifier", version)
        inputs = recorded_inputs(warehouse.commit_of("classifier", version), "classifier", INPUTS)
        self.classifier = classifier_of(table, TableVersion(warehouse.root, "landmarks", inputs["landmarks"]))
        self.classes = table["class"].to_pylist()
        self.encoder = encoder_of(*(warehouse.read(part, inputs[part]) for part in PARTS))
        first = next(warehouse.stream("images", inputs["images"], columns=["height", "width"]))
        self.size = (first["height"][0].as_py(), first["width"][0].as_py())

    def features(self, images: str | Path | np.ndarray | pa.Table) -> np.ndarray:
        """Features (n, dimensions) float32.

        Raises:
            InputError: the images are of another size or kind than those of the classifier.
            SourceError: a file cannot be read as an image.
        """
        return self.encoder.features(self._pixels(images), n_jobs=-1)

    def classify(self, images: str | Path | np.ndarray | pa.Table) -> pa.Table:
        """`predicted`, `scores` and `probabilities` of each image; raises as `features` does."""
        scores = scores_of_images(ImagesToScore(self.encoder, self.classifier, self._pixels(images)), n_jobs=-1)
        predicted = [self.classes[place] for place in scores.argmax(axis=1)]
        lists = pa.list_(pa.float32())
        rows = {
            "predicted": pa.array(predicted, pa.string()),
            "scores": pa.array(list(scores), lists),
            "probabilities": pa.array(list(probabilities(scores, self.classifier.temperature)), lists),
        }
        return pa.table(rows).replace_schema_metadata({"classes": ",".join(self.classes)})

    def _pixels(self, images: str | Path | np.ndarray | pa.Table) -> np.ndarray:
        """The images as an array of the classifier's size."""
        if isinstance(images, str | Path):
            images = read_picture(Path(images).expanduser())
        pixels = pixels_of(images) if isinstance(images, pa.Table) else np.asarray(images)
        pixels = pixels[None] if pixels.ndim == 3 else pixels
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (*self.size, 3):
            height, width = self.size
            raise InputError(
                f"The images are an array of shape {pixels.shape} of {pixels.dtype}; the classifier takes images of "
                f"{height} x {width}. Wanted: (n, {height}, {width}, 3) of uint8, R G B."
            )
        return pixels
