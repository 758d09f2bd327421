"""Scores of answers to questions about Chinese texts, to the letter of two published scorers: CMRC 2018 and SogouQA.

    CMRC 2018  EM: equal after deleting punctuation; F1: from the longest run of segments that both answers hold
    SogouQA    accuracy: among the accepted answers after normalising; F1: from the characters that both hold

Figures of one do not compare with figures of the other. CMRC's F1 asks for one unbroken run of segments, not for a bag
of them, so it is at most the F1 of SQuAD over the same segments. WebQA's scorer is in `webqa`.

Source: Cui et al. 2019, "A Span-Extraction Dataset for Chinese Machine Reading Comprehension"; the scorer published
with kexue.fm/archives/6906, which is the one of the CIPS-SOGOU question answering contest of kexue.fm/archives/5409.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence

# "‘" and ASCII . , ! ? ( ) are no members. "……" is one entry of two characters, and the scorer looks single characters
# up, so an ellipsis is never deleted.
_CMRC_PUNCTUATION = frozenset([*"-:_*^/\\~`+=", *"，。：？！“”；’《》", "……", *"·、「」（）－～『』"])

# The English sentence splitter of the scorer is Punkt as nltk distributes it (trained on the Wall Street Journal by
# Kiss and Strunk, Apache 2.0), which would have to be downloaded. Text in lower case makes two of its tables matter:
# the abbreviations, after which no sentence ends, and the words before which one ends after a number with a full stop.
_ABBREVIATIONS = """
    a.a a.c a.d a.g a.h a.m a.m.e a.s a.t adm ala ariz aug ave b.f b.v bros c c.i.t c.o.m.b c.v calif chg cie co
    col colo conn corp cos ct d d.c d.h d.w dec dr e e.f e.h e.l e.m f f.g f.j feb fla fri ft g g.d g.f g.k ga
    gen h h.c h.f h.m i.m.s ill inc j.b j.c j.j j.k j.p j.r jan jr k kan ky l l.a l.f l.p lt ltd m m.b.a m.d.c
    m.j maj messrs mg mich minn mr mrs ms n n.c n.d n.h n.j n.m n.v n.y nev nov oct ok okla ore p p.a.m p.m pa
    ph.d prof r r.a r.h r.i r.j r.k r.t rep reps s s.a s.a.y s.c s.g s.p.a s.s sen sep sept sr st sw t t.j tenn
    tues u.k u.n u.s u.s.a u.s.s.r v va vs vt w w.c w.r w.va w.w wash wed wis yr
"""
_AFTER_NUMBERS = ("administrators", "b-week", "r-revised", "z-holiday")

_SOGOU_PUNCTUATION = frozenset(
    string.punctuation
    + "…‰※•—‖‘’“”№←↑→↓∴∨∵∶∩∈∑√∞≯≡≮≤≥≈≌⊥⊙⌒□◆◇◎●★☆♀♂¨°·§¤±\u3000、。〃々〈〉《》「」『』【】〓〔〕〖〗"
    + "÷×′▲″△∠≠■ˇˉ￣￥＿！＄（），．：；？～﹑￠"
)
_HALF_WIDTH = {0x3000: " "} | {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}


def cmrc2018_scores(predictions: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Exact match and F1 of the CMRC 2018 scorer.

    Both answers are put in lower case and stripped, and a fixed list of punctuation characters is deleted. EM asks
    whether the rest is equal to that of any reference. For F1 each character of U+4E00 to U+9FA5 is a segment; what
    stands between them is cut into sentences and these into words, as nltk's `word_tokenize` does with its trained
    sentence model. With the length n of the longest contiguous run of segments that both answers hold, P = n /
    segments predicted, R = n / segments of the reference, and the best of 2PR / (P + R) over the references counts. A
    question without a prediction counts with 0 for both.

    Args:
        predictions: question id -> answer. Ids that no reference has are not looked at.
        references: question id -> its right answers, at least one.

    Returns:
        `{"exact_match", "f1", "average"}` in percent, `average` of the two; `total`, the number of references, and
        `missing`, how many of them have no prediction.

    Raises:
        TypeError: an answer that is no string, references that are no list of strings, arguments that are no mappings.
        ValueError: no references at all, or a question without any.
        ImportError: without the extra `metrics`.

    Source: Cui et al. 2019, and the scorer published with the data (version 5).
    """
    _check(predictions, references, "references")
    tokenize = _word_tokenizer()
    exact = overlap = 0.0
    missing = 0
    for key, golds in references.items():
        if key not in predictions:
            missing += 1
            continue
        prediction = predictions[key]
        exact += any(_without_punctuation(prediction) == _without_punctuation(gold) for gold in golds)
        segments = _segments(prediction, tokenize)
        overlap += max(_run_f1(segments, _segments(gold, tokenize)) for gold in golds)
    total = len(references)
    exact, overlap = 100 * exact / total, 100 * overlap / total
    return {
        "exact_match": exact,
        "f1": overlap,
        "average": (exact + overlap) / 2,
        "total": total,
        "missing": missing,
    }


def sogouqa_scores(predictions: Mapping[str, str], answers: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Accuracy, F1 and their mean, of the SogouQA scorer.

    Normalising turns full-width forms into half-width ones, puts the text in lower case, and takes out punctuation
    and whitespace. A prediction is right if, normalised, it is one of the accepted answers, normalised too; or if it
    holds the same set of parts as the standard answer, where parts are what punctuation and blanks separate (so
    "A、B" is "B A"). F1 is that of the two multisets of characters, the best over the accepted answers. A prediction
    that is empty, or not there, counts with 0 for both.

    Args:
        predictions: question id -> answer.
        answers: question id -> accepted answers, the standard one first.

    Returns:
        `{"accuracy", "f1", "final"}` in 0..1, `final` the mean of the two; `total`, the number of questions, and
        `missing`, how many of them have no prediction. The published script divides by the number of predictions
        handed in, which is the same when none is missing.

    Raises:
        TypeError: an answer that is no string, `answers` without lists of strings, arguments that are no mappings.
        ValueError: no answers at all, a question without any, or a prediction to a question that `answers` lacks.

    Source: kexue.fm/archives/6906 and the scorer in its repository; kexue.fm/archives/5409 for the contest.
    """
    _check(predictions, answers, "answers")
    unknown = next((key for key in predictions if key not in answers), None)
    if unknown is not None:
        raise ValueError(f"predictions has the question id {unknown!r}, which answers has not; each must be known.")
    right = overlap = 0.0
    for key, accepted in answers.items():
        prediction = predictions.get(key, "").strip()
        if prediction:
            right += _is_accepted(prediction, accepted)
            overlap += max(_character_f1(_normalised(prediction), _normalised(answer)) for answer in accepted)
    total = len(answers)
    missing = total - len(predictions)
    right, overlap = right / total, overlap / total
    return {"accuracy": right, "f1": overlap, "final": (right + overlap) / 2, "total": total, "missing": missing}


def _check(predictions: Mapping[str, str], references: Mapping[str, Sequence[str]], name: str) -> None:
    for argument, value in (("predictions", predictions), (name, references)):
        if not isinstance(value, Mapping):
            raise TypeError(f"{argument} is a {type(value).__name__}; it must map question ids to answers.")
    if not references:
        raise ValueError(f"{name} is empty; a score needs at least one question.")
    for key, golds in references.items():
        if isinstance(golds, str) or not isinstance(golds, Sequence) or not all(isinstance(g, str) for g in golds):
            raise TypeError(
                f"{name}[{key!r}] is {golds!r}; the right answers of a question must be a list of strings."
            )
        if not golds:
            raise ValueError(f"{name}[{key!r}] is empty; this score knows no unanswerable questions.")
    for key, prediction in predictions.items():
        if not isinstance(prediction, str):
            raise TypeError(f"predictions[{key!r}] is a {type(prediction).__name__}; an answer must be a string.")


def _word_tokenizer() -> Callable[[str], list[str]]:
    try:
        from nltk.tokenize import NLTKWordTokenizer
        from nltk.tokenize.punkt import _ORTHO_BEG_LC, PunktParameters, PunktSentenceTokenizer
    except ImportError as error:
        raise ImportError('cmrc2018_scores needs the package nltk: pip install "hf-kexue[metrics]".') from error
    parameters = PunktParameters()
    parameters.abbrev_types = set(_ABBREVIATIONS.split())
    for word in _AFTER_NUMBERS:
        parameters.add_ortho_context(word, _ORTHO_BEG_LC)
    sentences, words = PunktSentenceTokenizer(parameters), NLTKWordTokenizer()
    return lambda text: [word for sentence in sentences.tokenize(text) for word in words.tokenize(sentence)]


def _without_punctuation(text: str) -> str:
    return "".join(character for character in text.lower().strip() if character not in _CMRC_PUNCTUATION)


def _segments(text: str, tokenize: Callable[[str], list[str]]) -> list[str]:
    """Chinese characters one by one, and the words of what stands between them."""
    parts = re.findall("[\u4e00-\u9fa5]|[^\u4e00-\u9fa5]+", _without_punctuation(text))
    return [segment for part in parts for segment in ([part] if "\u4e00" <= part <= "\u9fa5" else tokenize(part))]


def _run_f1(predicted: Sequence[str], gold: Sequence[str]) -> float:
    return _f1(_longest_common_run(predicted, gold), len(predicted), len(gold))


def _longest_common_run(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """Length of the longest contiguous run of elements that both hold."""
    longest = 0
    ending_here = [0] * (len(second) + 1)  # entry j + 1: length of the common run that ends at this row and column j
    for left in first:
        previous = ending_here
        ending_here = [0] + [run + 1 if left == right else 0 for run, right in zip(previous, second)]
        longest = max(longest, *ending_here)
    return longest


def _normalised(text: str) -> str:
    text = text.translate(_HALF_WIDTH).lower()
    return "".join(character for character in text if character not in _SOGOU_PUNCTUATION and not character.isspace())


def _is_accepted(prediction: str, accepted: Sequence[str]) -> bool:
    among = {_normalised(answer) for answer in accepted}
    return _normalised(prediction) in among or _parts(prediction) == _parts(accepted[0])


def _parts(text: str) -> set[str]:
    """What punctuation and blanks separate, normalised; two separators in a row make an empty part, as published."""
    blanked = "".join(" " if character in _SOGOU_PUNCTUATION else character for character in text)
    return {_normalised(part) for part in blanked.split(" ")}


def _character_f1(predicted: str, gold: str) -> float:
    return _f1((Counter(predicted) & Counter(gold)).total(), len(predicted), len(gold))


def _f1(common: int, predicted: int, gold: int) -> float:
    """2PR / (P + R) with P = common / predicted and R = common / gold; 0 without anything in common."""
    return 2 * common / (predicted + gold) if common else 0.0
