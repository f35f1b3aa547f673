"""Small images of textures in a few classes, and sizes of a street fight that is quick on them."""

import numpy as np

from taproom.images.street_fight_draws import Draw, Sizes, draw_all

NAMES = ["bars", "dots", "rings"]


TINY = Sizes(2, 150, 90, 90, filters=8, patches=500, iterations=2, pools=2)


def textures(each=100, classes=3, side=10, noise=25.0, seed=0):
    """Images of waves, in another direction in each class, under noise; and their labels."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    y, x = np.mgrid[:side, :side]
    angles = np.pi * labels / classes
    phase = random.uniform(0, 2 * np.pi, len(labels))[:, None, None]
    along = np.cos(angles)[:, None, None] * x + np.sin(angles)[:, None, None] * y
    waves = 128 + 60 * np.sin(1.8 * along + phase)[..., None] + noise * random.normal(size=(len(labels), side, side, 3))
    order = random.permutation(len(labels))
    return np.clip(waves, 0, 255).astype(np.uint8)[order], labels[order]


def draws_of_textures() -> list[Draw]:
    return draw_all(*textures(), NAMES, TINY, seed=0)
