"""Data and arguments for runs of any training script within seconds, and a comparison of two runs.

Used by `kill_and_resume.py` and by the tests of runs on two processes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from hf_kexue import ShiftedCosineScheduler, SimpleDiffusionPipeline, SimpleDiffusionUViT2DModel
from hf_kexue.training.checkpoints import checkpoint_fault

SCRIPTS = (
    *("train_simple_diffusion", "train_dgcnn_qa", "train_dgcnn_triples", "pretrain_dgcnn", "train_rsgan"),
    "distill_simple_diffusion",
)
RIVERS = {"多瑙河": ("黑森林", "黑海"), "莱茵河": ("阿尔卑斯山", "北海"), "长江": ("唐古拉山", "东海"),
          "黄河": ("巴颜喀拉山", "渤海")}  # fmt: skip
COMMON = ["--mixed_precision", "no", "--tracker", "none", "--logging_steps", "1", "--learning_rate", "1e-2"]
ONE_NETWORK = ["--lr_warmup_steps", "2", "--ema_decay", "0.5"]
TEXTS = ["--min_count", "1", "--hidden_size", "16", "--dilations", "1", "2"]
OPTIONS = {
    "train_simple_diffusion": [
        *ONE_NETWORK, "--preset", "64", "--resolution", "16", "--block_out_channels", "8", "--layers_per_block", "1",
        "--hidden_size", "32", "--num_transformer_layers", "1", "--num_attention_heads", "2", "--embedding_dim", "32",
        "--sample_steps", "0", "--validation_steps", "5",
    ],
    "train_dgcnn_qa": [
        *ONE_NETWORK, *TEXTS, "--preset", "reader", "--max_characters", "40", "--drop_after", "8",
        "--validation_steps", "5", "--question_dilations", "1", "--context_dilations", "1", "--concatenate", "0.3",
        "--cloze_share", "0.3", "--zero_ids", "0.1",
    ],
    "train_dgcnn_triples": [
        *ONE_NETWORK, *TEXTS, "--preset", "triples-fast", "--validation_steps", "5", "--drop_after", "0",
        "--zero_ids", "0.1", "--swap_mentions", "0.5",
    ],
    "pretrain_dgcnn": [*ONE_NETWORK, *TEXTS, "--max_characters", "16", "--validation_steps", "5",
                       "--validation_share", "0.1"],
    "train_rsgan": [
        "--preset", "r3", "--resolution", "32", "--block_out_channels", "8", "8", "8", "8", "--group_size", "8",
        "--latent_dim", "8", "--ema_half_life", "0.02", "--ema_ramp", "1", "--sample_steps", "0",
    ],
    "distill_simple_diffusion": [
        *ONE_NETWORK, "--sample_steps", "0", "--validation_steps", "5", "--student_steps", "2", "--teacher_steps", "4",
        "--shards", "3", "--shard_size", "4", "--guidance_scales", "1", "3", "--adversarial_weight", "0.1",
    ],
}  # fmt: skip
# Dropout and noise inside a network are drawn by each process for itself: without them two processes equal one.
WITHOUT_CHANCE_INSIDE = {
    "train_simple_diffusion": ["--dropout", "0"],
    "train_dgcnn_qa": ["--gate_dropout", "0", "--hidden_dropout", "0"],
    "train_dgcnn_triples": ["--gate_dropout", "0", "--hidden_dropout", "0"],
    "pretrain_dgcnn": ["--gate_dropout", "0", "--hidden_dropout", "0"],
    "train_rsgan": ["--learning_rate", "1e-4"],
    "distill_simple_diffusion": ["--adversarial_weight", "0"],
}  # fmt: skip


def write_data(folder: Path) -> None:
    """Pictures of two classes, a pipeline that draws such, questions, sentences with triples, and plain texts."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 16), ("validation", 4)):
        for name in ("dress", "hat"):
            (folder / "pictures" / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / "pictures" / split / name / f"{number}.png")
    torch.manual_seed(0)
    network = SimpleDiffusionUViT2DModel(
        sample_size=32, block_out_channels=(8,), layers_per_block=1, hidden_size=32, num_transformer_layers=1,
        num_attention_heads=2, num_class_embeds=2,
    )  # fmt: skip
    scheduler = ShiftedCosineScheduler(sample_size=32)
    SimpleDiffusionPipeline(network, scheduler, {0: "dress", 1: "hat"}).save_pretrained(folder / "teacher")
    questions, sentences, texts = [], [], []
    for number in range(16):
        river, (source, sea) = list(RIVERS.items())[number % 4]
        text = f"{river}是一条有名的河流，全长{number}千公里，它发源于{source}，一路向东流去，最后注入{sea}。"
        answers = {"text": [sea], "answer_start": [text.index(sea)]}
        question = {"id": str(number), "question": f"{river}注入什么海？", "context": text, "answers": answers}
        triples = [
            {"subject": river, "predicate": predicate, "object": end, "subject_type": "河流", "object_type": "地点"}
            for predicate, end in (("发源于", source), ("注入", sea))[: 1 + number % 2]
        ]
        questions.append(question)
        sentences.append({"text": text[: 30 + number], "spo_list": triples})
        texts.append(text * (1 + number % 3))
    for name, rows in (("questions", questions), ("sentences", sentences)):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "texts.txt").write_text("\n".join(texts), encoding="utf-8")


def arguments(script: str, data: Path, output: Path, batch: int, steps: int, save_every: int) -> list[str]:
    """The command line of a run."""
    own = {
        "train_dgcnn_qa": ["--train", f"{data}/questions.jsonl", "--validation", f"{data}/questions.jsonl"],
        "train_dgcnn_triples": ["--train", f"{data}/sentences.jsonl", "--validation", f"{data}/sentences.jsonl"],
        "pretrain_dgcnn": ["--texts", f"{data}/texts.txt"],
    }
    images = ["--dataset", f"{data}/pictures"]
    own["distill_simple_diffusion"] = [*images, "--teacher", f"{data}/teacher"]
    return [
        *own.get(script, images), "--output_dir", str(output), *COMMON, *OPTIONS[script],
        "--train_batch_size", str(batch), "--max_train_steps", str(steps), "--checkpointing_steps", str(save_every),
    ]  # fmt: skip


def history(output: Path) -> list[dict[str, float]]:
    """Lines of a run's history without times."""
    lines = (output / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def last_checkpoint(output: Path) -> Path:
    """The folder with the highest step."""
    checkpoints = (output / "checkpoints").glob("checkpoint-*")
    return max(checkpoints, key=lambda path: int(path.name.rpartition("-")[2]))


def saved_state(checkpoint: Path) -> dict[str, Any]:
    """The content of a checkpoint by file: networks, optimizers, schedules, EMA weights, progress; without times, and
    without generator states, since each step seeds its own.

    Raises:
        ValueError: if it is incomplete or damaged.
    """
    if fault := checkpoint_fault(checkpoint):
        raise ValueError(f"{checkpoint} is incomplete or damaged: {fault}.")
    state: dict[str, Any] = {path.name: load_file(path) for path in checkpoint.glob("*.safetensors")}
    state |= {path.name: torch.load(path, weights_only=True) for path in checkpoint.glob("*.bin")}
    state["run.json"] = json.loads((checkpoint / "run.json").read_text())
    for clock in ("seconds", "cpu_seconds", "wall_seconds"):
        state["run.json"]["state"].pop(clock)
    return state


def differences(one: Any, other: Any, name: str = "") -> list[str]:
    """Names of entries that are not bitwise equal."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [found for key in one for found in differences(one[key], other[key], f"{name}/{key}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        return [found for place, pair in enumerate(zip(one, other)) for found in differences(*pair, f"{name}/{place}")]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if torch.equal(one, other) and one.dtype == other.dtype else [name]
    return [] if type(one) is type(other) and one == other else [name]


def compare_runs(one: Path, other: Path) -> list[str]:
    """Names of differences in the last checkpoints, the histories, and the final models of two runs."""
    checkpoints = [last_checkpoint(output) for output in (one, other)]
    models = [
        {str(path.relative_to(output)): load_file(path) for path in sorted(output.glob("[mpd]*/**/*.safetensors"))}
        for output in (one, other)
    ]
    return [
        *differences(checkpoints[0].name, checkpoints[1].name, "last checkpoint"),
        *differences(saved_state(checkpoints[0]), saved_state(checkpoints[1]), "checkpoint"),
        *differences(history(one), history(other), "history"),
        *differences(models[0], models[1], "models"),
    ]
