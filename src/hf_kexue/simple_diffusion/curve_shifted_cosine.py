"""logSNR over continuous time of the cosine schedule under a resolution shift, and its slope.

    logsnr(u) = -2 log tan(u_min + u (u_max - u_min)) + (1 - u) shift_0 + u shift_1,   u in [0, 1]           (1)
    u_min = atan(exp(-logsnr_max / 2)),   u_max = atan(exp(-logsnr_min / 2))

Sources: archives/10047; arXiv 2301.11093.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class ShiftedCosineCurve:
    """The curve of eq. (1).

    Args:
        logsnr_min, logsnr_max: unshifted, at u = 1 and u = 0.
        shifts: nats added at u = 0 and at u = 1: 2 log(base_size / sample_size).
        zero_terminal_snr: u_max is pi / 2, so that logsnr(1) is -inf.
    """

    logsnr_min: float
    logsnr_max: float
    shifts: tuple[float, float]
    zero_terminal_snr: bool = False
    angle_min: float = field(init=False)  # u_min
    coangle_min: float = field(init=False)  # pi / 2 - u_max
    span: float = field(init=False)  # u_max - u_min

    def __post_init__(self) -> None:
        angle_min = math.atan(math.exp(-self.logsnr_max / 2))
        coangle_min = 0.0 if self.zero_terminal_snr else math.atan(math.exp(self.logsnr_min / 2))
        for name, value in (("angle_min", angle_min), ("coangle_min", coangle_min)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "span", math.pi / 2 - angle_min - coangle_min)

    @property
    def largest_ratio(self) -> float:
        """What the second base size must stay below, as a multiple of the first: the cosine falls at a rate of at
        least 4 span, least where its angle is pi / 4, and the shift must rise slower."""
        return math.exp(2.0 * self.span)

    def _angles(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Measured from the end of the data and from that of the noise, where tan keeps its digits; in float64."""
        u = u.to(torch.float32 if u.device.type == "mps" else torch.float64)  # MPS has no float64
        return self.angle_min + u * self.span, self.coangle_min + (1.0 - u) * self.span

    def logsnr(self, u: Tensor) -> Tensor:
        """Eq. (1) at times u in [0, 1] of any shape; float64 if u is, else float32; -inf at zero terminal SNR."""
        from_data, from_noise = self._angles(u)
        cosine = torch.where(u < 0.5, -2.0 * torch.log(torch.tan(from_data)), 2.0 * torch.log(torch.tan(from_noise)))
        work = u.to(cosine.dtype)
        return (cosine + (1.0 - work) * self.shifts[0] + work * self.shifts[1]).to(working_dtype(u))

    def slope(self, u: Tensor) -> Tensor:
        """-d logsnr / d u at the same times: positive, infinite only at zero terminal SNR."""
        from_data, from_noise = self._angles(u)
        cosine = 4.0 * self.span / torch.sin(2.0 * torch.where(u < 0.5, from_data, from_noise))
        return (cosine + self.shifts[0] - self.shifts[1]).to(working_dtype(u))


def working_dtype(values: Tensor) -> torch.dtype:
    """float64 for float64, else float32."""
    return torch.float64 if values.dtype == torch.float64 else torch.float32


def alpha_sigma_of(logsnr: float) -> tuple[float, float]:
    """alpha = sqrt(sigmoid(logsnr)) and sigma = sqrt(sigmoid(-logsnr))."""
    return 1.0 / math.sqrt(1.0 + math.exp(-logsnr)), 1.0 / math.sqrt(1.0 + math.exp(logsnr))
