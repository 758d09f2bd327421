"""Tokenizer of the DGCNN: characters as tokens, and for each the word that holds it.

Characters and words go in together (kexue.fm/archives/5409, and the mixed embedding of archives/6671): each character
gets the vector of its word beside its own. Tokens are made by the `tokenizers` library from the text in NFKC and lower
case; words are cut from the text as it is. Character offsets into that text connect the two, so that windows,
truncation and padding are the library's own.

The file has more than 250 lines: it is one class, its arguments and what it keeps of them.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from tokenizers import Tokenizer, decoders, processors
from tokenizers.models import WordLevel
from transformers import BatchEncoding, PreTrainedTokenizerFast

from .checks_dgcnn import (
    check_groups,
    check_records,
    check_room,
    check_text,
    check_vocab,
    check_word_vocab,
    check_words,
)
from .columns_dgcnn import (
    CHARACTERS,
    NORMALIZER,
    SEP,
    SPECIAL_TOKENS,
    UNK,
    build_vocabularies,
    count_tokens,
    feature_columns,
    pad_column,
    word_column,
    word_rows,
)
from .prior_dgcnn import KnownTriple, check_prior, prior_lines, read_prior
from .segmentation_dgcnn import Segmenter, WordSegmenter, read_words, write_words
from .strict_loading import clear_errors

LEFT_BY_LOADING = ("is_local", "local_files_only")  # of this loading, which transformers would save with it
DAMAGED = (Exception, KeyError, AttributeError)  # by a tokenizer.json of another form; tokenizers raises the bare one


class DGCNNTokenizer(PreTrainedTokenizerFast):
    r"""Characters with offsets, in single form `$A [SEP]` and pair form `$A [SEP] $B`, and their words.

    Beside the usual columns a call gives `word_input_ids`, where there is a word vocabulary: (batch, length) int, the
    id of the word that holds the character, 1 for a word not in the vocabulary, 0 for special tokens and padding. With
    `match_features`, pairs get `match_features`: (batch, length, 8) float32, see `features_dgcnn`, zero outside the
    context; without `return_tensors` one numpy array (length, 8) a row. Both are computed on the whole text, before
    windows are cut.

    A call takes one more argument: `passage_groups`, one integer a context. Contexts with the same number are passages
    of one question, for the feature that looks at the other passages. Default: every context alone.

    White space, control and format characters make no token. The special tokens are `[PAD]`, `[UNK]`, `[SEP]` and
    `[MASK]`, ids 0 to 3; as elsewhere, they are recognised in a text unless `split_special_tokens=True`.

    Args:
        vocab: character -> id; the ids are 0, 1, 2, ... and the first four the special tokens. None: these alone.
        word_vocab: words, the row is the id; row 0 is `[PAD]`, row 1 `[UNK]`. A word is looked up as it is, then in
            NFKC and lower case. None: characters only.
        segmenter: `"rjieba"`, `"jieba"`, `"none"` (every character a word) or a function from a text to its words. The
            libraries run without their hidden Markov model. A function is not saved: pass it again on loading.
        dictionary: words added to the segmenter, saved with the tokenizer.
        match_features: whether pairs get `match_features`.
        model_max_length: tokens, for `truncation` without `max_length`.
        triple_prior: (subject, predicate number, object) of memorised triples, which `TriplePrior` takes. None: none.
        word_vocab_file, dictionary_file, triple_prior_file: files in place of the lists, one word or triple a line.
        **kwargs: of `PreTrainedTokenizerFast`.

    Raises:
        ValueError: for a vocabulary or dictionary of another shape, a missing word file, an unknown segmenter.
        TypeError: for arguments of another type.
        ImportError: if words are asked for and no segmenter is installed.

    Source: kexue.fm/archives/5409 (jieba, with words of one's own), /6671.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {
        "tokenizer_file": "tokenizer.json",
        "word_vocab_file": "word_vocab.txt",
        "dictionary_file": "dictionary.txt",
        "triple_prior_file": "triple_prior.txt",
    }
    model_input_names: list[str] = ["input_ids", "token_type_ids", "attention_mask", "word_input_ids"]  # noqa: RUF012
    model = WordLevel

    def __init__(
        self,
        vocab: dict[str, int] | None = None,
        word_vocab: Sequence[str] | None = None,
        segmenter: str | Segmenter = "rjieba",
        dictionary: Sequence[str] | None = None,
        match_features: bool = False,
        model_max_length: int = 512,
        triple_prior: Sequence[KnownTriple] | None = None,
        word_vocab_file: str | None = None,
        dictionary_file: str | None = None,
        triple_prior_file: str | None = None,
        **kwargs: Any,
    ) -> None:
        sizes = {name: kwargs.pop(name, None) for name in ("word_vocab_size", "dictionary_size", "triple_prior_size")}
        if vocab is None and sizes["word_vocab_size"] is not None:  # only a saved configuration names sizes
            raise ValueError("tokenizer.json is missing beside tokenizer_config.json: save or download it again.")
        if word_vocab is None:
            word_vocab = read_words(word_vocab_file, sizes["word_vocab_size"], "word_vocab.txt")
        if dictionary is None:
            dictionary = read_words(dictionary_file, sizes["dictionary_size"], "dictionary.txt")
        if triple_prior is None:
            triple_prior = read_prior(triple_prior_file, sizes["triple_prior_size"])
        self._triple_prior = check_prior(triple_prior or ())
        self._word_vocab = None if word_vocab is None else check_word_vocab(word_vocab, SPECIAL_TOKENS[:2])
        self._word_rows = {word: row for row, word in enumerate(self._word_vocab or ())}
        self._segmenter = WordSegmenter(segmenter, check_words(dictionary or (), "dictionary", spaces=False))
        self.match_features = match_features
        saved, uses_words = kwargs.pop("segmentation_fingerprint", None), word_vocab is not None or match_features
        self.segmentation_fingerprint = self._segmenter.check_fingerprint(saved) if uses_words else None

        self._tokenizer = Tokenizer(WordLevel(check_vocab(vocab, SPECIAL_TOKENS), unk_token=UNK))
        self._tokenizer.normalizer = NORMALIZER
        self._tokenizer.pre_tokenizer = CHARACTERS
        self._tokenizer.decoder = decoders.Fuse()
        for name, token in zip(("pad_token", "unk_token", "sep_token", "mask_token"), SPECIAL_TOKENS):
            kwargs.setdefault(name, token)
        for name in ("segmenter", "match_features", "segmentation_fingerprint", *sizes):
            kwargs[name] = getattr(self, name)
        super().__init__(model_max_length=model_max_length, **kwargs)
        self._tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {SEP}", pair=f"$A {SEP} $B:1", special_tokens=[(SEP, SPECIAL_TOKENS.index(SEP))]
        )
        if "model_input_names" not in kwargs:
            columns = {"word_input_ids": word_vocab is not None, "match_features": match_features}
            usual = [name for name in type(self).model_input_names if name not in columns]
            self.model_input_names = usual + [name for name, there in columns.items() if there]

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, *args: Any, **kwargs: Any) -> Self:
        """As everywhere in transformers; a clear ValueError where a file is damaged, cut off or missing."""
        with clear_errors(pretrained_model_name_or_path):
            try:
                tokenizer = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
            except Exception as error:
                if type(error) not in DAMAGED:
                    raise
                raise ValueError(
                    f"The files of the tokenizer {pretrained_model_name_or_path} are damaged ({type(error).__name__}: "
                    f"{error}): save or download them again."
                ) from error
        for name in LEFT_BY_LOADING:
            tokenizer.init_kwargs.pop(name, None)
        return tokenizer

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        min_count: int = 2,
        word_min_count: int = 3,
        max_words: int = 20000,
        segmenter: str | Segmenter = "rjieba",
        dictionary: Sequence[str] = (),
        **kwargs: Any,
    ) -> "DGCNNTokenizer":
        """A tokenizer with the characters and words of a corpus, most frequent first, ties by code point.

        Args:
            texts: read once.
            min_count: how often a character must occur.
            word_min_count: how often a word must occur.
            max_words: words at most, beside `[PAD]` and `[UNK]`.
            segmenter: `"none"` makes a tokenizer of characters only.
            dictionary: words added to the segmenter.
            **kwargs: of the constructor.

        Raises:
            TypeError, ValueError: for texts that are no strings or hold half a surrogate pair, naming the number.
        """
        cutter = WordSegmenter(segmenter, check_words(dictionary, "dictionary", spaces=False))
        cut = None if segmenter == "none" else cutter.cut
        vocab, word_vocab = build_vocabularies(texts, cut, min_count, word_min_count, max_words)
        return cls(**{"vocab": vocab, "word_vocab": word_vocab} | kwargs, segmenter=segmenter, dictionary=dictionary)

    def train_new_from_iterator(
        self,
        text_iterator: Iterable[str | list[str]],
        vocab_size: int,
        length: int | None = None,
        new_special_tokens: list[str] | None = None,
        special_tokens_map: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """A tokenizer with the settings of this one, and the characters and words of another corpus.

        Args:
            text_iterator: texts, or lists of them.
            vocab_size: characters and special tokens at most; words: as many as this one has.
            length, special_tokens_map: not used: nothing shows how far it is, the special tokens are fixed.
            new_special_tokens: tokens added to the four.
            **kwargs: of `from_texts`.
        """
        texts = (text for some in text_iterator for text in ([some] if isinstance(some, str) else some))
        options: dict[str, Any] = {
            "min_count": 1, "segmenter": self._segmenter.function or self.segmenter, "dictionary": self.dictionary,
            "max_words": max(self.word_vocab_size - 2, 0), "match_features": self.match_features,
            "model_max_length": self.model_max_length,
        }  # fmt: skip
        options |= kwargs
        made = type(self).from_texts(texts, **options)
        extra: dict[str, Any] = {"extra_special_tokens": list(new_special_tokens)} if new_special_tokens else {}
        kept = dict(sorted(made.get_vocab().items(), key=lambda item: item[1])[: max(vocab_size, len(SPECIAL_TOKENS))])
        words = made.word_vocab if self._word_vocab is not None else None
        return type(self)(
            vocab=kept, word_vocab=words, segmenter=options["segmenter"], dictionary=options["dictionary"],
            match_features=options["match_features"], model_max_length=options["model_max_length"], **extra,
        )  # fmt: skip

    @property
    def word_vocab(self) -> list[str] | None:
        """Words by id, or None for characters only."""
        return None if self._word_vocab is None else list(self._word_vocab)

    @property
    def word_vocab_size(self) -> int:
        """Rows of the word vocabulary, `[PAD]` and `[UNK]` among them; 0 for characters only."""
        return len(self._word_rows)

    @property
    def segmenter(self) -> str:
        """Name of the segmenter, `"custom"` for a function."""
        return self._segmenter.name

    @property
    def dictionary(self) -> list[str]:
        """Words added to the segmenter."""
        return list(self._segmenter.dictionary)

    @property
    def dictionary_size(self) -> int:
        """Number of words added to the segmenter."""
        return len(self._segmenter.dictionary)

    @property
    def triple_prior(self) -> list[KnownTriple] | None:
        """Memorised triples, or None for none."""
        return list(self._triple_prior) or None

    @property
    def triple_prior_size(self) -> int:
        """Number of memorised triples."""
        return len(self._triple_prior)

    def segment(self, text: str) -> list[tuple[str, int, int]]:
        """The words of a text.

        Returns:
            (word, start, end), half-open character offsets: `text[start:end] == word`. White space is no word.

        Raises:
            TypeError, ValueError: if the text is no string or holds half a surrogate pair.
        """
        check_text(text, "The text")
        return self._segmenter.segment(text)

    def _encode_plus(
        self,
        text: str | list[str],
        text_pair: str | list[str] | None = None,
        passage_groups: Sequence[int] | None = None,
        is_split_into_words: bool = False,
        return_tensors: str | None = None,
        **kwargs: Any,
    ) -> BatchEncoding:
        """What every call goes through, see the class; the library's columns, then those of the words."""
        if is_split_into_words:
            raise ValueError("is_split_into_words=True is not supported: words are cut from the whole text.")
        if text_pair is None and isinstance(text, list | tuple) and text and isinstance(text[0], list | tuple):
            text, text_pair = map(list, zip(*text, strict=True))  # a batch of pairs
        texts, pairs = check_records(text, text_pair)
        groups = None if passage_groups is None else check_groups(passage_groups, len(pairs or ()))
        if kwargs.get("truncation_strategy") == "only_second":
            num_special = self.num_special_tokens_to_add(True) if kwargs.get("add_special_tokens", True) else 0
            check_room(texts, pairs, count_tokens, kwargs["max_length"], kwargs.get("stride", 0), num_special)
        encoded = super()._encode_plus(texts, text_pair=pairs, **kwargs)
        samples = encoded.get("overflow_to_sample_mapping", range(len(texts)))
        windows = list(zip(samples, encoded.encodings))
        if self._word_vocab is not None:
            known, cut = self._word_rows, self._segmenter.cut
            rows = {text: word_rows(cut(text), known) for text in {*texts, *(pairs or ())}}
            sides = [(rows[texts[i]], rows[pairs[i]] if pairs else []) for i in range(len(texts))]
            encoded["word_input_ids"] = [word_column(encoding, sides[sample]) for sample, encoding in windows]
        if self.match_features and pairs is not None:
            encoded["match_features"] = feature_columns(windows, texts, pairs, groups, self.segment)
        if isinstance(text, str) and return_tensors is None and not kwargs.get("return_overflowing_tokens"):
            encoded = BatchEncoding({name: rows[0] for name, rows in encoded.items()}, encoded.encodings)
        return encoded.convert_to_tensors(return_tensors)

    def _pad(self, encoded_inputs: dict[str, Any], *args: Any, padding_side: str | None = None, **kwargs: Any) -> dict:
        """Pads the columns of the words along with the library's."""
        padded = super()._pad(encoded_inputs, *args, padding_side=padding_side, **kwargs)
        length, side = len(padded["input_ids"]), padding_side or self.padding_side
        for name in ("word_input_ids", "match_features"):
            if name in padded:
                padded[name] = pad_column(padded[name], length, side, is_features=name == "match_features")
        return padded

    def _save_pretrained(
        self,
        save_directory: str,
        file_names: tuple[str, ...],
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
    ) -> tuple[str, ...]:
        """Writes the words beside tokenizer.json, which does not keep the truncation and padding of the last call."""
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        written = super()._save_pretrained(save_directory, file_names, legacy_format, filename_prefix)
        lists = (self._word_vocab, self.dictionary, prior_lines(self._triple_prior))
        for key, lines in zip(("word_vocab_file", "dictionary_file", "triple_prior_file"), lists):
            if lines:
                prefix = f"{filename_prefix}-" if filename_prefix else ""
                path = Path(save_directory, prefix + self.vocab_files_names[key])
                write_words(path, lines)
                written += (str(path),)
        return written
