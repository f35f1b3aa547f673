"""Small images of noisy stripes, across or down."""

import numpy as np

CLASSES = ["across", "down"]


def stripes(count: int, height: int = 16, width: int = 16, contrast: float = 60, noise: float = 10):
    """Noisy stripes at random places, across or down: pixels do not tell them apart, gradients do."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 2
    y, x = np.mgrid[:height, :width]
    phase = random.uniform(0, 6, (count, 1, 1))
    wave = np.sin(1.6 * np.where(labels[:, None, None] == 0, y, x) + phase)
    levels = 128 + contrast * wave + random.normal(0, noise, wave.shape)
    return np.repeat(np.clip(levels, 0, 255).astype(np.uint8)[..., None], 3, axis=3), labels
