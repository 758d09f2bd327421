"""What `against_a_build.py` measures, in the child process of one build.

    PYTHONPATH=CHECKOUT/src python benchmarks/rows_of_a_build.py CHECKOUT INPUTS ROW

Reads a number of calls from each line of its input and answers with a line of JSON: their seconds and CPU seconds. The
first answer comes by itself: after the first call, whose outputs are saved beside the inputs. At the end of its input
it answers with its peak memory. Imports public names and what has had the same place in every build, so that one file
runs in all of them.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

import hf_kexue

CHANNELS_LAST = torch.channels_last
Step = Callable[[], Any]


class Context(NamedTuple):
    """Where a row finds its inputs: the build's checkout, and the folder with models, `inputs.json` and texts."""

    checkout: Path
    inputs: Path

    def read(self, name: str) -> Any:
        """A JSON file of the inputs."""
        return json.loads((self.inputs / f"{name}.json").read_text(encoding="utf-8"))


def half(context: Context, precision: str) -> bool:
    """Whether to compute in bf16. Precision "bf16 for float32": in the build of this file alone."""
    own = context.checkout.resolve() == Path(__file__).resolve().parents[1]
    return precision == "bf16" or (precision == "bf16 for float32" and own)


def uvit(context: Context) -> Any:
    """The published network of preset 64, without dropout, as the preset has it."""
    model = hf_kexue.SimpleDiffusionUViT2DModel.from_pretrained(context.inputs / "unet", dropout=0.0)
    return model.to(memory_format=CHANNELS_LAST)


def images(batch: int, size: int = 64, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 3, size, size, generator=generator).contiguous(memory_format=CHANNELS_LAST)


def gradients(*models: torch.nn.Module) -> Tensor:
    """All gradients in one row, for the comparison."""
    return torch.cat([p.grad.flatten() for m in models for p in m.parameters() if p.grad is not None])


def uvit_step(context: Context, precision: str, batch: int) -> Step:
    """Forward, backward and AdamW of the U-ViT."""
    model = uvit(context).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)
    sample, noise = images(batch), images(batch, seed=1)
    logsnr = torch.linspace(-10, 10, batch)

    def step() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=half(context, precision)):
            output = model(sample, logsnr).sample
        loss = hf_kexue.simple_diffusion_loss(output.float(), sample, noise, logsnr)
        optimizer.zero_grad()
        loss.backward()
        found = gradients(model).clone() if not optimizer.state else loss.detach()
        optimizer.step()
        return found

    return step


def drawing(context: Context, precision: str, batch: int) -> Step:
    """One network call of a pipeline."""
    model = uvit(context).eval()
    sample, logsnr = images(batch), torch.linspace(-10, 10, batch)
    labels = torch.arange(batch) % 17

    @torch.no_grad()
    def step() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=half(context, precision)):
            return model(sample, logsnr, class_labels=labels).sample

    return step


def training_script(checkout: Path, name: str) -> Any:
    """A training script of the build."""
    spec = importlib.util.spec_from_file_location(name, checkout / "training" / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ValueError(f"{checkout} has no training script {name}.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def gan_step(context: Context, precision: str, batch: int) -> Step:
    """Discriminator with R1 and R2, and generator, of preset r3, each with Adam."""
    script = training_script(context.checkout, "train_rsgan")
    generator = hf_kexue.RSGANGenerator.from_pretrained(context.inputs / "generator")
    discriminator = hf_kexue.RSGANDiscriminator.from_pretrained(context.inputs / "discriminator")
    networks = [network.to(memory_format=CHANNELS_LAST).train() for network in (generator, discriminator)]
    adams = [torch.optim.Adam(network.parameters(), 1e-4, fused=True) for network in networks]
    args = Namespace(penalty="r1r2", pairing="paired", kind="logistic", saturating=False)
    real, labels = images(batch), torch.arange(batch) % 17
    latents = torch.randn(batch, generator.config.latent_dim, generator=torch.Generator().manual_seed(2))
    noise = torch.Generator()

    def cast(network: Any, *inputs: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16, enabled=half(context, precision)):
            return network(*inputs)

    def augmented(pictures: Tensor) -> Tensor:
        return script.diff_augment(pictures, "color,translation,cutout", noise, 0.5)

    def step() -> Tensor:
        noise.manual_seed(3)
        with torch.no_grad():
            fake = cast(generator, latents, labels).sample.float()
            both = torch.cat([augmented(real), augmented(fake)])
        network = lambda *inputs: cast(discriminator, *inputs)  # noqa: E731 - as the script hands it over
        _, loss, penalty = script.discriminator_loss(args, network, both, labels.repeat(2), noise, True)
        (loss + 0.5 * penalty).backward()
        found = gradients(discriminator).clone() if not adams[1].state else loss.detach()
        adams[1].step()
        adams[1].zero_grad()
        discriminator.requires_grad_(False)
        with torch.no_grad():
            real_logits = cast(discriminator, augmented(real), labels).logits.float()
        fake_logits = cast(discriminator, augmented(cast(generator, latents, labels).sample.float()), labels).logits
        hf_kexue.relativistic_loss(real_logits, fake_logits.float(), pairing="paired", side="generator").backward()
        adams[0].step()
        adams[0].zero_grad()
        discriminator.requires_grad_(True)
        return found

    return step


def text_step(context: Context, precision: str, kind: str) -> Step:
    """Forward, backward and AdamW of a text model; the first call, whose gradients are compared, without dropout."""
    classes = {"qa": "DGCNNForQuestionAnswering", "triples": "DGCNNForTripleExtraction"}
    folder = context.inputs / f"dgcnn-{kind}-zh"
    model = getattr(hf_kexue, classes[kind]).from_pretrained(folder, dtype=torch.float32).eval()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)
    batch = torch.load(context.inputs / f"{kind}.pt", weights_only=True)

    def step() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=half(context, precision)):
            loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        found = gradients(model).clone() if not optimizer.state else loss.detach()
        optimizer.step()
        model.train()
        return found

    return step


def reading(context: Context, precision: str) -> Step:
    """The reading pipeline over questions with their passages."""
    folder = context.inputs / "dgcnn-qa-zh"
    model = hf_kexue.DGCNNForQuestionAnswering.from_pretrained(folder, dtype=dtype(context, precision))
    tokenizer = hf_kexue.DGCNNTokenizer.from_pretrained(folder)
    pipeline = hf_kexue.ReadingComprehensionPipeline(model=model, tokenizer=tokenizer)
    records = context.read("questions")
    return lambda: [found["answer"] for found in pipeline(records, progress=False)]


def extraction(context: Context, precision: str) -> Step:
    """The triples pipeline over sentences."""
    folder = context.inputs / "dgcnn-triples-zh"
    model = hf_kexue.DGCNNForTripleExtraction.from_pretrained(folder, dtype=dtype(context, precision))
    tokenizer = hf_kexue.DGCNNTokenizer.from_pretrained(folder)
    pipeline = hf_kexue.TripleExtractionPipeline(model=model, tokenizer=tokenizer)
    texts = context.read("sentences")

    def step() -> list[str]:
        found = pipeline(texts, progress=False)
        return [str(sorted((t["subject"]["text"], t["predicate"], t["object"]["text"]) for t in row)) for row in found]

    return step


def dtype(context: Context, precision: str) -> torch.dtype:
    return torch.bfloat16 if half(context, precision) else torch.float32


# Row: function, its arguments, what a call computes, and how many.
ROWS: dict[str, tuple[Callable[..., Step], dict[str, Any], str, int]] = {}
for _precision in ("float32", "bf16"):
    _by = {"precision": _precision}
    ROWS[f"training step, preset 64, {_precision}"] = (uvit_step, {**_by, "batch": 16}, "images", 16)
    for _batch in (1, 16):
        name = f"drawing, one network call of {_batch}, {_precision}"
        ROWS[name] = (drawing, {**_by, "batch": _batch}, "images", _batch)
    ROWS[f"training step, preset r3, {_precision}"] = (gan_step, {**_by, "batch": 16}, "images", 16)
    ROWS[f"training step, reader-fast, {_precision}"] = (text_step, {**_by, "kind": "qa"}, "windows", 16)
    ROWS[f"training step, triples-wide, {_precision}"] = (text_step, {**_by, "kind": "triples"}, "sentences", 32)
    ROWS[f"reading pipeline, {_precision}"] = (reading, _by, "pairs", 32)
    ROWS[f"triples pipeline, {_precision}"] = (extraction, _by, "sentences", 64)

_by = {"precision": "bf16 for float32"}
ROWS["drawing, one network call of 16, bf16 for float32"] = (drawing, {**_by, "batch": 16}, "images", 16)
ROWS["reading pipeline, bf16 for float32"] = (reading, _by, "pairs", 32)
ROWS["triples pipeline, bf16 for float32"] = (extraction, _by, "sentences", 64)


def main() -> None:
    checkout, inputs, row = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    function, arguments, _, _ = ROWS[row]
    torch.manual_seed(0)
    step = function(Context(checkout, inputs), **arguments)
    torch.save(step(), inputs / f"outputs-{checkout.name}.pt")
    reply: dict[str, Any] = {"package": hf_kexue.__file__}
    print(json.dumps(reply), flush=True)
    for line in sys.stdin:
        seconds, cpu_seconds = [], []
        for _ in range(int(line)):
            started, cpu_started = time.perf_counter(), time.process_time()
            step()
            seconds.append(time.perf_counter() - started)
            cpu_seconds.append(time.process_time() - cpu_started)
        print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds}), flush=True)
    print(json.dumps({"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)


if __name__ == "__main__":
    main()
