"""Words for the DGCNN tokenizer: segmenters, and the fingerprint that shows whether training and inference tokenize
identically.

The libraries are imported by name, at first use: transformers refuses to load a remote-code file that states an import
which is not installed, and nobody needs both of them.
"""

import hashlib
import importlib
import logging
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import accumulate
from pathlib import Path

from .checks_dgcnn import is_blank

is_blank_word = lru_cache(maxsize=2**16)(is_blank)  # the same words come again and again

Segmenter = Callable[[str], list[str]]

SEGMENTERS = ("rjieba", "jieba", "none")
CUSTOM = "custom"  # what is saved in place of a callable
PROBE = (
    "白云山下的科学空间，2018年发布了基于CNN的阅读理解式问答模型：DGCNN，结合成分子时，南京市长江大桥也研究生命起源。"
)


class WordSegmenter:
    """Cuts texts into words. Loads its library at first use; can be pickled.

    Args:
        segmenter: `"rjieba"`, `"jieba"`, `"none"` or a function from a text to its words; `"custom"` stands for a
            function that was not saved, and cannot cut.
        dictionary: words added to the dictionary of rjieba or jieba, in this order.

    Raises:
        TypeError, ValueError: for anything else, and for a dictionary that no segmenter would see.
    """

    def __init__(self, segmenter: str | Segmenter, dictionary: Sequence[str] = ()) -> None:
        own = callable(segmenter)
        self.function = segmenter if callable(segmenter) else None
        choice = f"{', '.join(SEGMENTERS)} or a function from a text to its words"
        if not own and not isinstance(segmenter, str):
            raise TypeError(f"segmenter must be one of {choice}, got {type(segmenter).__name__}.")
        if not own and segmenter not in (*SEGMENTERS, CUSTOM):
            raise ValueError(f"segmenter must be one of {choice}, got {segmenter!r}.")
        if dictionary and (own or segmenter == "none"):
            kind = "a function of your own" if own else repr(segmenter)
            raise ValueError(
                f"dictionary adds words to rjieba or jieba, and segmenter is {kind}, which would not see them. Pass "
                "dictionary=[]."
            )
        self.name: str = CUSTOM if callable(segmenter) else segmenter
        self.dictionary = tuple(dictionary)
        self._own: Segmenter | None = partial(cut_with, segmenter) if callable(segmenter) else None
        self._loaded: Segmenter | None = self._own

    def cut(self, text: str) -> list[str]:
        """Words that, joined, are the text; white space and punctuation are words too."""
        if self._loaded is None:
            self._loaded = load_segmenter(self.name, self.dictionary)
        return self._loaded(text)

    def segment(self, text: str) -> list[tuple[str, int, int]]:
        """(word, start, end) with half-open character offsets; white space and control characters are no words."""
        words = self.cut(text)
        ends = list(accumulate(map(len, words)))
        spans = zip(words, [0, *ends], ends)
        return [(word, start, end) for word, start, end in spans if not is_blank_word(word)]

    def fingerprint(self) -> str:
        """12 hexadecimal digits over the words of a fixed sentence and the added dictionary, in its order."""
        text = "|".join(self.cut(PROBE)) + "\n" + "\n".join(self.dictionary)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]

    def check_fingerprint(self, saved: str | None) -> str:
        """The fingerprint; a warning where another one was saved."""
        found = self.fingerprint()
        if saved not in (None, found):
            warnings.warn(
                f"The segmenter {self.name!r} cuts otherwise than when this tokenizer was saved: its fingerprint is "
                f"{found}, the saved one {saved}. It is of another version, or has another function or dictionary; a "
                "model trained with the saved one may answer worse.",
                stacklevel=3,
            )
        return found

    def __getstate__(self) -> dict[str, object]:
        """Without the loaded library, which loads again where it is needed."""
        return {**self.__dict__, "_loaded": self._own}


@lru_cache(maxsize=4)
def load_segmenter(name: str, dictionary: tuple[str, ...] = ()) -> Segmenter:
    """A function that cuts a text into words which, joined, are the text again.

    Args:
        name: `"rjieba"`, `"jieba"` or `"none"` (every character a word). The first two use the dictionary of jieba
            without its hidden Markov model, and cut alike.
        dictionary: words added to that dictionary, in this order. No word can hold white space.

    Raises:
        ImportError: if the library is not installed. In place of rjieba jieba is taken, with a warning.
        ValueError: for another name; `"custom"` stands for a function that was not saved.
    """
    if name == "none":
        return list
    if name == "rjieba":
        try:
            library = importlib.import_module("rjieba")
        except ImportError:
            return _jieba_for_rjieba(dictionary)
        segmenter = library.Jieba()
        for word in dictionary:
            segmenter.add_word(word, None, None)
        return lambda text: segmenter.cut(text, False)
    if name == "jieba":
        return _load_jieba(
            dictionary, "The segmenter 'jieba' is not installed: `pip install jieba`, or take 'rjieba'."
        )
    raise ValueError(
        f"The segmenter is {name!r}: a function of someone's own, which cannot be saved. Pass it again: "
        "from_pretrained(..., segmenter=function)."
    )


def _jieba_for_rjieba(dictionary: tuple[str, ...]) -> Segmenter:
    advice = "The segmenter 'rjieba' is not installed, and neither is jieba in its place: `pip install rjieba`."
    segmenter = _load_jieba(dictionary, advice)
    warnings.warn(
        "The segmenter 'rjieba' is not installed; jieba is taken instead. It cuts alike, but some 14 times slower: "
        "`pip install rjieba`.",
        stacklevel=2,
    )
    return segmenter


def _load_jieba(dictionary: tuple[str, ...], advice: str) -> Segmenter:
    try:
        library = importlib.import_module("jieba")
    except ImportError as error:
        raise ImportError(advice) from error
    log = logging.getLogger("jieba")
    level = log.level
    log.setLevel(logging.WARNING)  # it reports to stderr that it reads its dictionary
    try:
        segmenter = library.Tokenizer()
        segmenter.initialize()
    finally:
        log.setLevel(level)
    for word in dictionary:
        known = segmenter.FREQ.get(word, 0)
        segmenter.add_word(word)
        segmenter.total -= known  # jieba counts a word that it knows twice, rjieba once
    return lambda text: list(segmenter.cut(text, HMM=False))


def cut_with(function: Segmenter, text: str) -> list[str]:
    """Words of a user's own segmenter, completed to the whole text.

    Args:
        function: gives words of the text, in order and spelled as there. What it leaves out (white space, say) becomes
            words of one character.
        text: any string.

    Returns:
        Words that, joined, are the text.

    Raises:
        TypeError: if the function gives anything but strings.
        ValueError: if a word does not stand in the text after the word before it.
    """
    words: list[str] = []
    at = 0
    for word in function(text):
        if not isinstance(word, str):
            raise TypeError(f"The segmenter must give a list of strings, it gave {type(word).__name__}: {word!r}.")
        start = text.find(word, at)
        if start < 0:
            raise ValueError(
                f"The segmenter gave the word {word!r}, which does not stand in the text after character {at}. Words "
                "must come in order and be spelled as in the text."
            )
        words.extend(text[at:start])
        if word:
            words.append(word)
        at = start + len(word)
    words.extend(text[at:])
    return words


def read_words(path: str | Path | None, size: int | None, name: str) -> list[str] | None:
    """The words of a file, one a line. Only line feeds end a line, as words may hold rarer separators.

    Args:
        path: None where there is no such file.
        size: how many there must be; 0 leaves the file alone, None takes any number.
        name: of the file, for the message.

    Raises:
        ValueError: if the file is missing or holds another number.
    """
    if size == 0 or (size is None and path is None):
        return None
    text = "" if path is None else Path(path).read_bytes().decode("utf-8")
    words = text.removesuffix("\n").split("\n") if text else []
    if size is not None and len(words) != size:
        state = "is missing" if path is None else f"holds {len(words)}"
        raise ValueError(
            f"{name} beside tokenizer.json must hold {size} words, as tokenizer_config.json says; it {state}."
        )
    return words


def write_words(path: str | Path, words: Sequence[str]) -> None:
    """The inverse of `read_words`."""
    Path(path).write_bytes("".join(f"{word}\n" for word in words).encode("utf-8"))
