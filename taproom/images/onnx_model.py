"""The image classifier as an ONNX model, which runs without Taproom: in browsers, on phones, from other languages.

Here belongs the translation of the encoder and the kernel classifier into operations of ONNX. The encoder is in
`taproom.images.image_features`, the classifier in `taproom.images.landmark_regression`.

How: whitening and filters are one convolution. A patch is standardized after it: its mean times the sum of a filter's
weights is subtracted by filters whose weights have the sum 0, and its scale comes from averages over the patch. Windows
are an average pooling. The features of an image and of its mirror image are averaged. The kernel's squared distances
are those of `taproom.images.landmark_regression`: norms less twice a matrix product.

Source: the specification of the operators, https://onnx.ai/onnx/operators, opset 17.
"""

import json
import os
from typing import Any

import numpy as np

from taproom.errors import MissingPackageError
from taproom.images.image_features import Encoder, window_sizes
from taproom.images.image_lookup import ImageClassifier
from taproom.images.landmark_regression import KernelClassifier, LandmarkKernel
from taproom.images.patches import CHANNELS, steps
from taproom.new_files import new_file
from taproom.warehouse.warehouse import Warehouse

OPSET, IR_VERSION = 17, 8
# The middle of the grey levels: sums of squares about it lose less to rounding than those about 0.
MIDDLE_GREY = 128.0


def export_classifier(warehouse: Warehouse, target: str | os.PathLike, *, version: int | None = None) -> None:
    """Write the classifier and its encoder as an ONNX model.

    Its input `images` is (n, height, width, 3) uint8, R G B, of the size of the classifier's images. Its outputs are
    `predicted` (n,) string, the class of the highest score, and `scores` and `probabilities` (n, classes) float32. They
    are those of `taproom.classify` up to rounding in single precision. Its metadata have the `classes` as JSON, in
    their order.

    Args:
        warehouse: where the tables are.
        target: the file to make.
        version: a version of the table `classifier`; None for the newest.

    Raises:
        UnknownTableError: there is no such version, or there is no classifier yet.
        InputError: `target` exists.
        StorageError: `target` cannot be written.
        MissingPackageError: the extra `onnx` is not installed.
    """
    classifier = ImageClassifier(warehouse, version)
    model = model_of(classifier.encoder, classifier.classifier, classifier.classes, classifier.size)
    with new_file(target) as part:
        part.write_bytes(model.SerializeToString())


def model_of(encoder: Encoder, classifier: KernelClassifier, classes: list[str], size: tuple[int, int]) -> Any:
    """The `onnx.ModelProto` of a classifier of images of a size (height, width); see `export_classifier`."""
    onnx = _onnx()
    graph = _Graph()
    pixels = graph.add("Cast", "images", to=onnx.TensorProto.FLOAT)
    channels_first = graph.add("Transpose", pixels, perm=[0, 3, 1, 2])
    pooled = _pooled(graph, encoder, channels_first, size)
    if encoder.parameters.mirrored:
        ends = [graph.constant(np.array([number])) for number in (-1, np.iinfo(np.int64).min, 3, -1)]
        mirrored = graph.add("Slice", channels_first, *ends)
        pooled = graph.add("Mean", pooled, _pooled(graph, encoder, mirrored, size))
    by_window = graph.add("Flatten", graph.add("Transpose", pooled, perm=[0, 2, 3, 1]))
    features = graph.add("Pow", by_window, graph.constant(np.float32(encoder.parameters.power)))
    weights, intercept = graph.constant(classifier.weights), graph.constant(classifier.intercept)
    graph.add("Gemm", _kernel(graph, classifier.kernel, features), weights, intercept, output="scores")
    logits = graph.add("Div", "scores", graph.constant(np.float32(classifier.temperature)))
    graph.add("Softmax", logits, axis=1, output="probabilities")
    best = graph.add("ArgMax", "scores", axis=1, keepdims=0)
    graph.add("Gather", graph.constant(np.array(classes, dtype=object)), best, output="predicted")
    return graph.model(size, classes)


def _kernel(graph: "_Graph", kernel: LandmarkKernel, features: str) -> str:
    """The kernel of images with features (n, D) and the landmarks: (n, m)."""
    landmarks = kernel.landmarks
    centred = graph.add("Sub", features, graph.constant(landmarks.centre))
    standard = graph.add("Mul", centred, graph.constant(landmarks.scale))
    directions = graph.constant(landmarks.directions)
    removed = graph.add("Mul", graph.add("MatMul", standard, directions), graph.constant(landmarks.removed))
    scaled = graph.add("Sub", standard, graph.add("Gemm", removed, directions, transB=1))
    sharpness = graph.constant(kernel.sharpness)
    norms = graph.add("Mul", graph.add("ReduceSumSquare", scaled, axes=[1], keepdims=1), sharpness)
    doubled, landmark_norms = 2 * kernel.sharpness * landmarks.scaled.T, graph.constant(-kernel.norms)
    exponents = graph.add("Sub", graph.add("Gemm", scaled, graph.constant(doubled), landmark_norms), norms)
    return graph.add("Exp", graph.add("Min", exponents, graph.constant(np.float32(0))))


def _pooled(graph: "_Graph", encoder: Encoder, images: str, size: tuple[int, int]) -> str:
    """The encoded responses of images (n, 3, height, width), averaged: (n, signs * filters, pools, pools)."""
    encoded = _encoded(graph, encoder, images)
    given = encoder.parameters
    strides, widths = zip(*(window_sizes(side - given.patch_size + 1, given.pools) for side in size), strict=True)
    return graph.add("AveragePool", encoded, kernel_shape=list(widths), strides=list(strides))


def _encoded(graph: "_Graph", encoder: Encoder, images: str) -> str:
    """The responses of all patches after their non-linearity: (n, signs * filters, rows, columns)."""
    given = encoder.parameters
    standardized = _Standardized(graph, encoder, images)
    matrix, mean = encoder.whitening.matrix.astype(np.float64), encoder.whitening.mean
    filters = matrix @ encoder.filters.T
    if given.encoding == "triangle":
        whitened = standardized.times(matrix, -(mean @ matrix))
        responses = standardized.times(filters, -(mean @ filters))
        norms = graph.add("ReduceSumSquare", whitened, axes=[1], keepdims=1)
        filter_norms = graph.constant(np.einsum("ij,ij->i", encoder.filters, encoder.filters)[:, None, None])
        doubled = graph.add("Mul", responses, graph.constant(np.float32(2)))
        squared = graph.add("Sub", graph.add("Add", norms, filter_norms), doubled)
        distances = graph.add("Sqrt", graph.add("Relu", squared))
        typical = graph.add("ReduceMean", distances, axes=[1], keepdims=1)
        return graph.add("Relu", graph.add("Sub", typical, distances))
    responses = standardized.times(filters, -(mean @ filters))
    offset = graph.constant(np.float32(given.offset))
    positive = graph.add("Relu", graph.add("Sub", responses, offset))
    if given.encoding == "relu":
        return positive
    negative = graph.add("Relu", graph.add("Sub", graph.add("Neg", responses), offset))
    return graph.add("Concat", positive, negative, axis=1)


class _Standardized:
    """The standardized patches of images (n, 3, height, width), which exist only as what they are multiplied with."""

    def __init__(self, graph: "_Graph", encoder: Encoder, images: str) -> None:
        self._graph = graph
        self._size = encoder.parameters.patch_size
        self._de_mean, scale = steps(encoder.parameters.standardization)
        if self._de_mean:
            images = graph.add("Sub", images, graph.constant(np.float32(MIDDLE_GREY)))
        self._images = images
        self._scale = self._root_mean_square(encoder.parameters.contrast) if scale else None

    def times(self, weights: np.ndarray, bias: np.ndarray) -> str:
        """The products of each patch with `weights` (patch, m), plus `bias` (m,): (n, m, rows, columns)."""
        if self._de_mean:
            weights = weights - weights.mean(axis=0)
        kernels = weights.T.reshape(-1, self._size, self._size, CHANNELS).transpose(0, 3, 1, 2)
        products = self._graph.add("Conv", self._images, self._graph.constant(kernels))
        if self._scale is not None:
            products = self._graph.add("Div", products, self._scale)
        return self._graph.add("Add", products, self._graph.constant(bias[:, None, None]))

    def _root_mean_square(self, contrast: float) -> str:
        """What each patch is divided by: (n, 1, rows, columns)."""
        squares = self._mean(self._graph.add("Mul", self._images, self._images))
        if self._de_mean:
            mean = self._mean(self._images)
            squares = self._graph.add("Sub", squares, self._graph.add("Mul", mean, mean))
        return self._graph.add("Sqrt", self._graph.add("Add", squares, self._graph.constant(np.float32(contrast))))

    def _mean(self, images: str) -> str:
        """The mean over each patch."""
        by_channel = self._graph.add("AveragePool", images, kernel_shape=[self._size, self._size])
        return self._graph.add("ReduceMean", by_channel, axes=[1], keepdims=1)


class _Graph:
    """Operations and constants of a model, in their order."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Append an operation, and return the name of its output."""
        output = output or f"{operator}_{len(self._nodes)}"
        self._nodes.append(_onnx().helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, values: np.ndarray | np.floating) -> str:
        """Add a constant (real numbers as float32), and return its name."""
        values = np.asarray(values)
        name = f"constant_{len(self._constants)}"
        kept = values.astype(np.float32) if np.issubdtype(values.dtype, np.floating) else values
        self._constants.append(_onnx().numpy_helper.from_array(np.ascontiguousarray(kept).reshape(values.shape), name))
        return name

    def model(self, size: tuple[int, int], classes: list[str]) -> Any:
        """The checked model."""
        onnx = _onnx()
        value, types = onnx.helper.make_tensor_value_info, onnx.TensorProto
        graph = onnx.helper.make_graph(
            self._nodes,
            "classifier",
            [value("images", types.UINT8, ["n", *size, CHANNELS])],
            [
                value("predicted", types.STRING, ["n"]),
                *(value(name, types.FLOAT, ["n", len(classes)]) for name in ("scores", "probabilities")),
            ],
            self._constants,
        )
        model = onnx.helper.make_model(
            graph,
            opset_imports=[onnx.helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="taproom",
        )
        onnx.helper.set_model_props(model, {"classes": json.dumps(list(classes), ensure_ascii=False)})
        onnx.checker.check_model(model, full_check=True)
        return model


def _onnx() -> Any:
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            'A model in ONNX needs the package onnx, which is not installed: pip install "taproom[onnx]"'
        ) from error
    return onnx
