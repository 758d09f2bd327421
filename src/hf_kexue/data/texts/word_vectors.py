"""Read pre-trained word vectors in the text or binary format of word2vec, plain or gzip.

    words = words_in_texts("sgns.txt.gz", texts)         # the words of the file that occur in the texts
    matrix = word_matrix("sgns.txt.gz", words)           # a row for each of them

    text      [header: number of words, space, vector size]; then one line a word: the word and its numbers, separated
              by spaces
    binary    that header; then for each word the word, a space, little-endian float32 numbers, and optionally a line
              feed

A first line of two whole numbers is the header, which only the text format may lack. A file is binary if there is a
control character within 4096 bytes after its header, as in all but tiny binary files.

Source: T. Mikolov et al. 2013, "Efficient Estimation of Word Representations in Vector Space", and its word2vec.c.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

LONGEST_WORD = 16  # characters; longer entries are phrases and addresses
_HEADER = re.compile(rb"\s*([0-9]+)[ \t]+([0-9]+)\s*")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_BLANK = re.compile(r"\s")


class _Entry(NamedTuple):
    place: str  # "vectors.txt, line 3", "vectors.bin, word 2"
    word: bytes
    numbers: bytes  # as they stand in the file

    def text(self) -> str:
        try:
            return self.word.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.place}: the word {self.word!r} is not UTF-8.") from error


def read_word_vectors(
    path: str | Path, words: Collection[str] | None = None, limit: int | None = None
) -> tuple[list[str], NDArray[np.float32]]:
    """Read words and their vectors.

    Args:
        path: file in one of the two formats.
        words: read only these; None: every word. Other entries are not decoded, so faults in them do not matter.
        limit: read only the first entries, usually the most frequent words.

    Returns:
        The words in the order of the file, of equal ones the first; and their vectors, (words, size) float32.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming line or word, for a vector of another size than the others, an invalid or non-finite number,
            a word that is missing or not UTF-8, a header with another number of words, or a truncated file.
    """
    wanted = None if words is None else {word.encode("utf-8") for word in words}
    rows: dict[str, NDArray[np.float32]] = {}
    with _opened(path) as file:
        for entry in file.entries(limit):
            if (wanted is None or entry.word in wanted) and (word := entry.text()) not in rows:
                rows[word] = file.vector(entry)
        size = file.size
    vectors = np.stack(list(rows.values())) if rows else np.zeros((0, size), dtype=np.float32)
    return list(rows), vectors


def word_matrix(path: str | Path, words: Sequence[str]) -> NDArray[np.float32]:
    """The vectors of a file in the order of a list of words, for an embedding.

    Args:
        path: as for `read_word_vectors`.
        words: such as the word vocabulary of a tokenizer.

    Returns:
        (words, size) float32; zeros for words missing from the file, such as [PAD] and [UNK].

    Raises:
        FileNotFoundError, ValueError: as for `read_word_vectors`, or if the file has none of the words.
    """
    found, vectors = read_word_vectors(path, words)
    if not found:
        raise ValueError(f"{path} has no vector for any of the {len(words)} words.")
    row = {word: number for number, word in enumerate(words)}
    matrix = np.zeros((len(words), vectors.shape[1]), dtype=np.float32)
    matrix[[row[word] for word in found]] = vectors
    return matrix


def words_in_texts(path: str | Path, texts: Iterable[str], limit: int | None = None) -> list[str]:
    """The words of a file that occur in texts as substrings.

    Args:
        path: as for `read_word_vectors`.
        texts: any texts.
        limit: read only the first entries.

    Returns:
        Words of at most 16 characters without white space, in the order of the file.

    Raises:
        FileNotFoundError, ValueError: as for `read_word_vectors`, except for the numbers.
    """
    with _opened(path) as file:
        words = dict.fromkeys(entry.text() for entry in file.entries(limit))
    known = {word for word in words if len(word) <= LONGEST_WORD and not _BLANK.search(word)}
    sizes = sorted({len(word) for word in known})
    found: set[str] = set()
    for text in texts:
        for size in sizes:
            found |= known.intersection(text[at : at + size] for at in range(len(text) - size + 1))
    return [word for word in words if word in found]


@contextmanager
def _opened(path: str | Path) -> Iterator[_VectorFile]:
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    packed = path.suffix == ".gz"
    try:
        with io.BufferedReader(gzip.open(path)) if packed else path.open("rb") as file:
            yield _VectorFile(file, path.name)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path.name} cannot be read to its end: the gzip data are truncated or damaged.") from error


class _VectorFile:
    """An open file whose header has been read.

    Args:
        file: at its beginning.
        name: for messages.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.file = file
        self.name = name
        first = file.readline(10_000)
        header = _HEADER.fullmatch(first)
        start = file.tell() if header else 0
        file.seek(start)
        self.binary = bool(_CONTROL.search(file.read(4096)))
        file.seek(start)
        if not first.strip():
            raise ValueError(f"{name} is empty, or its first line is.")
        if self.binary and not header:
            raise ValueError(
                f"{name} is not a file of word vectors: it is binary, and its first line is not a header of two whole "
                f"numbers but begins with {first[:20]!r}."
            )
        self.promised = int(header[1]) if header else 0  # words; 0: there is no header
        self.size = int(header[2]) if header else len(first.partition(b" ")[2].split())
        if not self.size or (header and not self.promised):
            what = "the header promises" if header else "the first line holds"
            raise ValueError(f"{name}: {what} no vector: {first[:40].decode('utf-8', 'replace').strip()!r}.")

    def entries(self, limit: int | None) -> Iterator[_Entry]:
        """Words and numbers in the order of the file, the first `limit` of them."""
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be at least 1 word, got {limit}.")
        for entry in islice(self._binary() if self.binary else self._text(), limit):
            if not entry.word:
                raise ValueError(f"{entry.place}: there is no word before the numbers.")
            yield entry

    def vector(self, entry: _Entry) -> NDArray[np.float32]:
        """(size,) numbers of a word."""
        place = f"{entry.place} ({entry.text()!r})"
        if self.binary:
            vector = np.frombuffer(entry.numbers, "<f4").astype(np.float32)
        else:
            try:
                with np.errstate(over="ignore"):  # gives infinity, reported below
                    vector = np.array([float(number) for number in entry.numbers.split()]).astype(np.float32)
            except ValueError as error:
                raise ValueError(f"{place}: {error}.") from error
        if not np.isfinite(vector).all():
            number = int(np.isfinite(vector).argmin())
            raise ValueError(f"{place}: number {number + 1} of the vector is {vector[number]}, which is not finite.")
        return vector

    def _text(self) -> Iterator[_Entry]:
        count = 0
        for number, line in enumerate(self.file, 2 if self.promised else 1):
            if not line.strip():
                continue
            place = f"{self.name}, line {number}"
            word, _, numbers = line.rstrip(b" \t\r\n").partition(b" ")
            size = len(numbers.split())
            if size != self.size:
                whose = f"the header says {self.size}" if self.promised else f"the first line has {self.size}"
                raise ValueError(f"{place} ({word.decode('utf-8', 'replace')!r}): {size} numbers, where {whose}.")
            count += 1
            yield _Entry(place, word, numbers)
        if self.promised not in (0, count):
            raise ValueError(f"{self.name}: the header promises {self.promised} words, the file has {count}.")

    def _binary(self) -> Iterator[_Entry]:
        for number in range(1, self.promised + 1):
            word = bytearray()
            while (byte := self.file.read(1)) not in (b" ", b""):
                word += byte
            place = f"{self.name}, word {number}"
            numbers = self.file.read(4 * self.size)
            if len(numbers) < 4 * self.size:
                raise ValueError(
                    f"{place} of {self.promised}: the file ends before its vector does; it is truncated, or the "
                    "header is wrong."
                )
            yield _Entry(place, bytes(word).lstrip(b"\n"), numbers)
        if self.file.read(100).strip():
            raise ValueError(f"{self.name}: the header promises {self.promised} words, but the file has more.")
