"""Losses of GANs against NumPy in float64, another package, and the theory."""

import math
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import torch

from hf_kexue.rsgan import losses_rsgan
from hf_kexue.rsgan.losses_rsgan import annealed, gan_qp_loss, relativistic_loss

IMAGES = torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
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
    """The logistic pair of relativistic-loss, over its own calls of networks."""
    package = pytest.importorskip("relativistic_loss", reason="relativistic-loss is not installed")

    def discriminator(x):
        return x.square().flatten(1).mean(1) - x.flatten(1).sum(1)

    def generator(z):
        return z - 0.3

    for turn, side in ((True, "discriminator"), (False, "generator")):
        theirs = package.gan_loss(discriminator, generator, IMAGES, IMAGES.flip(0), discriminator_turn=turn)
        ours = relativistic_loss(discriminator(IMAGES), discriminator(generator(IMAGES.flip(0))), side=side)
        torch.testing.assert_close(ours, theirs)


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


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_gan_qp(norm):
    """Values, and gradients by hand: by a real score (d / (10 |x - y|) - 1) / n of n images, for the generator 1 / n;
    by a generated one the opposite."""
    images, others = IMAGES, IMAGES.flip(0) + 0.5
    real, fake = (x.flatten(1).sum(1).requires_grad_() for x in (images, others))
    apart = (images - others).numpy().reshape(6, -1)
    distance = np.abs(apart).mean(1) if norm == "l1" else np.sqrt((apart**2).mean(1))
    d = (real - fake).detach().numpy()
    for side, value, slope in (
        ("discriminator", -(d - d**2 / (2 * 10 * distance)).mean(), -(1 - d / (10 * distance)) / 6),
        ("generator", d.mean(), np.full(6, 1 / 6)),
    ):
        loss = gan_qp_loss(real, fake, images, others, side=side, norm=norm)
        assert float(loss.detach()) == pytest.approx(value, rel=1e-12)
        for gradient, sign in zip(torch.autograd.grad(loss, (real, fake)), (1, -1)):
            np.testing.assert_allclose(gradient.numpy(), sign * slope, rtol=1e-12)


def test_gan_qp_of_equal_images():
    """Nothing lies between them: the scores of one image are equal, and the loss stays finite."""
    scores = IMAGES.flatten(1).sum(1)
    assert float(gan_qp_loss(scores, scores, IMAGES, IMAGES)) == 0


def test_annealed():
    assert annealed(0, 10, 2.0, 0.2) == 2.0
    assert annealed(5, 10, 2.0, 0.2) == pytest.approx(1.1)
    assert annealed(10, 10, 2.0, 0.2) == annealed(99, 10, 2.0, 0.2) == pytest.approx(0.2)
    assert annealed(0, 0, 2.0, 0.2) == 0.2


# ---- errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pairing": "pairs"}, "pairing .*'pairs'"),
        ({"kind": "wasserstein"}, "kind"),
        ({"side": "critic"}, "side"),
        ({"fake_logits": FAKE[:3]}, "3 and 5"),
        ({"real_logits": REAL[:0], "fake_logits": FAKE[:0]}, "0 real and 0 fake"),
    ],
)
def test_bad_arguments_raise(options, message):
    with pytest.raises(ValueError, match=message):
        relativistic_loss(**{"real_logits": REAL, "fake_logits": FAKE, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": "both"}, "side .*'both'"),
        ({"norm": "l3"}, "norm 'l1' or 'l2'.* and 'l3'"),
        ({"strength": 0}, "strength above 0.* got 0"),
        ({"fake": IMAGES[:2]}, "images of one shape"),
        ({"fake_logits": torch.zeros(1)}, "6 real and 1 fake"),
        ({"real_logits": torch.zeros(6, 4), "side": "generator"}, "24 real and 6 fake"),
    ],
)
def test_bad_arguments_of_gan_qp_raise(options, message):
    arguments = {"real_logits": torch.zeros(6), "fake_logits": torch.zeros(6), "real": IMAGES, "fake": IMAGES}
    with pytest.raises(ValueError, match=message):
        gan_qp_loss(**{**arguments, **options})


# ---- two processes

# Of the package only the file of the losses is loaded: networks and pipeline would take most of the time.
WORKER = """
import importlib.util, sys
import torch
import torch.distributed as dist

rank, store, file = int(sys.argv[1]), sys.argv[2], sys.argv[3]
spec = importlib.util.spec_from_file_location("losses_rsgan", file)
losses = importlib.util.module_from_spec(spec)
spec.loader.exec_module(losses)
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
data = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
for side, saturating in (("discriminator", False), ("generator", False), ("generator", True)):
    layer = torch.nn.Linear(3, 1, dtype=torch.float64)
    torch.nn.init.constant_(layer.weight, 0.7)
    model = torch.nn.parallel.DistributedDataParallel(layer)
    real, fake = model(data[:, 3 * rank : 3 * rank + 3]).squeeze(-1)
    loss = losses.relativistic_loss(real, fake, pairing="average", side=side, saturating=saturating)
    loss.backward()
    mean = loss.detach().clone()
    dist.all_reduce(mean)
    if rank == 0:
        print("found", float(mean) / 2, *layer.weight.grad[0].tolist())
dist.barrier()
del model, real, fake, loss  # they hold the group, whose threads must have ended before the process does
dist.destroy_process_group()
"""


def test_averages_over_two_processes(tmp_path):
    """Two processes with half of the images each: loss and gradient of one process with all of them."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), str(tmp_path / "store"), losses_rsgan.__file__],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    printed = [process.communicate(timeout=180)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    found = [list(map(float, line.split()[1:])) for line in printed[0].splitlines() if line.startswith("found")]
    data = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = []
    for side, saturating in (("discriminator", False), ("generator", False), ("generator", True)):
        weight = torch.full((3,), 0.7, dtype=torch.float64, requires_grad=True)
        loss = relativistic_loss(*(data @ weight), pairing="average", side=side, saturating=saturating)
        loss.backward()
        expected.append([float(loss.detach()), *weight.grad.tolist()])
    np.testing.assert_allclose(found, expected, rtol=1e-12)
