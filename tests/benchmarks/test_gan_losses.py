"""The benchmark of losses in miniature, and its measures on samples whose answer is known."""

import json
import math
from dataclasses import replace

import pytest
import torch

pytest.importorskip("matplotlib", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("sklearn", reason="the extra hf-kexue[test] is not installed")
losses = pytest.importorskip("gan_losses", reason="benchmarks/ belongs to the repository, not to the package")
toys = pytest.importorskip("gan_toys")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class TestMeasures:
    def test_data_cover_everything(self):
        gaussians = toys.gaussian_scores(toys.draw_gaussians(5000, generator()))
        assert gaussians["modes"] == 25
        # within three standard deviations of a Gaussian in the plane: 1 - exp(-9 / 2); 4 standard errors of 5000
        assert gaussians["good_share"] == pytest.approx(1 - math.exp(-4.5), abs=0.006)
        assert gaussians["reverse_kl"] == pytest.approx(24 / (2 * 5000), abs=0.005)  # (M - 1) / 2N of a fair sample
        digits = toys.digit_scores(toys.draw_digits(6000, generator()))
        assert digits["good_share"] == 1
        assert digits["modes"] == digits["modes_of_all_samples"] >= 985  # e^-6 of 1000 modes is 2.5
        assert digits["reverse_kl"] == pytest.approx(999 / (2 * 6000), abs=0.02)

    def test_a_collapsed_generator_covers_one_mode(self):
        gaussians = toys.gaussian_scores(torch.tensor([[1.0, -2.0]]).expand(50, 2))
        assert gaussians == {"modes": 1, "good_share": 1.0, "reverse_kl": round(math.log(25), 4)}
        one = toys.draw_digits(1, generator())
        digits = toys.digit_scores(one.expand(20, 192))
        assert (digits["modes"], digits["good_share"]) == (1, 1.0)
        assert digits["reverse_kl"] == pytest.approx(math.log(1000), abs=0.2)  # the ten digits are not quite equal

    def test_what_is_far_from_the_data_covers_nothing(self):
        centres = toys.GRID + torch.tensor([0.16, 0.0])  # three standard deviations are 0.15
        assert toys.gaussian_scores(centres) == {"modes": 0, "good_share": 0.0, "reverse_kl": math.inf}
        assert toys.gaussian_scores(toys.GRID + torch.tensor([0.14, 0.0]))["modes"] == 25
        noise = torch.rand(500, 192, generator=generator()) * 2 - 1
        scores = toys.digit_scores(noise)
        assert scores["modes"] == 0
        assert scores["modes_of_all_samples"] > 100

    def test_one_bad_channel_spoils_a_stack(self):
        stacks = toys.draw_digits(40, generator())
        stacks[:10, 64:128] = torch.rand(10, 64, generator=generator()) * 2 - 1
        assert toys.digit_scores(stacks)["good_share"] == 0.75

    def test_reverse_kl(self):
        counts, target = torch.tensor([3, 1, 0]), torch.tensor([0.5, 0.25, 0.25])
        assert toys.reverse_kl(counts, target) == pytest.approx(0.75 * math.log(1.5))

    def test_the_classifier_knows_digits_held_out(self):
        assert toys.digit_classifier()[1] > 0.95


class TestTraining:
    @pytest.mark.parametrize("name", list(losses.LOSSES))
    def test_every_loss_moves_both_networks(self, name, tmp_path):
        task = toys.TOYS["gaussians"]
        task = replace(task, setting=replace(task.setting, steps=3, samples=300))
        samples = losses.train(losses.LOSSES[name], task, seed=0)
        assert samples.shape == (300, 2)
        assert samples.isfinite().all()
        torch.testing.assert_close(losses.train(losses.LOSSES[name], task, seed=0), samples, rtol=0, atol=0)
        assert not torch.equal(losses.train(losses.LOSSES[name], task, seed=1), samples)

    def test_losses_by_hand(self):
        """A linear discriminator has logits and gradients that one can write down."""
        discriminator = torch.nn.Sequential(torch.nn.Linear(2, 1, bias=False), torch.nn.Flatten(0))
        with torch.no_grad():
            discriminator[0].weight.copy_(torch.tensor([[3.0, 4.0]]))  # gradient norm 5
        real, fake = torch.randn(6, 2, generator=generator()), torch.randn(6, 2, generator=generator(1))
        r, f = discriminator(real), discriminator(fake)
        log1p_exp = torch.nn.functional.softplus
        setting = replace(toys.TOYS["gaussians"].setting, gamma=0.5, gradient_penalty=2.0)
        expected = {
            "SGAN": (log1p_exp(-r) + log1p_exp(f)).mean(),
            "RSGAN": log1p_exp(f - r).mean(),
            "WGAN-GP": (f - r).mean() + 2.0 * (5 - 1) ** 2,
            "RSGAN + R1 + R2": log1p_exp(f - r).mean() + 0.5 / 2 * (25 + 25),
        }
        for name, value in expected.items():
            loss = losses.discriminator_loss(losses.LOSSES[name], setting, discriminator, real, fake)
            torch.testing.assert_close(loss, value, msg=name)

    def test_finished_runs_are_kept_and_others_made_anew(self, tmp_path, capsys):
        task = toys.TOYS["digits"]
        task = replace(task, setting=replace(task.setting, steps=2, samples=100))
        names, folder = ["SGAN", "RSGAN + R1 + R2"], tmp_path / "digits"
        first = losses.compare(task, names, [0, 1], folder)
        assert [(row["loss"], row["seed"]) for row in first["rows"]] == [(n, s) for s in (0, 1) for n in names]
        assert [line["loss"] for line in first["losses"]] == names
        assert losses.sheet(names, 0, folder).width > 2 * 270
        kept = folder / "SGAN-1.json"
        marked = json.loads(kept.read_text())
        marked["row"]["modes"] = 777
        kept.write_text(json.dumps(marked))
        (folder / "SGAN-0.json").unlink()
        second = losses.compare(task, names, [0, 1], folder)
        assert [row["modes"] for row in second["rows"] if row["loss"] == "SGAN"] == [first["rows"][0]["modes"], 777]
        assert second["losses"][0]["modes"] == (first["rows"][0]["modes"] + 777) / 2
        longer = replace(task, setting=replace(task.setting, steps=3))
        assert losses.measure("SGAN", 1, longer, folder)["modes"] != 777

    def test_photographs_need_a_data_set(self, capsys):
        with pytest.raises(SystemExit):
            losses.main(["--task", "cifar10"])
        assert "needs --dataset" in capsys.readouterr().err
