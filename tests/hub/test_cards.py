"""Model cards: figures go in from results, and a card in the checkout is what its figures say."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("yaml", reason="the extra hf-kexue[train] is not installed")

import yaml
from huggingface_hub import ModelCard

from hf_kexue.hub.cards import card_metadata, render_card, write_cards
from hf_kexue.hub.repository import build_repository

ROOT = Path(__file__).resolve().parents[2]
CARDS = ROOT / "model_cards"
in_checkout = pytest.mark.skipif(
    not CARDS.is_dir(), reason="model_cards/ is part of the repository, not of the package"
)

TEMPLATE = """# {{ text.title }}

{{ text.summary }}

{% for row in results.evaluation %}
| {{ row.metric }} | {{ row.value }} |
{% endfor %}
"""
TEXT = {
    "title": "A tiny model",
    "metadata": {
        "license": "apache-2.0",
        "library_name": "diffusers",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["diffusers", "kexue"],
    },
    "summary": 'It has {{ "{:,}".format(results.parameters) }} parameters.',
}
RESULTS = {
    "parameters": 6_200_000,
    "evaluation": [
        {"metric": "KID-EffLite0", "value": 0.0625, "dataset": "clothing-64"},
        {"metric": "loss", "value": 0.5, "dataset": "clothing-64"},
    ],
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "_template.md").write_text(TEMPLATE)
    write(tmp_path)
    return tmp_path


def write(folder, text=TEXT, results=RESULTS):
    (folder / "texts" / "tiny.yaml").write_text(yaml.safe_dump(text, allow_unicode=True))
    (folder / "results" / "tiny.json").write_text(json.dumps(results))


def without(mapping, *path):
    """A deep copy of the mapping that lacks one entry."""
    copy = json.loads(json.dumps(mapping))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return copy


def test_figures_are_in_the_card(folder):
    card = render_card(folder, "tiny")
    assert "# A tiny model\n\nIt has 6,200,000 parameters.\n" in card
    assert "| KID-EffLite0 | 0.0625 |\n| loss | 0.5 |\n" in card
    assert "{{" not in card
    assert card.endswith("|\n")


def test_the_head_is_metadata_of_the_hub(folder):
    data = ModelCard(render_card(folder, "tiny")).data
    assert (data.license, data.library_name, data.tags) == ("apache-2.0", "diffusers", ["diffusers", "kexue"])
    assert (data.model_name, data.metrics) == ("A tiny model", ["kid-efflite0", "loss"])
    found = {(r.metric_type, r.metric_name, r.metric_value, r.dataset_name) for r in data.eval_results}
    assert found == {("kid-efflite0", "KID-EffLite0", 0.0625, "clothing-64"), ("loss", "loss", 0.5, "clothing-64")}
    assert {r.task_type for r in data.eval_results} == {"unconditional-image-generation"}
    head = card_metadata(TEXT["title"], TEXT["metadata"], RESULTS["evaluation"])
    assert head.to_dict() == data.to_dict()


def test_a_metric_of_two_words_and_a_split(folder):
    row = {"metric": "Exact match", "value": 47.5, "dataset": "cmrc2018", "split": "validation"}
    write(folder, results=RESULTS | {"evaluation": [row]})
    (found,) = ModelCard(render_card(folder, "tiny")).data.eval_results
    assert (found.metric_type, found.metric_name) == ("exact_match", "Exact match")
    assert (found.dataset_type, found.dataset_name, found.dataset_split) == ("cmrc2018", "cmrc2018", "validation")


def test_text_of_any_script(folder):
    write(folder, TEXT | {"title": "苏剑林 – 生成扩散模型漫谈"})
    assert ModelCard(render_card(folder, "tiny")).data.model_name == "苏剑林 – 生成扩散模型漫谈"


@pytest.mark.parametrize(
    ("text", "results", "missing"),
    [
        (TEXT, without(RESULTS, "parameters"), "parameters"),
        (TEXT, without(RESULTS, "evaluation"), "evaluation"),
        (TEXT, without(RESULTS, "evaluation", 0, "value"), "value"),
        (TEXT, without(RESULTS, "evaluation", 0, "dataset"), "dataset"),
        (without(TEXT, "title"), RESULTS, "title"),
        (without(TEXT, "metadata"), RESULTS, "metadata"),
        (TEXT | {"summary": "{{ results.hours }} hours"}, RESULTS, "hours"),
    ],
    ids=["formatted figure", "all figures", "value", "only in the head", "title", "head", "figure in the summary"],
)
def test_a_missing_figure_raises(folder, text, results, missing):
    write(folder, text, results)
    with pytest.raises(ValueError, match=missing):
        render_card(folder, "tiny")


@pytest.mark.parametrize("file", ["_template.md", "texts/tiny.yaml", "results/tiny.json"])
def test_a_missing_file_raises(folder, file):
    (folder / file).unlink()
    with pytest.raises(ValueError, match=re.escape(file)):
        render_card(folder, "tiny")


def test_every_model_with_results_gets_its_card(folder):
    shutil.copy(folder / "texts" / "tiny.yaml", folder / "texts" / "planned.yaml")
    assert write_cards(folder) == [folder / "tiny" / "README.md"]
    assert (folder / "tiny" / "README.md").read_text() == render_card(folder, "tiny")
    assert not (folder / "planned").exists()


# ---- the template of the checkout

READER_TEXT = TEXT | {
    "snippet": "print(1)\n",
    "measure": "Of {{ results.validation.questions }} questions.",
    "limits": "Many.",
    "licence": "Any.",
}
CHINESE = {
    "summary": "共 {{ results.parameters }} 个参数。",
    "measure": "共 {{ results.validation.questions }} 题。",
    "limits": "很多。",
    "licence": "不限。",
}
READER_RESULTS = RESULTS | {
    "training": [{"what": "seed", "value": 7}],
    "counted": "questions",
    "stages": [
        {"what": "made up", "command": "train --first", "questions_seen": 57600, "minutes": 24},
        {"what": "real", "command": "train --second", "questions_seen": 1234, "minutes": 3},
    ],
    "validation": {"questions": 3219},
    "tables": [
        {"columns": ["CMRC 2018", "EM", "F1"], "rows": [["this model", 47.5, 71.25]], "command": None},
        {"columns": ["WebQA", "accuracy"], "rows": [["vote", 0.5], ["best", 0.25]], "command": "python measure.py"},
    ],
}


@pytest.fixture
def real_folder(folder):
    if not CARDS.is_dir():
        pytest.skip("model_cards/ is part of the repository, not of the package")
    shutil.copy(CARDS / "_template.md", folder)
    return folder


def section(card, title):
    """What stands under a heading, up to the next one of its level."""
    return re.split(r"^## ", card.split(f"\n## {title}\n", 1)[1], flags=re.MULTILINE)[0].strip()


def test_stages_count_what_the_results_say(real_folder):
    write(real_folder, READER_TEXT, READER_RESULTS)
    training = section(render_card(real_folder, "tiny"), "Training")
    assert training == (
        "| | |\n|---|---|\n| seed | 7 |\n\n"
        "Stage 1: made up, 57600 questions, 24 minutes.\n\n```bash\ntrain --first\n```\n\n"
        "Stage 2: real, 1234 questions, 3 minutes.\n\n```bash\ntrain --second\n```"
    )
    write(real_folder, READER_TEXT, READER_RESULTS | {"counted": "images"})
    with pytest.raises(ValueError, match="images_seen"):
        render_card(real_folder, "tiny")


def test_tables_bring_their_columns(real_folder):
    write(real_folder, READER_TEXT, READER_RESULTS)
    assert section(render_card(real_folder, "tiny"), "Evaluation") == (
        "Of 3219 questions.\n\n"
        "| CMRC 2018 | EM | F1 |\n|---|---|---|\n| this model | 47.5 | 71.25 |\n\n"
        "| WebQA | accuracy |\n|---|---|\n| vote | 0.5 |\n| best | 0.25 |\n\n```bash\npython measure.py\n```"
    )


def test_a_section_in_chinese_quotes_the_same_figures(real_folder):
    write(real_folder, READER_TEXT, READER_RESULTS)
    assert "中文" not in render_card(real_folder, "tiny")
    write(real_folder, READER_TEXT | {"chinese": CHINESE}, READER_RESULTS)
    card = render_card(real_folder, "tiny")
    assert "[中文](#中文)" in card
    assert section(card, "中文") == (
        "共 6200000 个参数。\n\n### 评测\n\n共 3219 题。\n\n### 局限\n\n很多。\n\n### 许可\n\n不限。"
    )
    write(real_folder, READER_TEXT | {"chinese": without(CHINESE, "limits")}, READER_RESULTS)
    with pytest.raises(ValueError, match="limits"):
        render_card(real_folder, "tiny")


# ---- the cards of the checkout


# Of the Hub, that we use.
TAGS = {"unconditional-image-generation", "text-to-image", "question-answering", "token-classification"}


def assert_valid(card, results):
    """What the Hub reads off the head is there, of its kind, and the same as in the results."""
    data = ModelCard(str(card)).data
    assert re.fullmatch(r"[a-z0-9.-]+", data.license)
    assert data.library_name in ("diffusers", "transformers")
    assert data.pipeline_tag in TAGS
    assert all(re.fullmatch(r"[a-z]{2}", language) for language in data.language or [])
    assert (data.language is None) == (data.pipeline_tag == "unconditional-image-generation")
    assert data.datasets
    assert set(data.metrics) == {result.metric_type for result in data.eval_results}
    told = [(r.metric_name, r.metric_value, r.dataset_type, r.dataset_split) for r in data.eval_results]
    assert told == [(row["metric"], row["value"], row["dataset"], row["split"]) for row in results["evaluation"]]
    assert {result.dataset_type for result in data.eval_results} <= set(data.datasets)


def published():
    return sorted(path.parent.name for path in CARDS.glob("*/README.md"))


def need(name):
    if not name:
        pytest.skip("no card has been published in this checkout yet")
    return name


@in_checkout
@pytest.mark.parametrize("name", sorted(path.stem for path in CARDS.glob("texts/*.yaml")) or [None])
def test_texts_can_be_read(name):
    text = yaml.safe_load((CARDS / "texts" / f"{need(name)}.yaml").read_text(encoding="utf-8"))
    assert {"title", "metadata", "summary", "snippet", "limits", "licence"} <= text.keys()
    assert {"license", "library_name", "pipeline_tag"} <= text["metadata"].keys()
    compile(text["snippet"], name, "exec")
    compile(text.get("remote_snippet", ""), name, "exec")
    if "zh" in text["metadata"].get("language", []):
        assert text["chinese"].keys() == {"summary", "measure", "limits", "licence"}


@in_checkout
@pytest.mark.parametrize("name", published() or [None])
def test_a_published_card_is_its_rendering(name):
    card = (CARDS / need(name) / "README.md").read_text(encoding="utf-8")
    assert card == render_card(CARDS, name), "make the card anew: python -m hf_kexue.hub.cards model_cards"
    assert_valid(ModelCard(card), json.loads((CARDS / "results" / f"{name}.json").read_text(encoding="utf-8")))
    for picture in re.findall(r"!\[[^]]*\]\((?!https?:)([^)]+)\)", card):
        assert (CARDS / name / picture).is_file(), f"the card shows {picture}, which does not lie beside it"


@in_checkout
@pytest.mark.parametrize("name", published() or [None])
def test_the_snippet_of_a_published_card_runs(name, tmp_path, monkeypatch, capsys):
    folder = CARDS / need(name)
    if not list(folder.glob("**/*.safetensors")):
        pytest.skip(f"the weights of {name} are not in this checkout")
    card = (folder / "README.md").read_text(encoding="utf-8")
    snippet = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)[0]
    # A handful of steps runs the same lines.
    snippet = re.sub(r"num_inference_steps=\d+", "num_inference_steps=2", snippet)
    (tmp_path / "model_cards").symlink_to(CARDS, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, f"{name}/README.md", "exec"), {"__name__": "__main__"})
    shown = [path.name for path in tmp_path.iterdir() if path.is_file()] or capsys.readouterr().out
    assert shown, "the snippet saves or prints something"


@in_checkout
@pytest.mark.parametrize("name", published() or [None])
def test_the_snippet_without_the_package_runs_without_it(name, tmp_path):
    text = yaml.safe_load((CARDS / "texts" / f"{need(name)}.yaml").read_text(encoding="utf-8"))
    if "remote_snippet" not in text:
        pytest.skip(f"{name} has no snippet without the package")
    if not list((CARDS / name).glob("**/*.safetensors")):
        pytest.skip(f"the weights of {name} are not in this checkout")
    build_repository(CARDS / name, tmp_path / "outputs" / "models" / name)
    snippet = re.sub(r"num_inference_steps=\d+", "num_inference_steps=2", text["remote_snippet"])
    finished = subprocess.run(
        [sys.executable, "-c", f"import sys\nsys.modules['hf_kexue'] = None\n{snippet}"],
        cwd=tmp_path, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    shown = finished.stdout.strip() or list(tmp_path.glob("*.png"))
    assert shown, "the snippet prints something or saves a picture"
