"""How cost grows: with the pixels of an image in training and drawing, and with the characters of a text.

    python benchmarks/growth.py                        # hours of one core: a million characters, 512 px
    python benchmarks/growth.py --up_to_characters 100000 --up_to_pixels 256

Images: the network of preset 64 with random weights, float32, once with its patch of 2 at every size, once with a
patch that grows with the image; CPU seconds of a training step and of a network call, an image each. The presets from
256 px on have 1.9 billion parameters: their arithmetic is in `flops_by_resolution.json`.

Texts: the published reader answers a question from one text, the published model for triples extracts from one,
sentences of the cards repeated; CPU seconds, and peak memory over that held before.

Exponents are slopes of least squares of log cost over log size (pixels of a side, characters); one by which cost
doubles where the size doubles is 1. One thread; each size has a process of its own. Rows of earlier runs are kept and
not measured again. Writes
benchmarks/results/growth.json and growth.png.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from results import FOLDER, REPOSITORY, rows_before, write_results

DATA: dict[str, str] = {}  # needs none from outside the checkout
PIXELS = (64, 128, 256, 512)
CHARACTERS = (1_000, 10_000, 100_000, 1_000_000)
ENOUGH = 2.0  # CPU seconds of measuring after which a cost is not measured once more
SENTENCES = (
    "居里夫人1867年出生于华沙，是波兰裔法国物理学家。", "《邪少兵王》是冰火未央写的网络小说，连载于旗峰天下。",
    "那年的冬天下了很大的雪，村口的老树上落满了乌鸦。", "《琅琊榜》是孔笙、李雪执导的电视剧，胡歌主演。",
    "长江发源于青海省，流经十一个省、自治区和直辖市，最后在上海注入东海。",
)  # fmt: skip
QUESTION = "居里夫人在哪里出生？"
COSTS = ("cpu_seconds_of_training", "cpu_seconds_of_drawing", "cpu_seconds", "peak_mib")


def cheapest(call: Callable[[], object]) -> float:
    """CPU seconds of the shortest of several calls."""
    found: list[float] = []
    while not found or (sum(found) < ENOUGH and len(found) < 10):
        started = time.process_time()
        call()
        found.append(time.process_time() - started)
    return min(found)


def image_costs(pixels: int, patch: int) -> dict[str, float]:
    """Of one image."""
    import torch
    from scripts import load_script, preset_arguments

    from hf_kexue import SimpleDiffusionUViT2DModel

    script = "train_simple_diffusion"
    start = load_script(script).build_model(preset_arguments(script, "--preset", "64"), num_classes=None)
    config = dict(start.config) | {"sample_size": pixels, "patch_size": patch}
    network: Any = SimpleDiffusionUViT2DModel.from_config(config).to(memory_format=torch.channels_last)
    image = torch.randn(1, 3, pixels, pixels).contiguous(memory_format=torch.channels_last)

    def train() -> None:
        network(image, torch.zeros(1)).sample.square().mean().backward()

    def draw() -> None:
        with torch.no_grad():
            network(image, torch.zeros(1))

    train()
    return {"cpu_seconds_of_training": cheapest(train), "cpu_seconds_of_drawing": cheapest(draw)}


def text_costs(model: str, characters: int) -> dict[str, float]:
    """Of one text."""
    from hf_kexue.inference.saved_models import load_pipeline

    pipeline = load_pipeline(str(REPOSITORY / "model_cards" / model), device="cpu")
    text = "".join(islice(cycle("".join(SENTENCES)), characters))

    def read(some: str) -> None:
        given = {"question": QUESTION, "context": some} if "qa" in model else {"inputs": some}
        pipeline(**given, progress=False)

    read(text[:1000])  # what is allocated once
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    seconds = cheapest(lambda: read(text))
    return {"cpu_seconds": seconds, "peak_mib": max(memory("VmHWM") - before, 0.0)}


def memory(name: str) -> float:
    """A line of the kernel's on this process, MiB."""
    return int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0]) / 1024


def cases(pixels: int, characters: int) -> list[dict[str, Any]]:
    """What is measured, up to these sizes, the cheap before the dear."""
    sizes = [size for size in PIXELS if size <= pixels]
    images = [{"what": "patch of 2", "size": size, "patch": 2} for size in sizes]
    images += [{"what": "patch grows", "size": size, "patch": size // 32} for size in sizes]
    lengths = [length for length in CHARACTERS if length <= characters]
    texts = [{"what": model, "size": length} for length in lengths for model in ("dgcnn-qa-zh", "dgcnn-triples-zh")]
    return images + texts


def measured(case: dict[str, Any]) -> dict[str, Any]:
    """A row, by a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--case", json.dumps(case)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    costs = json.loads(output.splitlines()[-1])
    return {**case, **{name: float(f"{cost:.4g}") for name, cost in costs.items()}}


def exponents(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Of each thing and cost, where two sizes or more are there."""
    found: dict[str, dict[str, float]] = {}
    for what in dict.fromkeys(row["what"] for row in rows):
        for cost in COSTS[:3]:
            points = [(row["size"], row[cost]) for row in rows if row["what"] == what and cost in row]
            if len(points) > 1:
                size, value = np.log(points).T
                found.setdefault(what, {})[cost] = round(float(np.polyfit(size, value, 1)[0]), 2)
    return found


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Costs over sizes, both logarithmic: images, time of texts, memory of texts."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    lines = [
        (panels[0], "patch of 2", COSTS[0], "training, patch of 2", "o-"),
        (panels[0], "patch of 2", COSTS[1], "drawing, patch of 2", "o:"),
        (panels[0], "patch grows", COSTS[0], "training, patch grows", "s-"),
        (panels[0], "patch grows", COSTS[1], "drawing, patch grows", "s:"),
        *((panels[1], model, COSTS[2], model, "o-") for model in ("dgcnn-qa-zh", "dgcnn-triples-zh")),
        *((panels[2], model, COSTS[3], model, "o-") for model in ("dgcnn-qa-zh", "dgcnn-triples-zh")),
    ]
    for panel, what, cost, label, style in lines:
        chosen = [row for row in rows if row["what"] == what]
        panel.plot([row["size"] for row in chosen], [row[cost] for row in chosen], style, label=label)
    titles = ("CPU seconds an image, preset 64", "CPU seconds a text", "peak MiB a text")
    for panel, title, unit in zip(panels, titles, ("pixels of a side", "characters", "characters")):
        panel.set(xscale="log", yscale="log", title=title, xlabel=unit)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    panels[0].set_xticks(PIXELS, [str(size) for size in PIXELS])
    panels[0].minorticks_off()
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--up_to_pixels", type=int, default=PIXELS[-1])
    parser.add_argument("--up_to_characters", type=int, default=CHARACTERS[-1])
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        size = args.case["size"]
        case = args.case
        print(json.dumps(image_costs(size, case["patch"]) if "patch" in case else text_costs(case["what"], size)))
        return
    rows = rows_before("growth", {"precision": "float32"})
    for case in cases(args.up_to_pixels, args.up_to_characters):
        if any(case.items() <= row.items() for row in rows):
            continue
        rows.append(measured(case))
        rows.sort(key=lambda row: (row["what"].startswith("dgcnn"), row["what"], row["size"]))
        write(rows)  # each time: it may be cut off
    write(rows)
    plot(rows, FOLDER / "growth.png")


def write(rows: list[dict[str, Any]]) -> None:
    fitted = [{"what": what, **costs} for what, costs in exponents(rows).items()]
    write_results("growth", {"precision": "float32", "rows": rows, "exponents": fitted})


if __name__ == "__main__":
    main()
