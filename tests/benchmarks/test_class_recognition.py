"""The benchmark that asks a classifier of samples, on features whose classes are known."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the extra hf-kexue[test] is not installed")
benchmark = pytest.importorskip(
    "class_recognition", reason="benchmarks/ belongs to the repository, not to the package"
)


def clusters(labels, spread, seed):
    """Features (N, 8): a corner of a cube for each class, and noise."""
    return np.eye(8)[labels] + spread * np.random.default_rng(seed).normal(size=(len(labels), 8))


def test_what_lies_with_its_class_is_recognised():
    labels = np.repeat(np.arange(4), 30)
    classifier = benchmark.fit_classifier(clusters(labels, 0.2, 0), labels)
    requested = np.repeat(np.arange(4), 50)
    shares = benchmark.recognised(classifier, clusters(requested, 0.2, 1), requested, 5)
    assert min(shares[:4]) > 0.95
    assert np.isnan(shares[4])  # no sample was requested
    elsewhere = benchmark.recognised(classifier, clusters((requested + 1) % 4, 0.2, 1), requested, 4)
    assert max(elsewhere) < 0.05


def test_noise_is_recognised_at_chance_level():
    labels = np.repeat(np.arange(4), 30)
    classifier = benchmark.fit_classifier(clusters(labels, 0.2, 0), labels)
    requested = np.tile(np.arange(4), 500)
    noise = np.random.default_rng(2).normal(size=(len(requested), 8))
    for first in (1, 3, 4):
        hit = np.mean(benchmark.recognised(classifier, noise, requested, 4, first))
        assert hit == pytest.approx(first / 4, abs=0.04)  # four standard deviations of 2000 throws
