"""The table of kinds: its names resolve, and a row is all that a new kind of model needs."""

import inspect
import json
import subprocess
import sys

import pytest
import torch
from tiny_models import RADIUM, save_extractor, save_gan, save_pipeline, save_reader
from tiny_prompts import save_prompt_pipeline

from hf_kexue import (
    SimpleDiffusionImageToImagePipeline,
    SimpleDiffusionInpaintPipeline,
    SimpleDiffusionUpscalePipeline,
)
from hf_kexue.hub.checks import check_repository
from hf_kexue.inference.kinds import (
    EDITING,
    GAN,
    KINDS,
    READER,
    SIMPLE_DIFFUSION,
    TEXT_TO_IMAGE,
    TRIPLES,
    kind_of,
    named,
)
from hf_kexue.inference.saved_models import load_pipeline, saved_kind
from hf_kexue.rsgan import RSGANPipeline

EDITING_PIPELINES = (
    SimpleDiffusionImageToImagePipeline,
    SimpleDiffusionInpaintPipeline,
    SimpleDiffusionUpscalePipeline,
)
QUICK = {"steps": 2, "progress": False}
STEPS = {"Simple diffusion": QUICK, "Text to image": QUICK}
SAVERS = [
    (SIMPLE_DIFFUSION, save_pipeline), (TEXT_TO_IMAGE, save_prompt_pipeline), (GAN, save_gan), (READER, save_reader),
    (TRIPLES, save_extractor),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.label)
def test_a_row_names_what_there_is(kind):
    """Classes and functions import, and take the options of the commands."""
    assert all(callable(named(name)) for name in (kind.read, kind.facts, kind.pipeline, *kind.parts.values()))
    drawing = inspect.signature(named(kind.draw)).parameters if kind.draw else {}
    scoring = inspect.signature(named(kind.score)).parameters
    assert {option.name for option in kind.evaluate_options} <= {*scoring, *drawing}
    assert {option.name for option in kind.generate_options} <= {*drawing}
    reading = inspect.signature(named(kind.read)).parameters
    assert {option.name.replace("skip_broken", "on_error") for option in kind.data_options} <= {*reading}
    for option in (*kind.evaluate_options, *kind.data_options, *kind.generate_options):
        assert option.default is None or isinstance(option.default, option.type)


def use(kind, pipeline):
    """The pipeline used once, as numbers."""
    if kind.draw:
        generator = torch.Generator().manual_seed(0)
        (image,) = named(kind.draw)(
            pipeline, [None], generator=generator, output_type="pt", **STEPS.get(kind.label, {})
        )
        return image.float().cpu()
    given = {"question": "谁发现了镭？", "context": RADIUM} if kind is READER else {"inputs": RADIUM}
    found = pipeline(**given)
    return torch.tensor([found["score"]] if kind is READER else [triple["score"] for triple in found])


@pytest.mark.parametrize(("kind", "save"), SAVERS, ids=[kind.label for kind, _ in SAVERS])
def test_saved_models_and_pipelines_are_recognised(kind, save, tmp_path):
    save(tmp_path)
    assert saved_kind(str(tmp_path)) is kind
    pipeline = load_pipeline(str(tmp_path), device="cpu", dtype="bfloat16")
    assert type(pipeline).__name__ == kind.pipeline.rpartition(":")[2]
    assert kind_of(pipeline) is kind
    assert getattr(pipeline, kind.network).dtype is torch.bfloat16
    rounded, exact = use(kind, pipeline), use(kind, load_pipeline(str(tmp_path), device="cpu"))
    assert float(rounded.mean()) == pytest.approx(float(exact.mean()), abs=0.05)
    others = [other for other in KINDS if other is not kind]
    with pytest.raises(ValueError, match=kind.class_name):
        saved_kind(str(tmp_path), *others)


@pytest.mark.parametrize(("kind", "save"), [(SIMPLE_DIFFUSION, save_pipeline), (TEXT_TO_IMAGE, save_prompt_pipeline)])
def test_a_folder_of_an_editing_pipeline_is_a_model_to_draw_with(kind, save, tmp_path):
    """Of classes or of prompts, and what it draws is what the model drew that was edited with."""
    save(tmp_path / "model")
    assert set(EDITING) == {cls.__name__ for cls in EDITING_PIPELINES}
    for cls in EDITING_PIPELINES:
        editing = cls.from_pretrained(tmp_path / "model")
        editing.save_pretrained(tmp_path / cls.__name__)
        assert kind_of(editing) is kind
        assert saved_kind(str(tmp_path / cls.__name__)) is kind
        assert check_repository(tmp_path / cls.__name__)  # may be published
    again = load_pipeline(str(tmp_path / cls.__name__), device="cpu")
    assert type(again).__name__ == kind.class_name
    assert torch.equal(use(kind, again), use(kind, load_pipeline(str(tmp_path / "model"), device="cpu")))


def test_subclasses_and_strangers(tmp_path):
    class Mine(RSGANPipeline):
        pass

    save_gan(tmp_path)
    assert kind_of(Mine(RSGANPipeline.from_pretrained(tmp_path).generator)) is GAN
    with pytest.raises(ValueError, match="dict"):
        kind_of({})


NEW_KIND = """
import json
import sys
from typer.testing import CliRunner
from counting import CounterConfig, WordCounter
from hf_kexue.inference import kinds

kinds.KINDS.append(kinds.Kind(
    class_name="WordCounter", words="a counter of words", label="Counter", file="config.json", network="model",
    pipeline="counting:Pipeline", parts={"model": "counting:WordCounter"}, read="counting:read",
    score="counting:score", facts="counting:facts", task="counting", tag="counting", call="pipe('a')",
    evaluate_options=(kinds.Option("tolerance", int, 1, "How far off a count may be", 0),),
))
from hf_kexue.cli.main import app

WordCounter(CounterConfig()).save_pretrained("model")
results = [CliRunner().invoke(app, argv, env={"COLUMNS": "200"}) for argv in json.loads(sys.argv[1])]
print(json.dumps([[str(result.exception or ""), result.stdout] for result in results]))
"""
COUNTING = """
from pathlib import Path
import torch
from transformers import PretrainedConfig, PreTrainedModel

class CounterConfig(PretrainedConfig):
    model_type = "counter"

class WordCounter(PreTrainedModel):
    config_class = CounterConfig

    def __init__(self, config):
        super().__init__(config)
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.post_init()

    def _init_weights(self, module):
        pass

class Pipeline:
    def __init__(self, model, device):
        self.model = model.to(device)

    def __call__(self, text):
        return len(text.split())

def read(data, split):
    return [line.split("\\t") for line in (Path(data) / f"{split}.tsv").read_text().splitlines()]

def score(pipeline, examples, tolerance):
    right = sum(abs(pipeline(text) - int(count)) <= tolerance for text, count in examples)
    return {"scorer": "counting", "accuracy": right / len(examples)}

def facts(pipeline):
    return {"class": "WordCounter", "parameters": pipeline.model.num_parameters(), "flops": 0, "flops_of": "a word"}
"""


def test_a_new_kind_is_one_row(tmp_path):
    """A class of a model that this package does not have, saved: `info` and `evaluate`, with an option of its own."""
    (tmp_path / "counting.py").write_text(COUNTING)
    (tmp_path / "command.py").write_text(NEW_KIND)
    (tmp_path / "validation.tsv").write_text("one two\t2\nthree\t2\nfour\t4\n")
    evaluate = ["evaluate", "model", ".", "--json"]
    calls = [["info", "model", "--json"], evaluate, [*evaluate, "--tolerance", "0"], [*evaluate, "--tolerance", "3"]]
    calls += [["evaluate", "--help"], [*evaluate, "--images", "4"]]
    command = [sys.executable, "command.py", json.dumps(calls)]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    info, *scores, helped, refused = json.loads(finished.stdout.splitlines()[-1])
    assert json.loads(info[1])["parameters"] == 3
    assert [json.loads(shown)["accuracy"] for _, shown in scores] == pytest.approx([2 / 3, 1 / 3, 1])
    assert "Counter: how far off a count may be; default 1." in helped[1]
    assert "--tolerance" in refused[0]
