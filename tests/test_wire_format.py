"""What saved models and repositories depend on: module paths, class names, config keys and defaults, state-dict keys,
files of a tokenizer.

A change here breaks every file that someone has saved. If it is meant, and CHANGELOG.md says so:

    python tests/test_wire_format.py

writes the golden copies in tests/golden/ anew; the difference then stands in the commit.
"""

import importlib
import inspect
import json
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from diffusers.pipelines.pipeline_loading_utils import ALL_IMPORTABLE_CLASSES
from safetensors.torch import load_file

from hf_kexue.dgcnn import (
    DGCNNConfig,
    DGCNNForMaskedLM,
    DGCNNForQuestionAnswering,
    DGCNNForTripleExtraction,
    DGCNNModel,
    DGCNNTokenizer,
    ReadingComprehensionPipeline,
)
from hf_kexue.hub import export_repository
from hf_kexue.rsgan import RSGANDiscriminator, RSGANGenerator, RSGANPipeline
from hf_kexue.simple_diffusion import (
    ShiftedCosineScheduler,
    ShiftedFlowScheduler,
    SimpleDiffusionPipeline,
    SimpleDiffusionUViT2DModel,
    SimpleDiffusionViT2DModel,
)

GOLDEN = Path(__file__).resolve().parent / "golden"
OF_THE_VERSION = {"_diffusers_version", "_use_default_values", "backend"}  # not ours


def tiny_unet(skip="concat", **options):
    """Every part that can hold a weight: two levels, a channel change, classes, text."""
    return SimpleDiffusionUViT2DModel(
        sample_size=16, patch_size=2, block_out_channels=(4, 8), layers_per_block=(1, 2), hidden_size=16,
        num_transformer_layers=2, num_attention_heads=2, embedding_dim=12, num_class_embeds=3, cross_attention_dim=6,
        skip=skip, **options,
    )  # fmt: skip


def tiny_vit(**options):
    """Every part that can hold a weight: classes, class tokens, a read-out head, an input for the guidance scale."""
    return SimpleDiffusionViT2DModel(
        sample_size=16, patch_size=4, bottleneck_dim=6, hidden_size=16, num_transformer_layers=2,
        num_attention_heads=2, num_class_embeds=3, num_context_tokens=2, context_start=1, readout_sizes=(8,),
        guidance_embedding=True, **options,
    )  # fmt: skip


def plain(value):
    """As JSON gives it back."""
    return json.loads(json.dumps(value))


def shape(tensor):
    """One line each in the golden copy."""
    return " x ".join(map(str, tensor.shape))


def defaults(component):
    """Config keys in the order of the constructor, with their defaults."""
    parameters = inspect.signature(component.__init__).parameters
    return {name: plain(p.default) for name, p in parameters.items() if name != "self"}


def saved_keys(component):
    return sorted(set(json.loads(component.to_json_string())) - OF_THE_VERSION)


def model_index():
    pipeline = SimpleDiffusionPipeline(tiny_unet(), ShiftedCosineScheduler(sample_size=16), {0: "a", 1: "b", 2: "c"})
    saved = json.loads(pipeline.to_json_string())
    return {key: value for key, value in saved.items() if key not in OF_THE_VERSION}


def state_dicts():
    return {
        skip: {name: shape(tensor) for name, tensor in tiny_unet(skip).state_dict().items()}
        for skip in ("concat", "residual")
    } | {"guidance_embedding adds": guidance_weights()}


def guidance_weights():
    """What an input for the guidance scale adds."""
    with_scale, without = tiny_unet(guidance_embedding=True).state_dict(), tiny_unet().state_dict()
    return {name: shape(tensor) for name, tensor in with_scale.items() if name not in without}


def tiny_tokenizer():
    """Every file that a tokenizer can have."""
    pytest.importorskip("rjieba", reason="the extra hf-kexue[chinese] is not installed")
    return DGCNNTokenizer.from_texts(
        ["赵州桥在哪里？", "赵州桥在河北。"],
        min_count=1,
        word_min_count=1,
        dictionary=["赵州桥"],
        match_features=True,
        triple_prior=[("赵州桥", 0, "河北")],
    )


def tiny_dgcnn_config(**options):
    """Every part that can hold a weight: words, features, positions, shared blocks, attention, a pointer layer."""
    return DGCNNConfig(
        vocab_size=12, hidden_size=8, dilations=[1, 2], question_dilations=[1, 2], context_dilations=[1],
        word_vocab_size=6, word_embedding_size=4, num_match_features=8, pointer_hidden_size=5,
        question_attention=True, position_embedding="sinusoidal", **options,
    )  # fmt: skip


def tiny_triples_config():
    """The same for triple extraction."""
    schema = [{"predicate": "作者", "subject_types": ["图书"], "object_types": ["人物"]}]
    return DGCNNConfig(
        vocab_size=12, hidden_size=8, dilations=[1, 2], word_vocab_size=6, word_embedding_size=4,
        triple_schema=schema, position_embedding="learned", max_position_embeddings=7, subject_encoder="gru",
        num_attention_heads=2, predicate_gate=True, character_gate=True, triple_prior=True, object_dilations=[1],
        max_relative_position=3,
    )  # fmt: skip


def dgcnn_config():
    own = list(DGCNNConfig.__annotations__)
    saved = json.loads(DGCNNConfig().to_json_string())
    return {
        "model_type": DGCNNConfig.model_type,
        "module": DGCNNConfig.__module__,
        "defaults": {name: plain(getattr(DGCNNConfig, name)) for name in own},
        "saved_keys": sorted(saved.keys() & set(own)),
    }


def dgcnn_state_dicts():
    """As the files hold them: a tied weight is written once."""
    found = {}
    configs = {name: tiny_dgcnn_config() for name in (DGCNNModel, DGCNNForMaskedLM, DGCNNForQuestionAnswering)}
    for model_class, config in (configs | {DGCNNForTripleExtraction: tiny_triples_config()}).items():
        with tempfile.TemporaryDirectory() as folder:
            model_class(config).save_pretrained(folder)
            weights = load_file(Path(folder, "model.safetensors"))
        found[model_class.__name__] = {name: shape(tensor) for name, tensor in sorted(weights.items())}
    return found


def dgcnn_tokenizer():
    """What a saved tokenizer consists of, text for text."""
    with tempfile.TemporaryDirectory() as folder:
        tiny_tokenizer().save_pretrained(folder)
        texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(Path(folder).iterdir())}
    found = {name: json.loads(text) if name.endswith(".json") else text.splitlines() for name, text in texts.items()}
    for key in OF_THE_VERSION & found["tokenizer_config.json"].keys():
        del found["tokenizer_config.json"][key]
    return found


def dgcnn_repository():
    """Where a Hub repository says that its code is."""
    tokenizer = tiny_tokenizer()
    sizes = {"vocab_size": len(tokenizer), "word_vocab_size": tokenizer.word_vocab_size}
    model = DGCNNForQuestionAnswering(DGCNNConfig(hidden_size=4, num_match_features=8, **sizes))
    with tempfile.TemporaryDirectory() as folder:
        export_repository(ReadingComprehensionPipeline(model=model, tokenizer=tokenizer), folder)
        config = json.loads(Path(folder, "config.json").read_text())
        of_the_tokenizer = json.loads(Path(folder, "tokenizer_config.json").read_text())
    return {
        "architectures": config["architectures"],
        "auto_map": config["auto_map"],
        "custom_pipelines": config["custom_pipelines"],
        "auto_map of the tokenizer": of_the_tokenizer["auto_map"],
    }


def diffusers_repositories():
    """Where a repository of a diffusers pipeline says that its code is."""
    found = {}
    unet, (generator, _) = tiny_unet(), tiny_gan()
    for pipeline in (SimpleDiffusionPipeline(unet, ShiftedCosineScheduler(sample_size=16)), RSGANPipeline(generator)):
        with tempfile.TemporaryDirectory() as folder:
            export_repository(pipeline, folder)
            index = json.loads(Path(folder, "model_index.json").read_text())
            files = sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())
        kept = {key: value for key, value in index.items() if key not in OF_THE_VERSION}
        found[type(pipeline).__name__] = {"model_index": kept, "files": files}
    return found


def tiny_gan(block_type="r3", **options):
    """Generator and discriminator with classes; two stages of equal width, so that one has no 1x1 convolution."""
    options |= {"sample_size": 32, "block_out_channels": (16, 16, 8, 4), "group_size": 4, "num_class_embeds": 3}
    return (
        RSGANGenerator(block_type=block_type, latent_dim=6, class_embedding_dim=5, **options),
        RSGANDiscriminator(block_type=block_type, spectral_norm=block_type == "dcgan", **options),
    )


def rsgan_config():
    generator, discriminator = tiny_gan()
    saved = json.loads(RSGANPipeline(generator, {0: "a", 1: "b", 2: "c"}).to_json_string())
    return {
        "model_index": {key: value for key, value in saved.items() if key not in OF_THE_VERSION},
        **{
            type(model).__name__: {"defaults": defaults(type(model)), "saved_keys": saved_keys(model)}
            for model in (generator, discriminator)
        },
    }


def rsgan_state_dicts():
    return {
        f"{type(model).__name__}, {block_type}": {name: shape(tensor) for name, tensor in model.state_dict().items()}
        for block_type in ("r3", "dcgan")
        for model in tiny_gan(block_type)
    }


FACTS = {
    "dgcnn_config": dgcnn_config,
    "dgcnn_repository": dgcnn_repository,
    "dgcnn_state_dict": dgcnn_state_dicts,
    "dgcnn_tokenizer": dgcnn_tokenizer,
    "diffusers_repositories": diffusers_repositories,
    "rsgan_config": rsgan_config,
    "rsgan_state_dict": rsgan_state_dicts,
    "simple_diffusion_model_index": model_index,
    "shifted_cosine_scheduler_config": lambda: {
        "defaults": defaults(ShiftedCosineScheduler), "saved_keys": saved_keys(ShiftedCosineScheduler()),
    },
    "shifted_flow_scheduler_config": lambda: {
        "defaults": defaults(ShiftedFlowScheduler), "saved_keys": saved_keys(ShiftedFlowScheduler()),
    },
    "simple_diffusion_uvit_config": lambda: {
        "defaults": defaults(SimpleDiffusionUViT2DModel), "saved_keys": saved_keys(tiny_unet()),
    },
    "simple_diffusion_uvit_state_dict": state_dicts,
    "simple_diffusion_vit_config": lambda: {
        "module": SimpleDiffusionViT2DModel.__module__,
        "defaults": defaults(SimpleDiffusionViT2DModel), "saved_keys": saved_keys(tiny_vit()),
    },
    "simple_diffusion_vit_state_dict": lambda: {
        kind: {name: shape(tensor) for name, tensor in tiny_vit(conditioning=kind).state_dict().items()}
        for kind in ("logsnr", "flow_time")
    },
}  # fmt: skip


@pytest.mark.parametrize("name", FACTS)
def test_equals_the_golden_copy(name):
    golden = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert FACTS[name]() == golden, (
        f"The wire format changed: files that users have saved may not load any more. If that is meant, run 'python "
        f"tests/test_wire_format.py', look at the difference in tests/golden/{name}.json, and tell it in CHANGELOG.md."
    )


def test_no_golden_copy_is_left_over():
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(FACTS)


@pytest.mark.parametrize("component", ["unet", "scheduler", "generator"])
def test_diffusers_finds_the_base_name_beside_the_class(component):
    """It imports the stored module and looks there for a base class whose loading methods it knows."""
    index = json.loads((GOLDEN / "simple_diffusion_model_index.json").read_text())
    index |= json.loads((GOLDEN / "rsgan_config.json").read_text())["model_index"]
    module_name, class_name = index[component]
    module = importlib.import_module(module_name)
    bases = [getattr(module, name) for name in ALL_IMPORTABLE_CLASSES if hasattr(module, name)]
    assert any(issubclass(getattr(module, class_name), base) for base in bases)


def test_classes_and_text_only_add_keys():
    """The weights of a model without them fit into one with them."""
    without = SimpleDiffusionUViT2DModel(
        sample_size=16, patch_size=2, block_out_channels=(4, 8), layers_per_block=(1, 2), hidden_size=16,
        num_transformer_layers=2, num_attention_heads=2, embedding_dim=12, skip="concat",
    )  # fmt: skip
    golden = json.loads((GOLDEN / "simple_diffusion_uvit_state_dict.json").read_text())["concat"]
    shapes = {name: shape(tensor) for name, tensor in without.state_dict().items()}
    assert shapes.items() <= golden.items()
    assert {name.split(".")[0] for name in golden.keys() - shapes.keys()} == {"class_embedding", "transformer_blocks"}


def test_a_reader_takes_over_what_pretraining_saved(tmp_path):
    """The trunk of the masked LM has the names that the reader looks for."""
    donor = DGCNNForMaskedLM(tiny_dgcnn_config())
    donor.save_pretrained(tmp_path)
    reader = DGCNNForQuestionAnswering.from_pretrained(tmp_path, config=tiny_dgcnn_config())
    golden = json.loads((GOLDEN / "dgcnn_state_dict.json").read_text())
    shared = golden["DGCNNForMaskedLM"].keys() & golden["DGCNNForQuestionAnswering"].keys()
    assert {name.removeprefix("dgcnn.") for name in shared} == golden["DGCNNModel"].keys() - {
        name for name in golden["DGCNNModel"] if name.startswith("pooler.")
    }
    given, taken = donor.state_dict(), reader.state_dict()
    for name in shared:
        torch.testing.assert_close(taken[name], given[name], rtol=0, atol=0)


def write_golden_copies():
    GOLDEN.mkdir(exist_ok=True)
    for name, fact in FACTS.items():
        path = GOLDEN / f"{name}.json"
        path.write_text(json.dumps(fact(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"written: {path.relative_to(GOLDEN.parent.parent)}")


if __name__ == "__main__":
    sys.exit(write_golden_copies())
