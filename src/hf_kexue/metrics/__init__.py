"""Measures of what the models make: pure functions, each with a thin `evaluate.Metric` beside it.

Importing this package imports torch and numpy alone; networks, their weights and `evaluate` come when asked for.
"""

from .evaluate_image_distances import frechet_distance_metric, kernel_distance_metric
from .feature_extractors import EffLite0Features, efficientnet_lite0_features, extract_features
from .image_distances import (
    KernelDistance,
    frechet_distance,
    gaussian_frechet_distance,
    kernel_distance,
    kernel_distance_subsets,
)
from .inception_v3 import FIDInceptionV3Features

__all__ = [
    "EffLite0Features",
    "FIDInceptionV3Features",
    "KernelDistance",
    "efficientnet_lite0_features",
    "extract_features",
    "frechet_distance",
    "frechet_distance_metric",
    "gaussian_frechet_distance",
    "kernel_distance",
    "kernel_distance_metric",
    "kernel_distance_subsets",
]
