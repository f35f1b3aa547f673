"""Texts whose words are about as unequally frequent as those of a language."""

import numpy as np


def zipf_texts(texts: int, words: int, seed: int = 0) -> list[str]:
    """So many texts of at most so many words, drawn from 500."""
    draw = np.random.default_rng(seed)
    return [" ".join(f"word{number}" for number in draw.zipf(1.4, words) if number < 500) for _ in range(texts)]
