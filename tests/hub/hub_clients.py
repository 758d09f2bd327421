"""Helpers of the clients of a loopback Hub: tiny models, and a function that runs a client.

A client is a separate process, since huggingface_hub reads the address of its Hub at import. The scripts `client_*.py`
are the clients; each prints the names of the checks that it passed, as JSON.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
QUESTION, CONTEXT = "镭由谁发现？", "1898年12月，居里夫妇发现了镭。"
STEPS = {"num_inference_steps": 2, "output_type": "pt"}


def run(hub, home, script, *arguments, token="hf_owner", offline=False):
    """Run one client and return the JSON that it printed."""
    environment = {**os.environ, **hub.environment(home, token), "PYTHONPATH": os.pathsep.join(sys.path)}
    if offline:
        environment["HF_HUB_OFFLINE"] = "1"
    done = subprocess.run(
        [sys.executable, str(HERE / script), *map(str, arguments)],
        env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


class Checks:
    """Names of the checks passed so far; a check passes when its block ends without an error."""

    def __init__(self):
        self.names = []
        self.name = ""

    def __call__(self, name):
        self.name = name
        return self

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is None:
            self.names.append(self.name)
        else:
            error.add_note(f"in the check: {self.name}")

    def report(self, **more):
        print(json.dumps({"checks": self.names, **more}))


def refused(kind, words, call):
    """Assert that a call raises an error of this kind whose message matches."""
    import pytest

    with pytest.raises(kind, match=words):
        call()


def tiny_images(seed=0):
    """A diffusion pipeline with classes, of random weights."""
    import torch

    from hf_kexue import ShiftedCosineScheduler, SimpleDiffusionPipeline, SimpleDiffusionUViT2DModel

    torch.manual_seed(seed)
    unet = SimpleDiffusionUViT2DModel(
        sample_size=16, block_out_channels=(4, 8), layers_per_block=(1, 1), hidden_size=16, num_transformer_layers=1,
        num_attention_heads=2, num_class_embeds=2,
    )  # fmt: skip
    torch.nn.init.normal_(unet.conv_out.weight, std=0.1)  # zero at the start of a training: all networks would agree
    return SimpleDiffusionPipeline(unet, ShiftedCosineScheduler(sample_size=16), {0: "dress", 1: "hat"})


def tiny_gan():
    import torch

    from hf_kexue import RSGANGenerator, RSGANPipeline

    torch.manual_seed(0)
    return RSGANPipeline(RSGANGenerator(sample_size=32, block_out_channels=(16, 16, 8, 4), group_size=4, latent_dim=6))


def tiny_reader():
    import torch

    from hf_kexue import DGCNNConfig, DGCNNForQuestionAnswering, DGCNNTokenizer, ReadingComprehensionPipeline

    torch.manual_seed(0)
    tokenizer = DGCNNTokenizer.from_texts(
        [QUESTION, CONTEXT], 1, 1, segmenter="rjieba", dictionary=["居里"], match_features=True
    )
    config = DGCNNConfig(
        vocab_size=len(tokenizer), word_vocab_size=tokenizer.word_vocab_size, hidden_size=8, word_embedding_size=8,
        num_match_features=8, output="span",
    )  # fmt: skip
    return ReadingComprehensionPipeline(model=DGCNNForQuestionAnswering(config), tokenizer=tokenizer, device="cpu")


def tiny_triples():
    import torch

    from hf_kexue import DGCNNConfig, DGCNNForTripleExtraction, DGCNNTokenizer, TripleExtractionPipeline

    torch.manual_seed(0)
    tokenizer = DGCNNTokenizer.from_texts([CONTEXT], 1, 1, triple_prior=[("居里夫妇", 0, "镭")])
    config = DGCNNConfig(
        vocab_size=len(tokenizer), word_vocab_size=tokenizer.word_vocab_size, hidden_size=8, word_embedding_size=8,
        triple_schema=[{"predicate": "发现", "subject_types": ["人物"], "object_types": []}], triple_prior=True,
        triple_thresholds=[0.4, 0.4, 0.4, 0.4],
    )  # fmt: skip
    return TripleExtractionPipeline(model=DGCNNForTripleExtraction(config), tokenizer=tokenizer, device="cpu")


def drawn(pipeline):
    """Pictures of a pipeline from a fixed seed."""
    import torch

    options = STEPS if hasattr(pipeline, "scheduler") else {"output_type": "pt"}
    return pipeline(2, generator=torch.Generator().manual_seed(0), **options).images.contiguous()


def logits(model, tokenizer):
    """Logits of a reader for the question."""
    import torch

    model.eval()
    with torch.no_grad():
        output = model(**tokenizer(QUESTION, CONTEXT, return_tensors="pt"))
    return torch.stack([output.start_logits, output.end_logits])


def same(one, other):
    """Bit for bit."""
    import torch

    torch.testing.assert_close(one, other, rtol=0, atol=0)


def close(one, other):
    """To rounding: the CPU's convolutions add in another order where weights of a file lie unaligned in memory."""
    import torch

    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
