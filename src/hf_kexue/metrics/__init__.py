"""Measures of what the models make: pure functions, each with a thin `evaluate.Metric` beside it.

Importing this package imports torch and numpy alone; networks, their weights and `evaluate` come when asked for.
"""

from .evaluate_image_distances import frechet_distance_metric, kernel_distance_metric
from .evaluate_reading_comprehension import cmrc2018_metric, sogouqa_metric, webqa_metric
from .evaluate_triples import triple_metric
from .feature_extractors import EffLite0Features, efficientnet_lite0_features, extract_features
from .image_distances import (
    KernelDistance,
    frechet_distance,
    gaussian_frechet_distance,
    kernel_distance,
    kernel_distance_subsets,
)
from .inception_v3 import FIDInceptionV3Features
from .reading_comprehension import cmrc2018_scores, sogouqa_scores
from .triples import triple_scores
from .webqa import WebQAFuzzyMatcher, webqa_chunks, webqa_scores

__all__ = [
    "EffLite0Features",
    "FIDInceptionV3Features",
    "KernelDistance",
    "WebQAFuzzyMatcher",
    "cmrc2018_metric",
    "cmrc2018_scores",
    "efficientnet_lite0_features",
    "extract_features",
    "frechet_distance",
    "frechet_distance_metric",
    "gaussian_frechet_distance",
    "kernel_distance",
    "kernel_distance_metric",
    "kernel_distance_subsets",
    "sogouqa_metric",
    "sogouqa_scores",
    "triple_metric",
    "triple_scores",
    "webqa_chunks",
    "webqa_metric",
    "webqa_scores",
]
