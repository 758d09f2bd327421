"""The scorers of Chinese reading comprehension as `evaluate.Metric`s.

    metric = cmrc2018_metric()
    metric.add_batch(predictions=["北京", "三年"], references=[["北京市", "北京"], ["3年"]])  # as often as needed
    metric.compute()  # {"exact_match": ..., "f1": ..., ...}

`evaluate` pairs predictions with references, so there are no question ids and no missing predictions here: hand in ""
where there is none. Importing this module does not import `evaluate`, which takes seconds: the first call does.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from .reading_comprehension import cmrc2018_scores, sogouqa_scores
from .webqa import webqa_scores

if TYPE_CHECKING:
    import evaluate

_CMRC_CITATION = (
    "@inproceedings{cui2019span, title={A Span-Extraction Dataset for {C}hinese Machine Reading Comprehension}, \
author={Cui, Yiming and Liu, Ting and Che, Wanxiang and Xiao, Li and Chen, Zhipeng and Ma, Wentao and Wang, Shijin \
and Hu, Guoping}, booktitle={EMNLP-IJCNLP}, year={2019}}"
)
_SOGOU_CITATION = "@misc{su2019dgcnn, author={Su, Jianlin}, url={https://kexue.fm/archives/6906}, year={2019}}"
_WEBQA_CITATION = (
    "@article{li2016dataset, title={Dataset and Neural Recurrent Sequence Labeling Model for Open-Domain Factoid \
Question Answering}, author={Li, Peng and Li, Wei and He, Zhengyan and Wang, Xuguang and Cao, Ying and Zhou, Jie and \
Xu, Wei}, journal={arXiv:1607.06275}, year={2016}}"
)


def cmrc2018_metric(**kwargs: Any) -> evaluate.Metric:
    """`cmrc2018_scores` as an `evaluate.Metric`.

    Args:
        kwargs: passed to `evaluate.Metric`, such as `experiment_id`, `num_process`, `process_id`.

    Returns:
        A metric whose `compute(predictions=[str, ...], references=[[str, ...], ...])` returns what the function does;
        references: the right answers of each question.

    Raises:
        ImportError: without the extra `metrics`.
    """
    return _metric_classes()[0](**kwargs)


def sogouqa_metric(**kwargs: Any) -> evaluate.Metric:
    """`sogouqa_scores` as an `evaluate.Metric`.

    Args:
        kwargs: passed to `evaluate.Metric`.

    Returns:
        A metric whose `compute(predictions=[str, ...], references=[[str, ...], ...])` returns what the function does;
        references: the accepted answers of each question, the standard one first.

    Raises:
        ImportError: without the extra `metrics`.
    """
    return _metric_classes()[1](**kwargs)


def webqa_metric(**kwargs: Any) -> evaluate.Metric:
    """`webqa_scores` as an `evaluate.Metric`.

    Args:
        kwargs: passed to `evaluate.Metric`.

    Returns:
        A metric whose `compute(predictions=[[[str, ...], ...], ...], references=[[[str, ...], ...], ...],
        voting=False, matching="strict")` returns what the function does; for each question a list of its evidences,
        for each evidence its chunks, predicted and right.

    Raises:
        ImportError: without the extra `metrics`.
    """
    return _metric_classes()[2](**kwargs)


@cache
def _metric_classes() -> tuple[type, type, type]:
    """The three classes, made when first asked for, because their base class comes with a slow import."""
    try:
        import datasets
        import evaluate
    except ImportError as error:
        raise ImportError('These metrics need the package evaluate: pip install "hf-kexue[metrics]".') from error

    text = datasets.Value("string")
    texts = datasets.Sequence(text)

    def info(description: str, citation: str, inputs: str, predictions: Any, references: Any) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=description,
            citation=citation,
            inputs_description=inputs,
            features=datasets.Features({"predictions": predictions, "references": references}),
        )

    class CMRC2018Metric(evaluate.Metric):
        """See `cmrc2018_metric`."""

        def _info(self) -> evaluate.MetricInfo:
            inputs = "predictions: one answer a question; references: its right answers."
            return info("Exact match and F1 of the CMRC 2018 scorer.", _CMRC_CITATION, inputs, text, texts)

        def _compute(self, *, predictions: Any, references: Any) -> dict[str, float]:
            return cmrc2018_scores(_by_number(predictions), _by_number(references))

    class SogouQAMetric(evaluate.Metric):
        """See `sogouqa_metric`."""

        def _info(self) -> evaluate.MetricInfo:
            inputs = "predictions: one answer a question; references: its accepted answers, the standard one first."
            return info("Accuracy and F1 of the SogouQA scorer.", _SOGOU_CITATION, inputs, text, texts)

        def _compute(self, *, predictions: Any, references: Any) -> dict[str, float]:
            return sogouqa_scores(_by_number(predictions), _by_number(references))

    class WebQAMetric(evaluate.Metric):
        """See `webqa_metric`."""

        def _info(self) -> evaluate.MetricInfo:
            inputs = "predictions, references: for each question, for each of its evidences, a list of chunks."
            chunks = datasets.Sequence(texts)
            return info("Precision, recall, F1 of the WebQA scorer.", _WEBQA_CITATION, inputs, chunks, chunks)

        def _compute(self, *, predictions: Any, references: Any, **kwargs: Any) -> dict[str, float]:
            records = [
                {"id": str(i), "evidences": _evidences(i, chunks, golds)}
                for i, (chunks, golds) in enumerate(zip(predictions, references))
            ]
            return webqa_scores(records, **kwargs)

    return CMRC2018Metric, SogouQAMetric, WebQAMetric


def _by_number(values: Any) -> dict[str, Any]:
    return {str(number): value for number, value in enumerate(values)}


def _evidences(number: int, predictions: Any, references: Any) -> list[dict[str, Any]]:
    if len(predictions) != len(references):
        counts = f"{len(predictions)} lists of predicted and {len(references)} of right chunks"
        raise ValueError(f"Question {number} has {counts}; each of its evidences must have one of both.")
    return [{"predictions": chunks, "golds": golds} for chunks, golds in zip(predictions, references)]
