"""The lifting wavelet against its textbook analysis filters, written out and convolved."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from hf_kexue.simple_diffusion.wavelet_legall import dwt_forward, dwt_inverse

SMOOTH = torch.tensor([-1, 2, 6, 2, -1], dtype=torch.float64) / 8 * math.sqrt(2)
DETAIL = torch.tensor([-1 / 2, 1, -1 / 2], dtype=torch.float64) / math.sqrt(2)


def image(*shape, dtype=torch.float64, seed=0):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def filter_rows(x, taps, first):
    """Centre a filter on every second row, the image mirrored at both ends without repeating its border."""
    reach = len(taps) // 2
    length = x.shape[2]
    rows = []
    for centre in range(first, length, 2):
        row = 0
        for k, tap in enumerate(taps):
            place = abs(centre + k - reach)
            place = 2 * (length - 1) - place if place >= length else place
            row = row + tap * x[:, :, place]
        rows.append(row)
    return torch.stack(rows, dim=2)


def filter_columns(x, taps, first):
    return filter_rows(x.transpose(2, 3), taps, first).transpose(2, 3)


def bands_by_filters(x):
    rows = [filter_rows(x, SMOOTH, 0), filter_rows(x, DETAIL, 1)]
    return torch.cat([filter_columns(half, *how) for half in rows for how in ((SMOOTH, 0), (DETAIL, 1))], dim=1)


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 2, 6, 12), (1, 1, 4, 4)], ids=lambda s: "x".join(map(str, s)))
def test_bands_are_those_of_the_5_3_analysis_filters(shape):
    x = image(*shape)
    assert_close(dwt_forward(x), bands_by_filters(x), rtol=1e-13, atol=1e-13)  # float64 rounding only


def test_interior_agrees_with_a_strided_convolution():
    x = image(1, 1, 16, 16)
    kernel = torch.outer(SMOOTH, SMOOTH)[None, None]
    inside = F.conv2d(x, kernel, stride=2)  # centres 2, 4, ... where no border is met
    assert_close(dwt_forward(x)[:, :1, 1:-1, 1:-1], inside[:, :, : 16 // 2 - 2, : 16 // 2 - 2], rtol=1e-13, atol=1e-13)


def test_a_second_level_splits_every_band_again():
    x = image(1, 2, 8, 12)
    assert_close(dwt_forward(x, levels=2), bands_by_filters(bands_by_filters(x)), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("levels", [0, 1, 2, 3])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (8, 24), (16, 8)], ids=["square", "wide", "tall"])
def test_the_inverse_is_exact(levels, height, width):
    x = image(2, 3, height, width)
    coefficients = dwt_forward(x, levels)
    assert coefficients.shape == (2, 3 * 4**levels, height // 2**levels, width // 2**levels)
    assert_close(dwt_inverse(coefficients, levels), x, rtol=1e-13, atol=1e-13)
    back = image(2, 3 * 4**levels, height // 2**levels, width // 2**levels, seed=1)
    assert_close(dwt_forward(dwt_inverse(back, levels), levels), back, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 0.06)], ids=["float32", "bf16"]
)
def test_the_inverse_in_lower_precision(dtype, tolerance):
    """Two levels are eight lifting steps; each rounds by half a unit in the last place of numbers of size 1 to 4."""
    x = image(2, 3, 16, 16, dtype=dtype)
    back = dwt_inverse(dwt_forward(x, 2), 2)
    assert back.dtype == dtype
    assert_close(back, x, rtol=0, atol=tolerance)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_constants_keep_their_energy_in_the_smooth_band(levels):
    x = torch.full((1, 1, 16, 16), 0.7, dtype=torch.float64)
    y = dwt_forward(x, levels)
    assert_close(y[:, :1], torch.full_like(y[:, :1], 0.7 * 2**levels))
    assert_close(y[:, 1:], torch.zeros_like(y[:, 1:]), rtol=0, atol=1e-15)
    assert_close(y.square().sum(), x.square().sum())


def test_linear_ramps_have_no_inner_detail():
    """The 5/3 wavelet has two vanishing moments."""
    rows = torch.arange(16, dtype=torch.float64)[None, None, :, None].expand(1, 1, 16, 16)
    detail = dwt_forward(rows)[:, 1:, :-1]  # the mirrored end is no ramp
    assert_close(detail, torch.zeros_like(detail), rtol=0, atol=1e-14)


def test_white_noise_stays_nearly_white():
    """Band variances are the products of the squared norms of the filters: (46 / 32) and (3 / 4) per axis."""
    x = image(64, 1, 64, 64)
    variances = dwt_forward(x)[:, :, 2:-2, 2:-2].var(dim=(0, 2, 3))
    smooth, detail = 2 * (1 + 4 + 36 + 4 + 1) / 64, 1.5 / 2
    expected = torch.tensor([smooth**2, smooth * detail, smooth * detail, detail**2], dtype=torch.float64)
    # 50176 values a band, correlated over a few neighbours: standard error about 1 %.
    assert_close(variances, expected, rtol=0.05, atol=0)


def test_orientation_of_the_bands():
    x = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    x[:, :, 1::2] = 1.0  # stripes that alternate from row to row
    bands = dwt_forward(x).square().sum(dim=(0, 2, 3))
    assert bands[2] > 1  # rows detailed, columns smooth
    assert_close(bands[[1, 3]], torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-15)


def test_gradients():
    x = image(1, 1, 4, 6).requires_grad_()
    assert torch.autograd.gradcheck(dwt_forward, (x,))
    y = image(1, 4, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(dwt_inverse, (y,))


@pytest.mark.parametrize(("height", "width", "levels"), [(7, 8, 1), (8, 6, 2), (12, 16, 3)])
def test_sides_that_do_not_divide_are_refused(height, width, levels):
    with pytest.raises(ValueError, match=f"divisible by {2**levels}"):
        dwt_forward(torch.zeros(1, 1, height, width), levels)
