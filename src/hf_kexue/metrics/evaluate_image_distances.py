"""The image distances as `evaluate.Metric`s: predictions are generated features, references real ones.

    metric = kernel_distance_metric()
    metric.add_batch(predictions=features_fake, references=features_real)  # (B, D) each, as often as needed
    metric.compute()  # {"kernel_distance": ..., "standard_error": ...}

`evaluate` pairs predictions with references, so both sets have equal numbers here; the functions in `image_distances`
do not ask that. Importing this module does not import `evaluate`, which takes seconds: the first call does.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .image_distances import frechet_distance, kernel_distance

if TYPE_CHECKING:
    import evaluate

_CITATION = (
    "@inproceedings{binkowski2018demystifying, title={Demystifying {MMD} {GAN}s}, author={Bi{\\'n}kowski, Miko{\\l}aj \
and Sutherland, Danica J. and Arbel, Michael and Gretton, Arthur}, booktitle={ICLR}, year={2018}}"
)


def kernel_distance_metric(**kwargs: Any) -> evaluate.Metric:
    """`kernel_distance` as an `evaluate.Metric`.

    Args:
        kwargs: passed to `evaluate.Metric`, such as `experiment_id`, `num_process`, `process_id`.

    Returns:
        A metric whose `compute(predictions=(M, D), references=(N, D), **arguments of kernel_distance)` returns
        `{"kernel_distance": float, "standard_error": float}`; N = M.

    Raises:
        ImportError: without the extra `metrics`.
    """
    return _metric_classes()[0](**kwargs)


def frechet_distance_metric(**kwargs: Any) -> evaluate.Metric:
    """`frechet_distance` as an `evaluate.Metric`.

    Args:
        kwargs: passed to `evaluate.Metric`.

    Returns:
        A metric whose `compute(predictions=(M, D), references=(N, D))` returns `{"frechet_distance": float}`; N = M.

    Raises:
        ImportError: without the extra `metrics`.
    """
    return _metric_classes()[1](**kwargs)


@cache
def _metric_classes() -> tuple[type, type]:
    """The two classes, made when first asked for, because their base class comes with a slow import."""
    try:
        import datasets
        import evaluate
    except ImportError as error:
        raise ImportError('These metrics need the package evaluate: pip install "hf-kexue[metrics]".') from error

    def info(description: str) -> evaluate.MetricInfo:
        features = datasets.Features(
            {name: datasets.Sequence(datasets.Value("float32")) for name in ("predictions", "references")}
        )
        return evaluate.MetricInfo(
            description=description,
            citation=_CITATION,
            inputs_description="predictions, references: features of the generated and the real images, (N, D) each.",
            features=features,
        )

    class KernelDistanceMetric(evaluate.Metric):
        """See `kernel_distance_metric`."""

        def _info(self) -> evaluate.MetricInfo:
            return info("Unbiased squared maximum mean discrepancy with a polynomial kernel: KID over any features.")

        def _compute(self, *, predictions: Any, references: Any, **kwargs: Any) -> dict[str, float]:
            result = kernel_distance(np.asarray(references), np.asarray(predictions), **kwargs)
            return {"kernel_distance": result.value, "standard_error": result.standard_error}

    class FrechetDistanceMetric(evaluate.Metric):
        """See `frechet_distance_metric`."""

        def _info(self) -> evaluate.MetricInfo:
            return info("Frechet distance of the Gaussians with the features' moments: FID over any features.")

        def _compute(self, *, predictions: Any, references: Any) -> dict[str, float]:
            return {"frechet_distance": frechet_distance(np.asarray(references), np.asarray(predictions))}

    return KernelDistanceMetric, FrechetDistanceMetric
