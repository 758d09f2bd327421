"""logSNR over continuous time of flow matching under a resolution shift, its slope and its inverse.

    x_t = (1 - t) x_0 + t noise,   t = k u / (1 + (k - 1) u),   k = sample_size / base_size,   u in [0, 1]    (1)
    logsnr(u) = 2 log((1 - t) / t) = 2 log((1 - u) / u) - 2 log k                                            (2)

The shift of flow matching is a factor of (1 - t) / t, so that in logSNR it is the same number of nats at every time,
the one by which `curve_shifted_cosine` lowers the cosine.

Sources: archives/10047; arXiv 2403.03206, the shift of time with resolution.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ShiftedFlowCurve:
    """The curve of eq. (1) and (2). Every method computes in float64 and returns the dtype that it was given.

    Args:
        shift: k, positive; 1 shifts nothing.
    """

    shift: float

    def time(self, u: Tensor) -> Tensor:
        """t of eq. (1), the share of the noise, at u in [0, 1] of any shape."""
        work = wide(u)
        return (self.shift * work / (1.0 + (self.shift - 1.0) * work)).to(u.dtype)

    def logsnr(self, u: Tensor) -> Tensor:
        """Eq. (2): finite inside (0, 1), +inf at 0 and -inf at 1."""
        work = wide(u)
        return (2.0 * (torch.log1p(-work) - torch.log(work)) - 2.0 * math.log(self.shift)).to(u.dtype)

    def slope(self, u: Tensor) -> Tensor:
        """-d logsnr / d u = 2 / (u (1 - u)), whatever the shift; infinite at both ends."""
        work = wide(u)
        return (2.0 / (work * (1.0 - work))).to(u.dtype)

    def inverse(self, logsnr: Tensor) -> Tensor:
        """u at a logSNR: the inverse of eq. (2)."""
        return torch.sigmoid(-wide(logsnr) / 2.0 - math.log(self.shift)).to(logsnr.dtype)


def wide(values: Tensor) -> Tensor:
    """In float64, where the device has it."""
    return values.to(torch.float32 if values.device.type == "mps" else torch.float64)  # MPS has no float64
