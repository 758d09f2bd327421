"""The scorer of triples as an `evaluate.Metric`.

    metric = triple_metric()
    metric.add_batch(predictions=[[("邪少兵王", "作者", "冰火未央")]], references=[[("邪少兵王", "作者", "冰火未央")]])
    metric.compute()  # {"precision": 1.0, ...}

`evaluate` pairs predictions with references, so there are no texts here: each pair counts as a text of its own, where
`triple_scores` takes records with the same text for one. Importing this module does not import `evaluate`, which takes
seconds: the first call does.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from .triples import triple_scores

if TYPE_CHECKING:
    import evaluate

_CITATION = "@inproceedings{li2019duie, title={{DuIE}: A Large-Scale {C}hinese Dataset for Information Extraction}, \
author={Li, Shuangjie and He, Wei and Shi, Yabing and Jiang, Wenbin and Liang, Haijin and Jiang, Ye and Zhang, Yang \
and Lyu, Yajuan and Zhu, Yong}, booktitle={NLPCC}, year={2019}}"


def triple_metric(**kwargs: Any) -> evaluate.Metric:
    """`triple_scores` of mentions as an `evaluate.Metric`.

    Args:
        kwargs: passed to `evaluate.Metric`, such as `experiment_id`, `num_process`, `process_id`.

    Returns:
        A metric whose `compute(predictions=[[(subject, predicate, object), ...], ...], references=[...],
        aliases=None, locations=None, per_predicate=False)` returns what the function does; one list of triples for
        each text.

    Raises:
        ImportError: without the extra `metrics`.
    """
    return _metric_class()(**kwargs)


@cache
def _metric_class() -> type:
    """The class, made when first asked for, because its base class comes with a slow import."""
    try:
        import datasets
        import evaluate
    except ImportError as error:
        raise ImportError('This metric needs the package evaluate: pip install "hf-kexue[metrics]".') from error

    triples = datasets.Sequence(datasets.Sequence(datasets.Value("string")))

    class TripleMetric(evaluate.Metric):
        """See `triple_metric`."""

        def _info(self) -> evaluate.MetricInfo:
            return evaluate.MetricInfo(
                description="Precision, recall and F1 of the DuIE 1.0 scorer.",
                citation=_CITATION,
                inputs_description="predictions, references: for each text a list of (subject, predicate, object).",
                features=datasets.Features({"predictions": triples, "references": triples}),
            )

        def _compute(self, *, predictions: Any, references: Any, **kwargs: Any) -> dict[str, Any]:
            return triple_scores(_by_number(predictions), _by_number(references), **kwargs)

    return TripleMetric


def _by_number(values: Any) -> list[tuple[str, Any]]:
    return [(str(number), triples) for number, triples in enumerate(values)]
