"""Checks of the DGCNN tokenizer and pipelines, with errors that name the record."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def is_blank(text: str) -> bool:
    """Whether nothing in the text makes a token: only white space, control and format characters, or nothing."""
    return all(
        c.isspace() or unicodedata.category(c)[0] == "Z" or unicodedata.category(c) in ("Cc", "Cf") for c in text
    )


def check_text(text: Any, where: str) -> None:
    """A string without half a surrogate pair: that is no character, and neither segmenters nor files take it.

    Raises:
        TypeError, ValueError: naming `where` and the position.
    """
    if not isinstance(text, str):
        raise TypeError(f"{where} must be a string, got {type(text).__name__}.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = f"U+{ord(text[error.start]):04X}"
        raise ValueError(
            f"{where} holds {code} at character {error.start}, one half of a surrogate pair, which is no character. "
            "The text was probably decoded wrongly, or cut within an emoji."
        ) from error


def check_words(words: Sequence[str], name: str, spaces: bool) -> list[str]:
    """The words of a list: strings, none empty, none twice, without line feeds and, unless `spaces`, white space.

    Raises:
        TypeError, ValueError: naming the list and the place in it.
    """
    if isinstance(words, str) or not isinstance(words, Sequence):
        raise TypeError(f"{name} must be a list of words, got {type(words).__name__}.")
    seen: set[str] = set()
    for number, word in enumerate(words):
        check_text(word, f"Number {number} of {name}")
        if not word or "\n" in word or (not spaces and any(c.isspace() for c in word)):
            what = "line feeds" if spaces else "white space, at which segmenters always cut"
            raise ValueError(f"{name} must hold words, none empty and none with {what}; number {number} is {word!r}.")
        if word in seen:
            raise ValueError(f"{name} must hold every word once; number {number}, {word!r}, is there already.")
        seen.add(word)
    return list(words)


def check_vocab(vocab: dict[str, int] | None, special: tuple[str, ...]) -> dict[str, int]:
    """A vocabulary in which ids count from 0 and the special tokens come first; these alone for None.

    Raises:
        TypeError, ValueError: saying what it starts with.
    """
    if vocab is None:
        return {token: row for row, token in enumerate(special)}
    if not isinstance(vocab, dict):
        raise TypeError(f"vocab must be a dictionary from characters to ids, got {type(vocab).__name__}.")
    first = sorted(vocab, key=lambda token: vocab[token])[: len(special)]
    if sorted(vocab.values()) != list(range(len(vocab))) or tuple(first) != special:
        raise ValueError(
            f"vocab must have the ids from 0 to its length - 1 once each, the first for {', '.join(special)}; got "
            f"{len(vocab)} tokens, the first {', '.join(map(repr, first))}."
        )
    return vocab


def check_word_vocab(words: Sequence[str], special: tuple[str, ...]) -> list[str]:
    """The words by id, the special rows first.

    Raises:
        TypeError, ValueError: naming the place.
    """
    words = check_words(words, "word_vocab", spaces=True)
    if tuple(words[: len(special)]) != special:
        raise ValueError(f"word_vocab must start with {', '.join(special)}; it starts with {words[: len(special)]}.")
    return words


def check_records(texts: Any, pairs: Any) -> tuple[list[str], list[str] | None]:
    """Texts (questions) and, where given, the text of each pair (contexts), as lists.

    Args:
        texts: a string or a list of strings.
        pairs: None or the same with as many.

    Raises:
        TypeError: for anything but strings, naming the record, and for one string beside a list.
        ValueError: for another number of pairs, no record at all, half a surrogate pair.
    """
    if pairs is not None and isinstance(texts, str) != isinstance(pairs, str):
        raise TypeError(
            "Question and context must be two strings or two lists of strings, got "
            f"{type(texts).__name__} and {type(pairs).__name__}."
        )
    first = _check_texts(texts, "text" if pairs is None else "question")
    second = None if pairs is None else _check_texts(pairs, "context")
    if second is not None and len(first) != len(second):
        raise ValueError(f"There must be one context a question, got {len(first)} questions, {len(second)} contexts.")
    return first, second


def _check_texts(texts: Any, kind: str) -> list[str]:
    if not isinstance(texts, str | list | tuple):
        raise TypeError(f"A {kind} must be a string, or a list of strings for a batch, got {type(texts).__name__}.")
    texts = [texts] if isinstance(texts, str) else list(texts)
    if not texts:
        raise ValueError(f"There must be at least one {kind}, the list is empty.")
    for number, text in enumerate(texts):
        check_text(text, f"Record {number} (from 0): the {kind}")
    return texts


def check_groups(groups: Any, num_contexts: int) -> list[int]:
    """One integer a context.

    Raises:
        TypeError, ValueError: for another number of them, or without contexts.
    """
    groups = [groups] if isinstance(groups, int) else list(groups)
    if len(groups) != num_contexts:
        raise ValueError(f"passage_groups must be one integer a context: {num_contexts}, got {len(groups)}.")
    return [int(group) for group in groups]


def check_room(
    questions: Sequence[str],
    contexts: Sequence[str] | None,
    count: Callable[[str], int],
    max_length: int,
    stride: int,
    num_special: int,
) -> None:
    """That windows over contexts have room: `truncation="only_second"`.

    Args:
        questions: one a record.
        contexts: one a record, or None.
        count: tokens of a text.
        max_length: tokens of a window, the question and the `num_special` special tokens among them.
        stride: tokens that neighbouring windows share.

    Raises:
        ValueError: naming the first record that does not fit.
    """
    lengths = {question: count(question) for question in set(questions)}
    for number, question in enumerate(questions):
        room = max_length - num_special - lengths[question]
        if room > stride and contexts is not None:
            continue
        if contexts is None and room >= 0:
            continue
        sizes = f"max_length {max_length} with {num_special} special tokens and a question of {lengths[question]}"
        if contexts is None:
            raise ValueError(
                f"Record {number} (from 0): {sizes} does not fit, and truncation='only_second' has no context to cut. "
                "Use truncation=True."
            )
        if count(contexts[number]) > room:
            raise ValueError(
                f"Record {number} (from 0): {sizes} leaves {max(room, 0)} tokens for the context, which must be more "
                f"than the stride {stride}."
            )


def is_sequence(values: Any) -> bool:
    """A list of any kind, which a string is not."""
    return isinstance(values, Sequence) and not isinstance(values, str | bytes)


def check_names(settings: Mapping[str, Any], known: Sequence[str]) -> None:
    """That there are settings of these names.

    Raises:
        TypeError: naming one that there is not.
    """
    for name in sorted(settings.keys() - set(known)):
        raise TypeError(f"There is no setting {name!r}; there are {', '.join(known)}.")


def check_integer(name: str, value: Any, least: int) -> None:
    """An integer that is large enough.

    Raises:
        TypeError, ValueError: naming the setting.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}.")


def check_flag(name: str, value: Any) -> None:
    """True or False.

    Raises:
        TypeError: naming the setting.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}.")


def check_content(text: Any, where: str) -> None:
    """A string of which something makes a token.

    Raises:
        TypeError, ValueError: beginning with `where`.
    """
    where = where[0].upper() + where[1:]
    check_text(text, where)
    if is_blank(text):
        raise ValueError(f"{where} is empty or only white space: {text[:20]!r}.")


def check_vocabularies(model: Any, tokenizer: Any) -> None:
    """That model and tokenizer have the same characters and words.

    Raises:
        TypeError, ValueError: where the tokenizer is another, or the two do not belong together.
    """
    if not hasattr(tokenizer, "segment"):
        raise TypeError(f"The tokenizer must be a DGCNNTokenizer, got {type(tokenizer).__name__}.")
    config = model.config
    for kind, size, room in (
        ("characters", len(tokenizer), config.vocab_size),
        ("words", tokenizer.word_vocab_size, config.word_vocab_size),
    ):
        if room and not 0 < size <= room:
            raise ValueError(f"The tokenizer knows {size} {kind}, the model {room}: they do not belong together.")
