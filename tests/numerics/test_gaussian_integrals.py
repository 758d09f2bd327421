"""The Gaussian integral by differentiation under the integral sign: identities, proven bounds, GELU."""

import math

import mpmath
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import gelu
from torch.testing import assert_close

from hf_kexue.numerics.gaussian_integrals import (
    GELUFeynman,
    erf_bounds,
    erf_feynman,
    erf_feynman_error_bound,
    feynman_remainder,
    gelu_feynman,
    register_gelu_feynman,
)

F64 = torch.float64


def grid(*pieces):
    return torch.cat([torch.as_tensor(piece, dtype=F64) for piece in pieces])


def mp_tensor(function, x):
    with mpmath.workdps(40):
        return torch.tensor([float(function(mpmath.mpf(value))) for value in x.tolist()], dtype=F64)


def test_squared_integral_and_remainder_add_to_a_quarter_of_pi():
    x = torch.linspace(-8, 8, 1001, dtype=F64)
    square = math.pi / 4 * torch.erf(x) ** 2
    # both terms are below 1, so a few float64 roundings
    assert_close(square + feynman_remainder(x), torch.full_like(x, math.pi / 4), rtol=0, atol=1e-15)


def test_remainder_keeps_relative_accuracy_in_the_tail():
    x = grid([0, 1e-9, 0.1, 1, 3, 5, 6.4, 6.5, 6.6, 10, 20, 26])
    expected = mp_tensor(lambda t: mpmath.pi / 4 * mpmath.erfc(t) * (2 - mpmath.erfc(t)), x)
    # e^{-x^2} rounds x^2 <= 676 by half an epsilon: 676 * 1.1e-16
    assert_close(feynman_remainder(x), expected, rtol=8e-14, atol=0)
    assert feynman_remainder(math.inf) == 0
    assert (feynman_remainder(x) <= math.pi / 4 * torch.exp(-x * x) * (1 + 1e-15)).all()


def test_remainder_matches_its_definition():
    for x in (0.3, 1.0, 2.5):
        with mpmath.workdps(30):
            expected = mpmath.quad(lambda t, x=x: mpmath.exp(-(x**2) * (1 + t * t)) / (1 + t * t), [0, 1])
        assert_close(feynman_remainder(x), torch.tensor(float(expected), dtype=F64), rtol=1e-15, atol=0)


@pytest.mark.parametrize("num_nodes", [1, 2, 3, 5, 7, 9, 10, 11, 16])
def test_erf_error_is_within_the_proven_bound(num_nodes):
    x = grid(torch.linspace(-6, 6, 201), 10.0 ** torch.linspace(-12, 0, 30))
    expected = mp_tensor(mpmath.erf, x)
    error = ((erf_feynman(x, num_nodes) - expected) / expected.where(expected != 0, torch.ones_like(x))).abs().max()
    # the bound is that of truncation; evaluation adds a few roundings
    assert error <= erf_feynman_error_bound(num_nodes) + 1e-15


def test_the_docstring_promises_twelve_digits_from_nine_nodes():
    assert erf_feynman_error_bound(9) < 1e-12 < erf_feynman_error_bound(8)
    assert erf_feynman_error_bound(7) < 1.2e-9
    assert erf_feynman_error_bound(10) < 3e-14
    assert erf_feynman_error_bound(11) < 9e-16


def test_erf_at_zero_in_the_tail_and_by_symmetry():
    x = grid([0, 6, 7, 30, 1e200, math.inf])
    for num_nodes in (1, 4, 10):
        value = erf_feynman(x, num_nodes)
        assert value[0] == 0
        # both sides of the approximation lie within e^{-36} of 1
        assert_close(value[1:], torch.ones(5, dtype=F64), rtol=0, atol=4.5e-16)
        assert torch.equal(erf_feynman(-x, num_nodes), -value)


def test_erf_in_float32():
    x = torch.linspace(-4, 4, 301)
    assert erf_feynman(x, 7).dtype == torch.float32
    assert_close(erf_feynman(x, 7), torch.erf(x), rtol=5e-7, atol=0)


def test_bounds_hold_and_touch():
    x = torch.linspace(-6, 6, 2001, dtype=F64)
    lower, upper = erf_bounds(x)
    rounding = 3e-16
    assert ((lower <= torch.erf(x) + rounding) & (torch.erf(x) <= upper + rounding)).all()
    lower, upper = erf_bounds(1.0)
    assert f"{lower:.3f} {upper:.4f}" == "0.795 0.8486"
    x = torch.linspace(0, 10, 4001, dtype=F64)
    assert (erf_bounds(x)[1] - torch.erf(x)).max() < 0.0063


def test_gradients_of_every_function():
    x = grid(torch.linspace(-3, 3, 13), [1e-6]).requires_grad_()  # 0 is among them, and 0.5, where the pieces meet
    for function in (feynman_remainder, erf_feynman, lambda t: gelu_feynman(t, 6)):
        assert gradcheck(function, x)
        assert gradgradcheck(function, x)
    away = grid([-2, -0.1, 1e-3, 1.5]).requires_grad_()  # the bounds change their branch at 0
    assert gradcheck(erf_bounds, away)
    (slope,) = torch.autograd.grad(erf_feynman(x, 11).sum(), x)
    assert_close(slope, 2 / math.sqrt(math.pi) * torch.exp(-(x.detach() ** 2)), rtol=0, atol=3e-15)


def test_torch_func_transforms():
    x = torch.linspace(-2, 2, 7, dtype=F64)
    slope = torch.func.vmap(torch.func.grad(lambda t: erf_feynman(t, 11)))(x)
    assert_close(slope, 2 / math.sqrt(math.pi) * torch.exp(-x * x), rtol=0, atol=3e-15)


@pytest.mark.parametrize(("num_nodes", "bound"), [(2, 5.6e-4), (3, 2.2e-5), (4, 7.6e-7), (5, 2.6e-8), (8, 9e-13)])
def test_gelu_error(num_nodes, bound):
    x = torch.linspace(-20, 20, 40001, dtype=F64)
    error = (gelu_feynman(x, num_nodes) - gelu(x)).abs().max()
    assert 0.9 * bound < error < bound


def test_four_nodes_beat_the_tanh_gelu_by_a_factor_of_five_hundred():
    x = torch.linspace(-20, 20, 40001, dtype=F64)
    tanh_error = (gelu(x, approximate="tanh") - gelu(x)).abs().max()
    assert (gelu_feynman(x) - gelu(x)).abs().max() * 500 < tanh_error


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gelu_in_half_types(dtype):
    x = torch.linspace(-4, 4, 101).to(dtype)
    assert gelu_feynman(x).dtype == dtype
    # both round a float32 result once
    assert_close(gelu_feynman(x), gelu(x.float()).to(dtype), rtol=torch.finfo(dtype).eps, atol=1e-6)
    assert gelu_feynman(torch.tensor([math.nan])).isnan().all()


def test_registration_in_transformers():
    from transformers.activations import ACT2CLS, ACT2FN

    assert "gelu_feynman" not in ACT2FN  # importing the package registers nothing
    try:
        register_gelu_feynman(num_nodes=5)
        module = ACT2FN["gelu_feynman"]
        assert isinstance(module, GELUFeynman)
        assert module.num_nodes == 5
        register_gelu_feynman(num_nodes=3)  # again, with other nodes
        assert ACT2FN["gelu_feynman"].num_nodes == 3
        with pytest.raises(ValueError, match=r"'gelu'"):
            register_gelu_feynman(name="gelu")
    finally:
        ACT2FN.pop("gelu_feynman", None)
        ACT2CLS.pop("gelu_feynman", None)


def test_transformers_model_with_the_registered_activation():
    from transformers import BertConfig, BertModel
    from transformers.activations import ACT2CLS, ACT2FN

    sizes = {"vocab_size": 20, "hidden_size": 16, "intermediate_size": 32}
    sizes |= {"num_hidden_layers": 2, "num_attention_heads": 2}
    tokens = torch.arange(12)[None]
    try:
        register_gelu_feynman(num_nodes=6)
        torch.manual_seed(0)
        ours = BertModel(BertConfig(**sizes, hidden_act="gelu_feynman")).eval()
    finally:
        ACT2FN.pop("gelu_feynman", None)
        ACT2CLS.pop("gelu_feynman", None)
    exact = BertModel(BertConfig(**sizes, hidden_act="gelu")).eval()
    exact.load_state_dict(ours.state_dict())
    with torch.no_grad():
        # six nodes are below float32; two layers of roundings are left
        assert_close(ours(tokens).last_hidden_state, exact(tokens).last_hidden_state, rtol=0, atol=5e-6)


def test_bad_input_raises():
    with pytest.raises(ValueError, match=r"x = nan at index \(1,\)"):
        erf_feynman(torch.tensor([0.0, math.nan]))
    with pytest.raises(ValueError, match=r"num_nodes .*0"):
        erf_feynman(1.0, 0)
    with pytest.raises(TypeError, match=r"x .*torch\.int64"):
        feynman_remainder(torch.tensor([1]))
    with pytest.raises(ValueError, match=r"x_max .*-1\.0"):
        erf_feynman_error_bound(3, -1.0)
