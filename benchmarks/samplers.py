"""Error of every sampler class in the pipeline with an exact network, by number of steps.

    python benchmarks/samplers.py

The network knows the posterior mean of a mixture of two normals, so that what is measured is the sampler alone. Start
noise: a grid of normal quantiles. Measure: Wasserstein-1 distance of the pixels to the mixture, in levels of 255.
`steps_for_one_level` is the first of the numbers of steps from which on the error stays below one level (for
stochastic classes the sampling noise of 4,096 pixels is about half a level). Writes
benchmarks/results/samplers_exact.json; docs/how-to/choose-a-sampler.md shows the table.
"""

from __future__ import annotations

import argparse
import functools
import logging
import math
import warnings
from typing import Any

import diffusers
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from results import write_results
from scipy.optimize import brentq
from scipy.stats import norm
from torch import Tensor
from tqdm.auto import tqdm

from hf_kexue import ShiftedCosineScheduler, SimpleDiffusionPipeline
from hf_kexue.simple_diffusion.modeling_uvit import SimpleDiffusionUViT2DOutput

WEIGHTS, MEANS, STDS = (0.3, 0.7), (-0.6, 0.4), (0.1, 0.15)
DATA: dict[str, str] = {}  # needs none from outside the checkout
STEPS = (8, 12, 20, 30, 40, 64, 100)
KARRAS: dict[str, Any] = {"use_karras_sigmas": True}
EXPONENTIAL: dict[str, Any] = {"use_exponential_sigmas": True}
SAMPLERS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("ShiftedCosineScheduler", {}, {}),
    ("ShiftedCosineScheduler", {}, {"eta": 0.0}),
    ("DDIMScheduler", {}, {}),
    ("DDPMScheduler", {}, {}),
    ("PNDMScheduler", {}, {}),
    ("LMSDiscreteScheduler", {}, {}),
    ("EulerDiscreteScheduler", {}, {}),
    ("EulerAncestralDiscreteScheduler", {}, {}),
    ("HeunDiscreteScheduler", {}, {}),
    ("HeunDiscreteScheduler", EXPONENTIAL, {}),
    ("KDPM2DiscreteScheduler", {}, {}),
    ("KDPM2DiscreteScheduler", KARRAS, {}),
    ("KDPM2AncestralDiscreteScheduler", {}, {}),
    ("DPMSolverMultistepScheduler", {}, {}),
    ("DPMSolverMultistepScheduler", KARRAS, {}),
    ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}, {}),
    ("DPMSolverSinglestepScheduler", {}, {}),
    ("DPMSolverSDEScheduler", {}, {}),
    ("DEISMultistepScheduler", {}, {}),
    ("UniPCMultistepScheduler", {}, {}),
    ("UniPCMultistepScheduler", EXPONENTIAL, {}),
]


class MixtureNetwork(ModelMixin, ConfigMixin):
    """Exact v-prediction for pixels that are independent draws from the mixture."""

    @register_to_config
    def __init__(self, sample_size: int = 64, in_channels: int = 1, num_class_embeds: int | None = None) -> None:
        super().__init__()
        self.place = torch.nn.Parameter(torch.zeros(()))  # gives the pipeline a device and a dtype
        self.calls = 0

    def forward(self, sample: Tensor, logsnr: Tensor, class_labels: None = None) -> SimpleDiffusionUViT2DOutput:
        self.calls += 1
        x, logsnr = sample.double(), logsnr.double().view(-1, 1, 1, 1)
        alpha, sigma = torch.sigmoid(logsnr).sqrt(), torch.sigmoid(-logsnr).sqrt()
        variances = [(alpha * s) ** 2 + sigma**2 for s in STDS]
        parts = list(zip(WEIGHTS, MEANS, STDS, variances, strict=True))
        joint = [math.log(w) - 0.5 * torch.log(v) - (x - alpha * m) ** 2 / (2 * v) for w, m, _, v in parts]
        shares = torch.softmax(torch.stack(joint), 0)
        clean = sum(p * (m + alpha * s * s / v * (x - alpha * m)) for p, (_, m, s, v) in zip(shares, parts))
        noise = sum(p * sigma * (x - alpha * m) / v for p, (_, m, _, v) in zip(shares, parts))
        return SimpleDiffusionUViT2DOutput(sample=(alpha * noise - sigma * clean).float())


@functools.cache
def quantiles(count: int) -> tuple[Tensor, Tensor]:
    """Quantiles (count,) of the standard normal and of the mixture, ascending."""
    levels = (torch.arange(count, dtype=torch.float64) + 0.5) / count

    def quantile(level: float) -> float:
        return brentq(lambda x: sum(w * norm.cdf((x - m) / s) for w, m, s in zip(WEIGHTS, MEANS, STDS)) - level, -3, 3)

    return torch.from_numpy(norm.ppf(levels.numpy())), torch.tensor([quantile(level) for level in levels.tolist()])


def error(name: str, options: dict[str, Any], call: dict[str, Any], steps: int, side: int = 64) -> tuple[float, int]:
    """Wasserstein-1 distance in levels of 255 and the number of network calls."""
    start, target = quantiles(side * side)
    shuffled = start[torch.randperm(side * side, generator=torch.Generator().manual_seed(0))]
    own = ShiftedCosineScheduler(sample_size=side)
    cls = ShiftedCosineScheduler if name == "ShiftedCosineScheduler" else getattr(diffusers, name)
    network, last = MixtureNetwork(side), {}
    pipeline = SimpleDiffusionPipeline(network, cls.from_config(own.config, **options))
    pipeline.set_progress_bar_config(disable=True)

    def keep(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        last.update(tensors)
        return {}

    pipeline(
        latents=shuffled.view(1, 1, side, side), num_inference_steps=steps, output_type="pt",
        generator=torch.Generator().manual_seed(1), callback_on_step_end=keep, **call,
    )  # fmt: skip
    distance = (last["latents"].double().flatten().sort().values - target).abs().mean()
    return 127.5 * distance.item(), network.calls


def first_below(errors: list[float], steps: tuple[int, ...], bound: float = 1.0) -> int | None:
    """The first number of steps from which on the error stays below the bound."""
    good = None
    for value, count in zip(reversed(errors), reversed(steps)):
        if not value < bound:
            break
        good = count
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", nargs="+", type=int, default=list(STEPS))
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    steps, rows = tuple(args.steps), []
    for name, options, call in tqdm(SAMPLERS, desc="samplers"):
        measured = [error(name, options, call, count) for count in steps]
        errors = [round(value, 3) for value, _ in measured]
        text = ", ".join(f"{key}={value}" for key, value in (options | call).items())
        rows.append(
            {"class": name, "options": text, "errors": errors, "network_calls": [calls for _, calls in measured],
             "steps_for_one_level": first_below(errors, steps)}
        )  # fmt: skip
    write_results("samplers_exact", {"steps": steps, "unit": "levels of 255", "rows": rows})


if __name__ == "__main__":
    main()
