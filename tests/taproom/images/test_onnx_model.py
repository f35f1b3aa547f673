import re
from pathlib import Path

import numpy as np
import pytest

import taproom
from taproom.errors import InputError, UnknownTableError
from taproom.images.calibration import probabilities
from taproom.images.image_arrays import pixels_of
from taproom.images.image_classifier import ImagesToScore, scores_of_images
from taproom.images.image_features import ENCODINGS, EncoderParameters, learn_encoder
from taproom.images.landmark_regression import KernelClassifier, LandmarkKernel
from taproom.images.landmarks import Landmarks
from taproom.images.onnx_model import export_classifier, model_of
from taproom.images.patches import STANDARDIZATIONS
from tests.planted_images import FITTED, LEARNED, QUICK, few_test_images, planted_images, write_images
from tests.textures import NAMES, textures

pytest.importorskip("onnx", reason="onnx is not installed: make setup")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: make setup")

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "exporting.md"


def answers(model, images):
    """What ONNX Runtime gives: the predicted classes, the scores and the probabilities."""
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["predicted", "scores", "probabilities"], {"images": images})


def test_the_exported_model_classifies_as_the_product_does(tmp_path, make, warehouse, monkeypatch, capsys):
    write_images(tmp_path / "planted.parquet", *planted_images(each=100), few_test_images(300))
    make("images", images={"source": "files", "path": str(tmp_path / "planted.parquet")})
    make(*LEARNED, *FITTED, filters=QUICK)
    (tmp_path / "empty").mkdir()
    export_classifier(warehouse, tmp_path / "classifier.onnx")
    pixels = pixels_of(warehouse.read("images"))
    predicted, scores, likely = answers(tmp_path / "classifier.onnx", pixels)
    wanted = taproom.classify(pixels)
    assert predicted.tolist() == wanted["predicted"].to_pylist()
    np.testing.assert_allclose(scores, np.array(wanted["scores"].to_pylist()), atol=1e-4)
    np.testing.assert_allclose(likely, np.array(wanted["probabilities"].to_pylist()), atol=1e-3)
    monkeypatch.chdir(tmp_path / "empty")
    (snippet,) = re.findall(r"```python\n([^`]*onnxruntime.*?)```", GUIDE.read_text("utf-8"), flags=re.DOTALL)
    exec(compile(snippet, str(GUIDE), "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.strip() == str(predicted[:8])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="exists"):
        export_classifier(warehouse, tmp_path / "classifier.onnx")
    with pytest.raises(UnknownTableError):
        export_classifier(warehouse, tmp_path / "other.onnx", version=7)


@pytest.mark.parametrize(
    "changed",
    [
        *({"standardization": name} for name in STANDARDIZATIONS),
        *({"encoding": name, "learned_by": "k-means"} for name in ENCODINGS),
        {"mirrored": False, "patch_size": 3},
        {"pools": 1, "power": 1.0},
        {"pools": 5, "offset": 0.0},
    ],
    ids=str,
)
def test_every_kind_of_encoder_is_translated(changed):
    images = textures(each=100)[0][:, :, :9]  # higher than wide
    encoder = learn_encoder(images, EncoderParameters(**{"filters": 6, "patches": 500, "patch_size": 4} | changed), 0)
    landmarks = Landmarks.of(encoder.features(images[::7]))
    weights = np.random.default_rng(0).normal(size=(len(landmarks.scaled), 3)).astype(np.float32)
    kernel = LandmarkKernel(landmarks, landmarks.typical_distance / 2)
    classifier = KernelClassifier(kernel, weights, np.array([0.1, 0, -0.1], np.float32), temperature=0.7)
    predicted, scores, likely = answers(model_of(encoder, classifier, NAMES, (10, 9)).SerializeToString(), images)
    wanted = scores_of_images(ImagesToScore(encoder, classifier, images))
    np.testing.assert_allclose(scores, wanted, atol=1e-3)
    np.testing.assert_allclose(likely, probabilities(scores, 0.7), atol=1e-5)
    sure = np.ptp(np.sort(wanted, axis=1)[:, 1:], axis=1) > 1e-3
    assert (predicted[sure] == np.array(NAMES)[wanted.argmax(axis=1)][sure]).all()
    assert sure.mean() > 0.9
