"""Peak memory of a training step at 256 px with and without gradient checkpointing.

    python benchmarks/memory_checkpointing.py

The network of preset 64 at 256 px behind patches of 2 (128 x 128 positions), batch 8, float32 on the CPU. Each case
runs in its own process; its figure is the peak resident memory of the step over the memory held before it. Writes
benchmarks/results/memory_checkpointing.json.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import torch
from results import write_results
from scripts import load_script, preset_arguments

DATA: dict[str, str] = {}  # needs none from outside the checkout


def resident_mib() -> float:
    """Memory in use now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def peak_of_step(checkpointing: bool) -> float:
    """MiB that one forward and backward pass needs at its peak."""
    arguments = preset_arguments("train_simple_diffusion", "--preset", "64", "--resolution", "256")
    model = (
        load_script("train_simple_diffusion")
        .build_model(arguments, num_classes=None)
        .to(memory_format=torch.channels_last)
    )
    if checkpointing:
        model.enable_gradient_checkpointing()
    sample = torch.randn(8, 3, 256, 256).contiguous(memory_format=torch.channels_last)
    model(sample[:1], torch.zeros(1)).sample.mean().backward()  # kernels and gradients are allocated before counting
    before = resident_mib()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    model(sample, torch.zeros(8)).sample.square().mean().backward()
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    return peak - before


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(peak_of_step(sys.argv[1] == "on")))
        return
    figures = {}
    for case in ("off", "on"):
        output = subprocess.run([sys.executable, __file__, case], check=True, capture_output=True, text=True).stdout
        figures[f"checkpointing_{case}_mib"] = round(json.loads(output.splitlines()[-1]), 1)
    figures["on_over_off"] = round(figures["checkpointing_on_mib"] / figures["checkpointing_off_mib"], 3)
    print(figures)
    write_results("memory_checkpointing", figures)


if __name__ == "__main__":
    main()
