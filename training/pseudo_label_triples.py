"""Label sentences with trained networks, as further training data for triple extraction (self-training).

    python training/pseudo_label_triples.py --models outputs/first/model model_cards/dgcnn-triples-zh \\
        --texts data/cmrc2018 data/cmrc2018/trial.jsonl.gz data/squad2-zh --train DUIE2 DUIE1 \\
        --exclude data/duie2 data/cmrc2018 --output outputs/pseudo.jsonl
    accelerate launch training/train_dgcnn_triples.py --train DUIE2 DUIE1 outputs/pseudo.jsonl ...
    python training/pseudo_label_triples.py --fold_models outputs/fold0/model outputs/fold1/model \\
        --cross_fit DUIE2 DUIE1 --exclude data/duie2 --output outputs/completed.jsonl
    accelerate launch training/train_dgcnn_triples.py --train outputs/completed.jsonl ...

`--texts` are plain: each of their sentences is read by all of `--models`. A triple is sure if every network finds it
with starts above its own thresholds, and one gives it `--probability` or more; a triple of `--train` may lack the
voice of one of several networks. What a network finds with starts above `--doubt` and is not sure leaves the whole
sentence out: half a sentence's triples teach that the others are none. Of sentences in which no network finds
anything `--empty` for each labelled one are kept, without triples.

`--cross_fit` are labelled sentences, which keep their triples and get those that lack: fold k is read by network k of
`--fold_models` alone, which has not learned it (`train_dgcnn_triples.py --without_fold k/K`), so that no label comes
from the sentence itself. Triples of other sentences make up for no voice here. All are written, to be learned in place
of the files that they come from: beside these, a triple that was added would be taught as none.

`--exclude` are what will be measured on, its split "validation" or a file: no sentence shares a run of 20 characters
with it, holds it or lies in it, or has both mentions of one of its triples where `--exclude_pairs` names it. With
`--simplify` traditional characters of what is excluded count as simplified ones, too.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from hf_kexue import DGCNNConfig, DGCNNForTripleExtraction, DGCNNTokenizer, TripleExtractionPipeline
from hf_kexue.data.texts.reading import read_texts
from hf_kexue.data.triples.clean import write_triples
from hf_kexue.data.triples.folds import fold_of
from hf_kexue.data.triples.reading import Triple, TripleExample, read_triples
from hf_kexue.dgcnn.sentences_dgcnn import sentence_ends
from hf_kexue.dgcnn.simplified_dgcnn import simplified
from hf_kexue.training.interruption import script_main

PLAIN = Path(__file__).resolve().parent / "data" / "plain-triples-zh"
RUN = 20  # characters in common that make two texts the same
SHORTEST, LONGEST = 10, 128  # characters of a sentence
Key = tuple[str, str, str]
Found = dict[Key, tuple[float, bool]]  # triple: its score, and whether the network's own thresholds find it


class Excluded:
    """What is measured on, and must not be learned.

    Args:
        texts: of the evaluations.
        pairs: subjects and objects of their triples.
    """

    def __init__(self, texts: Iterable[str], pairs: Iterable[tuple[str, str]] = ()) -> None:
        self.pairs = set(pairs)
        each = {text.strip() for text in texts} - {""}
        self.all = "\n".join(sorted(each))
        self.runs = {run for text in each for run in runs_of(text, RUN)}
        self.short = {text for text in each if len(text) < RUN}
        self.lengths = {len(text) for text in self.short}

    def holds(self, text: str) -> bool:
        """Whether a text is one of the evaluations, shares a run with one, lies in one, or has a pair of theirs."""
        text = text.strip()
        same = any(not self.short.isdisjoint(runs_of(text, length)) for length in self.lengths)
        inside = text in self.all if len(text) < RUN else not self.runs.isdisjoint(runs_of(text, RUN))
        return same or inside or any(one in text and other in text for one, other in self.pairs)


def runs_of(text: str, length: int) -> set[str]:
    """All runs of so many characters of a text."""
    return {text[start : start + length] for start in range(len(text) - length + 1)}


def sentences_of(texts: Iterable[str], excluded: Excluded) -> list[str]:
    """Sentences of 10 to 128 characters, each once, none of those excluded, in their order."""
    found: dict[str, None] = {}
    for text in texts:
        ends = [0, *sentence_ends(text), len(text)]
        for start, end in pairwise(ends):
            sentence = text[start:end].strip()
            if SHORTEST <= len(sentence) <= LONGEST and sentence not in found and not excluded.holds(sentence):
                found[sentence] = None
    return list(found)


class Network:
    """A trained network without its memorised triples.

    Args:
        folder: of a saved model, or a Hub id.
        doubt: what starts of mentions exceed at least; its own thresholds where they are lower.
        dtype: of its weights, "float32" or "bfloat16".
    """

    def __init__(self, folder: str, doubt: float, dtype: str = "float32") -> None:
        model = DGCNNForTripleExtraction.from_pretrained(folder, dtype=getattr(torch, dtype))
        self.pipeline = TripleExtractionPipeline(model=model, tokenizer=DGCNNTokenizer.from_pretrained(folder))
        self.schema = model.schema
        start, end, object_start, object_end = model.config.triple_thresholds
        self.own = {"subject_threshold": (start, end), "object_threshold": (object_start, object_end)}
        self.low = {
            "subject_threshold": (min(start, doubt), end), "object_threshold": (min(object_start, doubt), object_end),
        }  # fmt: skip

    def read(self, sentences: Sequence[str]) -> list[Found]:
        """What it finds in each sentence."""
        low = self._find(sentences, self.low)
        again = [number for number, found in enumerate(low) if found]  # others hold nothing above higher thresholds
        own = dict(zip(again, self._find([sentences[number] for number in again], self.own)))
        return [
            {key: (score, key in own[number]) for key, score in (found | own.get(number, {})).items()}
            for number, found in enumerate(low)
        ]

    def _find(self, sentences: Sequence[str], thresholds: dict[str, Any]) -> list[dict[Key, float]]:
        results = self.pipeline(list(sentences), batch_size=32, known_threshold=1.0, progress=False, **thresholds)
        return list(map(by_words, results))


def by_words(triples: Iterable[dict[str, Any]]) -> dict[Key, float]:
    """The highest score of triples of the same words."""
    found: dict[Key, float] = {}
    for triple in triples:
        key = (triple["subject"]["text"], triple["predicate"], triple["object"]["text"])
        found[key] = max(triple["score"], found.get(key, 0.0))
    return found


def judged(found: Sequence[Found], memorised: set[Key], probability: float) -> tuple[list[Key], list[Key]]:
    """The sure and the doubtful triples of a sentence.

    Args:
        found: by each network.
        memorised: triples that may lack the voice of one of several networks.
        probability: that one network must give.

    Returns:
        Both sorted, no triple in both.
    """
    sure: list[Key] = []
    doubtful: list[Key] = []
    for key in sorted({key for one in found for key in one}):
        voices = sum(one[key][1] for one in found if key in one)
        needed = len(found) - (1 if key in memorised and len(found) > 1 else 0)
        best = max(one[key][0] for one in found if key in one)
        (sure if voices >= needed and best >= probability else doubtful).append(key)
    return sure, doubtful


def label_texts(
    networks: Sequence[Network],
    sentences: Sequence[str],
    memorised: set[Key],
    probability: float,
    empty: float,
    seed: int,
) -> list[TripleExample]:
    """Sentences with sure triples only, and a random share of those in which nothing is found."""
    each = zip(sentences, zip(*(network.read(sentences) for network in networks)))
    verdicts = [(sentence, *judged(found, memorised, probability)) for sentence, found in each]
    labelled = {sentence: sure for sentence, sure, doubtful in verdicts if sure and not doubtful}
    silent = [sentence for sentence, sure, doubtful in verdicts if not sure and not doubtful]
    kept = set(random.Random(seed).sample(silent, min(len(silent), round(empty * len(labelled)))))
    typed = types_of(entry for network in networks[::-1] for entry in network.schema)  # those of the first one win
    return [
        TripleExample("", sentence, [Triple(*key, *typed[key[1]]) for key in sure])
        for sentence, sure, _ in verdicts
        if sentence in labelled or sentence in kept
    ]


def cross_fitted(
    networks: Sequence[Network], examples: Sequence[TripleExample], probability: float
) -> list[TripleExample]:
    """Labelled sentences, in their order, with the triples that they lack, by the network that has not learned their
    fold."""
    completed = list(examples)
    for fold, network in enumerate(networks):
        own = [number for number, one in enumerate(examples) if fold_of(one.text, len(networks)) == fold]
        typed = types_of(network.schema)
        for number, found in zip(own, network.read([examples[number].text for number in own])):
            example = examples[number]
            known = {(triple.subject, triple.predicate, triple.object) for triple in example.triples}
            new = [key for key in judged([found], set(), probability)[0] if key not in known]
            triples = [*example.triples, *(Triple(*key, *typed[key[1]]) for key in new)]
            completed[number] = TripleExample(example.id, example.text, triples)
    return completed


def types_of(schema: Iterable[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Types of subject and object by predicate, "" where a schema has none or several."""

    def only(types: Sequence[str] | None) -> str:
        return types[0] if types is not None and len(types) == 1 else ""

    return {
        entry["predicate"]: (only(entry.get("subject_types")), only(entry.get("object_types"))) for entry in schema
    }


def check_folds(folders: Sequence[str]) -> None:
    """Raise if the network of a fold has learned it, or begun with one that may have.

    Raises:
        ValueError: for one network alone, or one whose run was not trained without its fold.
    """
    if len(folders) < 2:
        raise ValueError("--cross_fit needs at least two --fold_models, each trained without its fold.")
    for fold, folder in enumerate(folders):
        check_fold(folder, f"{fold}/{len(folders)}")


def check_fold(folder: str, part: str) -> None:
    """Raise if a network, or one that it began with, was not trained without a fold."""
    path = Path(folder).parent / "results.json"
    if not path.is_file():
        raise ValueError(f"{path} is missing: it tells which fold {folder} was trained without.")
    arguments = json.loads(path.read_text(encoding="utf-8"))["arguments"]
    if (left_out := arguments.get("without_fold")) != part:
        raise ValueError(f"{folder} must be trained with --without_fold {part}; its run has {left_out!r}.")
    for before in filter(None, map(arguments.get, ("init_from", "blend_with"))):
        if "DGCNNForTripleExtraction" in (DGCNNConfig.from_pretrained(before).architectures or ()):
            check_fold(before, part)  # others have learned no triples


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=[], help="folders of trained networks that read --texts")
    parser.add_argument("--texts", nargs="*", default=[], help="plain texts or questions, whose passages are read")
    parser.add_argument("--simplify", action="store_true", help="traditional characters of --texts as simplified ones")
    parser.add_argument("--limit", type=int, help="so many sentences of --texts at most, drawn at random")
    parser.add_argument("--train", nargs="*", default=[], help="labelled sentences, whose triples count as known")
    parser.add_argument("--fold_models", nargs="*", default=[], help="network k has not learned fold k of --cross_fit")
    parser.add_argument("--cross_fit", nargs="*", default=[], help="labelled sentences to complete")
    parser.add_argument("--exclude", nargs="*", default=[], help="sources to be measured on, beside plain sentences")
    parser.add_argument("--exclude_pairs", nargs="*", default=[str(PLAIN / "test.jsonl")], help="files with triples")
    parser.add_argument("--probability", type=float, default=0.6, help="that one network gives a triple at least")
    parser.add_argument("--doubt", type=float, default=0.3, help="of a start, below which a mention is none")
    parser.add_argument("--empty", type=float, default=0.25, help="sentences without triples for each with some")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the networks' weights")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="file to write, JSON lines")
    args = parser.parse_args(argv)
    both = bool(args.models) == bool(args.texts) and bool(args.fold_models) == bool(args.cross_fit)
    if not both or not (args.models or args.cross_fit):
        raise ValueError("Give --models with --texts, --fold_models with --cross_fit, or all four.")
    if args.output.is_dir():
        raise ValueError(f"--output must be a file, and {args.output} is a folder.")
    if args.cross_fit:
        check_folds(args.fold_models)
    torch.set_num_threads(args.threads)
    measured = [text for source in args.exclude for text in read_texts(source, "validation")]
    measured += [text for name in ("test.jsonl", "mentioned.jsonl") for text in read_texts(PLAIN / name)]
    plain = [example for source in args.exclude_pairs for example in read_triples(source)]
    measured += [example.text for example in plain]
    ends = [(triple.subject, triple.object) for example in plain for triple in example.triples]
    if args.simplify:
        measured += map(simplified, list(measured))
        ends += [(simplified(subject), simplified(other)) for subject, other in ends]
    excluded = Excluded(measured, ends)

    # All files are read before anything is computed, which may take hours.
    texts = [text for source in args.texts for text in read_texts(source, on_error="skip")]
    sentences = sentences_of(map(simplified, texts) if args.simplify else texts, excluded)
    if args.limit is not None and args.limit < len(sentences):
        chosen = sorted(random.Random(args.seed).sample(range(len(sentences)), args.limit))
        sentences = [sentences[number] for number in chosen]
    known = [example for source in args.train for example in read_triples(source)]
    memorised = {(triple.subject, triple.predicate, triple.object) for e in known for triple in e.triples}
    examples = [example for source in args.cross_fit for example in read_triples(source)]
    examples = [example for example in examples if not excluded.holds(example.text)]

    written: list[TripleExample] = []
    if args.models:
        networks = [Network(folder, args.doubt, args.dtype) for folder in args.models]
        written += label_texts(networks, sentences, memorised, args.probability, args.empty, args.seed)
        print(f"{len(sentences)} sentences of {len(texts)} texts read, {len(written)} kept")
    if args.cross_fit:
        networks = [Network(folder, args.doubt, args.dtype) for folder in args.fold_models]
        completed = cross_fitted(networks, examples, args.probability)
        gained = sum(len(new.triples) > len(old.triples) for new, old in zip(completed, examples))
        print(f"{gained} of {len(examples)} labelled sentences gain triples")
        written += completed
    write_triples(args.output, written)
    print(f"{len(written)} sentences with {sum(len(one.triples) for one in written)} triples in {args.output}")


if __name__ == "__main__":
    script_main(main)
