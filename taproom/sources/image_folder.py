"""The images of a folder: which files are images, their labels and splits by the folders they are in, and one size.

Here belongs what the folder and the names in it say. Reading one file is `taproom.sources.picture`'s.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from taproom.errors import SourceError
from taproom.progress import progress
from taproom.sources.characters import printable
from taproom.sources.corpus import Split
from taproom.sources.files import files_in
from taproom.sources.image_blocks import (
    SPLIT_NAMES,
    Images,
    LeftOut,
    Size,
    UnusableImageError,
    images_per_block,
    most_frequent_size,
)
from taproom.sources.picture import picture_size, read_pixels

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def folder_images(folder: Path, size: Size | None = None) -> Iterator[Images | LeftOut]:
    """The images of a folder, by default of its most frequent size; `taproom.sources.image_files` has the rules.

    Raises SourceError at once when no file in the folder has the name of an image.
    """
    names = [path.relative_to(folder) for path in files_in(folder)]
    pictures = [name for name in names if name.suffix.lower() in IMAGE_SUFFIXES]
    if not pictures:
        raise SourceError(
            f"{folder} has no images in it: {len(names):,} files, none of which is called "
            f"{', '.join(IMAGE_SUFFIXES)} (hidden files and links do not count). Check the path."
        )
    return _blocks(folder, names, _has_splits(pictures), size or _most_frequent_size(folder, pictures))


def _has_splits(names: Iterable[Path]) -> bool:
    """Whether the outermost folders are splits: all have a split's name, or each split has a folder."""
    splits = {SPLIT_NAMES.get(name.parts[0].lower()) for name in names if len(name.parts) > 1}
    return bool(splits) and (None not in splits or splits > set(SPLIT_NAMES.values()))


def _most_frequent_size(folder: Path, names: Sequence[Path]) -> Size:
    """The size that the headers of most files give; of several, the first."""
    sizes: Counter[Size] = Counter()
    for name in progress(names, doing=f"looking into {folder.name}", unit=" images"):
        with suppress(UnusableImageError):  # reading it will raise, and report, the same
            sizes[picture_size(folder / name)] += 1
    return most_frequent_size(sizes)


def _blocks(folder: Path, names: Sequence[Path], has_splits: bool, size: Size) -> Iterator[Images | LeftOut]:
    block: list[tuple] = []
    for name in names:
        try:
            label, split = _label_and_split(name, has_splits)
            block.append((name.as_posix(), label, split, *read_pixels(folder / name, size)))
        except UnusableImageError as error:
            yield LeftOut(printable(name.as_posix()), error.why, printable(error))
        if len(block) == images_per_block(3 * size[0] * size[1]):
            yield _stacked(block)
            block = []
    if block:
        yield _stacked(block)


def _stacked(block: Sequence[tuple]) -> Images:
    ids, labels, splits, pixels, grey, opaque_alpha = zip(*block, strict=True)
    return Images(ids, labels, splits, np.stack(pixels), sum(grey), sum(opaque_alpha))


def _label_and_split(name: Path, has_splits: bool) -> tuple[str | None, Split | None]:
    """The label and the split of an image, by the folders that it is in.

    The label is the name of the first folder below the root, or below the split's folder, as in torchvision's
    ImageFolder; deeper folders do not count.
    """
    if str(name) != printable(name):
        raise UnusableImageError("unsuitable", "its name is not UTF-8, and would be its id; rename the file")
    if name.suffix.lower() not in IMAGE_SUFFIXES:
        raise UnusableImageError("unsuitable", f"its name does not end in one of {', '.join(IMAGE_SUFFIXES)}")
    folders, split = name.parts[:-1], None
    if has_splits:
        split = SPLIT_NAMES.get(folders[0].lower()) if folders else None
        if split is None:
            raise UnusableImageError("unsuitable", f"it is in none of the folders of splits ({', '.join(SPLIT_NAMES)})")
        folders = folders[1:]
    return (folders[0].strip() or None) if folders else None, split
