"""What a network is told beside x_t and logSNR, and its guided output.

Conditions are keyword arguments of the network, so that guidance need not know which there are: classes, or the states
of a text with their mask.
Shapes: B batch, C channels, H W rows and columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .guidance_simple_diffusion import extrapolate, in_interval


@dataclass(frozen=True)
class Conditions:
    """Conditions of a batch.

    Args:
        given: keyword arguments of the network, each with B rows, such as `{"class_labels": (B,)}`; empty: none.
        null: the same keys for a call without a condition, which classifier-free guidance moves away from.
    """

    given: dict[str, Tensor] = field(default_factory=dict)
    null: dict[str, Tensor] = field(default_factory=dict)

    def doubled(self) -> dict[str, Tensor]:
        """Keyword arguments of one call for both, the given ones first."""
        return {key: torch.cat([values, self.null[key]]) for key, values in self.given.items()}


@dataclass(frozen=True)
class GuidedNetwork:
    """A network with its conditions and the guidance of a call.

    Args:
        unet: the network.
        conditions: of the batch.
        guidance_unet: a weaker one, or None.
        guidance_unet_share: its share, from 0 to 1, of what images move away from.
        guidance_interval: (low, high) in logSNR where guidance acts; None is everywhere.
    """

    unet: Any
    conditions: Conditions
    guidance_unet: Any = None
    guidance_unet_share: float = 1.0
    guidance_interval: tuple[float, float] | None = None

    def __call__(self, x_t: Tensor, logsnr: Tensor, guidance_scale: float) -> Tensor:
        """Guided output (B, C, H, W) in float32 for x_t of variance-preserving noise and a scalar logSNR."""
        given = self.conditions.given
        x_t, logsnr_batch = x_t.to(self.unet.dtype), logsnr.to(x_t.device).expand(len(x_t))
        guided = guidance_scale != 1.0 and in_interval(float(logsnr), self.guidance_interval)
        if self.unet.config.get("guidance_embedding"):  # distilled into one call
            scale = guidance_scale if guided else 1.0
            return self._float(self.unet(x_t, logsnr_batch, **given, guidance_scale=scale))
        if not guided or (self.guidance_unet is None and not given):
            return self._float(self.unet(x_t, logsnr_batch, **given))
        share = 0.0 if self.guidance_unet is None else self.guidance_unet_share
        if not given or share == 1:  # nothing that the network itself could be guided by
            positive = negative = self._float(self.unet(x_t, logsnr_batch, **given))
        else:
            both = self.unet(torch.cat([x_t, x_t]), logsnr_batch.repeat(2), **self.conditions.doubled())
            positive, negative = self._float(both).chunk(2)
        if self.guidance_unet is not None and share > 0:
            weak = self._float(self.guidance_unet(x_t.to(self.guidance_unet.dtype), logsnr_batch, **given))
            negative = torch.lerp(negative, weak, share)
        return extrapolate(positive, negative, guidance_scale)

    @staticmethod
    def _float(output: Any) -> Tensor:
        sample: Tensor = output.sample
        return sample.float()
