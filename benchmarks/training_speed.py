"""Images per second of a training step at 64 px: ours, denoising-diffusion-pytorch's UViT and diffusers' UNet2DModel.

    pip download --no-deps denoising-diffusion-pytorch==2.3.4 && unzip denoising_diffusion_pytorch-2.3.4-*.whl -d peer
    python benchmarks/training_speed.py --peer peer/denoising_diffusion_pytorch/simple_diffusion.py

The candidates alternate, step by step, in one process with the same threads, batch and precision; the best round
counts, since other load only makes a step slower. A step is forward, backward and AdamW. Also gives
our share of the rate that the machine reaches on a plain matrix product in the same precision. Writes
benchmarks/results/training_speed.json.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable

import torch
from diffusers import UNet2DModel
from results import write_results
from scripts import load_script, preset_arguments
from timing import best_seconds
from torch import nn

from hf_kexue.simple_diffusion.complexity import count_flops, count_parameters
from hf_kexue.training.environment import fastest_precision

DATA: dict[str, str] = {}
OPTIONAL_DATA = {"--peer": "peer"}  # simple_diffusion.py of denoising-diffusion-pytorch
BATCH = 16


def peer_uvit(path: str) -> nn.Module:
    """dim 32, multipliers 1-2-4, ViT depth 4; loaded by path since its package imports torchvision."""
    spec = importlib.util.spec_from_file_location("peer_simple_diffusion", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.UViT(dim=32, dim_mults=(1, 2, 4), vit_depth=4)


def step_of(model: nn.Module, dtype: torch.dtype, ours: bool) -> Callable[[], None]:
    """One training step of a model as a function without arguments."""
    if ours:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)
    sample = torch.randn(BATCH, 3, 64, 64).contiguous(
        memory_format=torch.channels_last if ours else torch.contiguous_format
    )
    time_value = torch.rand(BATCH)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            output = model(sample, time_value)
            output = output if isinstance(output, torch.Tensor) else output.sample
            loss = (output.float() - sample).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="path of denoising_diffusion_pytorch/simple_diffusion.py")
    parser.add_argument("--rounds", type=int, default=8)
    args = parser.parse_args()
    dtype = torch.bfloat16 if fastest_precision(torch.device("cpu")) == "bf16" else torch.float32

    arguments = preset_arguments("train_simple_diffusion", "--resolution", "64")
    ours = load_script("train_simple_diffusion").build_model(arguments, num_classes=None)
    models: dict[str, nn.Module] = {
        "hf_kexue U-ViT, preset 64": ours,
        "diffusers UNet2DModel 32-64-128": UNet2DModel(
            sample_size=64, block_out_channels=(32, 64, 128), layers_per_block=2,
            down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        ),
    }  # fmt: skip
    if args.peer:
        models["denoising-diffusion-pytorch UViT 32, 1-2-4, depth 4"] = peer_uvit(args.peer)
    steps = {name: step_of(model, dtype, model is ours) for name, model in models.items()}
    matrix = torch.randn(2048, 2048).to(dtype)
    best = best_seconds({**steps, "matrix": lambda: matrix @ matrix}, args.rounds)
    matrix_gflops = 2 * 2048**3 / best["matrix"] / 1e9
    our_gflops = 3 * count_flops(ours) * BATCH / best["hf_kexue U-ViT, preset 64"] / 1e9
    rows = [
        {
            "model": name, "parameters": count_parameters(model), "images_per_second": round(BATCH / best[name], 2),
            "ours_over_this": round(best[name] / best["hf_kexue U-ViT, preset 64"], 2),
        }
        for name, model in models.items()
    ]  # fmt: skip
    figures = {
        "precision": str(dtype).removeprefix("torch."), "batch": BATCH, "rows": rows,
        "matrix_product_gflops": round(matrix_gflops, 1), "our_gflops": round(our_gflops, 1),
        "share_of_matrix_rate": round(our_gflops / matrix_gflops, 3),
    }  # fmt: skip
    print({key: value for key, value in figures.items() if key != "rows"})
    write_results("training_speed", figures)


if __name__ == "__main__":
    main()
