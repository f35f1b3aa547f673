import numpy as np

from taproom.images import encoder_experiment
from taproom.images.street_fight_draws import draw
from tests.textures import TINY, textures


def test_the_images_that_judge_change_nothing_that_is_fitted(monkeypatch):
    seen = []
    learn = encoder_experiment.learn_encoder
    monkeypatch.setattr(
        encoder_experiment,
        "learn_encoder",
        lambda images, *given, **more: seen.append(images) or learn(images, *given, **more),
    )
    drawn = draw(*textures(), TINY, 0)
    encoder_experiment.vary(drawn, TINY, "encoding", "relu")
    (learned_from,) = seen
    assert np.array_equal(learned_from, drawn.images[: drawn.training])
