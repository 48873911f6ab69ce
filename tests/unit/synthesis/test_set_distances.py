"""Distances between sets against closed forms and other implementations."""

import math

import numpy as np
import pytest
from scipy.linalg import sqrtm

from training.synthesis.quality.distances import (
    frechet_distance,
    inception_score,
    kernel_distance,
    squared_discrepancy,
)


def test_the_frechet_distance_is_that_of_scipys_matrix_root():
    """The formula of the paper with the root of the product of covariances taken by scipy."""
    rng = np.random.default_rng(1)
    first = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6))
    second = rng.normal(size=(150, 6)) @ rng.normal(size=(6, 6)) + 0.5
    one, other = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = sqrtm(one @ other).real
    off = first.mean(axis=0) - second.mean(axis=0)
    expected = off @ off + np.trace(one + other - 2 * root)

    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-6)


def test_the_frechet_distance_of_independent_features_is_known():
    """Means 0 and 3, deviations 1 and 2 in each of two features: 2 (9 + (2 - 1)^2) = 20."""
    points = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) * math.sqrt(3 / 4)

    assert frechet_distance(points, 2 * points + 3) == pytest.approx(20)
    assert frechet_distance(points, points) == pytest.approx(0, abs=1e-9)


def test_the_frechet_distance_bears_fewer_images_than_features():
    """Covariances without full rank have roots, too; equal sets are at 0."""
    images = np.random.default_rng(2).normal(size=(10, 40))

    assert frechet_distance(images, images) == pytest.approx(0, abs=1e-3)
    with pytest.raises(ValueError, match="two images"):
        frechet_distance(images[:1], images)


def test_the_discrepancy_is_the_sum_over_pairs():
    """The unbiased estimate written out pair by pair."""
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=(5, 3)), rng.normal(size=(4, 3)) + 1

    def kernel(one, other):
        return (float(np.dot(one, other)) / 3 + 1) ** 3

    def within(points):
        n = len(points)
        pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
        return sum(kernel(points[i], points[j]) for i, j in pairs) / len(pairs)

    across = np.mean([kernel(one, other) for one in first for other in second])

    assert squared_discrepancy(first, second) == pytest.approx(
        within(first) + within(second) - 2 * across
    )


def test_the_kernel_distance_has_no_bias():
    """Sets of one distribution: zero within 4 standard errors; apart: its closed form.

    In one dimension with the kernel (x y + 1)^3 the discrepancy of two points a and b is
    (a^2 + 1)^3 + (b^2 + 1)^3 - 2 (a b + 1)^3; for 0 and 1 it is 1 + 8 - 2 = 7.
    """
    rng = np.random.default_rng(4)
    alike = [
        squared_discrepancy(rng.normal(size=(20, 2)), rng.normal(size=(20, 2))) for _ in range(400)
    ]
    near = rng.normal(scale=1e-6, size=(300, 1))

    apart = kernel_distance(near, near + 1, rng=rng, subsets=5, subset_size=50)

    assert abs(np.mean(alike)) < 4 * np.std(alike) / 20
    assert apart.mean == pytest.approx(7, rel=1e-3)


def test_the_inception_score_of_certain_and_of_ignorant_predictions_is_known():
    """Three classes seen with certainty and equally often: 3. The same prediction always: 1.

    Half certain of either of two classes, half undecided: exp(ln 2 / 2) = sqrt 2.
    """
    rng = np.random.default_rng(5)
    certain = np.eye(3)[np.arange(300) % 3]
    same = np.tile([0.2, 0.3, 0.5], (300, 1))
    half = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.5, 0.5]] * 10)

    assert inception_score(certain, rng=rng, parts=1).mean == pytest.approx(3)
    assert inception_score(same, rng=rng).mean == pytest.approx(1)
    assert inception_score(half, rng=rng, parts=1).mean == pytest.approx(math.sqrt(2))


def test_the_inception_score_does_not_depend_on_the_order_of_files():
    """Sorted by class, parts taken in order would each hold one class and score 1."""
    sorted_by_class = np.repeat(np.eye(2), 200, axis=0)

    score = inception_score(sorted_by_class, rng=np.random.default_rng(6))

    assert score.mean == pytest.approx(2, abs=0.1)
    with pytest.raises(ValueError, match="parts"):
        inception_score(sorted_by_class[:3], rng=np.random.default_rng(6))
