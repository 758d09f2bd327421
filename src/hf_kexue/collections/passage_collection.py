"""A collection of passages: BM25 finds those that may answer a question, a reader reads them, and they vote.

    terms      words of the segmenter and pairs of characters, in normal form     `terms`
    search     BM25 (Lucene's form) over the terms, ties in the order of the passages
    read       spans of each passage found, by themselves
    vote       of each string over the passages, scores s w with w = (BM25 / best BM25)**power     `vote`

On disk a collection is a folder: `collection.json`, and beside it a folder of the arrays of bm25s and of the passages,
all of which are mapped into memory and not read. Saving writes a new folder and then replaces `collection.json`.

Source: Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and Beyond"; kexue.fm/archives/5409
(vote).
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..dgcnn.checks_dgcnn import check_text, is_blank
from ..dgcnn.decoding_dgcnn import Span, no_answer_score, vote
from ..dgcnn.inputs_dgcnn_qa import QASettings
from ..dgcnn.reading_dgcnn_qa import numbers_to_read
from ..dgcnn.segmentation_dgcnn import WordSegmenter
from .passage_files import PassageFile, write_passages

K1, B = 1.5, 0.75
SPANS_FOR_VOTE = 20  # of each passage
POWER = 6.0  # of the BM25 score relative to the best; found on the trial questions of CMRC 2018
VERSION = 1
FACTS = {"version", "data", "passages", "segmenter", "fingerprint"}


class Found(NamedTuple):
    """A passage that a search found: its number in the collection, its id, its text and its BM25 score."""

    number: int
    id: str
    text: str
    score: float


class PassageCollection:
    """Passages with an index, to search or to ask.

        collection = PassageCollection(["镭由居里夫人发现。", "赵州桥由李春修建。"])
        collection.ask(reader, "谁发现了镭？")
        collection.save("index")
        PassageCollection.load("index").search("赵州桥", 5)

    Args:
        passages: strings, or pairs (id, string). Ids are strings and differ; without them they are the numbers from 0.
        segmenter: `"rjieba"`, `"jieba"` or `"none"`: pairs of characters alone.
        progress: show a bar while indexing.

    Raises:
        ImportError: if bm25s is not installed (extra `collections`).
        TypeError, ValueError: for a passage that is no string, blank or not valid Unicode, and an id that comes twice.
    """

    def __init__(
        self, passages: Iterable[str | tuple[str, str]] = (), *, segmenter: str = "rjieba", progress: bool = False
    ) -> None:
        self._segmenter = WordSegmenter(segmenter)
        self._progress = progress
        self._ids: list[str] = []
        self._numbers: dict[str, int] = {}
        self._texts: list[str] | PassageFile = []
        self._index: Any = None
        self.add(passages)

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, id: object) -> bool:
        return id in self._numbers

    def __getitem__(self, id: str) -> str:
        """The text of an id."""
        return self._texts[self._numbers[id]]

    @property
    def ids(self) -> list[str]:
        """In the order of the passages."""
        return list(self._ids)

    def add(self, passages: Iterable[str | tuple[str, str]]) -> list[str]:
        """Add passages; the next search or `save` makes the index anew.

        Args:
            passages: as of the class; a string gets the first free number as id.

        Returns:
            Their ids.

        Raises:
            TypeError, ValueError: as of the class; the collection is as before then.
        """
        new: dict[str, str] = {}
        number = len(self._ids)
        for passage in passages:
            given, text = passage if isinstance(passage, tuple) else (None, passage)
            while given is None and (str(number) in self._numbers or str(number) in new):
                number += 1
            name = str(number) if given is None else given
            if not isinstance(name, str):
                raise TypeError(f"An id must be a string, got {name!r}.")
            if name in new or name in self._numbers:
                raise ValueError(f"The id {name!r} is there already: ids must differ.")
            check_text(text, f"Passage {name}")
            if is_blank(text):
                raise ValueError(f"Passage {name} is empty or only white space.")
            new[name] = text
        if new:
            self._set([*zip(self._ids, self._texts), *new.items()])
        return list(new)

    def remove(self, ids: Iterable[str]) -> None:
        """Remove the passages of some ids; the others keep their ids and their order.

        Raises:
            TypeError, ValueError: for one string, and for an id that is not there; the collection is as before then.
        """
        if isinstance(ids, str):
            raise TypeError("ids must be a list of ids, got one string.")
        gone = set(ids)
        missing = sorted(map(str, gone - self._numbers.keys()))
        if missing:
            raise ValueError(f"The collection has no passage {', '.join(missing[:5])}.")
        self._set([(name, text) for name, text in zip(self._ids, self._texts) if name not in gone])

    def search(self, question: str, k: int = 5) -> list[Found]:
        """The passages with the highest BM25 score.

        Args:
            question: any text.
            k: how many at most. Passages that share no term with the question are never found.

        Returns:
            Best first; of equal scores the earlier passage first.

        Raises:
            TypeError, ValueError: for a question that is no text, and `k` below 1.
        """
        check_text(question, "The question")
        if isinstance(k, bool) or not isinstance(k, int):
            raise TypeError(f"k must be an integer, got {k!r}.")
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}.")
        known = [term for term in self.terms(question) if term in self._indexed().vocab_dict] if self._ids else []
        if not known:
            return []
        scores = np.asarray(self._indexed().get_scores(known))
        numbers = np.flatnonzero(scores > 0)
        if len(numbers) > k:  # with all that equal the last
            numbers = numbers[scores[numbers] >= np.partition(scores[numbers], -k)[-k]]
        best = numbers[np.lexsort((numbers, -scores[numbers]))][:k].tolist()
        return [Found(number, self._ids[number], self._texts[number], float(scores[number])) for number in best]

    def ask(
        self, reader: Any, question: str | Sequence[str], *, read: int = 5, top_k: int = 1, power: float = POWER,
        **settings: Any,
    ) -> list[Any]:  # fmt: skip
        """Answer questions from the collection.

        Args:
            reader: `ReadingComprehensionPipeline` or `OnnxReader`.
            question: one, or several.
            read: passages that are read for a question.
            top_k: answers for each question.
            power: of the relative BM25 score of a passage in the vote; 0: all passages count alike.
            settings: others of the pipeline. "No answer" competes with `handle_impossible_answer=True`, and wins where
                every s w is below `no_answer_threshold`, which is the reader's own unless given. `vote` and
                `duplicates` (here of the passages found) are those of the pipeline, too.

        Returns:
            For one question a list of at most `top_k` dictionaries, best first; for several a list of these. Keys:
            "answer", "score", "start", "end" as of the pipeline, and "passage", the id of the passage that "start" and
            "end" refer to. Where no passage shares a term with the question: one empty answer with score 0.

        Raises:
            TypeError, ValueError: as of `search` and of the pipeline.
        """
        if isinstance(question, str):
            return self.ask(reader, [question], read=read, top_k=top_k, power=power, **settings)[0]
        if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
            raise ValueError(f"top_k must be an integer of at least 1, got {top_k!r}.")
        if not power >= 0:
            raise ValueError(f"power must be at least 0, got {power!r}.")
        chosen = reader.chosen_settings({**settings, "top_k": max(top_k, SPANS_FOR_VOTE)})
        found = [self._to_read(self.search(one, read), chosen) for one in question]
        records = [{"question": one, "context": hit.text} for one, hits in zip(question, found) for hit in hits]
        of_call = {**settings, "top_k": chosen.top_k, "handle_impossible_answer": False}
        spans = iter(reader(records, **of_call) if records else ())
        return [self._voted(hits, [next(spans) for _ in hits], top_k, power, chosen) for hits in found]

    def _to_read(self, hits: list[Found], settings: QASettings) -> list[Found]:
        return [hits[number] for number in numbers_to_read([hit.text for hit in hits], settings.duplicates)]

    def _voted(
        self, hits: list[Found], answers: list[list[dict[str, Any]]], top_k: int, power: float, settings: QASettings
    ) -> list[dict[str, Any]]:
        nothing: dict[str, Any] = {"answer": "", "score": 0.0, "start": 0, "end": 0, "passage": None}
        weighted = [
            [Span(a["answer"], a["score"] * (hit.score / hits[0].score) ** power, a["start"], a["end"])
             for a in some if a["answer"]]
            for hit, some in zip(hits, answers)
        ]  # fmt: skip
        best: list[dict[str, Any]] = [
            {"answer": a.text, "score": a.score, "start": a.start, "end": a.end, "passage": hits[a.passage].id}
            for a in vote(weighted, settings.vote)
        ]
        if settings.handle_impossible_answer:
            every = [span for spans in weighted for span in spans]
            empty = Span("", no_answer_score(every, settings.no_answer_threshold), 0, 0)
            best.append({**nothing, "score": vote([[empty]], settings.vote)[0].score})
            best.sort(key=lambda answer: -answer["score"])
        return best[:top_k] or [nothing]

    def terms(self, text: str) -> list[str]:
        """What BM25 counts: words, pairs of neighbouring characters, and numbers and Latin words as they are.

        In normal form (NFKC, lower case); punctuation and white space are none and part pairs.
        """
        text = unicodedata.normalize("NFKC", text).lower()
        words = [] if self._segmenter.name == "none" else [word for word, _, _ in self._segmenter.segment(text)]
        runs = "".join(c if c.isalnum() else " " for c in text).split()
        pairs = [run[i : i + 2] for run in runs for i in range(max(len(run) - 1, 1))]
        return [f"{word} " for word in words if word[0].isalnum()] + pairs  # a word of two is another term than a pair

    def save(self, folder: str | Path) -> None:
        """Save the collection; a folder that holds one is replaced, never left by halves.

        Raises:
            ValueError: for a folder that holds anything else, and a collection without passages.
        """
        folder = Path(folder)
        if not self._ids:
            raise ValueError("The collection holds no passage.")
        if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not _is_ours(folder))):
            raise ValueError(f"{folder} is not the folder of a collection, and is not empty: choose another one.")
        folder.mkdir(parents=True, exist_ok=True)
        taken = {path.name for path in folder.iterdir()}
        name = next(f"data-{number}" for number in range(len(taken) + 1) if f"data-{number}" not in taken)
        facts = {
            "version": VERSION, "data": name, "passages": len(self._ids), "segmenter": self._segmenter.name,
            "fingerprint": self._segmenter.fingerprint(),
        }  # fmt: skip
        unfinished = folder / "collection.json.unfinished"
        try:
            self._indexed().save(folder / name, show_progress=False)
            write_passages(folder / name, self._ids, self._texts)
            unfinished.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
            os.replace(unfinished, folder / "collection.json")
        except BaseException:  # of a full disk, say: give back the room, and leave the collection that was there
            shutil.rmtree(folder / name, ignore_errors=True)
            unfinished.unlink(missing_ok=True)
            raise
        for path in folder.glob("data-*"):
            if path.name != name:
                shutil.rmtree(path)

    @classmethod
    def load(cls, folder: str | Path) -> PassageCollection:
        """Load a saved collection; its arrays and passages stay on disk and are mapped into memory.

        Raises:
            ValueError: for a folder that holds no collection, or one of a newer version.
        """
        folder = Path(folder)
        try:
            facts = json.loads((folder / "collection.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{folder} is not the folder of a collection: make one with `hf-kexue index`; {error}"
            ) from error
        version = facts.get("version") if isinstance(facts, dict) else None
        if version != VERSION:
            raise ValueError(
                f"{folder} is a collection of version {version}, this one reads {VERSION}: make it anew with "
                "`hf-kexue index`."
            )
        if FACTS - facts.keys() or not re.fullmatch(r"data-\d+", str(facts["data"])):
            raise ValueError(f"The collection {folder} is damaged: its collection.json lacks fields.")
        collection = cls(segmenter=facts["segmenter"])
        collection._segmenter.check_fingerprint(facts["fingerprint"])
        place = folder / facts["data"]
        try:
            collection._texts = PassageFile(place)
            collection._ids = collection._texts.ids
            collection._index = _bm25s().BM25.load(place, mmap=True, show_progress=False)
        except (OSError, ValueError) as error:
            raise ValueError(f"The collection {folder} is damaged: {error}") from error
        if len(collection._ids) != facts["passages"]:
            raise ValueError(f"The collection {folder} is damaged: it lacks passages.")
        collection._numbers = {name: number for number, name in enumerate(collection._ids)}
        return collection

    def _set(self, passages: list[tuple[str, str]]) -> None:
        self._ids = [name for name, _ in passages]
        self._numbers = {name: number for number, name in enumerate(self._ids)}
        self._texts = [text for _, text in passages]
        self._index = None

    def _indexed(self) -> Any:
        if self._index is None:
            index = _bm25s().BM25(k1=K1, b=B, method="lucene")
            numbers: dict[str, int] = {}
            rows = [
                [numbers.setdefault(term, len(numbers)) for term in self.terms(text) or [""]] for text in self._texts
            ]
            index.index((rows, numbers), create_empty_token=False, show_progress=self._progress)
            self._index = index
        return self._index


def _is_ours(folder: Path) -> bool:
    return all(path.name.startswith(("collection.json", "data-")) for path in folder.iterdir())


def _bm25s() -> Any:
    try:
        return importlib.import_module("bm25s")
    except ImportError as error:
        raise ImportError(
            'A collection is searched by bm25s, which is not installed: `pip install "hf-kexue[collections]"`.'
        ) from error
