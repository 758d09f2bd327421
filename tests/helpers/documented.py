"""Commands of the documents that take the reader's own data: found, told apart from others, and run as printed.

A command runs in a folder of its own, where `path/to/` and words such as `DATA` are real files, and what earlier
commands of its document leave in `outputs/` is in sight. Its own arguments stay; what is appended makes a training
tiny and never repeats an argument that is printed.
"""

import gzip
import json
import os
import re
import shlex
from argparse import Namespace
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from documents import ROOT, blocks, prose
from jit_weights import START as JIT_START
from jit_weights import jit_state
from PIL import Image
from typer.testing import CliRunner
from whole_runs import load_script, reset

from hf_kexue.cli.main import app

DOCUMENTS = (
    "README.md", "README.zh-CN.md", "training/README.md",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))),
)  # fmt: skip
SOURCES = ("DATA", "FILE", "FOLDER", "FILE_OR_FOLDER")  # names for a file or folder of own data
SYNOPSIS = {"MODEL", "TEXT", "COMMAND", "REPOSITORY"}  # a line with these shows the form of a command, not a command
PROGRAM = re.compile(r"(accelerate launch|torchrun|hf-kexue|python) ")
INLINE = re.compile(r"`([^`\n]+)`")
ON_DATA = ("evaluate", "extract", "ask", "index", "check-data", "generate", "edit", "convert-jit")
KINDS = {
    "train_simple_diffusion": "pictures", "train_rsgan": "pictures", "train_dgcnn_qa": "questions",
    "train_dgcnn_triples": "triples", "pretrain_dgcnn": "questions",
    "distill_simple_diffusion": "pictures",
    "qa": "questions", "triples": "triples", "images": "pictures",
}  # fmt: skip
TINY = ["--max_train_steps", "2", "--train_batch_size", "4", "--tracker", "none", "--mixed_precision", "no"]
TINY_NETWORKS = {
    "train_simple_diffusion": [
        "--lr_warmup_steps", "1", "--block_out_channels", "8", "16", "--layers_per_block", "1", "1",
        "--hidden_size", "32", "--num_transformer_layers", "1", "--num_attention_heads", "2",
        "--sample_inference_steps", "2",
    ],
    "train_rsgan": ["--block_out_channels", "8", "8", "8", "8", "8", "--latent_dim", "8", "--group_size", "8"],
    "distill_simple_diffusion": ["--shards", "2", "--shard_size", "4", "--sample_steps", "0"],
}  # fmt: skip
ADDED = {"edit": ["--steps", "2"], "convert-jit": ["--context-start", str(JIT_START)]}  # the sizes of tests are tiny

RIVERS = {"多瑙河": ("黑森林", "黑海", "欧洲"), "莱茵河": ("阿尔卑斯山", "北海", "欧洲"),
          "长江": ("唐古拉山", "东海", "亚洲"), "黄河": ("巴颜喀拉山", "渤海", "亚洲")}  # fmt: skip
PREDICATES = ("发源于", "注入", "位于", "流经", "别名")


@dataclass(frozen=True)
class Command:
    """A command of a document.

    Attributes:
        document: the first one that prints it.
        line: as printed.
        needs: commands of the same document whose `outputs/` it reads.
    """

    document: str
    line: str
    needs: tuple["Command", ...] = ()

    @property
    def words(self) -> list[str]:
        return shlex.split(self.line)

    @property
    def script(self) -> str | None:
        """Name of the training script that it runs."""
        return next((Path(word).stem for word in self.words if re.fullmatch(r"training/\w+\.py", word)), None)

    @property
    def arguments(self) -> list[str]:
        """Those of the script, or of `hf-kexue`."""
        words = self.words
        return words[words.index(f"training/{self.script}.py") + 1 if self.script else 1 :]

    @property
    def output(self) -> str | None:
        """Folder that a training or an index leaves."""
        if not self.script:
            is_whole = self.words[1] == "index" and "--output" in self.words  # a text may name the command alone
            return self.words[self.words.index("--output") + 1] if is_whole else None
        if "--output_dir" in self.words:
            return self.words[self.words.index("--output_dir") + 1]
        return load_script(self.script).Arguments().output_dir

    @property
    def kind(self) -> str:
        """Of its data."""
        if self.script or self.arguments[0] == "check-data":
            return KINDS[self.script or self.arguments[1]]
        if self.needs:
            return self.needs[0].kind
        if self.arguments[0] in ("index", "convert-jit"):
            return {"index": "questions", "convert-jit": "pictures"}[self.arguments[0]]
        (model,) = [word for word in self.words if word.startswith("model_cards/")]
        return {"qa": "questions", "triples": "triples"}.get(model.split("-")[1], "pictures")

    @property
    def name(self) -> str:
        """For the test."""
        words = [self.script or "-".join(self.arguments[: 1 + (self.arguments[0] == "check-data")])]
        words += [Path(word).name for word in self.words if word.startswith(("model_cards/", "outputs/"))]
        options = {
            "preset",
            "label_column",
            "passages",
            "file",
            "output",
            "to",
            "index",
            "questions",
            "overfit",
            "cloze_share",
        }
        words += [word[2:] for word in self.words if word[:2] == "--" and word[2:] in options]
        return "-".join([Path(self.document).stem, *words])

    @property
    def reads(self) -> list[str]:
        """What it takes out of `outputs/`."""
        written = {
            self.output,
            *(word for before, word in pairwise(self.words) if before in ("--page", "--output", "--to")),
        }
        return [word for word in self.words if word.startswith("outputs/") and word not in written]

    def takes_own_data(self) -> bool:
        return names_own_data(self.words) or any(command.takes_own_data() for command in self.needs)

    def fault(self) -> str | None:
        """What keeps the tests from running it; None if nothing does."""
        if self.script not in KINDS and not (self.words[0] == "hf-kexue" and self.arguments[0] in ON_DATA):
            return "is neither a training nor one of the commands on data"
        if lost := [path for path in self.reads if not any(makes(command, path) for command in self.needs)]:
            return f"reads {lost}, which no command before it on its page leaves"
        return None


def names_own_data(words: list[str]) -> bool:
    return any(word.startswith("path/to/") or word in SOURCES for word in words) and not SYNOPSIS & set(words)


def makes(command: Command, path: str) -> bool:
    """Whether a path lies in what a training leaves."""
    return command.output is not None and Path(path).is_relative_to(command.output)


def documented(document: str) -> list[Command]:
    """All commands of a document that run a program of the package, in order: of its blocks, then of its text."""
    lines = [
        " ".join(line.split())
        for _, language, code in blocks(document)
        if language in ("bash", "sh", "shell", "console", "")
        for line in code.replace("\\\n", " ").splitlines()
    ]
    lines += INLINE.findall(prose(document))
    found: list[Command] = []
    for line in lines:
        if PROGRAM.match(line) and "..." not in line:
            command = Command(document, line)
            needs = tuple(other for other in found if any(makes(other, path) for path in command.reads))
            found.append(replace(command, needs=needs))
    return found


def own_data_commands() -> list[Command]:
    """Each once, from the document that prints it first, unless what it needs differs."""
    found: dict[tuple, Command] = {}

    def key(command: Command) -> tuple:
        return (command.line, *map(key, command.needs))

    for document in DOCUMENTS:
        for command in documented(document):
            if command.takes_own_data():
                found.setdefault(key(command), command)
    return list(found.values())


# ---- data


def write_lines(path: Path, rows: list) -> None:
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_data(folder: Path, kind: str) -> None:
    """What stands under `path/to/` of a command: the plainest form of everything, nothing but what is documented.

    Pictures in folders of three classes without splits; questions in SQuAD form; sentences with triples of five
    predicates without types; texts.
    """
    folder.mkdir(parents=True)
    if kind == "pictures":
        generator = np.random.default_rng(0)
        for number, name in enumerate(("bird", "car", "flower")):
            (folder / "pictures" / name).mkdir(parents=True)
            for i in range(36):
                pixels = generator.integers(60 * number, 60 * number + 120, (40 + i % 3, 48, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / "pictures" / name / f"{i}.png")
        for name, size in (("picture", (96, 80)), ("small", (20, 16)), ("mask", (96, 80))):
            Image.linear_gradient("L").resize(size).convert("L" if name == "mask" else "RGB").save(
                folder / f"{name}.png"
            )
        weights = {f"net.{name}": value for name, value in jit_state().items()}
        torch.save({"model_ema1": weights, "args": Namespace(noise_scale=1.0)}, folder / "checkpoint-last.pth")
        return
    questions, sentences, texts = [], [], []
    for number in range(24):
        river, (source, sea, part) = list(RIVERS.items())[number % 4]
        text = f"{river}发源于{source}，位于{part}，流经{number + 2}个国家，最后注入{sea}。"
        answers = {"text": [sea], "answer_start": [text.index(sea)]}
        questions.append({"id": str(number), "question": f"{river}注入什么海？", "context": text, "answers": answers})
        objects = {"发源于": source, "位于": part, "流经": f"{number + 2}个国家", "注入": sea}
        triples = [{"subject": river, "predicate": name, "object": end} for name, end in objects.items()]
        if number % 2:
            text = f"{river}又叫大河{number}。{text}"
            triples.append({"subject": river, "predicate": "别名", "object": f"大河{number}"})
        sentences.append({"text": text, "spo_list": triples})
        texts += [text, f"{river}的长度是{number}千公里。"]
    rows = questions if kind == "questions" else sentences
    (folder / "folder").mkdir()
    for split, part in (("train", rows[:18]), ("validation", rows[18:])):
        write_lines(folder / f"{split}.jsonl", part)
        write_lines(folder / "folder" / f"{split}.jsonl", part)
    write_lines(folder / "texts.txt", texts)
    write_lines(folder / "passages.jsonl", [{"passage": text} for text in ["赵州桥由隋代工匠李春主持修建。", *texts]])
    (folder / "text.txt").write_text("".join(["赵州桥由隋代工匠李春主持修建。", *texts]), encoding="utf-8")
    words = ["发源", "注入", "河流", "位于", "国家", "最后", *RIVERS]
    vectors = np.random.default_rng(0).normal(size=(len(words), 8))
    with gzip.open(folder / "vectors.txt.gz", "wt", encoding="utf-8") as file:
        file.write(f"{len(words)} 8\n")
        file.writelines(f"{word} {' '.join(f'{x:.4f}' for x in row)}\n" for word, row in zip(words, vectors))


# ---- runs


class Runs:
    """Runs commands, each once, each in a folder of its own.

    Args:
        folder: of all of them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.done = folder, {}

    def data(self, kind: str) -> Path:
        if not (self.folder / kind).exists():
            write_data(self.folder / kind, kind)
        return self.folder / kind

    def __call__(self, command: Command) -> tuple[Path, str]:
        """The folder that a command has run in, and what it printed.

        Raises:
            RuntimeError: if it ends with another exit code than 0.
        """
        if command not in self.done:
            self.done[command] = self._run(command)
        return self.done[command]

    def _run(self, command: Command) -> tuple[Path, str]:
        before = [(needed, self(needed)[0]) for needed in command.needs]
        place = self.folder / f"run-{len(list(self.folder.glob('run-*')))}"  # those that failed are there, too
        (place / "outputs").mkdir(parents=True)
        for name in ("model_cards", "training"):
            (place / name).symlink_to(ROOT / name)
        data = self.data(command.kind)
        (place / "path").mkdir()
        (place / "path" / "to").symlink_to(data)
        for name in SOURCES:
            (place / name).symlink_to(data / ("pictures" if command.kind == "pictures" else "folder"))
        for needed, folder in before:
            (place / needed.output).symlink_to(folder / needed.output)
        here = Path.cwd()
        os.chdir(place)
        try:
            return place, self._train(command) if command.script else self._invoke(command)
        finally:
            os.chdir(here)

    @staticmethod
    def _train(command: Command) -> str:
        reset()
        tiny = [*TINY, *([] if "--init_from" in command.words else TINY_NETWORKS.get(command.script, []))]
        if "vit" in command.words or any(word.startswith("jit-") for word in command.words):
            tiny += ["--context_start", "0"]  # of one block
        printed = {word for word in command.arguments if word.startswith("--")}
        replaced = printed.intersection(tiny)
        assert not replaced, f"{command.line}: {replaced} would be replaced"
        load_script(command.script).main([*command.arguments, *tiny])
        return ""

    @staticmethod
    def _invoke(command: Command) -> str:
        result = CliRunner().invoke(app, [*command.arguments, *ADDED.get(command.arguments[0], [])])
        if result.exit_code:
            raise RuntimeError(f"{command.line}: exit code {result.exit_code}\n{result.output}") from result.exception
        return result.stdout
