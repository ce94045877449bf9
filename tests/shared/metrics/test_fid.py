"""The Frechet distance against closed forms and a slow version."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from shared.errors import InputError
from shared.metrics.fid import frechet_distance


def gaussian(mean, covariance, count, seed=0):
    """Samples whose own mean and covariance are exactly those."""
    x = np.random.default_rng(seed).normal(size=(count, len(mean)))
    x -= x.mean(0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T)).T)
    return x @ np.linalg.cholesky(covariance).T + mean


def test_frechet_distance_of_gaussians_is_the_closed_form():
    a, b = np.array([4.0, 1.0, 0.25]), np.array([1.0, 1.0, 9.0])
    generated, real = gaussian(np.zeros(3), np.diag(a), 50), gaussian(np.array([1.0, 2.0, 0.0]), np.diag(b), 80, seed=1)
    assert frechet_distance(generated, real) == pytest.approx(5 + np.square(np.sqrt(a) - np.sqrt(b)).sum(), rel=1e-9)
    # Covariances that commute without being diagonal: the same in a turned basis.
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    assert frechet_distance(generated @ turn, real @ turn) == pytest.approx(frechet_distance(generated, real), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(60, 90), (5, 7), (5, 40), (40, 5)])
def test_frechet_distance_is_the_slow_formula_s_and_symmetric(n, m):
    random = np.random.default_rng(0)
    mix = random.normal(size=(20, 20))
    generated, real = random.normal(size=(n, 20)) @ mix, random.normal(size=(m, 20)) * 2 + 0.3
    first, second = np.cov(generated.T), np.cov(real.T)
    outer = sqrtm(first + 1e-12 * np.eye(20))
    root = sqrtm(outer @ second @ outer + 1e-12 * np.eye(20)).real
    slow = np.square(generated.mean(0) - real.mean(0)).sum() + np.trace(first + second - 2 * root)
    assert frechet_distance(generated, real) == pytest.approx(slow, rel=1e-4)
    assert frechet_distance(real, generated) == pytest.approx(frechet_distance(generated, real), rel=1e-9)


@pytest.mark.parametrize("count", [3, 40, 300])
def test_equal_sets_are_no_distance_apart(count):
    features = np.random.default_rng(0).random((count, 128)).astype(np.float32)
    assert frechet_distance(features, features[::-1]) < 1e-8
    assert frechet_distance(features, features + 0.5) == pytest.approx(128 * 0.25, rel=1e-6)


def test_fewer_samples_give_a_larger_distance():
    features = np.random.default_rng(0).normal(size=(2000, 64))
    distances = [frechet_distance(features[:n], features[1000 : 1000 + n]) for n in (10, 100, 1000)]
    assert distances[0] > distances[1] > distances[2] > 0


def test_frechet_distance_of_unusable_sets_is_refused():
    good, bad = np.zeros((4, 3)), np.full((4, 3), np.nan)
    for generated, real, why in (
        (good[:1], good, "at least two"),
        (good, good[:, :2], "must be"),
        (good[0], good, "must be"),
        (bad, good, "finite"),
    ):
        with pytest.raises(InputError, match=why):
            frechet_distance(generated, real)
