"""Files of word vectors, written here byte by byte from the definition of word2vec's two forms."""

import gzip
import struct

import numpy as np
import pytest

from hf_kexue.data.texts.word_vectors import read_word_vectors, word_matrix, words_in_texts

# All of them exact in float32.
VECTORS = {
    "的": [0.5, -1.25, 3.0],
    "科学": [-0.0078125, 1e3, 2.0**-30],
    "CNN": [0.0, -7.0, 0.125],
    "、": [1.0, 2.0, 3.0],
}


def text_form(vectors=VECTORS, header=None, end="\n"):
    lines = [header] if header else []
    lines += [" ".join([word, *map(repr, numbers)]) for word, numbers in vectors.items()]
    return "".join(line + end for line in lines).encode()


def binary_form(vectors=VECTORS, header=b"4 3\n", end=b"\n"):
    rows = [word.encode() + b" " + struct.pack("<3f", *numbers) + end for word, numbers in vectors.items()]
    return header + b"".join(rows)


FORMS = {
    "text with header": text_form(header="4 3"),
    "text without header": text_form(),
    "text as word2vec.c writes it": text_form(header="4 3", end=" \n"),
    "text of Windows": text_form(header="4 3", end="\r\n"),
    "text without a last line feed": text_form().rstrip(b"\n"),
    "text with an empty last line": text_form(header="4 3") + b"\n",
    "text with tabs in the header": text_form(header="4\t3"),
    "binary": binary_form(),
    "binary without line feeds": binary_form(end=b""),
}


def write(folder, data, name="vectors"):
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.bin.gz"])
@pytest.mark.parametrize("data", FORMS.values(), ids=FORMS)
def test_both_forms(tmp_path, data, name):
    path = write(tmp_path, data, name)
    for source in (path, str(path)):
        words, vectors = read_word_vectors(source)
        assert words == list(VECTORS)
        assert vectors.dtype == np.float32
        np.testing.assert_array_equal(vectors, np.array(list(VECTORS.values())))


@pytest.mark.parametrize("data", [FORMS["text without header"], FORMS["binary"]], ids=["text", "binary"])
def test_some_of_the_words(tmp_path, data):
    path = write(tmp_path, data)
    words, vectors = read_word_vectors(path, words={"CNN", "的", "没有"})
    assert words == ["的", "CNN"]
    np.testing.assert_array_equal(vectors, [VECTORS["的"], VECTORS["CNN"]])
    words, vectors = read_word_vectors(path, words=["没有"])
    assert words == []
    assert vectors.shape == (0, 3)
    assert read_word_vectors(path, limit=2)[0] == ["的", "科学"]
    assert read_word_vectors(path, words=["CNN"], limit=2)[0] == []
    assert read_word_vectors(path, limit=99)[0] == list(VECTORS)


def test_a_vector_that_holds_blanks_and_line_feeds(tmp_path):
    """0x20 and 0x0a are bytes of numbers too: in the binary form only the size tells where a vector ends."""
    bytes_of = [b"\x20\x20\x20\x41", b"\x0a\x0a\x0a\x42", b"\x00\x20\x0a\x3f"]
    data = b"2 3\na " + b"".join(bytes_of) + b"\nb " + b"".join(bytes_of[::-1]) + b"\n"
    words, vectors = read_word_vectors(write(tmp_path, data))
    assert words == ["a", "b"]
    expected = [struct.unpack("<f", number)[0] for number in bytes_of]
    np.testing.assert_array_equal(vectors, [expected, expected[::-1]])


def test_words_that_hold_rare_white_space(tmp_path):
    """Public files of Chinese vectors have the ideographic space among their words; only a plain blank ends a word."""
    strange = {"\u3000": [1.0, 2.0, 3.0], "a\u00a0b": [4.0, 5.0, 6.0]}
    assert read_word_vectors(write(tmp_path, text_form(strange, "2 3")))[0] == list(strange)


def test_of_equal_words_the_first_counts(tmp_path):
    words, vectors = read_word_vectors(write(tmp_path, b"a 1 2\nb 3 4\na 5 6\n"))
    assert words == ["a", "b"]
    np.testing.assert_array_equal(vectors, [[1, 2], [3, 4]])


def test_many_random_vectors_in_both_forms(tmp_path):
    """Past the first 4096 bytes and the buffers too."""
    generator = np.random.default_rng(0)
    expected = generator.normal(size=(500, 20)).astype(np.float32)
    words = [f"词{number}" for number in range(500)]
    text = ["500 20"] + [" ".join([word, *map(repr, row.tolist())]) for word, row in zip(words, expected)]
    binary = b"".join(word.encode() + b" " + row.astype("<f4").tobytes() for word, row in zip(words, expected))
    for data in ("\n".join(text).encode(), b"500 20\n" + binary):
        found, vectors = read_word_vectors(write(tmp_path, data, "vectors.gz"))
        assert found == words
        np.testing.assert_array_equal(vectors, expected)


# ---- for the words of texts


def test_the_matrix_of_a_vocabulary(tmp_path):
    path = write(tmp_path, binary_form())
    matrix = word_matrix(path, ["[PAD]", "[UNK]", "CNN", "没有", "的"])
    zero = [0.0, 0.0, 0.0]
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, [zero, zero, VECTORS["CNN"], zero, VECTORS["的"]])
    with pytest.raises(ValueError, match="1 words"):
        word_matrix(path, ["没有"])


@pytest.mark.parametrize("form", [text_form, binary_form])
def test_words_in_texts(tmp_path, form):
    words = ["空间", "科学", "学空", "CNN", "cnn", "白 云", "\u3000", "山" * 16, "海" * 17, "学"]
    vectors = {word: [1.0, 2.0, 3.0] for word in words if " " not in word}
    data = form(vectors, header="9 3" if form is text_form else b"9 3\n")
    texts = ["科学空间与CNN", "\u3000山山", "山" * 20 + "海" * 20, ""]
    expected = ["空间", "科学", "学空", "CNN", "山" * 16, "学"]
    assert words_in_texts(write(tmp_path, data), texts) == expected
    assert words_in_texts(write(tmp_path, data), texts, limit=2) == expected[:2]
    assert words_in_texts(write(tmp_path, data), (text for text in texts)) == expected


# ---- what goes wrong


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\na 1 2\n", "is empty"),
        (b"a\nb\n", "no vector: 'a'"),
        (b"0 3\n", "no vector: '0 3'"),
        (b"4 0\na\n", "no vector: '4 0'"),
        (b"2 3\na 1 2 3\nb 1 2\n", r"line 3 \('b'\): 2 numbers, .* 3"),
        (b"a 1 2 3\nb 1 2 3 4\n", r"line 2 \('b'\): 4 numbers, .* 3"),
        (b"a 1 2 3\nx y 1 2 3\n", r"line 2 \('x'\): 4 numbers, .* 3"),
        (b"a 1 2 3\n 1 2 3\n", "line 2: .*no word"),
        (b"a 1 2 3\nb 1 two 3\n", r"line 2 \('b'\): .*'two'"),
        (b"a 1 2 3\nb 1 nan 3\n", r"line 2 \('b'\): number 2 .*nan"),
        (b"a 1 2 3\nb 1 2 1e39\n", r"line 2 \('b'\): number 3 .*inf"),
        (b"a 1 2 3\n\xd6\xd0 1 2 3\n", r"line 2: .*b'\\xd6\\xd0'"),
        (text_form(header="5 3"), "5 words, .* 4"),
        (text_form(header="3 3"), "3 words, .* 4"),
        (binary_form()[:-1 - 4], "word 4 of 4: "),
        (binary_form()[:4 + 16 + 5], "word 2 of 4: "),
        (binary_form(header=b"5 3\n"), "word 5 of 5: "),
        (binary_form(header=b"3 3\n"), "3 words"),
        (binary_form(header=b"4\n"), "header"),
        (b"\x80\x04\x95\x1c\x00\x00 pickled", "header"),
        (b"1 1\n\xd6\xd0 \x00\x00\x80\x3f", r"word 1: .*b'\\xd6\\xd0'"),
        (b"1 1\na \x00\x00\x80\x7f", r"word 1 \('a'\): number 1 .*inf"),
        (b"1 1\n \x00\x00\x80\x3f", "word 1: .*no word"),
    ],
)  # fmt: skip
def test_bad_data_raise_and_name_the_place(tmp_path, data, message):
    with pytest.raises(ValueError, match=f"^vectors.*{message}"):
        read_word_vectors(write(tmp_path, data))


def test_faults_in_other_words_do_not_matter(tmp_path):
    """Files cut by bytes hold broken words; but a vector of another size is a broken file whoever asks."""
    path = write(tmp_path, b"a 1 2\n\xd6\xd0 3 4\nb 5 nan\nc 7 8\n")
    assert read_word_vectors(path, words=["c"])[0] == ["c"]
    path = write(tmp_path, b"a 1 2\nb 3 4 5\nc 7 8\n")
    with pytest.raises(ValueError, match=r"line 2 \('b'\): 3 numbers"):
        read_word_vectors(path, words=["c"])


def test_no_file_no_limit_and_half_a_gzip(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_word_vectors(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"limit .*0"):
        read_word_vectors(write(tmp_path, text_form()), limit=0)
    path = write(tmp_path, np.random.default_rng(0).bytes(9999), "vectors.gz")
    for data in (path.read_bytes()[:5000], b"a 1 2\n"):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"vectors\.gz"):
            read_word_vectors(path)
