"""`hf-kexue info` and `hf-kexue evaluate` with all kinds of models; each figure against another way to it."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import RADIUM, save_extractor, save_gan, save_pipeline, save_reader
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from hf_kexue import cmrc2018_scores, kernel_distance, sogouqa_scores, webqa_scores
from hf_kexue.cli.main import app
from hf_kexue.data.images import image_to_tensor
from hf_kexue.inference.kinds import READER
from hf_kexue.inference.saved_models import load_pipeline, saved_kind
from hf_kexue.metrics import efficientnet_lite0_features, extract_features
from hf_kexue.metrics.triples import triple_scores
from hf_kexue.rsgan import RSGANPipeline
from hf_kexue.simple_diffusion import SimpleDiffusionUViT2DModel
from hf_kexue.simple_diffusion.complexity import count_flops

NAMES = ["Dress", "Hat"]


def invoke(*argv):
    return CliRunner().invoke(app, [str(argument) for argument in argv])


def figures(*argv):
    result = invoke(*argv, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folder and network of each kind."""
    folder = tmp_path_factory.mktemp("models")
    savers = {"diffusion": save_pipeline, "gan": save_gan, "reader": save_reader, "extractor": save_extractor}
    return {
        name: (folder / name, save(folder / name, *([NAMES] if name in ("diffusion", "gan") else [])))
        for name, save in savers.items()
    }


def size(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_info_of_simple_diffusion(models):
    folder, unet = models["diffusion"]
    twin = SimpleDiffusionUViT2DModel.from_pretrained(folder, subfolder="unet")
    assert figures("info", folder) == {
        "model": "diffusion", "class": "SimpleDiffusionUViT2DModel", "parameters": size(unet),
        "flops": count_flops(twin), "flops_of": "one image of 16 x 16 pixels, one network evaluation",
        "sample_size": 16, "classes": 2,
    }  # fmt: skip


def test_info_of_a_gan(models):
    folder, generator = models["gan"]
    found = figures("info", folder)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        generator(torch.ones(1, 16), torch.ones(1, dtype=torch.long))
    assert (found["class"], found["parameters"], found["flops"]) == (
        "RSGANGenerator", size(generator), counter.get_total_flops(),
    )  # fmt: skip
    assert found["flops"] > 0
    assert (found["sample_size"], found["classes"]) == (32, 2)


@pytest.mark.parametrize("kind", ["reader", "extractor"])
def test_info_of_texts_models(models, kind):
    folder, model = models[kind]
    found = figures("info", folder)
    embeddings = sum(size(part) for part in model.modules() if type(part).__name__.endswith("Embedding"))
    assert embeddings > 0
    assert (found["parameters"], found["parameters_without_embeddings"]) == (size(model), size(model) - embeddings)
    # Each weight of a convolution or linear map meets most characters once: twice as many operations as weights.
    assert 0.5 < found["flops"] / (2 * 240 * found["parameters_without_embeddings"]) < 2
    assert found.get("predicates") == (2 if kind == "extractor" else None)


@pytest.mark.parametrize("kind", ["diffusion", "gan", "reader", "extractor"])
def test_info_for_people(models, kind):
    folder, _ = models[kind]
    shown, facts = invoke("info", folder).stdout, figures("info", folder)
    assert facts["class"] in shown
    assert f"{facts['parameters'] / 1e6:.2f}M parameters" in shown
    assert f"{facts['flops'] / 1e9:.3f} GFLOPs for {facts['flops_of']}" in shown
    assert figures("info", folder, "--device", "cpu", "--dtype", "bfloat16") == facts


def write(path, records):
    path.write_text("\n".join(json.dumps(record, ensure_ascii=False) for record in records), encoding="utf-8")
    return path


TEXTS = ["居里夫妇发现了镭。", "镭由居里夫人发现。", "谁发现了镭？镭是居里夫妇发现的。"]


def test_evaluate_a_reader_on_squad(models, tmp_path):
    folder, _ = models["reader"]
    answers = [{"text": ["居里夫妇", "夫妇"], "answer_start": [0, 2]}, {"text": ["镭"], "answer_start": [0]}]
    records = [
        {"id": "same", "question": "谁发现了镭？", "context": text, "answers": given}
        for text, given in zip(TEXTS, [*answers, {"text": [], "answer_start": []}])
    ]
    found = figures("evaluate", folder, write(tmp_path / "validation.jsonl", records))
    reader = load_pipeline(str(folder))
    said = {str(i): reader(question="谁发现了镭？", context=TEXTS[i])["answer"] for i in range(2)}
    expected = cmrc2018_scores(said, {str(i): answers[i]["text"] for i in range(2)})
    assert (found["scorer"], found["questions"], found["left_out"]) == ("cmrc2018", 2, 1)
    assert {key: found[key] for key in ("exact_match", "f1", "average")} == pytest.approx(
        {key: expected[key] for key in ("exact_match", "f1", "average")}
    )
    assert figures("evaluate", folder, tmp_path, "--limit", 1)["questions"] == 1


def test_evaluate_a_reader_on_passages(models, tmp_path):
    folder, _ = models["reader"]
    reader = load_pipeline(str(folder))
    best = [reader(question="谁？", context=text)["answer"] for text in TEXTS]
    passages = [{"passage": text, "answer": [best[1]] if i == 1 else []} for i, text in enumerate(TEXTS)]
    path = write(tmp_path / "validation.jsonl", [{"id": "1", "question": "谁？", "passages": passages}])
    found = figures("evaluate", folder, path)
    said = reader(question="谁？", passages=TEXTS)["answer"]
    expected = sogouqa_scores({"1": said}, {"1": [best[1]]})
    assert found["scorer"] == "sogouqa"
    assert (found["accuracy"], found["f1"]) == (expected["accuracy"], expected["f1"])
    found = figures("evaluate", folder, path, "--scorer", "webqa")
    evidences = [{"golds": p["answer"], "predictions": [answer]} for p, answer in zip(passages, best)]
    expected = webqa_scores([{"id": "1", "evidences": evidences}], voting=True)
    assert found["strict_f1"] == expected["f1"]


def test_evaluate_triples(models, tmp_path):
    folder, _ = models["extractor"]
    extract = load_pipeline(str(folder))
    triples = [(t["subject"]["text"], t["predicate"], t["object"]["text"]) for t in extract(RADIUM)]
    gold = [*list(dict.fromkeys(triples))[:2], ("居里夫妇", "别名", "居里")]
    spo = [{"subject": s, "predicate": p, "object": o} for s, p, o in gold]
    path = write(tmp_path / "validation.jsonl", [{"text": RADIUM, "spo_list": spo}])
    found = figures("evaluate", folder, path)
    expected = triple_scores([(RADIUM, triples)], [(RADIUM, gold)])
    assert 0 < expected["f1"] < 1
    assert {key: found[key] for key in expected} == expected
    assert set(found["per_predicate"]) <= {"发现", "别名"}
    shown = invoke("evaluate", folder, path).stdout
    assert f"f1              {expected['f1']:.4f}\n" in shown
    assert "per_predicate" not in shown
    free = [(t["subject"]["text"], t["predicate"], t["object"]["text"]) for t in extract(RADIUM, constraints=False)]
    found = figures("evaluate", folder, path, "--constraints", "none")
    expected = triple_scores([(RADIUM, free)], [(RADIUM, gold)])
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize("kind", ["reader", "extractor"])
def test_broken_records_are_left_out_where_that_is_asked_for(models, kind, tmp_path):
    answers = {"text": ["居里夫妇"], "answer_start": [0]}
    record = {"id": "1", "question": "谁？", "context": TEXTS[0], "answers": answers} if kind == "reader" else {
        "text": RADIUM, "spo_list": [{"subject": "居里夫妇", "predicate": "发现", "object": "镭"}]
    }  # fmt: skip
    path = write(tmp_path / "validation.jsonl", [record, {"id": "2"}, record])
    assert isinstance(invoke("evaluate", models[kind][0], path).exception, ValueError)
    whole = figures("evaluate", models[kind][0], write(tmp_path / "whole.jsonl", [record, record]))
    with pytest.warns(UserWarning, match="line 2"):
        found = figures("evaluate", models[kind][0], path, "--skip-broken")
    assert found | {"data": ""} == whole | {"data": ""}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder, generator = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for index in range(6):
        place = folder / "validation" / NAMES[index % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (40, 32, 3), dtype=np.uint8)).save(place / f"{index}.png")
    return folder


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def test_evaluate_a_gan(models, photographs, own_cache):
    """Against the distance of the same latents, classes and photographs, drawn here."""
    folder, _ = models["gan"]
    found = figures("evaluate", folder, photographs, "--images", 5, "--seed", 4, "--truncation", 0.5)
    files = sorted(photographs.rglob("*.png"), key=lambda path: (path.parent.name, path.name))
    labels = np.array([NAMES.index(path.parent.name) for path in files])
    drawn = np.random.default_rng(4).choice(labels, size=5, replace=False).tolist()
    chosen = [files[index] for index in np.random.default_rng(4).permutation(6)[:5]]
    assert chosen != files[:5]
    generator = torch.Generator().manual_seed(4)
    samples = RSGANPipeline.from_pretrained(folder)(5, class_labels=drawn, truncation=0.5, generator=generator).images
    network = efficientnet_lite0_features()
    pixels = torch.stack([image_to_tensor(Image.open(path), 32) / 2 + 0.5 for path in chosen])
    expected = kernel_distance(
        extract_features(network, pixels, progress=False), extract_features(network, samples, progress=False)
    )
    assert (found["scorer"], found["images"], found["samples"]) == ("KID-EffLite0", 5, 5)
    assert found["kid_efflite0"] == pytest.approx(expected.value, abs=1e-6)
    assert found["standard_error"] == pytest.approx(expected.standard_error, abs=1e-6)


def test_a_broken_photograph_is_left_out_and_named(models, photographs, own_cache, tmp_path):
    folder, _ = models["gan"]
    shutil.copytree(photographs, tmp_path / "data")
    (first, *_) = sorted((tmp_path / "data").rglob("*.png"))
    first.write_bytes(first.read_bytes()[:100])
    found = figures("evaluate", folder, tmp_path / "data", "--images", 6)
    assert (found["images"], found["samples"], len(found["broken"])) == (5, 6, 1)
    assert first.name in found["broken"][0]


def test_transparent_photographs_lie_on_the_background(models, own_cache, tmp_path):
    """Against the same pictures laid over the colour here."""
    chance = np.random.default_rng(1)
    for index in range(4):
        picture = Image.fromarray(chance.integers(0, 256, (32, 32, 4), dtype=np.uint8))
        for name, image in (
            ("transparent", picture),
            ("opaque", Image.alpha_composite(Image.new("RGBA", (32, 32), "#204060"), picture).convert("RGB")),
        ):
            (tmp_path / name / "validation").mkdir(parents=True, exist_ok=True)
            image.save(tmp_path / name / "validation" / f"{index}.png")
    folder = models["gan"][0]
    values = [
        figures("evaluate", folder, tmp_path / name, "--images", 4, *more)["kid_efflite0"]
        for name, more in (("transparent", ["--background", "#204060"]), ("opaque", []), ("transparent", []))
    ]
    assert values[0] == values[1] != values[2]


def test_evaluate_simple_diffusion(models, photographs, own_cache):
    """The seed decides, and so do the options; the weights may be rounded."""
    folder, _ = models["diffusion"]
    values = [
        figures("evaluate", folder, photographs, "--images", 4, "--steps", 2, *more)["kid_efflite0"]
        for more in ([], [], ["--seed", 1], ["--guidance-scale", 5], ["--dtype", "bfloat16", "--device", "cpu"])
    ]
    assert values[0] == values[1]
    assert len(set(values)) == 4
    assert values[4] == pytest.approx(values[0], abs=0.02)


@pytest.mark.parametrize(
    ("kind", "argv", "message"),
    [
        ("reader", ["--images", "4"], "--images is not for a reader"),
        ("reader", ["--background", "red"], "--background is not for a reader"),
        ("reader", ["--scorer", "bleu"], "'bleu'"),
        ("extractor", ["--scorer", "webqa"], "--limit, --batch-size, --constraints, --skip-broken."),
        ("gan", ["--steps", "4"], "--images, --seed, --truncation, --background."),
        ("diffusion", ["--truncation", "1"], "--truncation is not for"),
    ],
)
def test_wrong_options_are_refused(models, kind, argv, message, tmp_path):
    record = {"question": "谁？", "context": "居里", "answers": {"text": ["居里"], "answer_start": [0]}}
    result = invoke("evaluate", models[kind][0], write(tmp_path / "validation.jsonl", [record]), *argv)
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)


def test_broken_folders(tmp_path):
    for content, message in (("{", "is broken"), ("[]", "object"), ("{}", "no model")):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ValueError, match=message):
            saved_kind(str(tmp_path))


def test_a_repository_that_is_not_there(monkeypatch):
    """Offline, the message names the file that was requested."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"nobody/nothing.*config\.json"):
        saved_kind("nobody/nothing", READER)


HELP = """
import sys
from hf_kexue.cli.main import app, check_data
names = [c.callback.__name__.replace("_", "-") for c in app.registered_commands]
checks = [c.callback.__name__ for c in check_data.registered_commands]
calls = [[], *([name] for name in names), *(["check-data", name] for name in checks)]
for call in calls:
    try:
        app([*call, "--help"])
    except SystemExit as stopped:
        assert not stopped.code
heavy = {"torch", "transformers", "diffusers", "numpy", "PIL", "huggingface_hub", "datasets", "gradio"}
print(len(calls), sorted(heavy & sys.modules.keys()), file=sys.stderr)
"""


def test_help_imports_nothing_heavy():
    """So that it answers at once; benchmarks/import_time.py measures how soon."""
    finished = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    count, heavy = finished.stderr.split(" ", 1)
    assert int(count) > 8
    assert heavy == "[]\n"
