"""Divergence of an asymptotic series, and the best approximation of the quartic integral by region.

Left: the error of the direct series (3) against its order falls until about a^2 / 4 eps and then grows without bound;
the smallest error is of the order e^{-a^2 / 4 eps}. Right: only s = a / sqrt(eps) matters for relative errors; each
approximation is best in an interval of it, shown by the colour bar below.

    python examples/asymptotic_series.py --output outputs/asymptotic_series.png

Article: kexue.fm archives/3217, 3241, 3280.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor

from hf_kexue.numerics.quartic import optimal_series_order, quartic_gaussian_integral

METHODS: list[tuple[str, str, int | None, str]] = [  # label, method, order, colour
    ("(3) series, order 1", "series", 1, "#8c8c8c"),
    ("(5) exponent, order 3", "exponent", 3, "#d98e04"),
    ("(4) renormalised", "renormalized", None, "#2a78b5"),
    ("(11) combined, order 3", "combined", 3, "#2f9e68"),
    ("(14) combined, tuned", "combined", None, "#c23b4b"),
]


def relative_errors(s: Tensor, method: str, order: int | None) -> Tensor:
    """|approximation / exact - 1| at a = s, eps = 1, NaN outside the domain."""

    def at(value: Tensor) -> float:
        try:
            return quartic_gaussian_integral(value, 1.0, method, order).item()
        except ValueError:
            return float("nan")

    approximation = torch.tensor([at(value) for value in s], dtype=s.dtype)
    return (approximation / quartic_gaussian_integral(s, 1.0) - 1).abs()


def draw_series(axes: Axes) -> None:
    """Error of the partial sums against their order, with the optimal order and the predicted scale."""
    colours = plt.get_cmap("viridis")(torch.linspace(0.15, 0.85, 4).numpy())
    for eps, colour in zip((0.01, 0.02, 0.05, 0.2), colours):
        eps_tensor = torch.tensor(eps, dtype=torch.float64)
        exact = quartic_gaussian_integral(1.0, eps_tensor)
        orders = range(61)
        errors = [abs(quartic_gaussian_integral(1.0, eps_tensor, "series", n) / exact - 1).item() for n in orders]
        axes.semilogy(orders, errors, color=colour, label=f"eps/a² = {eps:g}")
        best = optimal_series_order(1.0, eps_tensor).item()
        axes.plot(best, errors[best], "o", color=colour)
        scale = torch.exp(-1 / (4 * eps_tensor)).item()
        axes.axhline(scale, color=colour, linestyle=":", linewidth=1)
    axes.set(xlim=(0, 60), ylim=(1e-19, 1e4), xlabel="order of the direct series (3)", ylabel="relative error")
    axes.set_title("An asymptotic series: fall, turn, rise")
    axes.legend(
        title="dot: smallest term, dotted: exp(-a²/4eps)", fontsize=8, title_fontsize=8, ncol=2, loc="lower center"
    )


def draw_best(axes: Axes, bar: Axes) -> None:
    """Errors of all approximations against s = a / sqrt(eps), and a bar with the best of them."""
    s = torch.cat([torch.linspace(-3, 0, 121), torch.linspace(0.02, 12, 480)]).double()
    errors = torch.stack([relative_errors(s, method, order) for _, method, order, _ in METHODS])
    for error, (label, _, _, colour) in zip(errors, METHODS):
        axes.semilogy(s, error, color=colour, label=label)
    axes.set(xlim=(-3, 12), ylim=(1e-8, 10), ylabel="relative error", title="Which approximation wins where")
    axes.legend(fontsize=8, loc="lower left")
    axes.tick_params(labelbottom=False)
    best = errors.nan_to_num(nan=float("inf")).argmin(0)
    for i in range(len(s) - 1):
        bar.axvspan(s[i].item(), s[i + 1].item(), color=METHODS[int(best[i])][3], linewidth=0)
    bar.set(yticks=[], xlabel="s = a / sqrt(eps)   (s < 0: double well)", ylabel="best")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("outputs/asymptotic_series.png"), help="picture to write")
    arguments = parser.parse_args(argv)
    figure = plt.figure(figsize=(11, 4.6), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=[14, 1])
    draw_series(figure.add_subplot(grid[:, 0]))
    upper = figure.add_subplot(grid[0, 1])
    draw_best(upper, figure.add_subplot(grid[1, 1], sharex=upper))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.output, dpi=110)
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
