"""QuarticGaussian: density, distribution function, moments, sampling, gradients, divergence."""

import math

import pytest
import torch
from scipy import integrate, stats
from torch.autograd import gradcheck
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from hf_kexue.numerics.quartic import QuarticGaussian, log_quartic_gaussian_integral

F64 = torch.float64
# a single bump, its flattest form, a shallow and a deep double well, wells 316 widths apart, nearly a Gaussian
PARAMETERS = [(1.0, 0.5), (0.0, 1.0), (-1.0, 1.0), (-5.0, 1.0), (-13.0, 1.0), (-50.0, 1e-3), (30.0, 1e-4)]


def make(a, eps):
    return QuarticGaussian(torch.tensor(a, dtype=F64), torch.tensor(eps, dtype=F64))


def reference_moment(a, eps, function, limit=math.inf):
    """<function(x)> over 0 < x < limit by adaptive quadrature on the half line, around the well."""
    well = math.sqrt(max(-a, 0) / (2 * eps))
    top = well + 12 / math.sqrt(math.sqrt(eps) + 4 * abs(a))
    low = max(0.0, 2 * well - top)

    def weight(x):
        return math.exp(-eps * (x * x - well * well) ** 2 if a < 0 else -a * x * x - eps * x**4)

    options = {"epsabs": 0, "epsrel": 1e-12, "limit": 500}
    total = integrate.quad(weight, low, top, points=[well] if well else None, **options)[0]
    high = min(max(limit, low), top)
    points = [well] if low < well < high else None
    return integrate.quad(lambda x: function(x) * weight(x), low, high, points=points, **options)[0] / total


@pytest.mark.parametrize(("a", "eps"), PARAMETERS)
def test_density_and_moments(a, eps):
    d = make(a, eps)
    x = torch.linspace(-3, 3, 7, dtype=F64)
    expected = -a * x**2 - eps * x**4 - log_quartic_gaussian_integral(a, eps)
    # the right-hand side loses the depth a^2 / 4 eps <= 6.3e5 times an epsilon
    assert_close(d.log_prob(x), expected, rtol=1e-12, atol=1e-12 + 1e-15 * a * a / eps)
    assert_close(d.variance.item(), reference_moment(a, eps, lambda x: x * x), rtol=1e-9, atol=0)
    entropy = reference_moment(a, eps, lambda x: -d.log_prob(torch.tensor(x, dtype=F64)).item())
    assert_close(d.entropy().item(), entropy, rtol=1e-9, atol=1e-9)  # that of the adaptive reference
    assert d.mean == 0
    assert_close(d.mode, torch.tensor(math.sqrt(max(-a, 0) / (2 * eps)), dtype=F64))


@pytest.mark.parametrize(("a", "eps"), PARAMETERS)
def test_distribution_function(a, eps):
    d = make(a, eps)
    width = d.stddev.item()
    x = torch.linspace(-1.5, 1.5, 7, dtype=F64) * width
    value = d.cdf(x)
    for point, got in zip(x.tolist(), value.tolist()):
        inside = reference_moment(a, eps, lambda t: 1.0, limit=abs(point))  # P(|X| < |x|)
        expected = (1 + math.copysign(inside, point)) / 2
        assert abs(got - expected) < 1e-10  # rounding of x times the slope of the energy in the deepest wells
    assert_close(value + d.cdf(-x), torch.ones(7, dtype=F64), rtol=0, atol=1e-15)
    assert_close(d.cdf(torch.tensor(0.0, dtype=F64)), torch.tensor(0.5, dtype=F64), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("a", "eps"), PARAMETERS)
def test_quantiles_invert_the_distribution_function(a, eps):
    d = make(a, eps)
    probability = torch.tensor([1e-300, 1e-30, 1e-8, 0.1, 0.25, 0.4999, 0.5, 0.7, 0.999], dtype=F64)
    # a rounding of x moves log P by the slope of the energy, up to 1e5 per unit of relative x in the deepest wells
    assert_close(d.cdf(d.icdf(probability)), probability, rtol=5e-11, atol=0)


def test_distribution_function_against_direct_integration():
    d = make(-2.0, 0.7)
    for x in (-3.0, -1.0, -0.2, 0.4, 2.0):
        expected, _ = integrate.quad(
            lambda t: d.log_prob(torch.tensor(t, dtype=F64)).exp().item(), -6, x, points=[-1.2], epsrel=1e-13, epsabs=0
        )
        assert_close(d.cdf(torch.tensor(x, dtype=F64)).item(), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("a", "eps"), PARAMETERS)
def test_samples_follow_the_law(a, eps):
    torch.manual_seed(0)
    d = make(a, eps)
    uniform = d.cdf(d.sample((20_000,)))
    # fixed seed: a right sampler fails this level once in a thousand seeds
    assert stats.kstest(uniform.numpy(), "uniform").pvalue > 1e-3


def test_derivatives_of_every_quantity():
    a = torch.tensor([-3.0, -0.5, 0.0, 1.0], dtype=F64, requires_grad=True)
    eps = torch.tensor([0.3, 1.0, 2.0, 0.1], dtype=F64, requires_grad=True)
    x = torch.tensor([1.0, -0.3, 0.0, 0.7], dtype=F64, requires_grad=True)
    probability = torch.tensor([0.9, 0.2, 0.5, 0.6], dtype=F64, requires_grad=True)
    assert gradcheck(lambda p, e, t: QuarticGaussian(p, e).log_prob(t), (a, eps, x))
    assert gradcheck(lambda p, e, t: QuarticGaussian(p, e).cdf(t), (a, eps, x))
    assert gradcheck(lambda p, e: QuarticGaussian(p, e).variance, (a, eps))
    assert gradcheck(lambda p, e: QuarticGaussian(p, e).entropy(), (a, eps))
    assert gradcheck(lambda p, e, u: QuarticGaussian(p, e).icdf(u), (a, eps, probability))
    assert gradcheck(lambda p, e: kl_divergence(QuarticGaussian(p, e), QuarticGaussian(1.0, e + 1)), (a, eps))


def test_reparameterised_samples_carry_implicit_gradients():
    """dx = -(dF / d parameter) / p at fixed F: the same derivative as that of the quantile at u = F(x)."""
    torch.manual_seed(1)
    a = torch.tensor([-3.0, 0.0, 1.0], dtype=F64, requires_grad=True)
    eps = torch.tensor([0.3, 2.0, 0.1], dtype=F64, requires_grad=True)
    d = QuarticGaussian(a, eps)
    x = d.rsample((50,))
    assert x.requires_grad
    got = torch.autograd.grad(x.sum(), (a, eps))
    quantiles = d.icdf(d.cdf(x.detach()).detach())
    assert_close(quantiles, x, rtol=1e-9, atol=1e-9)  # the valley of the double well magnifies roundings of F
    assert_close(torch.autograd.grad(quantiles.sum(), (a, eps)), got, rtol=1e-6, atol=1e-9)

    x = QuarticGaussian(a, eps).rsample((100_000,))
    estimate = torch.autograd.grad((x**2).mean(0).sum(), (a, eps))
    exact = torch.autograd.grad(QuarticGaussian(a, eps).variance.sum(), (a, eps))
    assert_close(estimate, exact, rtol=0.02, atol=0)  # Monte Carlo error about 0.5 %


def test_divergence():
    p, q = make(-2.0, 0.7), make(0.5, 0.3)
    assert kl_divergence(p, p) == 0
    expected, _ = integrate.quad(
        lambda t: (p.log_prob(s := torch.tensor(t, dtype=F64)).exp() * (p.log_prob(s) - q.log_prob(s))).item(), 0, 6
    )
    assert_close(kl_divergence(p, q).item(), 2 * expected, rtol=1e-8, atol=0)  # that of the adaptive reference


def test_tends_to_a_normal_distribution():
    d, normal = make(2.0, 1e-12), Normal(torch.tensor(0.0, dtype=F64), torch.tensor(0.5, dtype=F64))
    x = torch.linspace(-2, 2, 9, dtype=F64)
    for name in ("log_prob", "cdf"):
        assert_close(getattr(d, name)(x), getattr(normal, name)(x), rtol=1e-10, atol=0)
    assert_close(d.entropy(), normal.entropy(), rtol=1e-10, atol=0)
    assert_close(d.variance, normal.variance, rtol=1e-10, atol=0)


def test_shapes_types_and_expansion():
    d = QuarticGaussian(torch.zeros(4), 1.0)
    assert d.batch_shape == (4,)
    assert d.sample((3, 2)).shape == (3, 2, 4)
    wide = d.expand((5, 4))
    assert isinstance(wide, QuarticGaussian)
    assert wide.rsample().shape == (5, 4)
    assert wide.log_prob(torch.zeros(5, 1)).shape == (5, 4)
    assert d.icdf(torch.tensor([0.1])).dtype == torch.float32
    assert_close(d.cdf(torch.tensor([-40.0, 40.0, 0.0, 0.0])), torch.tensor([0.0, 1.0, 0.5, 0.5]))
    assert QuarticGaussian(1.0, 2.0).sample().shape == ()


def test_bad_input_raises():
    """Checks are asked for: torch.compile, used by another test of the process, turns them off as a default."""
    with pytest.raises(ValueError, match=r"parameter eps .* GreaterThan"):
        QuarticGaussian(1.0, -1.0, validate_args=True)
    with pytest.raises(ValueError, match="parameter a"):
        QuarticGaussian(math.nan, 1.0, validate_args=True)
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        QuarticGaussian(1.0, 1.0, validate_args=True).icdf(torch.tensor([1.0]))
