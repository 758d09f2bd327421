"""When a training of two networks is over before its time, seen from the scores and the generator's gradient.

Sources: kexue.fm archives/6110; Arjovsky and Bottou 2017, "Towards principled methods for training generative
adversarial networks" (arXiv 1701.04862), on gradients that vanish under a perfect discriminator.
"""

from __future__ import annotations

from typing import Any


class CollapseGuard:
    """Ends a run whose discriminator has collapsed. Two signs, each only if it holds for `patience` steps in a row:

    won    the mean score of the real images stands above that of the generated ones by more than `margin`. At a
           margin of 20 a logistic loss and its slope are below 3e-9: the discriminator is certain and learns nothing
           more, whatever the generator does.
    blind  the generator's gradient is shorter than `gradient`: the scores no longer depend on the images, or lie
           where the loss is flat (a saturating one).

    In a run that goes well the margin stays at a few units, since the gradient penalty bounds it, and the gradient far
    from zero. Numbers that are not finite end a run at once: `training_runs.check_finite`.

    Args:
        margin: bound in units of the scores; 0 turns the first sign off.
        patience: steps in a row, at least 1.
        gradient: bound of the generator's gradient norm.
    """

    def __init__(self, margin: float = 20.0, patience: int = 200, gradient: float = 1e-7) -> None:
        self.margin, self.patience, self.gradient = margin, patience, gradient
        self.won = self.blind = 0

    def update(self, margin: float, generator_gradient: float, step: int) -> None:
        """Look at one step.

        Args:
            margin: mean score of the real less that of the generated images.
            generator_gradient: norm over all parameters of the generator, in its latest step.
            step: number of the step, for the sentence.

        Raises:
            RuntimeError: when a sign has held for `patience` steps; says which, and what to change.
        """
        self.won = self.won + 1 if self.margin and margin > self.margin else 0
        self.blind = self.blind + 1 if generator_gradient < self.gradient else 0
        if max(self.won, self.blind) < self.patience:
            return
        sign = f"given the generator no gradient (now {generator_gradient:.2g}, bound {self.gradient:.2g})"
        if self.won >= self.patience:
            sign = f"scored real images more than {self.margin:g} above generated ones (now {margin:.4g})"
        raise RuntimeError(
            f"The discriminator has collapsed: for {self.patience} steps, up to step {step}, it has {sign}. More "
            "steps would not help. Start anew, in another --output_dir, with a penalty and a larger --gamma, a lower "
            "--learning_rate, or more --augment; if such scores are right for the loss, raise --collapse_margin."
        )

    def state_dict(self) -> dict[str, Any]:
        return {"won": self.won, "blind": self.blind}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.won, self.blind = state["won"], state["blind"]
