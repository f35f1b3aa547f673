import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from taproom.estimators import PatchEncoder
from taproom.images.image_features import EncoderParameters, learn_encoder
from tests.textures import textures

QUICK = {"n_filters": 6, "n_patches": 400, "n_pools": 2, "max_iter": 2, "random_state": 4}


def test_it_has_the_interface_of_scikit_learn():
    # The other checks make rows of two to ten numbers, which are no images.
    with pytest.warns(SkipTestWarning, match="Can't test estimator PatchEncoder"):
        checks = check_estimator(PatchEncoder())
    assert {check["status"] for check in checks} == {"passed"}


@pytest.fixture(scope="module")
def labelled():
    return textures(each=30)


@pytest.fixture(scope="module")
def images(labelled):
    return labelled[0]


@pytest.fixture(scope="module")
def fitted(images):
    return PatchEncoder(**QUICK).fit(images)


def test_the_features_have_the_bits_of_the_function(fitted, images):
    encoder = learn_encoder(images, EncoderParameters(filters=6, patches=400, iterations=2, pools=2), seed=4)
    np.testing.assert_array_equal(fitted.transform(images), encoder.features(images))
    np.testing.assert_array_equal(fitted.filters_, encoder.filters)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_rows_of_pixels_are_images_of_the_declared_shape(fitted, images, dtype):
    rows = images.reshape(len(images), -1).astype(dtype)
    by_rows = PatchEncoder(**QUICK, image_shape=(10, 10, 3)).fit(rows)
    np.testing.assert_array_equal(by_rows.transform(rows), fitted.transform(images))
    np.testing.assert_array_equal(by_rows.transform(images), fitted.transform(images))
    assert by_rows.n_features_in_ == 300
    with pytest.raises(ValueError, match="X has 299 features, but PatchEncoder is expecting 300"):
        by_rows.transform(rows[:, 1:])


def test_a_frame_of_pixels_gives_a_frame_of_features(images):
    frame = pd.DataFrame(images.reshape(len(images), -1)).rename(columns="pixel_{}".format)
    encoder = PatchEncoder(**QUICK, image_shape=(10, 10, 3)).set_output(transform="pandas")
    features = encoder.fit_transform(frame)
    assert encoder.feature_names_in_[:2].tolist() == ["pixel_0", "pixel_1"]
    assert features.columns.tolist() == encoder.get_feature_names_out().tolist()
    assert features.shape == (90, 48)


def test_parameters_are_searched_in_a_pipeline(labelled):
    images, labels = labelled
    steps = make_pipeline(PatchEncoder(**QUICK), RidgeClassifier())
    search = GridSearchCV(steps, {"patchencoder__n_filters": [6, 12]}, cv=2).fit(images, labels)
    assert search.best_score_ > 0.6  # chance: 0.33


def test_it_survives_clone_and_pickle(fitted, images):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(images), fitted.transform(images))
    np.testing.assert_array_equal(clone(fitted).fit_transform(images), fitted.transform(images))


def test_it_must_be_fitted_first(images):
    with pytest.raises(NotFittedError):
        PatchEncoder().transform(images)


@pytest.mark.parametrize(
    ("parameters", "given", "message"),
    [
        ({}, np.zeros((4, 300)), "wanted: images"),
        ({}, np.zeros((4, 10, 10, 1), np.uint8), "wanted: images"),
        ({"image_shape": (10, 10, 3)}, np.zeros((4, 12)), "X has 12 columns; images of"),
        ({}, np.full((4, 10, 10, 3), 0.5), "whole numbers from 0 to 255"),
        ({}, np.full((4, 10, 10, 3), 256), "whole numbers from 0 to 255"),
        ({}, np.full((4, 10, 10, 3), "a"), "whole numbers from 0 to 255"),
        ({"patch_size": 11}, textures(each=2)[0], "larger than the images"),
        ({"encoding": "cubes"}, textures(each=2)[0], "encoding is 'cubes'"),
        ({"n_filters": 401}, textures(each=2)[0], "401 filters are to be made of 400 patches"),
    ],
)
def test_what_is_no_image_or_parameter_is_refused(parameters, given, message):
    with pytest.raises(ValueError, match=message):
        PatchEncoder(**QUICK | parameters).fit(given)
