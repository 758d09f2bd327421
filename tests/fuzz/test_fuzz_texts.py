"""Any text through the tokenizer and the pipelines of tiny networks: a right result or a clear error."""

import pytest
import torch
from fuzzing import FUZZ, JSON, TEXTS, check_reason
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import save_extractor, save_reader

from hf_kexue import DGCNNTokenizer
from hf_kexue.inference.saved_models import load_pipeline

pytestmark = pytest.mark.fuzz
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    save_reader(folder)
    return load_pipeline(str(folder), device="cpu")


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("triples")
    save_extractor(folder)
    return load_pipeline(str(folder), device="cpu")


def is_whole(text):
    return not any("\ud800" <= character <= "\udfff" for character in text)


@FUZZ
@given(text=TEXTS)
def test_tokens_point_into_their_text(reader, text):
    tokenizer = reader.tokenizer
    if not is_whole(text):
        with pytest.raises(ValueError, match="surrogate"):
            tokenizer(text)
        return
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    offsets = encoded["offset_mapping"]
    assert len(offsets) == len(encoded["input_ids"]) == len(encoded["word_input_ids"])
    assert all(0 <= start < end <= len(text) for start, end in offsets)
    assert offsets == sorted(offsets)
    assert tokenizer([text, "镭"], add_special_tokens=False)["input_ids"][0] == encoded["input_ids"]
    words = tokenizer.segment(text)
    assert all(text[start:end] == word for word, start, end in words)


@FUZZ
@given(texts=st.lists(TEXTS, min_size=1, max_size=4), count=st.integers(1, 3))
def test_a_vocabulary_of_any_texts(texts, count):
    if not all(map(is_whole, texts)):
        with pytest.raises(ValueError, match="surrogate"):
            DGCNNTokenizer.from_texts(texts, min_count=count, segmenter="none")
        return
    tokenizer = DGCNNTokenizer.from_texts(texts, min_count=count, segmenter="none")
    again = DGCNNTokenizer.from_texts(texts, min_count=count, segmenter="none")
    assert tokenizer.get_vocab() == again.get_vocab()
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert count > 1 or tokenizer.unk_token_id not in ids


@FUZZ
@given(
    question=TEXTS, context=TEXTS, more=st.lists(TEXTS, max_size=2), top_k=st.integers(-1, 4),
    longest=st.integers(-1, 40), impossible=st.booleans(), stride=st.sampled_from([None, -1, 0, 1, 5, 100]),
)  # fmt: skip
def test_answers_are_pieces_of_their_text(reader, question, context, more, top_k, longest, impossible, stride):
    settings = {"top_k": top_k, "max_answer_len": longest, "handle_impossible_answer": impossible}
    settings |= {} if stride is None else {"doc_stride": stride}
    passages = [context, *more]
    try:
        single = reader(question=question, context=context, **settings)
        many = reader(question=question, passages=passages, **settings)
    except ValueError as error:
        check_reason(error)
        return
    assert top_k > 0
    assert longest > 0
    assert is_whole(question + "".join(passages))
    for answers, texts in ((single, None), (many, passages)):
        for answer in answers if isinstance(answers, list) else [answers]:
            assert 0 <= answer["score"] <= 1 + 1e-6 or texts is not None
            if answer["answer"]:
                text = context if texts is None else texts[answer["passage"]]
                assert text[answer["start"] : answer["end"]] == answer["answer"]
            else:
                assert impossible or not context.strip() or texts is not None


@FUZZ
@given(texts=st.lists(TEXTS, min_size=1, max_size=3), occurrences=st.sampled_from(["found", "best", "all"]))
def test_mentions_are_pieces_of_their_text(extractor, texts, occurrences):
    try:
        results = extractor(texts, occurrences=occurrences)
    except ValueError as error:
        check_reason(error)
        assert not all(is_whole(text) and text.strip() for text in texts) or len(texts) == 1
        return
    assert len(results) == len(texts)
    for text, triples in zip(texts, results):
        for triple in triples:
            for mention in (triple["subject"], triple["object"]):
                assert text[mention["start"] : mention["end"]] == mention["text"] != ""
            assert 0 <= triple["score"] <= 1
            assert triple["predicate"] in ("发现", "别名")


@FUZZ
@given(value=JSON, name=st.sampled_from(["question", "context", "passages", "texts"]))
def test_what_is_no_text(reader, extractor, value, name):
    try:
        if name == "texts":
            extractor(value)
        else:
            rest = {"question": "镭是谁发现的？"} if name != "question" else {"context": "居里夫妇发现了镭。"}
            reader(**{name: value}, **rest)
    except (ValueError, TypeError) as error:
        check_reason(error)
