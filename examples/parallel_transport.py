"""Parallel transport around a circle of latitude: the vector comes back turned by the curvature it went round.

Left: a vector carried eastwards around three circles of latitude on the unit sphere, without ever turning within the
surface. Right: the angle by which it has turned, from the transport equation, on the curve 2 pi (1 - cos theta), which
is the area of the cap and, since K = 1, the integral of the curvature over it.

    python examples/parallel_transport.py --output outputs/parallel_transport.png

Article: kexue.fm archives/4033, equation (69).
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
from mpl_toolkits.mplot3d import Axes3D
from torch import Tensor
from torch.func import jvp, vmap

from hf_kexue.numerics.riemannian import holonomy_angle, parallel_transport, pullback_metric

COLATITUDES = (math.radians(25), math.radians(55), math.radians(80))
COLOURS = ("#c23b4b", "#2a78b5", "#2f9e68")


def embed(p: Tensor) -> Tensor:
    """Unit sphere in colatitude and longitude."""
    return torch.stack([torch.sin(p[0]) * torch.cos(p[1]), torch.sin(p[0]) * torch.sin(p[1]), torch.cos(p[0])])


def latitude(colatitude: float) -> Callable[[Tensor], Tensor]:
    """The circle of latitude, eastwards, starting at the front of the picture."""
    return lambda t: torch.stack([colatitude + 0 * t, 2 * math.pi * t])


METRIC = pullback_metric(embed)
ELEVATION, AZIMUTH = 38.0, 8.0  # degrees, from where the sphere is seen
VIEW = embed(torch.tensor([math.radians(90 - ELEVATION), math.radians(AZIMUTH)], dtype=torch.float64))


def draw_sphere(axes: Axes3D) -> None:
    theta, phi = torch.linspace(0, math.pi, 40), torch.linspace(0, 2 * math.pi, 80)
    x, y, z = embed(torch.stack(torch.meshgrid(theta, phi, indexing="ij")))
    axes.plot_surface(x, y, z, color="#e8edf2", alpha=0.45, linewidth=0, rstride=1, cstride=1)
    axes.computed_zorder = False
    for colatitude, colour in zip(COLATITUDES, COLOURS):
        curve = latitude(colatitude)
        start = torch.tensor([-1.0, 0.0], dtype=torch.float64)  # northwards
        carried = parallel_transport(METRIC, curve, start, num_steps=240, path=True)
        times = torch.linspace(0, 1, 241, dtype=torch.float64)
        points = vmap(curve)(times)
        places, arrows = jvp(vmap(embed), (points,), (carried,))
        for front, alpha in ((True, 1.0), (False, 0.25)):
            side = places.where(((places @ VIEW > 0) == front)[:, None], places.new_tensor(math.nan))
            axes.plot(*side.T, color=colour, linewidth=1.4, alpha=alpha, zorder=3)
        for i in range(0, 241, 12):
            last = i == 240
            axes.quiver(
                *places[i],
                *(0.3 * arrows[i]),
                color="black" if last else colour,
                linewidth=2.4 if last else 1.4,
                alpha=1.0 if places[i] @ VIEW > 0 else 0.25,
                arrow_length_ratio=0.35,
                zorder=5 if last else 4,
            )
    axes.view_init(elev=ELEVATION, azim=AZIMUTH)
    axes.set_box_aspect((1, 1, 1), zoom=1.5)
    axes.set_axis_off()
    axes.set_title("a vector carried eastwards; black: back at the start")


def draw_angles(axes: Axes) -> None:
    theta = torch.linspace(0, math.pi / 2, 200, dtype=torch.float64)
    axes.plot(theta.rad2deg(), 360 * (1 - torch.cos(theta)), color="#8c8c8c", label="area of the cap, 2π(1 − cos θ)")
    for degrees in range(5, 91, 5):
        angle = math.degrees(holonomy_angle(METRIC, latitude(math.radians(degrees)))) % 360
        # at the equator the angle is 0 and a full turn at once
        axes.plot(degrees, angle if degrees < 90 else 360, "o", color="#222222", markersize=4)
    for colatitude, colour in zip(COLATITUDES, COLOURS):
        angle = math.degrees(holonomy_angle(METRIC, latitude(colatitude))) % 360
        axes.plot(math.degrees(colatitude), angle, "o", color=colour, markersize=9)
    axes.plot([], [], "o", color="#222222", markersize=4, label="turn of the carried vector (mod 360°)")
    axes.set(xlabel="colatitude θ in degrees", ylabel="degrees", xlim=(0, 92), ylim=(0, 375))
    axes.set_title("the turn is the curvature enclosed")
    axes.legend(loc="upper left")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("outputs/parallel_transport.png"), help="picture to write")
    arguments = parser.parse_args(argv)
    figure = plt.figure(figsize=(10.5, 4.8), layout="constrained")
    draw_sphere(figure.add_subplot(1, 2, 1, projection="3d"))
    draw_angles(figure.add_subplot(1, 2, 2))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.output, dpi=110)
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
