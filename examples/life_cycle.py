"""The life cycle of a model on one machine: train two steps, export, publish, load elsewhere, use, compare.

    python examples/life_cycle.py                        # all four training scripts
    python examples/life_cycle.py --models gan reader    # some of them

Each script trains for two steps on a handful of samples with `--push_to_hub`, against a Hub on this machine
(loopback_hub.py). Then two clean processes load the published models by name and use them: one with hf_kexue, one that
cannot import it and runs the published code. The outputs of both must equal those of the trained model bit for bit.
The output of each process is in the working folder.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import runpy
import subprocess
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from loopback_hub import LoopbackHub

HERE = Path(__file__).resolve().parent
TRAINING = HERE.parent / "training"
QUESTION, CONTEXT = "赵州桥是谁建造的？", "赵州桥由李春在隋朝建造，它横跨洨河。"
COMMON = ["--max_train_steps", "2", "--train_batch_size", "4", "--mixed_precision", "no", "--tracker", "none"]
PICTURES = ["--split", "train[:64]", "--validation_split", "validation[:8]", "--resolution", "32"]
PICTURES += ["--sample_steps", "0", "--hub_license", "cc0-1.0"]
TEXTS = ["--train", "{data}", "--min_count", "1", "--hidden_size", "32", "--lr_warmup_steps", "1"]
RUNS = {
    "diffusion": ("train_simple_diffusion", [
        "--preset", "64", "--block_out_channels", "8", "--layers_per_block", "1", "--hidden_size", "32",
        "--num_transformer_layers", "1", "--num_attention_heads", "2", "--lr_warmup_steps", "1", *PICTURES,
    ]),
    "gan": ("train_rsgan", [
        "--preset", "r3", "--block_out_channels", "8", "8", "8", "8", "--group_size", "8", "--latent_dim", "8",
        *PICTURES,
    ]),
    "reader": ("train_dgcnn_qa", ["--validation", "{data}", *TEXTS]),
    "triples": ("train_dgcnn_triples", TEXTS),
}  # fmt: skip


def records(name: str) -> list[dict[str, Any]]:
    """A question or a sentence with its triple, eight times over."""
    if name == "reader":
        answers = {"text": ["李春"], "answer_start": [CONTEXT.index("李春")]}
        return [{"id": str(n), "question": QUESTION, "context": CONTEXT, "answers": answers} for n in range(8)]
    triple = {
        "subject": "赵州桥",
        "predicate": "建造者",
        "object": "李春",
        "subject_type": "建筑",
        "object_type": "人物",
    }
    return [{"text": CONTEXT, "spo_list": [triple]}] * 8


def train_one(name: str, folder: Path) -> None:
    """Run a training script as from its command line."""
    data = folder / f"{name}.jsonl"
    if name in ("reader", "triples"):
        lines = (json.dumps(record, ensure_ascii=False) for record in records(name))
        data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    script, options = RUNS[name]
    options = [option.format(data=data) for option in [*COMMON, *options]]
    sys.argv = [f"{script}.py", *options, "--output_dir", str(folder / name), "--push_to_hub", f"owner/{name}"]
    runpy.run_path(str(TRAINING / f"{script}.py"), run_name="__main__")


def train(names: list[str], folder: Path) -> None:
    """Run each script in a forked process that shares the imports."""
    import diffusers.optimization  # noqa: F401
    import transformers.models.auto.modeling_auto  # noqa: F401

    context = get_context("fork" if sys.platform == "linux" else "spawn")
    for name in names:
        process = context.Process(target=train_one, args=(name, folder))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{RUNS[name][0]}.py ended with {process.exitcode}.")


def answer(name: str, model: Any) -> Any:
    """The output of a pipeline for a fixed input or seed, as JSON."""
    import torch

    if name in ("diffusion", "gan"):
        options = {"num_inference_steps": 4} if name == "diffusion" else {}
        images = model(2, generator=torch.Generator().manual_seed(0), output_type="pt", **options).images
        return [float(value).hex() for value in images.double().flatten()]
    if name == "reader":
        found = model(question=QUESTION, context=CONTEXT, top_k=3)
    else:  # after two steps nothing is likely yet
        found = model(CONTEXT, subject_threshold=0.0, object_threshold=0.0)
    return json.loads(json.dumps(found))


def load(name: str, place: str, with_package: bool) -> Any:
    """A pipeline from the Hub, or from the folder that its training left."""
    from diffusers import DiffusionPipeline
    from transformers import pipeline

    if with_package:
        import hf_kexue

        if name in ("diffusion", "gan"):
            own = hf_kexue.SimpleDiffusionPipeline if name == "diffusion" else hf_kexue.RSGANPipeline
            return own.from_pretrained(place)
        task = "kexue-question-answering" if name == "reader" else "kexue-triple-extraction"
        return pipeline(task, model=place, device="cpu")
    if name in ("diffusion", "gan"):
        return DiffusionPipeline.from_pretrained(place, trust_remote_code=True)
    task = "question-answering" if name == "reader" else "triple-extraction"
    return pipeline(task, model=place, device="cpu", trust_remote_code=True)


def run_card(name: str, folder: Path, with_package: bool) -> None:
    """Run the snippet of the published card for this case."""
    from huggingface_hub import hf_hub_download

    card = Path(hf_hub_download(f"owner/{name}", "README.md")).read_text(encoding="utf-8")
    with_it, without_it = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    os.chdir(folder)
    exec(compile(with_it if with_package else without_it, f"{name}/README.md", "exec"), {"__name__": "__main__"})


def use(names: list[str], folder: Path, with_package: bool) -> None:
    """Run the cards, load everything from the Hub and answer; with the package, also from the folders of the runs."""
    if not with_package:
        sys.modules["hf_kexue"] = None  # type: ignore[assignment]
    for name in names:
        run_card(name, folder, with_package)
    found = {name: answer(name, load(name, f"owner/{name}", with_package)) for name in names}
    (folder / f"answers-{'with' if with_package else 'without'}.json").write_text(json.dumps(found))
    if with_package:
        left = {name: folder / name / ("pipeline" if name in ("diffusion", "gan") else "model") for name in names}
        found = {name: answer(name, load(name, str(left[name]), True)) for name in names}
        (folder / "answers-local.json").write_text(json.dumps(found))


def step(act: str, names: list[str], folder: Path, hub: LoopbackHub) -> None:
    """Run one step in a clean process that uses the local Hub, with its output in a file."""
    log = folder / f"{act}.log"
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, str(HERE / "life_cycle.py"), "--act", act, "--folder", str(folder), "--models", *names],
            env={**os.environ, **hub.environment(folder / f"home-{act}")},
            stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{act} failed; the end of {log}:\n{log.read_text()[-3000:]}")


def live(names: list[str], folder: Path) -> bool:
    """Run all steps and print a line for each model; returns whether all outputs agree."""
    hub = LoopbackHub()
    for number, (act, what) in enumerate(ACTS.items(), 1):
        print(f"{number}/{len(ACTS)} {what}", flush=True)
        step(act, names, folder, hub)
    local, own, remote = (
        json.loads((folder / f"answers-{at}.json").read_text()) for at in ("local", "with", "without")
    )
    for name in names:
        size = sum(map(len, hub.files(f"owner/{name}").values()))
        print(
            f"{name}: {size} bytes published, {len(local[name])} values compared; equal with the package: "
            f"{own[name] == local[name]}, without it: {remote[name] == local[name]}"
        )
    hub.close()
    return own == remote == local


ACTS = {
    "train": "train two steps, export, publish",
    "with": "load and use with the package",
    "without": "load and use without it",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--folder", type=Path, help="working folder; default: a temporary one that is removed")
    parser.add_argument("--act", choices=ACTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.act == "train":
        train(args.models, args.folder)
    elif args.act:
        use(args.models, args.folder, with_package=args.act == "with")
    else:
        with tempfile.TemporaryDirectory() as temporary:
            folder = args.folder or Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            if not live(args.models, folder.resolve()):
                raise SystemExit("The answers differ.")


if __name__ == "__main__":
    main()
