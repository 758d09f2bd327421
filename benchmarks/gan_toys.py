"""Toy data for comparing the losses of GANs, and how well samples cover their modes.

- 25 Gaussians: a 5 x 5 grid, centres 1 apart, standard deviation 0.05. A sample is good within three of them
  (98.9 % of the data are).
- Stacked digits: three of scikit-learn's 8 x 8 digits, drawn independently, as the channels of one picture: 1000
  modes. The class of a channel is that of the nearest of the 1797 digits. A channel is good if it is no farther from
  it than 99 % of the digits are from their own nearest one; a sample, if its three channels are.

The Gaussians' learning rate is a high one: at 1e-3 all five losses cover all 25, and differ in evenness alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

GRID = torch.cartesian_prod(torch.arange(-2.0, 3.0), torch.arange(-2.0, 3.0))  # (25, 2) centres
SIGMA = 0.05


@dataclass(frozen=True)
class Setting:
    """What is the same for all losses, and the weights of the two penalties."""

    steps: int
    batch_size: int
    learning_rate: float  # falls to 0 along a cosine
    latent_dim: int
    samples: int
    gamma: float  # of (R1 + R2) / 2
    gradient_penalty: float  # of WGAN-GP
    ema_decay: float = 0.99
    network: str = "mlp"  # its name, and what sets it apart
    betas: tuple[float, float] = (0.0, 0.9)


@dataclass(frozen=True)
class Task:
    """Networks that map latents (B, Z) to samples and samples to logits (B,), data, measures, a picture."""

    setting: Setting
    networks: Callable[[], tuple[nn.Module, nn.Module]]
    draw: Callable[[int, torch.Generator], Tensor]
    scores: Callable[[Tensor], dict[str, float]]
    picture: Callable[[Tensor], Image.Image]


def mlp(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Three hidden layers with leaky rectifiers and He's initialisation, no norm."""
    layers: list[nn.Module] = []
    for size in (inputs, width, width):
        linear = nn.Linear(size, width)
        nn.init.kaiming_normal_(linear.weight, 0.2)
        layers += [linear, nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def reverse_kl(counts: Tensor, target: Tensor) -> float:
    """KL(q || p) in nats of the modes' frequencies among good samples against their true ones.

    Args:
        counts: (M,), good samples of each mode.
        target: (M,), true shares, above 0.

    Returns:
        Infinity without a good sample; log M when all are in one of M equal modes.
    """
    if not counts.any():
        return math.inf
    q = counts.double() / counts.sum()
    return torch.special.xlogy(q, q / target.double()).sum().item()


def draw_gaussians(count: int, generator: torch.Generator) -> Tensor:
    """(count, 2) points."""
    modes = torch.randint(len(GRID), (count,), generator=generator)
    return GRID[modes] + SIGMA * torch.randn(count, 2, generator=generator)


def gaussian_scores(samples: Tensor) -> dict[str, float]:
    """Modes covered, share of good samples, reverse KL of points (N, 2)."""
    distance, mode = torch.cdist(samples, GRID).min(1)
    good = distance <= 3 * SIGMA
    counts = torch.bincount(mode[good], minlength=len(GRID))
    return {
        "modes": int((counts > 0).sum()),
        "good_share": round(good.float().mean().item(), 4),
        "reverse_kl": round(reverse_kl(counts, torch.full((len(GRID),), 1 / len(GRID))), 4),
    }


def gaussian_picture(samples: Tensor, size: int = 256) -> Image.Image:
    """Up to 2000 points as dark dots between -3 and 3, centres as light rings."""
    picture = Image.new("RGB", (size, size), "white")
    canvas = ImageDraw.Draw(picture)
    for centre in ((GRID + 3) / 6 * size).tolist():
        canvas.circle(centre, 3 * SIGMA / 6 * size, outline="#d98e04")
    for point in ((samples[:2000] + 3) / 6 * size).tolist():
        canvas.circle(point, 0.5, fill="#1f4e79")
    return picture


@cache
def digits() -> tuple[Tensor, Tensor]:
    """Scikit-learn's digits in [-1, 1], (1797, 64), and their classes (1797,)."""
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    return torch.tensor(data.data / 8 - 1, dtype=torch.float32), torch.tensor(data.target)


@cache
def digit_classifier() -> tuple[Any, float, float]:
    """Nearest neighbour over all digits; its accuracy on digits held out (five folds); the distance of good ones."""
    from sklearn.model_selection import cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    pixels, classes = (tensor.numpy() for tensor in digits())
    classifier = KNeighborsClassifier(n_neighbors=1)
    accuracy = cross_val_score(classifier, pixels, classes, cv=5).mean()
    classifier.fit(pixels, classes)
    to_others = classifier.kneighbors(n_neighbors=1)[0]  # without arguments a digit is no neighbour of its own
    return classifier, float(accuracy), float(np.quantile(to_others, 0.99))


def draw_digits(count: int, generator: torch.Generator) -> Tensor:
    """(count, 192): three digits one after the other."""
    pixels, _ = digits()
    return pixels[torch.randint(len(pixels), (count, 3), generator=generator)].flatten(1)


def digit_scores(samples: Tensor) -> dict[str, float]:
    """Modes covered, share of good samples, reverse KL of stacks (N, 192); and of all samples, good or not."""
    classifier, _, limit = digit_classifier()
    distance, nearest = classifier.kneighbors(samples.reshape(-1, 64).numpy(), n_neighbors=1)
    _, classes = digits()
    channels = classes[torch.from_numpy(nearest[:, 0])].reshape(-1, 3)
    modes = channels @ torch.tensor([100, 10, 1])
    good = torch.from_numpy(distance[:, 0] <= limit).reshape(-1, 3).all(1)
    counts = torch.bincount(modes[good], minlength=1000)
    share = torch.bincount(classes, minlength=10) / len(classes)
    target = torch.einsum("i,j,k->ijk", share, share, share).flatten()
    return {
        "modes": int((counts > 0).sum()),
        "modes_of_all_samples": len(modes.unique()),
        "good_share": round(good.float().mean().item(), 4),
        "reverse_kl": round(reverse_kl(counts, target), 4),
        "reverse_kl_of_all_samples": round(reverse_kl(torch.bincount(modes, minlength=1000), target), 4),
    }


def digit_picture(samples: Tensor, columns: int = 10, scale: int = 3) -> Image.Image:
    """The first 100 stacks as coloured pictures, one channel a colour."""
    stacks = ((samples[: columns**2] + 1) * 127.5).clamp(0, 255).byte().reshape(-1, 3, 8, 8)
    framed = nn.functional.pad(stacks, (0, 1, 0, 1), value=255)
    rows = framed.unflatten(0, (-1, columns)).permute(0, 3, 1, 4, 2)  # (rows, 9, columns, 9, 3)
    pixels = rows.reshape(len(rows) * 9, columns * 9, 3).numpy()
    return Image.fromarray(pixels).resize((columns * 9 * scale, len(rows) * 9 * scale), Image.Resampling.NEAREST)


TOYS = {
    "gaussians": Task(
        Setting(4000, 128, 5e-3, 2, 10_000, gamma=0.02, gradient_penalty=1.0),
        lambda: (mlp(2, 128, 2), nn.Sequential(mlp(2, 128, 1), nn.Flatten(0))),
        draw_gaussians, gaussian_scores, gaussian_picture,
    ),
    "digits": Task(
        Setting(3000, 64, 2e-3, 64, 25_600, gamma=0.02, gradient_penalty=10.0),
        lambda: (nn.Sequential(mlp(64, 256, 192), nn.Tanh()), nn.Sequential(mlp(192, 256, 1), nn.Flatten(0))),
        draw_digits, digit_scores, digit_picture,
    ),
}  # fmt: skip
