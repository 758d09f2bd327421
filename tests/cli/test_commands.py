"""`hf-kexue` in a terminal: help, pictures, checks of data, and user errors with one line and exit code 2."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import RADIUM, save_extractor, save_gan, save_pipeline, save_reader
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast
from typer.testing import CliRunner

import hf_kexue
from hf_kexue.cli.files import read_lines
from hf_kexue.cli.main import app, check_data, main
from hf_kexue.dgcnn import (
    DGCNNForQuestionAnswering,
    DGCNNForTripleExtraction,
    DGCNNTokenizer,
    ReadingComprehensionPipeline,
    TripleExtractionPipeline,
)
from hf_kexue.dgcnn.constraints_dgcnn import CONSTRAINTS
from hf_kexue.inference.extraction import TEXTS_AT_ONCE, extract_each
from hf_kexue.inference.saved_models import load_pipeline
from hf_kexue.rsgan import RSGANPipeline

COMMANDS = sorted(command.callback.__name__.replace("_", "-") for command in app.registered_commands)
CHECKS = sorted(command.callback.__name__ for command in check_data.registered_commands)


@pytest.fixture(scope="module")
def clothes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clothes")
    save_pipeline(folder, ["Dress", "T-Shirt", "Hat"])
    return folder


@pytest.fixture(scope="module")
def gan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gan")
    save_gan(folder, ["Dress", "T-Shirt", "Hat"])
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    save_pipeline(folder)
    return folder


def invoke(*argv):
    return CliRunner().invoke(app, [str(argument) for argument in argv])


def test_help_names_every_command():
    result = invoke("--help")
    assert result.exit_code == 0
    assert COMMANDS
    for command in COMMANDS:
        assert command in result.output


def test_version():
    """Of the command, of `python -m` and of the installed distribution: one number, the package's own."""
    module = subprocess.run(
        [sys.executable, "-m", "hf_kexue", "--version"], capture_output=True, text=True, check=True
    )
    assert module.stdout == invoke("--version").stdout == f"hf-kexue {hf_kexue.__version__}\n"
    helped = subprocess.run([sys.executable, "-m", "hf_kexue", "--help"], capture_output=True, text=True, check=True)
    assert all(command in helped.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command):
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_generate_draws_a_row_for_each_class(clothes, tmp_path):
    output = tmp_path / "new folder" / "all.png"
    result = invoke("generate", clothes, "-o", output, "--steps", 2, "--per-class", 2)
    assert result.exit_code == 0, result.output
    assert "6 images" in result.output
    assert "rows: Dress, T-Shirt, Hat" in result.output
    assert Image.open(output).size == (2 * 16, 3 * 16)


def test_generate_some_classes(clothes, tmp_path):
    output = tmp_path / "some.png"
    result = invoke(
        "generate", clothes, "-o", output, "--steps", 2, "--per-class", 3, "--classes", "hat, Dress", "--size", 32
    )
    assert result.exit_code == 0, result.output
    assert Image.open(output).size == (3 * 32, 2 * 32)


def test_generate_without_classes(plain, tmp_path):
    output = tmp_path / "plain.png"
    result = invoke("generate", plain, "-o", output, "--steps", 2, "--per-class", 3)
    assert result.exit_code == 0, result.output
    assert Image.open(output).size == (3 * 16, 16)


@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "dpm"])
def test_the_seed_decides(clothes, tmp_path, sampler):
    def pixels(seed):
        output = tmp_path / "picture.png"
        result = invoke(
            "generate", clothes, "-o", output, "--steps", 3, "--per-class", 1, "--sampler", sampler, "--seed", seed
        )
        assert result.exit_code == 0, result.output
        return Image.open(output).tobytes()

    first = pixels(0)
    assert first == pixels(0)
    assert first != pixels(1)


def test_generate_with_a_gan(gan, tmp_path):
    output = tmp_path / "gan.png"
    pipeline = RSGANPipeline.from_pretrained(gan)
    result = invoke("generate", gan, "-o", output, "--classes", "hat,Dress", "--per-class", 3, "--truncation", 0.5)
    assert result.exit_code == 0, result.output
    expected = pipeline.grid(2, 3, ["Hat", "Dress"], truncation=0.5, generator=torch.Generator().manual_seed(0))
    assert Image.open(output).tobytes() == expected.tobytes()


def test_generate_an_interpolation(gan, tmp_path):
    output = tmp_path / "way.png"
    result = invoke("generate", gan, "-o", output, "--per-class", 4, "--seed", 3, "--to-seed", 5)
    assert result.exit_code == 0, result.output
    sheet = Image.open(output)
    assert sheet.size == (4 * 32, 3 * 32)
    pipeline = RSGANPipeline.from_pretrained(gan)
    for column, seed in ((0, 3), (3, 5)):
        latents = torch.randn(1, 16, generator=torch.Generator().manual_seed(seed))
        for row, name in enumerate(pipeline.class_names):
            (end,) = pipeline(class_labels=[name], latents=latents).images
            shown = sheet.crop((32 * column, 32 * row, 32 * column + 32, 32 * row + 32))
            # a batch and a single image may differ by rounding
            assert np.abs(np.asarray(shown, dtype=int) - np.asarray(end, dtype=int)).max() <= 1


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    save_reader(folder)
    return folder


WHO = ("--question", "谁发现了镭？")


def library(folder):
    return ReadingComprehensionPipeline(
        model=DGCNNForQuestionAnswering.from_pretrained(folder), tokenizer=DGCNNTokenizer.from_pretrained(folder)
    )


def test_ask_for_people(reader):
    result = invoke("ask", reader, *WHO, "--context", RADIUM, "--top-k", 2)
    assert result.exit_code == 0, result.output
    expected = library(reader)(question=WHO[1], context=RADIUM, top_k=2)
    assert result.stdout.splitlines() == [
        f"{a['score']:.4f}  {' '.join(a['answer'].split())}  characters {a['start']} to {a['end']}" for a in expected
    ]


def test_ask_a_file_counts_its_characters(reader, tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(RADIUM.encode())
    result = invoke("ask", reader, *WHO, "--file", path, "--top-k", 3, "--json")
    assert result.exit_code == 0, result.output
    expected = library(reader)(question=WHO[1], context=RADIUM, top_k=3)
    assert json.loads(result.stdout) == expected


@pytest.mark.parametrize("name", ["passages.jsonl", "passages.txt"])
def test_ask_passages(reader, tmp_path, name):
    texts = ["镭由居里夫人发现。", "今天天气不错。", "居里夫妇发现了镭。"]
    records = [texts[0], {"passage": texts[1]}, {"id": 3, "text": texts[2]}]
    lines = [json.dumps(r, ensure_ascii=False) for r in records] if name.endswith("l") else texts
    path = tmp_path / name
    path.write_bytes("\r\n\n".join(lines).encode())
    expected = library(reader)(question=WHO[1], passages=texts, top_k=9, handle_impossible_answer=True)
    lines_of = {0: 1, 1: 3, 2: 5, None: None}
    result = invoke("ask", reader, *WHO, "--passages", path, "--top-k", 9, "--impossible", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == [{**answer, "line": lines_of[answer["passage"]]} for answer in expected]
    assert {answer["passage"] for answer in expected} > {None}
    shown = invoke("ask", reader, *WHO, "--passages", path, "--top-k", 9, "--impossible").stdout.splitlines()
    for line, answer in zip(shown, expected, strict=True):
        place = f"  line {lines_of[answer['passage']]}, characters {answer['start']} to {answer['end']}"
        text = answer["answer"]
        assert line == f"{answer['score']:.4f}  {text}{place}" if text else line.endswith("  (no answer)")


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("triples")
    save_extractor(folder)
    return folder


def extraction(folder, *args, **kwargs):
    extract = TripleExtractionPipeline(
        model=DGCNNForTripleExtraction.from_pretrained(folder), tokenizer=DGCNNTokenizer.from_pretrained(folder)
    )
    return extract(*args, **kwargs)


def shown_lines(found, place=""):
    return [
        f"{t['score']:.4f}  {' '.join(t['subject']['text'].split())}  {t['predicate']}  "
        f"{' '.join(t['object']['text'].split())}  {place}characters "
        f"{t['subject']['start']} to {t['subject']['end']}, {t['object']['start']} to {t['object']['end']}"
        for t in found
    ]


def test_extract_for_people(extractor):
    result = invoke("extract", "--model", extractor, RADIUM)
    assert result.exit_code == 0, result.output
    found = extraction(extractor, RADIUM)
    assert found
    assert result.stdout.splitlines() == shown_lines(found)
    few = invoke("extract", "--model", extractor, RADIUM * 2, "--occurrences", "best")
    best = extraction(extractor, RADIUM * 2, occurrences="best")
    assert few.stdout.splitlines() == shown_lines(best)
    assert len(best) < len(extraction(extractor, RADIUM * 2))
    chosen = [triple for triple in found if triple["predicate"] == "发现"]
    some = invoke("extract", "--model", extractor, RADIUM, "--predicate", "发现")
    assert some.stdout.splitlines() == (shown_lines(chosen) or ["no triples"])


@pytest.mark.parametrize(
    ("names", "same"),
    [(["all"], True), (["none"], False), (["edges"], ["edges"]), (["inverse", "lists"], ["lists", "inverse"])],
)
def test_extract_with_constraints_by_name(extractor, names, same, tmp_path):
    """As the argument of the pipeline, for a text, lines and a corpus alike."""
    path = tmp_path / "lines.txt"
    text = " ".join(RADIUM.split())
    path.write_text(f"{text}\n", encoding="utf-8")
    options = [word for name in names for word in ("--constraints", name)]
    found = extraction(extractor, text, constraints=same)
    shown = invoke("extract", "--model", extractor, text, *options).stdout.splitlines()
    assert shown == (shown_lines(found) or ["no triples"])
    lines = invoke("extract", "--model", extractor, "--input", path, "--lines", *options, "--output", "json")
    assert json.loads(lines.stdout)["triples"] == found
    corpus = tmp_path / "corpus"
    written = invoke("extract", "--model", extractor, "--input", path, "--to", corpus, *options)
    assert written.exit_code == 0, written.output
    lines = [line for part in corpus.glob("*.jsonl") for line in part.read_text("utf-8").splitlines()]
    assert [json.loads(line)["triples"] for line in lines] == [found]


@pytest.mark.parametrize("command", ["extract", "evaluate"])
def test_the_help_names_the_constraints(command):
    words = " ".join(invoke(command, "--help").stdout.replace("│", " ").split())
    after = words.partition("--constraints <")[2].partition("default all")[0]
    assert [word for word in re.findall(r"\w+", after) if word in CONSTRAINTS] == list(CONSTRAINTS)


def test_extract_from_a_file_counts_its_characters(extractor, tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes((RADIUM * 2).encode())
    result = invoke("extract", "--model", extractor, "--input", path, "--output", "json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == extraction(extractor, RADIUM * 2)


@pytest.mark.parametrize("name", ["texts.jsonl", "texts.txt"])
def test_extract_from_lines(extractor, tmp_path, name):
    texts = ["居里夫妇发现了镭。", "镭"]
    records = [texts[0], {"id": 3, "text": texts[1]}]
    lines = [json.dumps(r, ensure_ascii=False) for r in records] if name.endswith("l") else texts
    path = tmp_path / name
    path.write_bytes("\r\n\n".join(lines).encode())
    options = ("--input", path, *(["--lines"] if name.endswith("t") else []))
    expected = extraction(extractor, texts)
    result = invoke("extract", "--model", extractor, *options, "--output", "json")
    assert result.exit_code == 0, result.output
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"line": number, "text": text, "triples": found} for number, text, found in zip((1, 3), texts, expected)
    ]
    shown = invoke("extract", "--model", extractor, *options).stdout.splitlines()
    of_each = [shown_lines(found, f"line {n}, ") or [f"line {n}, no triples"] for n, found in zip((1, 3), expected)]
    assert shown == [line for lines in of_each for line in lines]
    page = invoke("extract", "--model", extractor, *options, "--output", "html").stdout
    assert page == TripleExtractionPipeline.to_html(texts, expected)


ZERO_WIDTH = "\u200b\u2060"


def test_lines_without_a_visible_character(reader, extractor, tmp_path):
    """They give no triples, and are no passages; the numbers of the other lines stay."""
    path = tmp_path / "texts.txt"
    path.write_text(f"镭\n{ZERO_WIDTH}\n居里夫妇发现了镭。\n", encoding="utf-8")
    result = invoke("extract", "--model", extractor, "--input", path, "--lines", "--output", "json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["line"], row["text"]) for row in rows] == [(1, "镭"), (2, ZERO_WIDTH), (3, "居里夫妇发现了镭。")]
    first, last = extraction(extractor, ["镭", "居里夫妇发现了镭。"])
    assert [row["triples"] for row in rows] == [first, [], last]
    answers = json.loads(invoke("ask", reader, *WHO, "--passages", path, "--top-k", 9, "--json").stdout)
    expected = library(reader)(question=WHO[1], passages=["镭", "居里夫妇发现了镭。"], top_k=9)
    assert answers == [{**answer, "line": (1, 3)[answer["passage"]]} for answer in expected]


def test_lines_are_read_as_they_are_needed(extractor, tmp_path):
    """The first triples come before the last line is read, and what is held are the texts of a batch."""
    path = tmp_path / "texts.txt"
    path.write_text("居里夫妇发现了镭。\n" * (3 * TEXTS_AT_ONCE), encoding="utf-8")
    taken = []

    def lines():
        for number, text in read_lines(path, ("text",)):
            taken.append(number)
            yield number, text

    pipeline = load_pipeline(str(extractor))
    found = extract_each(pipeline, lines())
    numbers = []
    for number, *_ in found:
        numbers.append(number)
        assert len(taken) - number <= TEXTS_AT_ONCE
    assert numbers == list(range(1, 3 * TEXTS_AT_ONCE + 1))


@pytest.fixture(scope="module")
def passages(tmp_path_factory):
    """Files that hold no passages, each for another reason."""
    folder = tmp_path_factory.mktemp("passages")
    contents = {"broken.jsonl": '"镭"\n{"passage": ', "nameless.jsonl": '{"content": "镭"}', "blank.txt": "\n \n"}
    for name, content in contents.items():
        (folder / name).write_text(content, encoding="utf-8")
    return {name.partition(".")[0]: folder / name for name in contents}


ANSWERABLE = {
    "id": "q1",
    "question": "谁？",
    "context": "纣王，即帝辛。",
    "answers": [{"text": "帝辛", "answer_start": 4}],
}


def write_questions(path, *records):
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    return write_questions(tmp_path_factory.mktemp("questions") / "train.jsonl", ANSWERABLE)


@pytest.mark.parametrize("command", CHECKS)
def test_help_of_each_check(command):
    assert command in invoke("check-data", "--help").output
    assert "Exit code 0" in invoke("check-data", command, "--help").output


def test_check_of_questions(questions):
    for source in (questions, questions.parent):
        result = invoke("check-data", "qa", source)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("1 questions, 1 passages, 1 answers; windows of 512 characters, stride 128\n")
        assert result.stdout.endswith("\nUsable.\n")
        assert result.stderr == ""


def test_check_of_questions_with_a_tokenizer(questions, tmp_path):
    """Whitespace makes the whole passage one token: with question and two special tokens there is room for it."""
    backend = Tokenizer(models.WordLevel({"[UNK]": 0, "[SEP]": 1}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single="$A [SEP]", pair="$A [SEP] $B [SEP]", special_tokens=[("[SEP]", 1)]
    )
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(tmp_path)
    small = ("--max-length", 4, "--stride", 1)
    assert invoke("check-data", "qa", questions, *small).exit_code == 1
    result = invoke("check-data", "qa", questions, *small, "--tokenizer", tmp_path)
    assert result.exit_code == 0, result.output
    assert "windows of 4 tokens, stride 1" in result.stdout


def test_check_of_broken_questions_for_programs(tmp_path):
    path = write_questions(tmp_path / "a.jsonl", ANSWERABLE, *[{**ANSWERABLE, "context": 3}] * 22)
    result = invoke("check-data", "qa", path, "--json", "--max-answer-len", 1.5)
    assert result.exit_code == 1
    facts = json.loads(result.stdout)
    assert facts["usable"] is False
    assert facts["findings"]["broken_records"]["count"] == 22
    assert facts["findings"]["long_answers"] == {"count": 1, "of": 1, "examples": ["q1"]}
    sentences = result.stderr.splitlines()
    assert sentences[0] == "a.jsonl, line 2: context is 3, not a string."
    assert len(sentences) == 21
    assert sentences[-1] == "... and 2 more."


def test_check_of_a_split(tmp_path):
    write_questions(tmp_path / "train.jsonl", ANSWERABLE)
    write_questions(tmp_path / "trial.jsonl", ANSWERABLE, {**ANSWERABLE, "question": ""})
    assert invoke("check-data", "qa", tmp_path).exit_code == 0
    result = invoke("check-data", "qa", tmp_path, "--split", "trial")
    assert result.exit_code == 1
    assert "Not usable: 1 empty questions." in result.stdout


def write_triples(path, *changes):
    """Sentences with one triple each, some of them changed."""
    records = []
    for number, change in enumerate(changes):
        triple = {"subject": f"书{number}", "predicate": "作者", "object": "张三"}
        records.append({"text": f"《书{number}》是张三写的", "spo_list": [triple], **change})
    return write_questions(path, *records)


def test_check_of_triples(tmp_path):
    for source in (write_triples(tmp_path / "train.jsonl", *[{}] * 5), tmp_path):
        result = invoke("check-data", "triples", source)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("5 texts, 5 triples, 1 predicates; pieces of 256 characters\n")
        assert result.stdout.endswith("\nUsable.\n")
        assert result.stderr == ""


def test_check_of_triples_with_a_tokenizer(tmp_path):
    """Whitespace makes the whole text one token, so no mention is whole tokens."""
    backend = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(tmp_path / "words")
    result = invoke(
        "check-data", "triples", write_triples(tmp_path / "a.jsonl", {}), "--tokenizer", tmp_path / "words"
    )
    assert result.exit_code == 1
    assert "1 of 1 triples cannot be learned" in result.stdout


def test_check_of_broken_triples_for_programs(tmp_path):
    path = write_triples(tmp_path / "a.jsonl", {}, *[{"text": 3}] * 22)
    (tmp_path / "schema.json").write_text(json.dumps(["作者们", "歌手"]))
    result = invoke("check-data", "triples", path, "--json", "--schema", tmp_path / "schema.json", "--max-length", 4)
    assert result.exit_code == 1
    facts = json.loads(result.stdout)
    assert facts["usable"] is False
    assert facts["problems"][1:] == ["no triple has a predicate of the schema", "1 of 1 triples cannot be learned"]
    assert facts["findings"]["broken_records"]["count"] == 22
    assert facts["findings"]["cut_triples"]["count"] == 1
    assert "overfit" not in facts
    messages = result.stderr.splitlines()
    assert "'作者'" in messages[0]
    assert "a.jsonl, line 1" in messages[0]
    assert messages[1].startswith("a.jsonl, line 2: text is 3")
    assert len(messages) == 22
    assert messages[-1] == "... and 2 more."


def test_check_of_triples_that_learns_them_by_heart(tmp_path):
    result = invoke("check-data", "triples", write_triples(tmp_path / "a.jsonl", {}, {}), "--overfit")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("\nUsable.\nOverfit: F1 1.000; these sentences can be learned.\n")
    assert json.loads(invoke("check-data", "triples", tmp_path / "a.jsonl", "--overfit", "--json").stdout)[
        "overfit"
    ] == {"f1": 1.0}
    hidden = {"text": "书0由张三李四写成", "spo_list": [
        {"subject": "书0", "predicate": "作者", "object": name} for name in ("张三", "张三李四")
    ]}  # fmt: skip
    result = invoke("check-data", "triples", write_triples(tmp_path / "b.jsonl", hidden), "--overfit")
    assert result.exit_code == 1
    assert "\nUsable.\nOverfit: F1 0.667" in result.stdout


@pytest.fixture(scope="module")
def cut(clothes, tmp_path_factory):
    """The pipeline with weights of half their length."""
    folder = tmp_path_factory.mktemp("cut")
    shutil.copytree(clothes, folder, dirs_exist_ok=True)
    (weights,) = (folder / "unet").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    return folder


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["generate", "{empty}"], "no model_index.json"),
        (["info", "{empty}"], "no model_index.json or config.json"),
        (["info", "{empty}/nowhere"], "no model_index.json or config.json"),
        (["generate", "{reader}"], "holds DGCNNForQuestionAnswering"),
        (["generate", "{gan}", "--steps", "4"], "--steps is not for a pipeline of a GAN"),
        (["generate", "{clothes}", "--truncation", "1"], "--guidance-scale, --steps, --sampler, --size."),
        (["generate", "{gan}", "--truncation", "2"], "truncation must be above 0 and at most 1, got 2.0"),
        (["generate", "{gan}", "--to-seed", "1", "--truncation", "2"], "at most 1, got 2.0"),
        (["generate", "{gan}", "--to-seed", "1", "--per-class", "1"], "at least 2 steps, got"),
        (["generate", "{clothes}", "--classes", "Dress,Sock"], "'Sock'"),
        (["generate", "{clothes}", "--sampler", "euler"], "'euler'"),
        (["generate", "{clothes}", "--size", "17"], "17"),
        (["generate", "{plain}", "--classes", "Dress"], "classes"),
        (["generate", "{clothes}", "--steps", "0"], "--steps"),
        (["generate", "{clothes}", "--size", "0"], "--size"),
        (["generate", "{clothes}", "--seed", "9223372036854775808"], "--seed"),
        (["generate", "{clothes}", "-o", "a.xyz"], "--output a.xyz"),
        (["generate", "{clothes}", "-o", "{clothes}"], "--output"),
        (["generate", "{clothes}", "--device", "tpu"], "'tpu'"),
        (["generate", "{gan}", "--device", "cuda:99"], "'cuda:99'"),
        (["generate", "{clothes}", "--dtype", "int8"], "--dtype"),
        (["generate", "{cut}"], "Error: "),
        (["generate"], "Missing argument"),
        (["paint"], "No such command"),
        (["ask", "{empty}", *WHO, "--context", "镭"], "no config.json"),
        (["ask", "{clothes}/unet", *WHO, "--context", "镭"], "UViT2DModel, not a reader"),
        (["ask", "{reader}", "--context", "镭"], "--question"),
        (["ask", "{reader}", *WHO], "--context, --file and --passages"),
        (["ask", "{reader}", *WHO, "--context", "镭", "--file", "a.txt"], "--context, --file and --passages"),
        (["ask", "{reader}", *WHO, "--file", "nowhere.txt"], "nowhere.txt"),
        (["ask", "{reader}", *WHO, "--file", "{reader}/model.safetensors"], "model.safetensors"),
        (["ask", "{reader}", *WHO, "--passages", "{broken}"], "broken.jsonl, line 2: "),
        (["ask", "{reader}", *WHO, "--passages", "{nameless}"], "nameless.jsonl, line 1: "),
        (["ask", "{reader}", *WHO, "--passages", "{blank}"], "blank.txt"),
        (["ask", "{reader}", *WHO, "--context", "镭", "--device", "cuda:99"], "'cuda:99'"),
        (["ask", "{reader}", *WHO, "--context", " "], "context"),
        (["ask", "{reader}", *WHO, "--context", "镭", "--top-k", "0"], "--top-k"),
        (["extract", "镭"], "Missing option '--model'"),
        (["extract", "--model", "{reader}", "镭"], "not a model for triples"),
        (["extract", "--model", "{empty}", "镭"], "no config.json"),
        (["extract", "--model", "{extractor}"], "--input"),
        (["extract", "--model", "{extractor}", "镭", "--constraints", "edge"], "got 'edge'"),
        (["extract", "--model", "{extractor}", "镭", "--constraints", "all", "--constraints", "edges"], "got 'all'"),
        (["extract", "--model", "{extractor}", "镭", "--input", "a.txt"], "--input"),
        (["extract", "--model", "{extractor}", "镭", "--lines"], "--lines"),
        (["extract", "--model", "{extractor}", "镭", "--output", "xml"], "'xml'"),
        (["extract", "--model", "{extractor}", " "], "empty"),
        (["extract", "--model", "{extractor}", "--input", "{blank}", "--lines"], "blank.txt"),
        (["extract", "--model", "{extractor}", "--input", "{nameless}"], "nameless.jsonl, line 1: "),
        (["extract", "--model", "{extractor}", "镭", "--predicate", "别号"], "'别号'"),
        (["check-data", "qa", "{empty}/a.jsonl"], "a.jsonl"),
        (["check-data", "qa", "{clothes}/model_index.csv"], "model_index.csv"),
        (["check-data", "qa", "{questions}", "--tokenizer", "{empty}"], "no tokenizer.json"),
        (["check-data", "qa", "{questions}", "--stride", "512"], "stride 512, max_length 512"),
        (["check-data", "qa"], "Missing argument"),
        (["check-data", "triples", "{empty}/a.jsonl"], "a.jsonl"),
        (["check-data", "triples", "{questions}", "--schema", "{empty}/s.json"], "s.json"),
        (["check-data", "triples", "{questions}", "--tokenizer", "{empty}"], "no tokenizer.json"),
        (["check-data", "triples", "{questions}", "--max-length", "0"], "max_length must be at least 1, got 0"),
        (["check-data", "pictures"], "No such command"),
    ],
    ids=[
        "generate: empty folder", "info: empty folder", "info: no folder", "generate: a reader", "steps of a GAN",
        "truncation of no GAN", "truncation too large", "truncation of an interpolation", "interpolation of one step",
        "unknown class", "unknown sampler",
        "impossible size", "classes of a model without", "no steps", "no size", "seed too large",
        "no form of pictures", "output is a folder", "unknown device", "device that is not there", "unknown dtype",
        "weights cut off", "no folder given", "unknown command",
        "ask: empty folder", "ask: another model", "ask: no question", "ask: no text", "ask: two texts",
        "ask: no file", "ask: no text file", "ask: broken JSON", "ask: no passage in a line", "ask: no passages",
        "ask: no such device", "ask: blank", "ask: no answers",
        "extract: no model", "extract: another model", "extract: empty folder", "extract: no text",
        "extract: unknown constraint", "extract: all constraints and one",
        "extract: two texts", "extract: lines of no file", "extract: unknown form", "extract: blank",
        "extract: no lines", "extract: no text in a line", "extract: unknown predicate",
        "check-data: no file", "check-data: no folder", "check-data: no tokenizer", "check-data: no windows",
        "check-data: nothing given", "check-data: no triples", "check-data: no schema",
        "check-data: no tokenizer for triples", "check-data: no pieces", "check-data: unknown kind",
    ],
)  # fmt: skip
def test_user_errors_exit_with_one_line(
    argv,
    expected,
    clothes,
    plain,
    gan,
    questions,
    reader,
    extractor,
    passages,
    tmp_path,
    tmp_path_factory,
    monkeypatch,
    capsys,
):
    places = {"empty": tmp_path, "clothes": clothes, "plain": plain, "questions": questions, "reader": reader}
    places |= {"extractor": extractor, "gan": gan, "cut": cut}
    places |= passages
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["hf-kexue", *(argument.format(**places) for argument in argv)])
    monkeypatch.setenv("COLUMNS", "400")  # no line breaks in the boxes of the help
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert expected in message
    assert "Traceback" not in message
    assert not message.startswith("Error: ") or message.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
