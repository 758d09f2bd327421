"""Parameters and arithmetic of the presets, and of one network when only the patch grows with the image.

    python benchmarks/flops_by_resolution.py

Writes benchmarks/results/flops_by_resolution.json. Nothing is allocated: the networks live on the meta device.
"""

from __future__ import annotations

from typing import Any

import torch
from results import write_results
from scripts import load_script, preset_arguments

from hf_kexue.simple_diffusion import SimpleDiffusionUViT2DModel
from hf_kexue.simple_diffusion.complexity import count_flops, count_parameters

DATA: dict[str, str] = {}  # needs none from outside the checkout
SCRIPT = "train_simple_diffusion"


def preset_model(resolution: int) -> SimpleDiffusionUViT2DModel:
    """The network that `--resolution` alone chooses, without memory for its weights."""
    with torch.device("meta"):
        network: SimpleDiffusionUViT2DModel = load_script(SCRIPT).build_model(
            preset_arguments(SCRIPT, "--resolution", str(resolution)), num_classes=None
        )
    return network


def regrown(preset: int, resolution: int, positions: int) -> SimpleDiffusionUViT2DModel:
    """The network of a preset at another resolution, behind patches that leave it positions x positions of them."""
    config = dict(preset_model(preset).config) | {"sample_size": resolution, "patch_size": resolution // positions}
    with torch.device("meta"):
        return SimpleDiffusionUViT2DModel.from_config(config)


def row(resolution: int, model: SimpleDiffusionUViT2DModel) -> dict[str, float]:
    gflops = count_flops(model) / 1e9
    print(
        f"{resolution:5d} px, patch {model.config.patch_size:2d}: "
        f"{count_parameters(model) / 1e6:8.2f}M parameters, {gflops:9.2f} GFLOPs"
    )
    return {
        "resolution": resolution, "patch_size": model.config.patch_size, "parameters": count_parameters(model),
        "gflops_per_image": round(gflops, 3),
    }  # fmt: skip


def main() -> None:
    print("presets, one forward pass for one image")
    presets = [row(size, preset_model(size)) for size in (64, 128, 256, 512, 1024)]
    figures: dict[str, Any] = {"presets": presets}
    for preset, positions in ((64, 32), (256, 128)):
        print(f"the network of preset {preset}, only the patch grows")
        rows = [row(size, regrown(preset, size, positions)) for size in (128, 256, 512)]
        growth = rows[-1]["gflops_per_image"] / rows[0]["gflops_per_image"]
        print(f"512 px costs {growth:.3f} times 128 px")
        figures[f"patch_grows_preset_{preset}"] = {"rows": rows, "growth_128_to_512": round(growth, 3)}
    write_results("flops_by_resolution", figures)


if __name__ == "__main__":
    main()
