"""Losses and penalties of GANs against NumPy in float64, closed forms, and the theory."""

import math
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import torch

from hf_kexue.rsgan.gradient_penalties_rsgan import (
    gradient_penalty_finite_difference,
    wgan_divergence,
    wgan_gradient_penalty,
    zero_centered_gradient_penalty,
)
from hf_kexue.rsgan.losses_rsgan import annealed, gan_qp_loss, relativistic_loss

PAIRINGS, KINDS = ("paired", "average", "none"), ("logistic", "least_squares", "hinge", "identity")
REAL = torch.tensor([0.3, -1.2, 2.5, 0.9, -0.4], dtype=torch.float64)
FAKE = torch.tensor([-0.65, 0.8, 1.1, -2.0, 0.2], dtype=torch.float64)


def twin(real, fake, pairing, kind, side, saturating=False):
    """The loss, its score pairs written out one by one, in NumPy."""
    g = {
        "logistic": lambda x: math.log1p(math.exp(-x)),
        "least_squares": lambda x: (x - 1) * (x - 1),
        "hinge": lambda x: max(0.0, 1 - x),
        "identity": lambda x: -x,
    }[kind]
    real, fake = list(map(float, real)), list(map(float, fake))
    swap = side == "generator" and not saturating
    if swap and pairing == "none":
        return np.mean([-f if kind in ("hinge", "identity") else g(f) for f in fake])
    a, b = (fake, real) if swap else (real, fake)
    if pairing == "paired":
        value = np.mean([g(x - y) for x, y in zip(a, b)])
    elif pairing == "average":
        value = np.mean([g(x - np.mean(b)) for x in a]) + np.mean([g(np.mean(a) - y) for y in b])
    else:
        value = np.mean([g(x) for x in a]) + np.mean([g(-y) for y in b])
    return -value if side == "generator" and saturating else value


@pytest.mark.parametrize(("pairing", "kind"), list(product(PAIRINGS, KINDS)))
@pytest.mark.parametrize(("side", "saturating"), [("discriminator", False), ("generator", False), ("generator", True)])
def test_value_and_gradient(pairing, kind, side, saturating):
    options = {"pairing": pairing, "kind": kind, "side": side}
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    loss = relativistic_loss(real, fake, saturating=saturating, **options)
    assert float(loss.detach()) == pytest.approx(twin(REAL, FAKE, **options, saturating=saturating), abs=1e-14)
    gradients = torch.autograd.grad(loss, (real, fake), allow_unused=True)
    step = 1e-6  # of central differences: their error is some 1e-10
    for which, gradient in enumerate(gradients):
        for index in range(len(REAL)):
            values = []
            for sign in (1, -1):
                scores = [REAL.numpy().copy(), FAKE.numpy().copy()]
                scores[which][index] += sign * step
                values.append(twin(*scores, **options, saturating=saturating))
            slope = (values[0] - values[1]) / (2 * step)
            assert (0.0 if gradient is None else float(gradient[index])) == pytest.approx(slope, abs=1e-7)


def test_own_function():
    """exp(-x), as a user would give it."""
    loss = relativistic_loss(REAL, FAKE, f=lambda x: (-x).exp())
    assert float(loss) == pytest.approx(np.exp(FAKE.numpy() - REAL.numpy()).mean(), rel=1e-14)
    loss = relativistic_loss(REAL, FAKE, pairing="none", side="generator", f=lambda x: (-x).exp())
    assert float(loss) == pytest.approx(np.exp(-FAKE.numpy()).mean(), rel=1e-14)


def test_other_package():
    """The logistic pair, R1 and R2 of relativistic-loss, over its own calls of networks."""
    package = pytest.importorskip("relativistic_loss", reason="relativistic-loss is not installed")

    def generator(z):
        return z - 0.3

    for turn, side in ((True, "discriminator"), (False, "generator")):
        theirs = package.gan_loss(quadratic, generator, IMAGES, IMAGES.flip(0), discriminator_turn=turn)
        ours = relativistic_loss(quadratic(IMAGES), quadratic(generator(IMAGES.flip(0))), side=side)
        torch.testing.assert_close(ours, theirs)
    for penalty in (package.r1_penalty, package.r2_penalty):
        samples = IMAGES.clone().requires_grad_()
        ours = 0.7 / 2 * zero_centered_gradient_penalty(quadratic(samples), samples).mean()
        torch.testing.assert_close(ours, penalty(quadratic, IMAGES, gamma=0.7))


def test_half_precision_is_computed_in_single():
    real, fake = REAL.bfloat16(), FAKE.bfloat16()
    loss = relativistic_loss(real, fake)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, relativistic_loss(real.float(), fake.float()), rtol=0, atol=0)


def entropy(p):
    p = p[p > 0]
    return -float((p * np.log(p)).sum())


@pytest.mark.parametrize("seed", [0, 1])
def test_optimum_is_log_2_minus_js(seed):
    """Over all functions of the pair, the least loss of the article is log 2 - JS(p(x) q(y), q(x) p(y)); the best of
    the form D(x) - D(y) has D = log(p / q), and reaches it. Equal distributions: log 2."""
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(4))
    pair, swapped = np.outer(p, q).ravel(), np.outer(q, p).ravel()
    js = entropy((pair + swapped) / 2) - (entropy(pair) + entropy(swapped)) / 2

    scores = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    weights = torch.from_numpy(pair)
    optimizer = torch.optim.LBFGS([scores], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def expected():
        real, fake = scores.repeat_interleave(4), scores.repeat(4)
        return sum(w * relativistic_loss(r[None], f[None]) for w, r, f in zip(weights, real, fake))

    def closure():
        optimizer.zero_grad()
        loss = expected()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert float(expected().detach()) == pytest.approx(math.log(2) - js, abs=1e-9)
    best = scores.detach().numpy()
    np.testing.assert_allclose(best - best[0], np.log(p / q) - np.log(p / q)[0], atol=1e-3)  # the loss is flat there
    assert float(relativistic_loss(torch.ones(3), torch.ones(3))) == pytest.approx(math.log(2), abs=1e-7)


# ---- penalties

IMAGES = torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
SLOPE = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def linear(x):
    return (x * SLOPE).flatten(1).sum(1)


def quadratic(x):
    return (x.square() * SLOPE).flatten(1).sum(1) / 2


def test_zero_centered_penalty():
    """|w|^2 of a linear discriminator, sum (w x)^2 of a quadratic one."""
    samples = IMAGES.clone().requires_grad_()
    expected = SLOPE.square().sum().expand(6)
    torch.testing.assert_close(zero_centered_gradient_penalty(linear(samples), samples), expected)
    expected = (IMAGES * SLOPE).square().flatten(1).sum(1)
    torch.testing.assert_close(zero_centered_gradient_penalty(quadratic(samples), samples), expected)


def test_penalty_reaches_the_weights():
    """d/dw of sum |w|^2 over six samples is 12 w."""
    weight, samples = SLOPE.clone().requires_grad_(), IMAGES.clone().requires_grad_()
    zero_centered_gradient_penalty((samples * weight).flatten(1).sum(1), samples).sum().backward()
    torch.testing.assert_close(weight.grad, 12 * SLOPE)


def test_finite_differences_in_the_mean():
    """Of a linear discriminator: |w|^2 in the mean over the directions, with any epsilon; the variance is 2 |w|^4."""
    samples = IMAGES[:1].expand(40_000, -1, -1, -1)
    chance = torch.Generator().manual_seed(0)
    found = gradient_penalty_finite_difference(linear, samples, epsilon=0.5, generator=chance).double()
    square = float(SLOPE.square().sum())
    assert float(found.mean()) == pytest.approx(square, abs=4 * math.sqrt(2) * square / 200)  # four standard errors
    assert float(found.var()) == pytest.approx(2 * square**2, rel=0.1)
    known = gradient_penalty_finite_difference(linear, samples, linear(samples), 0.5, torch.Generator().manual_seed(0))
    torch.testing.assert_close(known, found)


def test_finite_differences_converge():
    """Of a quadratic discriminator E is |grad|^2 + epsilon^2 E q(n)^2: the error falls with the square of epsilon."""
    samples = IMAGES[:1].expand(20_000, -1, -1, -1)

    def mean(epsilon):
        chance = torch.Generator().manual_seed(3)
        return float(gradient_penalty_finite_difference(quadratic, samples, epsilon=epsilon, generator=chance).mean())

    limit = mean(1e-4)
    assert limit == pytest.approx(float((IMAGES[0] * SLOPE).square().sum()), rel=0.05)  # five standard errors
    assert (mean(2.0) - limit) / (mean(1.0) - limit) == pytest.approx(4, rel=0.1)


def test_wgan_penalties():
    """A linear discriminator has one slope everywhere."""
    norm = float(SLOPE.square().sum().sqrt())
    other = IMAGES.flip(0)
    found = wgan_gradient_penalty(linear, IMAGES, other)
    torch.testing.assert_close(found, torch.full((6,), (norm - 1) ** 2, dtype=torch.float64))
    found = wgan_gradient_penalty(linear, IMAGES, other, center=0.0)
    torch.testing.assert_close(found, torch.full((6,), norm**2, dtype=torch.float64))
    found = wgan_divergence(linear, IMAGES, other, k=2.0, p=6.0)
    torch.testing.assert_close(found, torch.full((6,), 2 * norm**6, dtype=torch.float64))


def test_wgan_places_lie_between():
    """(d/dx of x^2 / 2) is the place itself: between both images, and elsewhere for each sample."""
    seen = []

    def discriminator(x):
        seen.append(x.detach().clone())
        return x.square().flatten(1).sum(1) / 2

    real, fake = torch.zeros(8, 1, 2, 2), torch.ones(8, 1, 2, 2)
    found = wgan_gradient_penalty(discriminator, real, fake, 0.0, torch.Generator().manual_seed(0))
    share = seen[0].flatten(1)
    assert torch.equal(share, share[:, :1].expand(-1, 4))
    assert len(set(share[:, 0].tolist())) == 8
    assert 0 <= float(share.min()) <= float(share.max()) <= 1
    torch.testing.assert_close(found, share.square().sum(1))


def test_flat_discriminator_has_gradients():
    """The root in |grad D| has no slope at 0; weights that are zero still learn from the penalty."""
    weight = torch.zeros(2, 3, 3, requires_grad=True)
    images = torch.randn(4, 2, 3, 3)
    wgan_gradient_penalty(lambda x: (x * weight).flatten(1).sum(1), images, -images).sum().backward()
    assert torch.isfinite(weight.grad).all()


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_gan_qp(norm):
    real, fake = IMAGES, IMAGES.flip(0) + 0.5
    r, f = linear(real), linear(fake)
    apart = (real - fake).numpy().reshape(6, -1)
    distance = np.abs(apart).mean(1) if norm == "l1" else np.sqrt((apart**2).mean(1))
    difference = (r - f).numpy()
    expected = -(difference - difference**2 / (2 * 10 * distance)).mean()
    assert float(gan_qp_loss(r, f, real, fake, norm=norm)) == pytest.approx(expected, rel=1e-12)
    assert float(gan_qp_loss(r, f, real, fake, side="generator")) == pytest.approx(difference.mean(), rel=1e-12)


def test_annealed():
    assert annealed(0, 10, 2.0, 0.2) == 2.0
    assert annealed(5, 10, 2.0, 0.2) == pytest.approx(1.1)
    assert annealed(10, 10, 2.0, 0.2) == annealed(99, 10, 2.0, 0.2) == pytest.approx(0.2)
    assert annealed(0, 0, 2.0, 0.2) == 0.2


# ---- mistakes


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"pairing": "pairs"}, "pairing must be one of paired, average, none, got 'pairs'"),
        ({"kind": "wasserstein"}, "kind must be one of logistic"),
        ({"side": "critic"}, "side must be one of discriminator, generator"),
        ({"fake_logits": FAKE[:3]}, "as many fake as real scores, got 3 and 5"),
        ({"real_logits": REAL[:0], "fake_logits": FAKE[:0]}, "needs scores, got 0 real and 0 fake"),
    ],
)
def test_mistakes(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        relativistic_loss(**{"real_logits": REAL, "fake_logits": FAKE, **options})


def test_more_mistakes():
    with pytest.raises(ValueError, match="requires_grad_"):
        zero_centered_gradient_penalty(linear(IMAGES), IMAGES)
    with pytest.raises(ValueError, match="epsilon must be above 0, got 0"):
        gradient_penalty_finite_difference(linear, IMAGES, epsilon=0)
    with pytest.raises(ValueError, match="one shape"):
        wgan_gradient_penalty(linear, IMAGES, IMAGES[:2])
    with pytest.raises(ValueError, match="side is 'discriminator' or 'generator'"):
        gan_qp_loss(REAL, FAKE, IMAGES, IMAGES, side="both")
    with pytest.raises(ValueError, match="strength above 0"):
        gan_qp_loss(REAL, FAKE, IMAGES, IMAGES, strength=0)


# ---- two processes

WORKER = """
import sys
import torch
import torch.distributed as dist
from hf_kexue.rsgan.losses_rsgan import relativistic_loss

rank, store = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
data = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
for side in ("discriminator", "generator"):
    layer = torch.nn.Linear(3, 1, dtype=torch.float64)
    torch.nn.init.constant_(layer.weight, 0.7)
    model = torch.nn.parallel.DistributedDataParallel(layer)
    real, fake = model(data[:, 3 * rank : 3 * rank + 3]).squeeze(-1)
    loss = relativistic_loss(real, fake, pairing="average", side=side)
    loss.backward()
    mean = loss.detach().clone()
    dist.all_reduce(mean)
    if rank == 0:
        print(side, float(mean) / 2, *layer.weight.grad[0].tolist())
dist.destroy_process_group()
"""


def test_averages_over_two_processes(tmp_path):
    """Two processes with half of the images each: loss and gradient of one process with all of them."""
    command = [sys.executable, "-c", WORKER]
    processes = [
        subprocess.Popen([*command, str(rank), str(tmp_path / "store")], stdout=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    printed = [process.communicate(timeout=180)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    data = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    lines = dict(line.split(" ", 1) for line in printed[0].splitlines() if " " in line)
    for side in ("discriminator", "generator"):
        weight = torch.full((3,), 0.7, dtype=torch.float64, requires_grad=True)
        loss = relativistic_loss(*(data @ weight), pairing="average", side=side)
        loss.backward()
        found = list(map(float, lines[side].split()))
        assert found == pytest.approx([float(loss.detach()), *weight.grad.tolist()], rel=1e-12)
