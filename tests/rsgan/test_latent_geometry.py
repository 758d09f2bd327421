"""The example that draws the curvature of a generator's latent plane: on a known surface, and run whole."""

import importlib.util
import math
from pathlib import Path

import pytest
import torch

pytest.importorskip("matplotlib", reason="the extra hf-kexue[train] is not installed")

from hf_kexue import RSGANGenerator, RSGANPipeline
from hf_kexue.numerics.riemannian import gaussian_curvature, geodesic, pullback_metric

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "latent_geometry.py"
if not EXAMPLE.is_file():
    pytest.skip("examples/ belongs to the repository, not to the package", allow_module_level=True)


@pytest.fixture(scope="module")
def geometry():
    """The example as a module."""
    specification = importlib.util.spec_from_file_location(EXAMPLE.stem, EXAMPLE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_surface_of_a_sphere_is_a_sphere(geometry):
    """Root mean squares over D = 3 pixels make radius 2 one of 2 / sqrt(3): K = 3 / 4."""

    def sphere(x):
        theta, phi = 1 + x[:, 0], x[:, 1]
        return 2 * torch.stack([theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()], -1)

    surface, missed = geometry.smooth_surface(sphere, nodes=10, degree=8)
    assert missed < 1e-9
    metric = pullback_metric(surface)
    points = torch.rand(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(
        gaussian_curvature(metric, points), torch.full_like(points[:, 0], 0.75), rtol=1e-3, atol=0
    )
    start, end = geometry.CORNERS[1], geometry.CORNERS[2]
    arc = torch.acos((sphere(start[None]) * sphere(end[None])).sum() / 4) * 2 / math.sqrt(3)
    path = geodesic(metric, start, end=end, num_steps=12)
    torch.testing.assert_close(path.length, arc, rtol=1e-4, atol=0)
    fractions = torch.linspace(0, 1, 201, dtype=torch.float64)
    walked = geometry.true_length(sphere, torch.stack([path.at(t) for t in fractions]))
    straight = geometry.true_length(sphere, start + fractions[:, None] * (end - start))
    assert walked == pytest.approx(arc.item(), rel=1e-4)
    assert straight > 1.001 * walked


def test_the_example_draws_a_tiny_generator(geometry, tmp_path, capsys):
    torch.manual_seed(0)
    generator = RSGANGenerator(sample_size=32, latent_dim=4, block_out_channels=(8, 8, 8, 8))
    RSGANPipeline(generator).save_pretrained(tmp_path / "pipeline")
    geometry.main([
        "--pipeline", str(tmp_path / "pipeline"), "--output", str(tmp_path / "out" / "plane.png"),
        "--nodes", "6", "--degree", "4", "--num_steps", "12", "--resolution", "12",
    ])  # fmt: skip
    assert (tmp_path / "out" / "plane.png").stat().st_size > 20_000
    printed = capsys.readouterr().out
    assert "AB, straight line: length" in printed
    assert "AB, geodesic: length" in printed


def test_degree_must_be_below_the_nodes(geometry, tmp_path, capsys):
    with pytest.raises(SystemExit):
        geometry.main(["--pipeline", str(tmp_path), "--nodes", "6", "--degree", "6"])
    assert "--degree must be from 1 to --nodes - 1 = 5, got 6" in capsys.readouterr().err
