import pickle

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from taproom.errors import InputError
from taproom.search.hidden_layer import BATCH, MOMENTUM, HiddenLayer, HiddenLayerParameters

SETTING = HiddenLayerParameters(0.05, 1e-3, 12)


def blobs(count=220, seed=0):
    """Three clouds in nine dimensions."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    return (np.repeat(np.eye(3), 3, axis=1)[labels] + random.normal(0, 0.4, (count, 9))).astype(np.float32), labels


IMAGES, LABELS = blobs()


@pytest.fixture(autouse=True)
def one_thread():
    with threadpool_limits(limits=1):
        yield


def trained(*epochs, setting=SETTING, seed=0, images=IMAGES, labels=LABELS):
    network = HiddenLayer(setting, 3, seed)
    for until in epochs:
        network.train(images, labels, until)
    return network


def weights(network):
    return [*network._model.coefs_, *network._model.intercepts_]


def same(first, second):
    return all(np.array_equal(one, other) for one, other in zip(weights(first), weights(second), strict=True))


def test_training_to_3_and_then_to_9_epochs_is_training_to_9_to_the_bit():
    at_once = trained(9)
    assert same(at_once, trained(3, 9))
    assert not same(at_once, trained(8))
    moved = pickle.loads(pickle.dumps(trained(3)))
    moved.train(IMAGES, LABELS, 9)
    assert same(at_once, moved)
    assert moved.epochs == 9


def test_an_epoch_that_it_has_had_is_not_trained_again():
    network = trained(4)
    before = [part.copy() for part in weights(network)]
    network.train(IMAGES, LABELS, 3)
    assert all(np.array_equal(one, other) for one, other in zip(before, weights(network), strict=True))
    assert network.epochs == 4


def test_a_seed_is_of_the_weights_and_of_the_order():
    assert same(trained(2, seed=3), trained(2, seed=3))
    assert not same(trained(2, seed=3), trained(2, seed=4))


def test_an_epoch_has_an_order_of_its_own():
    """The momentum's steps of two epochs over the same rows differ if the rows come in another order."""
    network = trained(1)
    again = trained(1)
    again._model.random_state = np.random.RandomState(99)
    for each in (network, again):
        each.train(IMAGES, LABELS, 2)
    assert not same(network, again)


def test_weights_are_in_single_precision():
    assert {part.dtype for part in weights(trained(1))} == {np.dtype(np.float32)}


def test_one_epoch_is_gradient_descent_with_momentum_on_the_penalized_cross_entropy():
    """Of two batches of the same images, so that their order is no matter; gradients by differences."""
    images, labels = IMAGES[:1].repeat(2 * BATCH, axis=0), LABELS[:1].repeat(2 * BATCH)
    setting = HiddenLayerParameters(0.05, 0.02, 4)
    start = trained(1, setting=HiddenLayerParameters(1e-30, 0.0, 4), images=images, labels=labels)
    parts = [part.astype(np.float64) for part in weights(start)]

    def objective(flat):
        first, second, *biases = unflatten(flat)
        hidden = np.maximum(images[:1] @ first + biases[0], 0)
        outputs = hidden @ second + biases[1]
        loss = np.log(np.exp(outputs).sum()) - outputs[0, labels[0]]
        return loss + setting.l2_penalty / 2 * ((first**2).sum() + (second**2).sum())

    def unflatten(flat):
        ends = np.cumsum([part.size for part in parts])[:-1]
        return [piece.reshape(part.shape) for piece, part in zip(np.split(flat, ends), parts, strict=True)]

    def gradient(flat, step=1e-6):
        return np.array([(objective(flat + e) - objective(flat - e)) / (2 * step) for e in step * np.eye(len(flat))])

    flat = np.concatenate([part.ravel() for part in parts])
    velocity = np.zeros_like(flat)
    for _ in range(2):
        velocity = MOMENTUM * velocity - setting.learning_rate * gradient(flat)
        flat = flat + velocity
    found = trained(1, setting=setting, images=images, labels=labels)
    assert np.allclose(np.concatenate([part.ravel() for part in weights(found)]), flat, atol=1e-5)


def test_it_learns_what_can_be_learned_and_a_large_penalty_keeps_it_from_that():
    others, labels = blobs(seed=1)
    untrained, good = trained(1, setting=HiddenLayerParameters(1e-6, 0.0, 12)), trained(20)
    assert good.judged(others, labels).error < 0.05 < untrained.judged(others, labels).error
    assert good.judged(others, labels).loss < 0.2
    penalized = trained(20, setting=HiddenLayerParameters(0.05, 1.0, 12))
    assert penalized.judged(others, labels).loss == pytest.approx(np.log(3), abs=0.05)


def test_a_judgement_is_mean_cross_entropy_and_the_share_called_wrongly():
    network = trained(5)
    outputs = np.maximum(IMAGES @ weights(network)[0] + weights(network)[2], 0) @ weights(network)[1]
    outputs = (outputs + weights(network)[3]).astype(np.float64)
    losses = np.log(np.exp(outputs).sum(axis=1)) - outputs[np.arange(len(LABELS)), LABELS]
    found = network.judged(IMAGES, LABELS)
    assert found.loss == pytest.approx(losses.mean(), rel=1e-5)
    assert found.error == np.mean(outputs.argmax(axis=1) != LABELS)


def test_a_network_that_is_certain_and_wrong_has_a_finite_loss():
    network = trained(3)
    network._model.coefs_[1][:] *= 1e4
    assert 10 < network.judged(IMAGES, (LABELS + 1) % 3).loss <= 88


def test_training_that_diverges_says_by_what():
    with pytest.raises(InputError, match=r"training diverges in epoch \d+ by .*learning_rate=1e\+30"):
        trained(5, setting=HiddenLayerParameters(1e30, 0.0, 12))


def test_fewer_images_than_a_batch_are_refused():
    with pytest.raises(InputError, match=f"49 images.*at least {BATCH}"):
        trained(1, images=IMAGES[:49], labels=LABELS[:49])


@pytest.mark.parametrize(
    ("rate", "penalty", "nodes"),
    [(0.0, 0.0, 1), (-1.0, 0.0, 1), (np.nan, 0.0, 1), (0.1, -1e-9, 1), (0.1, np.inf, 1), (0.1, 0.0, 0)],
)
def test_settings_that_cannot_be_trained_are_refused(rate, penalty, nodes):
    with pytest.raises(InputError, match="wanted: a rate above 0, a penalty of 0 or above, and at least 1 node"):
        HiddenLayerParameters(rate, penalty, nodes)
