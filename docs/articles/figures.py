"""Draw the figures of the article pages, in English and Chinese alike.

    python docs/articles/figures.py                 all of them, into docs/articles/figures/
    python docs/articles/figures.py rsgan quartic   these two

Each function draws one figure with the code that its page describes; everything is seeded. Two of the figures hold
Chinese text: they are SVG whose text stays text, so that the reader's browser supplies the font.
"""

import argparse
import io
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from hf_kexue import DGCNNConfig, ShiftedCosineScheduler, relativistic_loss
from hf_kexue.data.images import ImageDataset, load_images
from hf_kexue.dgcnn.features_dgcnn import match_features
from hf_kexue.dgcnn.layers_dgcnn import DGCNNStack
from hf_kexue.dgcnn.segmentation_dgcnn import WordSegmenter
from hf_kexue.numerics import (
    erf_bounds,
    erf_feynman,
    feynman_remainder,
    gauss_bonnet,
    holonomy_angle,
    optimal_series_order,
    parallel_transport,
    pullback_metric,
    quartic_gaussian_integral,
)

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).resolve().parent / "figures"
BLUE, RED, GREEN, ORANGE, VIOLET, GREY = "#2a78b5", "#c23b4b", "#2f9e68", "#d98e04", "#7a5195", "#8c8c8c"
WIDTH, DPI = 6.2, 130  # inches; about 800 pixels, and its text of 11 points is still read at half the size
CJK = ["Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", "WenQuanYi Zen Hei", "DejaVu Sans"]


def save(figure: Figure, name: str, colours: int = 128) -> None:
    """Write a PNG of so many colours; an SVG as it is."""
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".svg":
        figure.savefig(path, metadata={"Date": None, "Creator": None})
        path.write_text(
            "\n".join(line.rstrip() for line in path.read_text(encoding="utf-8").splitlines()) + "\n", "utf-8"
        )
    else:
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=DPI)
        picture = Image.open(buffer).convert("RGB").quantize(colours, dither=Image.Dither.NONE)
        picture.save(path, optimize=True)
    plt.close(figure)
    print(f"{path.name}  {path.stat().st_size / 1000:.0f} kB")


def photograph(index: int) -> Tensor:
    """(1, 3, 64, 64) in [-1, 1], one of the embedded photographs of the validation split."""
    source = load_images(str(ROOT / "training" / "data" / "clothing-64"), split="validation")
    return ImageDataset(source, 64, random_flip=False)[index]["pixel_values"][None]


def show(axes: Axes, image: Tensor, title: str) -> None:
    axes.imshow(((image[0].clamp(-1, 1) + 1) / 2).permute(1, 2, 0).numpy(), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=10)


def simple_diffusion() -> None:
    """logSNR by resolution, and one photograph under equal noise at two resolutions, without and with the shift."""
    figure = plt.figure(figsize=(WIDTH, 7.4), layout="constrained")
    curves, pictures = figure.subfigures(2, 1, height_ratios=[1.15, 1])
    axes = curves.subplots()
    u = torch.linspace(0.001, 0.999, 400, dtype=torch.float64)
    for size, colour in zip((64, 128, 256, 512), (GREY, BLUE, GREEN, RED)):
        axes.plot(u, ShiftedCosineScheduler(sample_size=size).logsnr(u), color=colour, label=f"{size} pixels")
    axes.axvline(0.6, color="black", linewidth=1, linestyle=":", label="below: u = 0.6")
    axes.set(xlabel="time u (0 clean, 1 noise)", ylabel="logSNR", ylim=(-14, 12), xlim=(0, 1))
    axes.set_title("The same cosine, lowered by 2 log 2 for each doubling of the side")
    axes.legend()

    small = photograph(24)
    large = F.interpolate(small, scale_factor=4, mode="bicubic", align_corners=False)
    generator = torch.Generator().manual_seed(0)
    noise = {64: torch.randn(small.shape, generator=generator), 256: torch.randn(large.shape, generator=generator)}
    time = torch.tensor([599])
    at_64, at_256 = (ShiftedCosineScheduler(sample_size=size) for size in (64, 256))
    grid = pictures.subplots(2, 3)
    show(grid[0, 0], at_64.add_noise(small, noise[64], time), "64 px")
    show(grid[1, 0], small, "64 px, clean")
    for column, scheduler, title in ((1, at_64, "256 px, not shifted"), (2, at_256, "256 px, shifted")):
        x = scheduler.add_noise(large, noise[256], time)
        show(grid[0, column], x, title)
        signal = scheduler.alphas_cumprod[time].item()  # alpha^2; pooling divides the noise's variance by 16
        show(grid[1, column], F.avg_pool2d(x, 4) / math.sqrt(signal + (1 - signal) / 16), "pooled to 64 px")
    save(figure, "simple-diffusion.png", colours=64)


def feynman() -> None:
    """f + g = pi / 4, and how fast a few exponentials become erf."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(WIDTH, 7.2), layout="constrained")
    x = torch.linspace(0, 3, 301, dtype=torch.float64)
    square, rest = (math.sqrt(math.pi) / 2 * torch.erf(x)).square(), feynman_remainder(x)
    top.fill_between(x, 0, square, color=BLUE, alpha=0.35, label="f: square of the integral from 0 to x")
    top.fill_between(x, square, square + rest, color=ORANGE, alpha=0.45, label="g: the remainder, by quadrature")
    top.axhline(math.pi / 4, color="black", linewidth=1)
    top.annotate("π/4", (2.75, math.pi / 4), (2.75, math.pi / 4 + 0.015))
    top.set(xlim=(0, 3), ylim=(0, 0.9), xlabel="x", title="f grows by what g loses")
    top.legend(loc="lower right")
    x = torch.linspace(0.01, 6, 600, dtype=torch.float64)
    for nodes, colour in zip((1, 2, 4, 6, 8, 10), plt.get_cmap("viridis")(np.linspace(0, 0.85, 6))):
        bottom.semilogy(x, (erf_feynman(x, nodes) / torch.erf(x) - 1).abs().clamp_min(1e-17), color=colour)
        bottom.plot([], [], color=colour, label=f"{nodes} node{'s' * (nodes > 1)}")
    for bound, name in zip(erf_bounds(x), ("lower bound", "upper bound")):
        bottom.semilogy(
            x,
            (bound / torch.erf(x) - 1).abs().clamp_min(1e-17),
            color=RED,
            linestyle="--" if "low" in name else ":",
            label=name,
        )
    bottom.set(xlim=(0, 6), ylim=(1e-17, 1), xlabel="x", title="Relative error of erf from g with a few nodes")
    bottom.legend(ncol=2, fontsize=9)
    save(figure, "feynman-gaussian.png")


def quartic() -> None:
    """The integral over eps with partial sums, and relative errors of the closed approximations."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(WIDTH, 7.4), layout="constrained")
    eps = torch.linspace(0.0005, 0.6, 400, dtype=torch.float64)
    top.plot(eps, quartic_gaussian_integral(1.0, eps), color="black", linewidth=2.5, label="exact")
    for order, colour in zip((1, 2, 3, 4, 8), (GREY, BLUE, GREEN, ORANGE, VIOLET)):
        top.plot(
            eps,
            quartic_gaussian_integral(1.0, eps, "series", order),
            color=colour,
            linewidth=1,
            label=f"series, order {order}",
        )
    top.plot(eps, quartic_gaussian_integral(1.0, eps, "combined"), color=RED, linestyle="--", label="closed form (14)")
    top.set(xlim=(0, 0.6), ylim=(1.2, 2.0), xlabel="ε, at a = 1", ylabel="I(1, ε)")
    top.set_title("More terms of the series help only near ε = 0")
    top.legend(ncol=2, fontsize=9, loc="lower left")
    orders = range(41)
    for value, colour in zip((0.01, 0.02, 0.05, 0.2), (BLUE, GREEN, ORANGE, RED)):
        exact = quartic_gaussian_integral(1.0, value)
        errors = [abs(quartic_gaussian_integral(1.0, value, "series", n) / exact - 1).item() for n in orders]
        bottom.semilogy(orders, errors, color=colour, label=f"series, ε = {value:g}")
        best = int(optimal_series_order(1.0, value))
        bottom.plot(best, errors[best], "o", color=colour, markersize=8)
        closed = abs(quartic_gaussian_integral(1.0, value, "combined") / exact - 1).item()
        bottom.axhline(closed, color=colour, linestyle="--", linewidth=1)
    bottom.plot([], [], "--", color=GREY, label="closed form (14)")
    bottom.plot([], [], "o", color=GREY, label="smallest term")
    bottom.set(xlim=(0, 40), ylim=(1e-13, 1e9), xlabel="order of the series", ylabel="relative error")
    bottom.legend(ncol=2, fontsize=9, loc="upper left")
    save(figure, "quartic-integral.png")


def sphere(point: Tensor) -> Tensor:
    """Unit sphere in colatitude and longitude."""
    theta, phi = point[0], point[1]
    return torch.stack([theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()])


def torus(point: Tensor) -> Tensor:
    around = 2 + point[0].cos()
    return torch.stack([around * point[1].cos(), around * point[1].sin(), point[0].sin()])


def gauss_bonnet_theorem() -> None:
    """A vector carried round an octant, and the three terms of the theorem for several regions."""
    figure = plt.figure(figsize=(WIDTH, 8.6), layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=[1.25, 1])
    axes: Any = figure.add_subplot(grid[0], projection="3d")
    metric = pullback_metric(sphere)
    half = math.pi / 2
    tiny = 0.02  # longitude has no meaning at the pole itself, so the corner is cut there
    legs: list[Callable[[Tensor], Tensor]] = [
        lambda t: torch.stack([half + 0 * t, half * t]),
        lambda t: torch.stack([half + (tiny - half) * t, half + 0 * t]),
        lambda t: torch.stack([tiny + 0 * t, half * (1 - t)]),
        lambda t: torch.stack([tiny + (half - tiny) * t, 0 * t]),
    ]
    theta, phi = torch.meshgrid(
        torch.linspace(0, math.pi / 2, 30), torch.linspace(-0.4, half + 0.4, 40), indexing="ij"
    )
    axes.plot_surface(*sphere(torch.stack([theta, phi])), color="#dfe6ee", alpha=0.55, linewidth=0)
    axes.computed_zorder = False
    vector = torch.tensor([-1.0, 0.0], dtype=torch.float64)
    colours = (BLUE, GREEN, VIOLET, ORANGE)
    first = last = None
    for leg, colour in zip(legs, colours):
        times = torch.linspace(0, 1, 61, dtype=torch.float64)
        carried = parallel_transport(metric, leg, vector, num_steps=60, path=True)
        points = torch.stack([leg(t) for t in times])
        places = torch.stack([sphere(p) for p in points])
        arrows = torch.stack([torch.func.jvp(sphere, (p,), (v,))[1] for p, v in zip(points, carried)])
        axes.plot(*places.T, color=colour, linewidth=2.5, zorder=3)
        if colour != VIOLET:
            for i in range(0, 61, 12):
                axes.quiver(
                    *places[i], *(0.28 * arrows[i]), color=colour, linewidth=1.6, arrow_length_ratio=0.3, zorder=4
                )
        first = (places[0], arrows[0]) if first is None else first
        last = (places[-1], arrows[-1])
        vector = carried[-1]
    for (place, arrow), colour in ((first, "black"), (last, RED)):  # type: ignore[misc]
        axes.quiver(*place, *(0.42 * arrow), color=colour, linewidth=3, arrow_length_ratio=0.3, zorder=6)
    axes.view_init(elev=28, azim=38)
    axes.set_box_aspect((1.5, 1.5, 1.2), zoom=1.1)
    axes.set(xlim=(-0.4, 1.1), ylim=(-0.4, 1.1), zlim=(0, 1.2))
    axes.set_axis_off()
    small = 0.6
    measured = math.degrees(holonomy_angle(metric, lambda t: torch.stack([small + 0 * t, 2 * math.pi * t])))
    cap = math.degrees(2 * math.pi * (1 - math.cos(small)))
    axes.set_title(
        f"Round one octant a vector turns by 90° (black to red)\na cap of area {cap:.2f}° turns it by {measured:.2f}°"
    )

    axes = figure.add_subplot(grid[1])
    flat = lambda p: torch.eye(2, dtype=p.dtype)  # noqa: E731
    circle = lambda r: lambda t: torch.stack([r * torch.cos(2 * math.pi * t), r * torch.sin(2 * math.pi * t)])  # noqa: E731
    disc = lambda p: torch.stack([p[0] * torch.cos(2 * math.pi * p[1]), p[0] * torch.sin(2 * math.pi * p[1])])  # noqa: E731
    square = [
        lambda t: torch.stack([t, 0 * t]),
        lambda t: torch.stack([1 + 0 * t, t]),
        lambda t: torch.stack([1 - t, 1 + 0 * t]),
        lambda t: torch.stack([0 * t, 1 - t]),
    ]
    cap_edge = [lambda t: torch.stack([1.0 + 0 * t, 2 * math.pi * t])]
    octant = [
        lambda t: torch.stack([half * t, 0 * t]),
        lambda t: torch.stack([half + 0 * t, half * t]),
        lambda t: torch.stack([half * (1 - t), half + 0 * t]),
    ]
    turn = (0.0, 2 * math.pi)
    cases = [
        ("flat disc", gauss_bonnet(flat, disc, [circle(1.0)], exterior_angles=[0.0])),
        ("flat square", gauss_bonnet(flat, ((0.0, 1.0), (0.0, 1.0)), square)),
        ("cap, θ = 1", gauss_bonnet(metric, ((0.0, 1.0), turn), cap_edge, exterior_angles=[0.0])),
        ("octant", gauss_bonnet(metric, ((0.0, half), (0.0, half)), octant, exterior_angles=[half] * 3)),
        ("sphere", gauss_bonnet(metric, ((0.0, math.pi), turn))),
        ("torus", gauss_bonnet(pullback_metric(torus), (turn, turn))),
    ]
    below = np.zeros(len(cases))
    for field, colour, label in (
        ("curvature", BLUE, "∫ K dS"),
        ("boundary", ORANGE, "∫ κ ds"),
        ("corners", GREEN, "exterior angles"),
    ):
        parts = np.array([getattr(result, field).item() for _, result in cases]) / math.pi
        axes.bar(range(len(cases)), parts, bottom=below, color=colour, label=label, width=0.6)
        below += parts
    for place, (_, result) in enumerate(cases):
        axes.text(place, below[place] + 0.06, f"χ = {result.euler_characteristic}", ha="center")
    axes.set_xticks(range(len(cases)), [name for name, _ in cases], fontsize=9)
    axes.set(ylabel="in units of π", ylim=(0, 4.6), title="Gauss–Bonnet: the three terms add up to 2πχ")
    axes.legend(loc="upper left")
    save(figure, "gauss-bonnet.png", colours=255)


def rsgan() -> None:
    """Slope of the losses over the margin, and what a generated score hears of the real ones."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(WIDTH, 7.2), layout="constrained")
    margin = torch.linspace(-5, 5, 401, dtype=torch.float64)
    for kind, colour in (("logistic", RED), ("least_squares", BLUE), ("hinge", GREEN), ("identity", GREY)):
        real = margin.clone().requires_grad_()
        (slope,) = torch.autograd.grad(relativistic_loss(real, torch.zeros_like(real), "paired", kind), real)
        top.plot(margin, -slope * len(margin), color=colour, label=kind.replace("_", " "))
    top.set(xlim=(-5, 5), ylim=(-2, 5), xlabel="margin T(real) − T(fake)", ylabel="−∂ loss / ∂ margin")
    top.axhline(0, color="black", linewidth=0.8)
    top.set_title("Paired discriminator loss: how hard it pushes the scores apart")
    top.legend()
    fake = torch.linspace(-6, 6, 401, dtype=torch.float64)
    for real_score, colour in ((-3.0, BLUE), (0.0, GREEN), (3.0, RED)):
        leaf = fake.clone().requires_grad_()
        real = torch.full_like(leaf, real_score)
        (slope,) = torch.autograd.grad(relativistic_loss(real, leaf, "paired", "logistic", "generator"), leaf)
        bottom.plot(fake, -slope * len(fake), color=colour, label=f"RSGAN, real sample scored {real_score:.0f}")
    leaf = fake.clone().requires_grad_()
    (slope,) = torch.autograd.grad(relativistic_loss(leaf.detach(), leaf, "none", "logistic", "generator"), leaf)
    bottom.plot(fake, -slope * len(fake), color="black", linestyle="--", label="SGAN, whatever the real score")
    bottom.set(xlim=(-6, 6), ylim=(0, 1.3), xlabel="T(fake)", ylabel="−∂ loss / ∂ T(fake)")
    bottom.set_title("What the generator's gradient knows of the real samples")
    bottom.legend(fontsize=9)
    save(figure, "rsgan.png")


def dgcnn_2019() -> None:
    """How far one character reaches through the blocks of 2019, and through as many without dilation."""
    figure, axes = plt.subplots(2, 1, figsize=(WIDTH, 6.4), layout="constrained")
    torch.manual_seed(0)
    length, middle, draws = 129, 64, 12
    for row, dilations in zip(axes, ((1, 2, 4, 8, 16, 1), (1, 1, 1, 1, 1, 1))):
        reach = np.zeros((len(dilations), length))
        for _ in range(draws):
            stack = DGCNNStack(DGCNNConfig(hidden_size=32, gate_dropout=0.0), dilations).eval()
            x = torch.randn(1, 32, length, requires_grad=True)
            hidden = x
            for depth, block in enumerate(stack.blocks):
                hidden = block(hidden, None)
                (slope,) = torch.autograd.grad(hidden[0, :, middle].sum(), x, retain_graph=True)
                reach[depth] += slope[0].norm(dim=0).numpy() / draws
        image = row.imshow(np.log10(np.maximum(reach, 1e-6)), aspect="auto", cmap="magma", vmin=-4, vmax=0.5,
                           extent=(-middle - 0.5, middle + 0.5, len(dilations) + 0.5, 0.5))  # fmt: skip
        sees = 1 + 2 * sum(dilations)
        row.set_yticks(range(1, len(dilations) + 1), [f"{n}: dilation {d}" for n, d in enumerate(dilations, 1)])
        row.set(xlim=(-44, 44), xlabel="distance in characters")
        row.set_title(f"{len(dilations)} blocks see {sees} characters")
    figure.colorbar(image, ax=axes, label="gradient on the input, log10", shrink=0.8)
    save(figure, "dgcnn-reader-2019.png")


def chinese_figure(height: float) -> tuple[Figure, Any]:
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "hf_kexue", "font.family": CJK})
    return plt.subplots(figsize=(WIDTH, height), layout="constrained")


QUESTION = "赵州桥是谁主持修建的？"
PASSAGE = "赵州桥在河北赵县，由隋代工匠李春主持修建，距今约一千四百年。"
FEATURES = ("word in question", "in other passages", "window, Jaccard", "window, edit dist.",
            "same, characters", "same, characters", "same, characters", "same, characters")  # fmt: skip


def dgcnn_2018() -> None:
    """The eight match features of each word of a passage."""
    cut = WordSegmenter("rjieba").cut
    words = cut(PASSAGE)
    others = [cut("李春是隋代的著名工匠。"), cut("卢沟桥在北京，横跨永定河。")]
    values = match_features(cut(QUESTION), words, others)
    figure, axes = chinese_figure(6.4)
    image = axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        axes.text(column, row, f"{value:.1f}".lstrip("0") if value < 1 else "1", ha="center", va="center",
                  fontsize=9, color="white" if value > 0.6 else "black")  # fmt: skip
    axes.set_yticks(range(len(words)), words)
    axes.set_xticks(range(8), [f"{number} {name}" for number, name in enumerate(FEATURES)], rotation=40, ha="right")
    axes.set_title(QUESTION)
    figure.colorbar(image, ax=axes, shrink=0.6)
    save(figure, "dgcnn-reader-2018.svg")


SENTENCE = "《让子弹飞》是姜文执导的电影，由姜文、葛优、周润发主演。"


def triples() -> None:
    """Subject pointers of the published model, and the object pointers of the subject it found."""
    from hf_kexue import DGCNNForTripleExtraction, DGCNNTokenizer
    from hf_kexue.dgcnn.decoding_dgcnn_triples import decode_subjects

    folder = str(ROOT / "model_cards" / "dgcnn-triples-zh")
    model = DGCNNForTripleExtraction.from_pretrained(folder).eval()
    encoded = DGCNNTokenizer.from_pretrained(folder)(SENTENCE, return_tensors="pt")
    with torch.no_grad():
        logits, states = model.extract_subjects(encoded["input_ids"], word_input_ids=encoded["word_input_ids"])
        (subject, *_) = decode_subjects(logits[0].sigmoid(), *model.config.triple_thresholds[:2])
        objects = model.extract_objects(states, torch.tensor([[0, subject.first, subject.last]]))[0].sigmoid()
    columns, names = len(model.schema), [entry["predicate"] for entry in model.schema]
    starts, ends = logits[0].sigmoid().chunk(2, dim=1)
    rows = [("subject", starts.amax(1), ends.amax(1), GREEN)]
    best = objects[:, :columns].amax(0) * objects[:, columns:].amax(0)
    for number, colour in zip(best.topk(3).indices.tolist(), (BLUE, RED, VIOLET)):
        rows.append((names[number], objects[:, number], objects[:, columns + number], colour))
    figure, axes = chinese_figure(5.2)
    place = np.arange(len(SENTENCE))  # one token a character, and then [SEP]
    for height, (_, start, end, colour) in zip(itertools.count(len(rows), -1), rows):
        axes.bar(place - 0.2, start[: len(place)] * 0.8, 0.38, bottom=height, color=colour)
        axes.bar(place + 0.2, end[: len(place)] * 0.8, 0.38, bottom=height, color=colour, alpha=0.45)
        axes.axhline(height, color=GREY, linewidth=0.8)
    axes.bar([0], [0], color=GREY, label="start")
    axes.bar([0], [0], color=GREY, alpha=0.45, label="end")
    axes.axvspan(subject.first - 0.5, subject.last + 0.5, color=GREEN, alpha=0.1, linewidth=0)
    axes.set_xticks(place, list(SENTENCE), fontsize=10)
    axes.set_yticks([height + 0.4 for height in range(len(rows), 0, -1)], [name for name, *_ in rows])
    axes.tick_params(length=0)
    axes.set(xlim=(-0.7, len(SENTENCE) - 0.3), ylim=(0.9, len(rows) + 1.35))
    axes.set_title("Stage 1 points at the subject; stage 2, given it, at objects by predicate")
    axes.legend(loc="upper right", ncol=2, fontsize=9)
    save(figure, "dgcnn-triples.svg")


FIGURES: dict[str, Callable[[], None]] = {
    "simple-diffusion": simple_diffusion,
    "feynman-gaussian": feynman,
    "quartic-integral": quartic,
    "gauss-bonnet": gauss_bonnet_theorem,
    "dgcnn-reader-2018": dgcnn_2018,
    "rsgan": rsgan,
    "dgcnn-triples": triples,
    "dgcnn-reader-2019": dgcnn_2019,
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FIGURES)}; default: all")
    names = parser.parse_args(argv).names or list(FIGURES)
    unknown = sorted(set(names) - set(FIGURES))
    if unknown:
        parser.error(f"there is no figure {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    for name in names:
        plt.rcdefaults()
        plt.rcParams.update(
            {"font.size": 11, "axes.titlesize": 11, "axes.spines.top": False, "axes.spines.right": False}
        )
        FIGURES[name]()


if __name__ == "__main__":
    main()
