"""Differentiable augmentation: what it leaves, its statistics, its gradients, and errors for wrong input."""

import pytest
import torch

from hf_kexue.rsgan.augmentation_rsgan import CUTOUT, TRANSLATION, diff_augment

POLICIES = ["color", "translation", "cutout", "color,translation,cutout"]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def photographs(count=4, size=16, dtype=torch.float32):
    return torch.rand(count, 3, size, size, generator=generator(1), dtype=dtype) * 2 - 1


@pytest.mark.parametrize("policy", POLICIES)
def test_it_is_decided_by_the_generator(policy):
    images = photographs()
    first, again, other = (diff_augment(images, policy, generator(seed)) for seed in (0, 0, 1))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert first.shape == images.shape
    assert not torch.equal(first, other)
    assert not torch.equal(first, images)


@pytest.mark.parametrize("policy", [*POLICIES, ""])
def test_probability_zero_and_no_policy_leave_the_images(policy):
    images = photographs()
    probability = 0.0 if policy else 1.0
    torch.testing.assert_close(diff_augment(images, policy, generator(), probability), images, rtol=0, atol=1e-6)


def test_probability_is_the_share_of_changed_images():
    images = photographs(2000, size=4)
    changed = (diff_augment(images, "color", generator(), probability=0.3) - images).abs().amax(dim=(1, 2, 3)) > 1e-5
    # four standard deviations of a share of 2000
    assert changed.float().mean().item() == pytest.approx(0.3, abs=4 * (0.21 / 2000) ** 0.5)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_format_and_dtype_stay(memory_format):
    images = photographs().to(torch.bfloat16).contiguous(memory_format=memory_format)
    changed = diff_augment(images, POLICIES[-1], generator())
    assert changed.dtype == torch.bfloat16
    assert changed.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("policy", POLICIES)
def test_gradients_reach_the_images(policy):
    """Every operation is affine in the pixels, so that finite differences are exact."""
    images = photographs(1, size=4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: diff_augment(x, policy, generator()), images)
    assert torch.autograd.gradgradcheck(lambda x: diff_augment(x, policy, generator()).square(), images)


def test_colors_by_hand():
    """Brightness moves the mean by at most 1/2; saturation and contrast keep it and scale the rest."""
    images = photographs(4000, size=4)
    changed = diff_augment(images, "color", generator())
    shift = (changed - images).mean(dim=(1, 2, 3))
    assert shift.abs().max() <= 0.5 + 1e-6
    assert shift.mean().abs() < 0.02  # 4 standard errors of a uniform draw
    assert shift.std() == pytest.approx((1 / 12) ** 0.5, rel=0.05)
    grey, grey_before = changed.mean(dim=1), images.mean(dim=1)  # saturation does not touch it
    contrast = grey.std(dim=(1, 2)) / grey_before.std(dim=(1, 2))
    assert 0.5 - 1e-4 <= contrast.min() < 0.52
    assert 1.48 < contrast.max() <= 1.5 + 1e-4
    rest, rest_before = changed - grey[:, None], images - grey_before[:, None]
    saturation = (rest.flatten(1).norm(dim=1) / rest_before.flatten(1).norm(dim=1)) / contrast
    assert saturation.min() < 0.02
    assert 1.98 < saturation.max() <= 2 + 1e-4
    assert saturation.mean() == pytest.approx(1, abs=0.04)


def test_translations_by_hand():
    """Each image is the padded one seen through a window; all shifts come about, and as often as each other."""
    size, reach = 16, int(16 * TRANSLATION)
    images = photographs(1, size).expand(1000, -1, -1, -1)
    padded = torch.nn.functional.pad(images[:1], [reach] * 4)[0]
    windows = padded.unfold(1, size, 1).unfold(2, size, 1).flatten(1, 2).transpose(0, 1)  # (25, 3, H, W)
    changed = diff_augment(images, "translation", generator())
    same = (changed[:, None] == windows[None]).flatten(2).all(dim=2)  # (1000, 25)
    assert same.sum(dim=1).eq(1).all()
    counts = same.sum(dim=0)
    assert len(counts) == (2 * reach + 1) ** 2
    assert counts.min() > 15  # 40 expected, 6 the standard deviation
    assert counts.max() < 65


def test_cutouts_by_hand():
    """One rectangle of zeros, half as wide and high as the image unless the border cuts it, anywhere."""
    size, images = 16, torch.ones(3000, 3, 16, 16)
    changed = diff_augment(images, "cutout", generator())
    hidden = changed == 0
    assert ((changed == 1) | hidden).all()
    assert hidden.eq(hidden[:, :1]).all()  # the same in all channels
    rows, columns = hidden[:, 0].any(dim=2), hidden[:, 0].any(dim=1)
    assert hidden[:, 0].eq(rows[:, :, None] & columns[:, None, :]).all()
    side = int(size * CUTOUT)
    assert rows.sum(dim=1).max() == columns.sum(dim=1).max() == side
    assert rows.sum(dim=1).min() >= side // 2
    share = rows.float().mean(dim=0)
    torch.testing.assert_close(share, share.flip(0), rtol=0, atol=0.06)  # top as often as bottom: 4 standard errors
    assert share.min() > 0.2


@pytest.mark.parametrize(
    ("images", "options", "error", "message"),
    [
        (
            photographs(),
            {"policy": "colour"},
            ValueError,
            r"unknown names \['colour'\]; there are \['color', 'cutout'",
        ),
        (photographs(), {"probability": 1.5}, ValueError, r"probability .*1\.5"),
        (photographs()[0], {}, ValueError, r"got \(3, 16, 16\)"),
        (photographs().to(torch.uint8), {}, TypeError, r"got torch\.uint8"),
    ],
    ids=["policy", "probability", "shape", "dtype"],
)
def test_bad_arguments_raise(images, options, error, message):
    with pytest.raises(error, match=message):
        diff_augment(images, **options)
