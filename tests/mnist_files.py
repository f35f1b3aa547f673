"""Small files in the formats of MNIST."""

import gzip

import numpy as np


def idx(values: np.ndarray, dimensions: int | None = None) -> bytes:
    """Bytes in the IDX format, with the given number of dimensions or their own."""
    shape = np.array(values.shape, ">u4").tobytes()
    return b"\x00\x00\x08" + bytes([dimensions or values.ndim]) + shape + values.astype(np.uint8).tobytes()


def mnist_archives(pixels: np.ndarray, labels: np.ndarray, training: int) -> dict[str, tuple[bytes, list[str]]]:
    """The four files of MNIST, with as many training images, for `tests.served_sources`."""
    images = pixels.reshape(-1, 28, 28)
    values = {
        "mnist_training_images": images[:training],
        "mnist_training_labels": labels[:training],
        "mnist_test_images": images[training:],
        "mnist_test_labels": labels[training:],
    }
    return {name: (gzip.compress(idx(value)), []) for name, value in values.items()}
