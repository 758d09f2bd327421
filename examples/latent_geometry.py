"""Curvature of a plane in a generator's latent space, with geodesics against straight lines.

The plane goes through three latents; its coordinates are 0, 0 at the first, 1, 0 at the second and 0, 1 at the third.
A generator with (leaky) rectifiers is linear in pieces: its surface has all its curvature at the edges between them,
where derivatives miss it. So a smooth surface is fitted to its pictures first, a Chebyshev series in the two
coordinates, and that surface's metric is pulled back: curvature at the scale that the series resolves. Lengths are
those of the generator's own pictures: root mean square of the change of pixels in [0, 1], summed along the path.

Left: the area element sqrt(det g), with geodesics (solid) beside straight lines (dashed). Right: the Gaussian
curvature. Below: the pictures along both paths between the first two latents.

    python examples/latent_geometry.py --pipeline outputs/rsgan/pipeline --seeds 0 1 2 --output outputs/geometry.png

Needs matplotlib. Geometry: kexue.fm archives/4033; the generator: archives/6110.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor
from torch.func import vmap
from tqdm.auto import tqdm

from hf_kexue import RSGANPipeline
from hf_kexue.numerics.riemannian import Geodesic, PullbackMetric, gaussian_curvature, geodesic, pullback_metric

LOW, HIGH = -0.15, 1.15  # of both coordinates
CORNERS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)

Pictures = Callable[[Tensor], Tensor]  # coordinates (N, 2) to pictures (N, D)


def chebyshev(x: Tensor, degree: int) -> Tensor:
    """Products T_i T_j of the two coordinates x (..., 2), up to `degree` each: (..., (degree + 1)^2)."""
    x = (2 * x - LOW - HIGH) / (HIGH - LOW)
    series = [torch.ones_like(x), x]
    for _ in range(degree - 1):
        series.append(2 * x * series[-1] - series[-2])
    t = torch.stack(series, -1)  # (..., 2, degree + 1)
    return (t[..., 0, :, None] * t[..., 1, None, :]).flatten(-2)


def smooth_surface(pictures: Pictures, nodes: int, degree: int) -> tuple[Callable[[Tensor], Tensor], float]:
    """The series fitted to the pictures at nodes x nodes points, and its error at points between them.

    Returns:
        A function from coordinates (2,) to ((degree + 1)^2,), whose distances are root mean squares of differences of
        pixels: the series of D pixels, turned into its own span. The error is the part of the pictures' variance that
        the series misses.
    """
    angles = (torch.arange(nodes, dtype=torch.float64) + 0.5) * math.pi / nodes
    side = (LOW + HIGH) / 2 + (HIGH - LOW) / 2 * angles.cos()
    at_nodes = torch.cartesian_prod(side, side)
    inverse = torch.linalg.pinv(chebyshev(at_nodes, degree))
    parts = zip(inverse.split(64, 1), at_nodes.split(64))  # all pictures at once may not fit into memory
    products = (part @ pictures(points).double() for part, points in parts)
    coefficients = next(products)
    for product in tqdm(products, desc="surface", total=-(-len(at_nodes) // 64) - 1, unit="batch"):
        coefficients += product
    eigenvalues, vectors = torch.linalg.eigh(coefficients @ coefficients.T / coefficients.shape[1])
    turned = vectors * eigenvalues.clamp_min(0).sqrt()
    between = LOW + (HIGH - LOW) * torch.rand(64, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    truth = pictures(between).double()
    missed = (chebyshev(between, degree) @ coefficients - truth).square().sum() / (
        truth - truth.mean(0)
    ).square().sum()
    return lambda x: chebyshev(x, degree) @ turned, missed.item()


def true_length(pictures: Pictures, route: Tensor) -> float:
    """Length of the path along the points (N, 2) of a route, as the pictures change from each to the next."""
    shown = torch.cat([pictures(points) for points in route.split(64)])
    return shown.diff(dim=0).square().mean(1).sqrt().sum().item()


def connect(metric: PullbackMetric, num_steps: int) -> dict[tuple[int, int], Geodesic]:
    """Geodesics between the three latents, skipping pairs without one."""
    paths = {}
    for first, second in ((0, 1), (0, 2), (1, 2)):
        try:
            paths[first, second] = geodesic(metric, CORNERS[first], end=CORNERS[second], num_steps=num_steps)
        except RuntimeError as error:
            print(f"latent {first} to {second}: {error}")
    return paths


def draw_maps(axes: tuple[Axes, Axes], metric: PullbackMetric, resolution: int) -> None:
    """The area element on the left, the Gaussian curvature on the right."""
    side = torch.linspace(LOW, HIGH, resolution, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(side, side, indexing="xy"), -1)  # (N, N, 2)
    area = torch.linalg.det(vmap(vmap(metric))(points)).clamp_min(0).sqrt()
    curvature = gaussian_curvature(metric, points)
    bound = curvature.abs().quantile(0.9).item()
    maps = (
        (area, "area element sqrt(det g)", "magma", 0.0, area.quantile(0.98).item()),
        (curvature, "Gaussian curvature K", "RdBu_r", -bound, bound),
    )
    for axis, (values, title, colours, least, most) in zip(axes, maps):
        extent = (LOW, HIGH, LOW, HIGH)
        picture = axis.imshow(values, origin="lower", extent=extent, cmap=colours, vmin=least, vmax=most)
        axis.figure.colorbar(picture, ax=axis, fraction=0.046)
        axis.set(title=title, xlim=(LOW, HIGH), ylim=(LOW, HIGH))
        for name, place in zip("ABC", CORNERS.tolist()):
            box = {"boxstyle": "circle,pad=0.2", "facecolor": "white", "linewidth": 0}
            axis.text(*place, name, ha="center", va="center", weight="bold", bbox=box)


def draw_strip(axis: Axes, images: Tensor, title: str) -> None:
    """Pictures (N, C, H, W) in a row."""
    strip = torch.cat(list(torch.nn.functional.pad(images, (1, 1), value=1)), -1).permute(1, 2, 0)
    axis.imshow(strip if strip.shape[-1] == 3 else strip[..., 0], cmap="gray")
    axis.set_title(title, fontsize=9)
    axis.set_axis_off()


def draw(pictures: Pictures, shape: tuple[int, ...], arguments: argparse.Namespace) -> plt.Figure:
    """Draw the figure; `shape` is that of a picture."""
    surface, missed = smooth_surface(pictures, arguments.nodes, arguments.degree)
    print(f"the smooth surface misses {missed:.1%} of the variance of pictures between its nodes")
    metric = pullback_metric(surface)
    figure = plt.figure(figsize=(11.5, 7.4), layout="constrained")
    grid = figure.add_gridspec(3, 2, height_ratios=[7, 1, 1])
    maps = (figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1]))
    draw_maps(maps, metric, arguments.resolution)
    fractions = torch.linspace(0, 1, 201, dtype=torch.float64)
    for number, (pair, path) in enumerate(connect(metric, arguments.num_steps).items()):
        start, end = CORNERS[list(pair)]
        ways = {
            "straight line": start + fractions[:, None] * (end - start),
            "geodesic": torch.stack([path.at(t) for t in fractions]),
        }
        names = "".join("ABC"[i] for i in pair)
        for row, (what, route) in enumerate(ways.items(), 1):
            length = true_length(pictures, route)
            print(f"{names}, {what}: length {length:.3f}")
            maps[0].plot(*route.T, color="white", linewidth=1.6, linestyle="-" if what == "geodesic" else (0, (2, 3)))
            if number == 0:
                shown = pictures(route[:: len(route) // 15]).unflatten(1, shape)
                draw_strip(figure.add_subplot(grid[row, :]), shown, f"{names}, {what}, length {length:.2f}")
    return figure


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pipeline", required=True, help="folder of a saved RSGANPipeline")
    parser.add_argument("--seeds", nargs=3, type=int, default=[0, 1, 2], help="of the three latents")
    parser.add_argument("--class_label", help="id or name of a class, for a generator that knows classes")
    parser.add_argument("--output", type=Path, default=Path("outputs/latent_geometry.png"), help="picture to write")
    parser.add_argument("--nodes", type=int, default=24, help="pictures per side that the surface is fitted to")
    parser.add_argument("--degree", type=int, default=12, help="of the series in each coordinate, below --nodes")
    parser.add_argument("--num_steps", type=int, default=60, help="of a geodesic")
    parser.add_argument("--resolution", type=int, default=100, help="points per side of the maps")
    arguments = parser.parse_args(argv)
    if not 1 <= arguments.degree < arguments.nodes:
        parser.error(f"--degree must be from 1 to --nodes - 1 = {arguments.nodes - 1}, got {arguments.degree}")
    pipeline = RSGANPipeline.from_pretrained(arguments.pipeline)
    config = pipeline.generator.config
    label = arguments.class_label
    label = int(label) if label and label.isdigit() else label
    latents = torch.stack([
        torch.randn(config.latent_dim, generator=torch.Generator().manual_seed(seed)) for seed in arguments.seeds
    ])  # fmt: skip

    def pictures(points: Tensor) -> Tensor:
        weights = torch.cat([1 - points.sum(-1, keepdim=True), points], -1).float()  # (N, 3), barycentric
        labels = None if label is None else [label] * len(points)
        return pipeline(
            batch_size=len(points), latents=weights @ latents, class_labels=labels, output_type="pt"
        ).images.flatten(1)

    figure = draw(pictures, (config.out_channels, config.sample_size, config.sample_size), arguments)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.output, dpi=110)
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
