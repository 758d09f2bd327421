"""Model cards: figures go in from results, and a card in the checkout is what its figures say."""

import json
import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("yaml", reason="the extra hf-kexue[train] is not installed")

import yaml
from huggingface_hub import ModelCard

from hf_kexue.cards import card_metadata, render_card, write_cards

ROOT = Path(__file__).resolve().parent.parent
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
    assert data.model_name == "A tiny model"
    found = {(r.metric_type, r.metric_name, r.metric_value, r.dataset_name) for r in data.eval_results}
    assert found == {("kid-efflite0", "KID-EffLite0", 0.0625, "clothing-64"), ("loss", "loss", 0.5, "clothing-64")}
    assert {r.task_type for r in data.eval_results} == {"unconditional-image-generation"}
    assert card_metadata(TEXT, RESULTS).to_dict() == data.to_dict()


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
def test_a_missing_figure_is_a_sentence(folder, text, results, missing):
    write(folder, text, results)
    with pytest.raises(ValueError, match=rf"The card of tiny wants a figure that its results do not hold.*{missing}"):
        render_card(folder, "tiny")


@pytest.mark.parametrize("file", ["_template.md", "texts/tiny.yaml", "results/tiny.json"])
def test_a_missing_file_is_a_sentence(folder, file):
    (folder / file).unlink()
    with pytest.raises(ValueError, match=rf"The card of tiny needs .*{file}, which does not exist\."):
        render_card(folder, "tiny")


def test_every_model_with_results_gets_its_card(folder):
    shutil.copy(folder / "texts" / "tiny.yaml", folder / "texts" / "planned.yaml")
    assert write_cards(folder) == [folder / "tiny" / "README.md"]
    assert (folder / "tiny" / "README.md").read_text() == render_card(folder, "tiny")
    assert not (folder / "planned").exists()


# ---- the cards of the checkout


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


@in_checkout
@pytest.mark.parametrize("name", published() or [None])
def test_a_published_card_is_its_rendering(name):
    card = (CARDS / need(name) / "README.md").read_text(encoding="utf-8")
    assert card == render_card(CARDS, name), "make the card anew: python -m hf_kexue.cards model_cards"
    assert ModelCard(card).data.license
    for picture in re.findall(r"!\[[^]]*\]\((?!https?:)([^)]+)\)", card):
        assert (CARDS / name / picture).is_file(), f"the card shows {picture}, which does not lie beside it"


@in_checkout
@pytest.mark.parametrize("name", published() or [None])
def test_the_snippet_of_a_published_card_runs(name, tmp_path, monkeypatch):
    folder = CARDS / need(name)
    if not list(folder.glob("**/*.safetensors")):
        pytest.skip(f"the weights of {name} are not in this checkout")
    card = (folder / "README.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    # A handful of steps runs the same lines.
    snippet = re.sub(r"num_inference_steps=\d+", "num_inference_steps=2", snippet)
    (tmp_path / "model_cards").symlink_to(CARDS, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, f"{name}/README.md", "exec"), {"__name__": "__main__"})
    assert [path.name for path in tmp_path.iterdir() if path.is_file()], "the snippet saves a picture"
