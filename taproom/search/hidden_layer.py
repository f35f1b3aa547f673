"""The deck's network: the pixels of an image, one hidden layer, and the classes; its training can be continued.

Here belong the network's parameters, its training up to an epoch, and its loss on images that it is not trained on.
scikit-learn's `MLPClassifier` does the training; an implementation in NumPy was 1.3 to 2.6 times as fast, with the
smaller gains for larger networks.

The deck leaves these open; here they are: ReLU; softmax and cross-entropy; minibatches of 50 in a random order;
momentum 0.9, because without it the deck's smaller rates get nowhere in so few steps; weights uniform at first (Glorot
and Bengio); the penalty is lambda / 2 times the sum of the squared weights, biases left out, added to the mean loss.

Source: the deck's slides "Hyperparameter Optimization" (N_in = 784, N_hid, N_out = 10); Rumelhart, Hinton and Williams,
Learning representations by back-propagating errors, 1986; Glorot and Bengio, Understanding the difficulty of training
deep feedforward neural networks, 2010.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from taproom.errors import InputError

BATCH = 50
MOMENTUM = 0.9


@dataclass(frozen=True)
class HiddenLayerParameters:
    """The parameters that a search chooses.

    Attributes:
        learning_rate: eta, of a step down the gradient.
        l2_penalty: lambda, of the squared weights.
        hidden_nodes: N_hid.

    Raises:
        InputError: a rate that is not above 0, a penalty below 0, or no node.
    """

    learning_rate: float
    l2_penalty: float
    hidden_nodes: int

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        finite = math.isfinite(self.learning_rate) and math.isfinite(self.l2_penalty)
        if not (finite and self.learning_rate > 0 and self.l2_penalty >= 0 and self.hidden_nodes >= 1):
            raise InputError(
                f"a learning rate of {self.learning_rate}, a penalty of {self.l2_penalty} and {self.hidden_nodes} "
                "hidden nodes were given; wanted: a rate above 0, a penalty of 0 or above, and at least 1 node"
            )


class Judged(NamedTuple):
    """How well a network does: the mean cross-entropy in nats, without the penalty, and the share called wrongly."""

    loss: float
    error: float


class HiddenLayer:
    """A network of `classes` classes; `epochs` says how long it has been trained.

    Training it to epoch 3 and then to 9 gives the same bits as training it to 9 at once, in another process too. The
    bits depend on the number of BLAS' threads, which is for the caller to limit.
    """

    def __init__(self, parameters: HiddenLayerParameters, classes: int, seed: int) -> None:
        """A network that is not trained; `seed` is of its weights and of the order of the images."""
        from sklearn.neural_network import MLPClassifier

        self.parameters = parameters
        self.epochs = 0
        self._classes = np.arange(classes)
        self._model = MLPClassifier(
            (parameters.hidden_nodes,),
            solver="sgd",
            batch_size=BATCH,
            learning_rate_init=parameters.learning_rate,
            # There, the penalty is divided by the number of images of a batch.
            alpha=parameters.l2_penalty * BATCH,
            momentum=MOMENTUM,
            nesterovs_momentum=False,
            # A number would begin each epoch with the same random state, and so with the same order.
            random_state=np.random.RandomState(seed),
        )

    def train(self, images: np.ndarray, labels: np.ndarray, epochs: int) -> None:
        """Train on images (n, d) float32 and labels (n,) int, from 0, until it has seen all of them `epochs` times.

        Raises:
            InputError: fewer images than a batch; or training diverges, of which the network does not recover.
        """
        if len(images) < BATCH:
            raise InputError(f"{len(images)} images to train on were given; wanted: at least {BATCH}, a batch of them")
        while self.epochs < epochs:
            try:
                with np.errstate(over="ignore", invalid="ignore"):
                    self._model.partial_fit(images, labels, classes=self._classes)
            except ValueError as error:
                if "non-finite parameter weights" not in str(error):
                    raise
                raise InputError(f"training diverges in epoch {self.epochs + 1} by {self.parameters}") from None
            self.epochs += 1

    def judged(self, images: np.ndarray, labels: np.ndarray) -> Judged:
        """How well it does on images (n, d) float32 with labels (n,) int; probabilities below 1e-38 count as that."""
        probabilities = self._model.predict_proba(images)
        of_label = probabilities[np.arange(len(labels)), labels]
        loss = -np.log(np.maximum(of_label, np.finfo(np.float32).tiny)).mean(dtype=np.float64)
        return Judged(float(loss), float(np.mean(probabilities.argmax(axis=1) != labels)))
