"""Curvature of a small generator's latent plane.

An autoencoder with a two-dimensional latent space is fitted to the 8 x 8 digits of scikit-learn within seconds. Its
decoder pulls the Euclidean metric of pixel space back to the plane. Left: the area element sqrt(det g), how much the
picture changes per step in the plane, with geodesics (solid) beside straight lines (dashed): geodesics stay where
the picture changes little. Right: the Gaussian curvature. Below: the digits along the first geodesic and its line.

    python examples/latent_curvature.py --output outputs/latent_curvature.png

Needs scikit-learn and matplotlib. Geometry: kexue.fm archives/4033; the generator is trained here.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.func import vmap

from hf_kexue.numerics.riemannian import (
    Geodesic,
    PullbackMetric,
    gaussian_curvature,
    geodesic,
    pullback_inner,
    pullback_metric,
)


def fit_autoencoder(images: Tensor, num_steps: int) -> tuple[nn.Module, nn.Module]:
    """Encoder (64 -> 2) and decoder (2 -> 64), smooth activations so that curvature exists."""
    encoder = nn.Sequential(nn.Linear(64, 128), nn.SiLU(), nn.Linear(128, 64), nn.SiLU(), nn.Linear(64, 2))
    decoder = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Sigmoid())
    optimizer = torch.optim.AdamW([*encoder.parameters(), *decoder.parameters()], lr=3e-3, weight_decay=1e-3)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, num_steps)
    for _ in range(num_steps):
        batch = images[torch.randint(len(images), (256,))]
        z = encoder(batch)
        # noise on the code spreads the digits out and keeps the decoder smooth; the penalty keeps codes near 0
        loss = nn.functional.mse_loss(decoder(z + 0.3 * torch.randn_like(z)), batch) + 3e-3 * z.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    print(f"reconstruction error {loss.item():.4f} (mean squared, pixels in [0, 1])")
    return encoder.requires_grad_(False).double(), decoder.requires_grad_(False).double()


def centres_of(codes: Tensor, labels: Tensor) -> Tensor:
    """Median code of each digit (10, 2)."""
    return torch.stack([codes[labels == digit].median(0).values for digit in range(10)])


def connect(metric: PullbackMetric, centres: Tensor) -> list[Geodesic]:
    """Geodesics between the centres of a few pairs of digits, skipping pairs without one."""
    paths = []
    for first, second in ((0, 1), (6, 7), (2, 9), (4, 3)):
        try:
            path = geodesic(metric, centres[first], end=centres[second], num_steps=80)
        except RuntimeError as error:
            print(f"{first} to {second}: {error}")
            continue
        print(f"{first} to {second}: length {path.length:.3f}")
        paths.append(path)
    return paths


def draw_maps(axes: tuple[Axes, Axes], metric: PullbackMetric, codes: Tensor, labels: Tensor, resolution: int) -> None:
    """The area element on the left, the Gaussian curvature and the codes of all digits on the right."""
    low, high = codes.quantile(0.01, 0) - 0.3, codes.quantile(0.99, 0) + 0.3
    sides = [torch.linspace(low[i].item(), high[i].item(), resolution, dtype=torch.float64) for i in (0, 1)]
    points = torch.stack(torch.meshgrid(*sides, indexing="xy"), -1)  # (N, N, 2)
    area = torch.linalg.det(vmap(vmap(metric))(points)).clamp_min(0).sqrt().log10()
    curvature = gaussian_curvature(metric, points)
    darkest, brightest = area.quantile(torch.tensor([0.02, 0.995], dtype=torch.float64)).tolist()
    bound = curvature.abs().quantile(0.9).item()
    extent = (low[0].item(), high[0].item(), low[1].item(), high[1].item())
    maps = (
        (area, "log10 of the area element sqrt(det g)", "magma", darkest, brightest),
        (curvature, "Gaussian curvature K", "RdBu_r", -bound, bound),
    )
    for axis, (image, title, colours, least, most) in zip(axes, maps):
        picture = axis.imshow(image, origin="lower", extent=extent, cmap=colours, vmin=least, vmax=most, aspect="auto")
        axis.figure.colorbar(picture, ax=axis, fraction=0.046)
        axis.set(title=title, xlim=extent[:2], ylim=extent[2:], xlabel="z1", ylabel="z2")
    axes[1].scatter(*codes.T, c=labels, s=3, cmap="tab10", alpha=0.6, linewidths=0)
    box = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "alpha": 0.85, "linewidth": 0}
    for digit, place in enumerate(centres_of(codes, labels).tolist()):
        for axis in axes:
            axis.text(*place, str(digit), fontsize=12, weight="bold", ha="center", va="center", bbox=box)


def draw_strip(axis: Axes, decoder: nn.Module, route: Tensor, title: str) -> None:
    """The pictures along a route (N, 2) in the latent plane."""
    strip = nn.functional.pad(decoder(route).reshape(-1, 8, 8), (1, 1))
    axis.imshow(torch.cat(list(strip), 1), cmap="gray_r")
    axis.set_title(title, fontsize=9)
    axis.set_axis_off()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("outputs/latent_curvature.png"), help="picture to write")
    parser.add_argument("--num_steps", type=int, default=2000, help="training steps of the autoencoder")
    parser.add_argument("--resolution", type=int, default=120, help="points per side of the maps")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)  # the tensors are small: a second thread would only wait for the first
    digits = load_digits()
    images = torch.tensor(digits.data / 16, dtype=torch.float32)
    encoder, decoder = fit_autoencoder(images, arguments.num_steps)
    codes, labels = encoder(images.double()), torch.tensor(digits.target)
    metric = pullback_metric(decoder)
    paths = connect(metric, centres_of(codes, labels))

    figure = plt.figure(figsize=(11.5, 6.4), layout="constrained")
    grid = figure.add_gridspec(3, 2, height_ratios=[7, 1, 1])
    maps = (figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1]))
    draw_maps(maps, metric, codes, labels, arguments.resolution)
    for path in paths:
        maps[0].plot(*path.points.T, color="white", linewidth=2)
        maps[0].plot(*path.points[[0, -1]].T, color="white", linewidth=1, linestyle=(0, (2, 3)))
    if paths:
        start, end = paths[0].points[0], paths[0].points[-1]
        line = start + torch.linspace(0, 1, 1001, dtype=torch.float64)[:, None] * (end - start)
        direction = (end - start).expand_as(line)
        length = pullback_inner(decoder, line, direction, direction).sqrt().mean()
        curved = torch.stack([paths[0].at(t) for t in torch.linspace(0, 1, 16, dtype=torch.float64)])
        draw_strip(
            figure.add_subplot(grid[1, :]), decoder, curved, f"geodesic, length {paths[0].length:.2f} in pixel space"
        )
        straight = line[torch.linspace(0, 1000, 16).round().long()]
        draw_strip(
            figure.add_subplot(grid[2, :]), decoder, straight, f"straight line, length {length:.2f} in pixel space"
        )
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.output, dpi=110)
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
