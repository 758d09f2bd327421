"""The benchmark that asks a classifier of samples, on features whose classes are known."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the extra hf-kexue[test] is not installed")

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("benchmarks/ belongs to the repository, not to the package", allow_module_level=True)


@pytest.fixture(scope="module")
def benchmark():
    """The script as a module; it imports its neighbours by name."""
    specification = importlib.util.spec_from_file_location("class_recognition", BENCHMARKS / "class_recognition.py")
    module = importlib.util.module_from_spec(specification)
    sys.path.insert(0, str(BENCHMARKS))
    try:
        specification.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCHMARKS))
    return module


def clusters(labels, spread, seed):
    """Features (N, 8): a corner of a cube for each class, and noise."""
    return np.eye(8)[labels] + spread * np.random.default_rng(seed).normal(size=(len(labels), 8))


def test_what_lies_with_its_class_is_recognised(benchmark):
    labels = np.repeat(np.arange(4), 30)
    classifier = benchmark.fit_classifier(clusters(labels, 0.2, 0), labels)
    asked = np.repeat(np.arange(4), 50)
    shares = benchmark.recognised(classifier, clusters(asked, 0.2, 1), asked, 5)
    assert min(shares[:4]) > 0.95
    assert np.isnan(shares[4])  # nothing was asked of it
    elsewhere = benchmark.recognised(classifier, clusters((asked + 1) % 4, 0.2, 1), asked, 4)
    assert max(elsewhere) < 0.05


def test_noise_is_recognised_by_chance(benchmark):
    labels = np.repeat(np.arange(4), 30)
    classifier = benchmark.fit_classifier(clusters(labels, 0.2, 0), labels)
    asked = np.tile(np.arange(4), 500)
    noise = np.random.default_rng(2).normal(size=(len(asked), 8))
    for first in (1, 3, 4):
        hit = np.mean(benchmark.recognised(classifier, noise, asked, 4, first))
        assert hit == pytest.approx(first / 4, abs=0.04)  # four standard deviations of 2000 throws
