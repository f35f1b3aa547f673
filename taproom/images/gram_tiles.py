"""The Gram matrix of features that are not kept: block by block here, or tile by tile on a cluster.

Here belongs how blocks of images and tiles of the matrix are shared out. The sums themselves are in
`taproom.images.least_squares`.

How, on a cluster: a worker computes the features of a block of images and writes them as scratch files, one for each
part of so many features as a tile is wide. Then a worker adds up a tile of the matrix: it reads the two parts that the
tile is of from all blocks, in their order. So neither features nor the whole matrix are sent, and each number is the
sum of the same products in the same order as here.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from taproom.compute import Made, goes_to_cluster, workers
from taproom.images.image_classifier import (
    ImagesToEncode,
    LabelledImages,
    empty_gram,
    feature_blocks,
    image_blocks,
)
from taproom.images.least_squares import Gram, one_hot, standardize, tile_slices
from taproom.progress import progress
from taproom.warehouse.scratch import Scratch, scratch


def fitted_gram(
    images: ImagesToEncode | Made[ImagesToEncode], labelled: LabelledImages, root: str, n_jobs: int | None = None
) -> Gram:
    """The sums over the images that are fitted to; their features are not kept.

    Args:
        images: all images; `Made` ones are encoded on a cluster where there is one.
        labelled: what the images are for.
        root: the warehouse, where workers of a cluster write features while they are needed: 4 bytes for each feature
            of each image.
        n_jobs: threads of this machine, as joblib counts workers; they do not change the sums.

    Raises:
        InputError: as `Encoder.features` does.
        ComputeError: as `taproom.compute.workers` does.
        StorageError: a worker, or this process, cannot write to the warehouse or read from it.
        DamagedFileError: workers read other bytes than were written.
    """
    gram = empty_gram(images, labelled, n_jobs)
    rows = np.flatnonzero(labelled.fitted)
    if goes_to_cluster(images):
        parts = tile_slices(len(gram.centre))
        with scratch(root) as files:
            _add_tiles(gram, _written_blocks(images, labelled, rows, parts, files), parts, files)
        return gram
    with progress(doing="features", total=len(rows), unit="image") as bar:
        for block, features in feature_blocks(images, rows, n_jobs):
            gram.add(features, labelled.targets(block), n_jobs=n_jobs)
            bar.update(len(block))
    return gram


class _Block(NamedTuple):
    """The scratch files of a block of images: their features, part by part, and their targets."""

    parts: list[str]
    targets: str


class _Part(NamedTuple):
    """A part of the features: the scratch file of each block, and centre and spread."""

    names: list[str]
    centre: np.ndarray
    spread: np.ndarray


def _written_blocks(
    images: ImagesToEncode | Made[ImagesToEncode],
    labelled: LabelledImages,
    rows: np.ndarray,
    parts: Sequence[slice],
    files: Scratch,
) -> list[_Block]:
    """Have workers write the features of all blocks."""
    blocks = image_blocks(rows)
    given = ((files, block, labelled.labels[block], len(labelled.classes), parts) for block in blocks)
    with workers(images) as run:
        return list(progress(run(_write_block, given), doing="features", total=len(blocks), unit="block"))


def _write_block(
    images: ImagesToEncode,
    files: Scratch,
    rows: np.ndarray,
    labels: np.ndarray,
    classes: int,
    parts: Sequence[slice],
) -> _Block:
    features = images.encoder.features(images.pixels[rows])
    targets = one_hot(labels, classes)
    return _Block([files.write(features[:, part].tobytes()) for part in parts], files.write(targets.tobytes()))


def _add_tiles(gram: Gram, blocks: Sequence[_Block], slices: Sequence[slice], files: Scratch) -> None:
    """Have workers add up all tiles; `gram` is of no image yet."""
    parts = [
        _Part([block.parts[number] for block in blocks], gram.centre[place], gram.spread[place])
        for number, place in enumerate(slices)
    ]
    targets = [block.targets for block in blocks]
    others = [(row, column) for column in range(len(parts)) for row in range(column)]
    with (
        workers(Made(Scratch, (files.root, files.folder))) as run,
        progress(doing="sums", total=len(parts) + len(others), unit="tile") as bar,
    ):
        of_parts = run(_sums, ((part, targets, len(gram.target_sums)) for part in parts))
        for place, sums in zip(slices, of_parts, strict=True):
            gram.products[place, place] = sums.products
            gram.sums[place], gram.with_targets[place] = sums.sums, sums.with_targets
            gram.weight, gram.target_sums = sums.weight, sums.target_sums
            bar.update()
        tiles = run(_tile, ((parts[row], parts[column]) for row, column in others))
        for (row, column), tile in zip(others, tiles, strict=True):
            gram.products[slices[row], slices[column]] = tile
            bar.update()


def _sums(files: Scratch, part: _Part, targets: Sequence[str], classes: int) -> Gram:
    """The sums of a part of the features: a tile on the diagonal, and all that is linear in features."""
    gram = Gram(part.centre, part.spread, classes)
    for features, of_targets in zip(part.names, targets, strict=True):
        gram.add(_array(files, features, len(part.centre)), _array(files, of_targets, classes))
    return gram


def _tile(files: Scratch, rows: _Part, columns: _Part) -> np.ndarray:
    """A tile off the diagonal: the sum of the products of two parts of the features."""
    tile = np.zeros((len(rows.centre), len(columns.centre)), np.float32)
    for names in zip(rows.names, columns.names, strict=True):
        left, right = (_standardized(files, name, part) for name, part in zip(names, (rows, columns), strict=True))
        tile += left.T @ right
    return tile


def _standardized(files: Scratch, name: str, part: _Part) -> np.ndarray:
    features = _array(files, name, len(part.centre))
    standardize(features, part.centre, part.spread)
    return features


def _array(files: Scratch, name: str, columns: int) -> np.ndarray:
    """A copy of the (n, columns) float32 in a scratch file, which may be changed."""
    return np.frombuffer(files.read(name), np.float32).reshape(-1, columns).copy()
