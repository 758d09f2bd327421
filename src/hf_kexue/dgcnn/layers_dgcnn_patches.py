"""The trunk's blocks, and before them blocks that read the text in patches.

A convolution between every two neighbours is spent twice where both belong to one word. `PatchBlocks` lays the vectors
of `patch_size` characters side by side, as a vision transformer does with pixels, and its blocks see a row that many
times shorter: at equal width a block costs that many times less and looks that many times farther.

    y = x + W_leave blocks(W_enter [x_Pi, ..., x_Pi+P-1]),   one P-th of what W_leave gives for each character

Patches are counted from the first character that the mask leaves, so that what stands before a passage does not
move them. `torch.export` takes rows of any length that is a multiple of the patch size.

Shapes: B batch, L characters, P patch size, D hidden size, W width of the patches. The channels come before the
characters.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .configuration_dgcnn import DGCNNConfig
from .layers_dgcnn import DGCNNBlock, DGCNNConv1d, DGCNNStack, SmallConv1d, collected


class PatchBlocks(nn.Module):
    """Residual: what the blocks of `config.patch_dilations` find is added to the characters, little of it at first."""

    def __init__(self, config: DGCNNConfig) -> None:
        super().__init__()
        self.patch_size, width = config.patch_size, config.patch_hidden_size or config.hidden_size
        side_by_side = config.patch_size * config.hidden_size
        self.enter = DGCNNConv1d(side_by_side, width, 1)
        self.blocks = nn.ModuleList(DGCNNBlock(config, dilation, width) for dilation in config.patch_dilations)
        self.leave = SmallConv1d(width, side_by_side, 1)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """(B, D, L), mask (B, 1, L), None where nothing is padding -> (B, D, L)."""
        size, length = self.patch_size, hidden.shape[2]
        rows, kept, first = F.pad(hidden, (0, -length % size)), None, None
        if mask is not None:
            first = (mask[:, 0] != 0).to(torch.uint8).argmax(dim=1, keepdim=True) % size  # (B, 1), to move left by
            rows, there = F.pad(rows, (0, size)), F.pad(mask, (0, size + -length % size))
            places = (torch.arange(rows.shape[2], device=rows.device) + first).clamp(max=rows.shape[2] - 1)
            rows, there = _take(rows, places), _take(there, places)
            kept = there.unflatten(2, (-1, size)).amax(dim=3)  # (B, 1, L / P)
        found = self.enter(self._together(rows)).to(hidden.dtype)
        found = found if kept is None else found * kept
        for block in self.blocks:
            found = block(found, kept)
        found = self._apart(self.leave(found)).to(hidden.dtype)
        if mask is None or first is None:
            return hidden + found[..., :length]
        back = (torch.arange(length, device=rows.device) - first).clamp(min=0)
        return (hidden + _take(found, back)) * mask

    def _together(self, rows: Tensor) -> Tensor:
        """(B, D, L) -> (B, P D, L / P)."""
        return rows.transpose(1, 2).unflatten(1, (-1, self.patch_size)).flatten(2).transpose(1, 2)

    def _apart(self, patches: Tensor) -> Tensor:
        """(B, P D, L / P) -> (B, D, L)."""
        return patches.transpose(1, 2).unflatten(2, (self.patch_size, -1)).flatten(1, 2).transpose(1, 2)


def _take(rows: Tensor, places: Tensor) -> Tensor:
    """rows (B, D, L) at places (B, K) -> (B, D, K)."""
    return rows.gather(2, places[:, None].expand(-1, rows.shape[1], -1))


class DGCNNEncoder(DGCNNStack):
    """The blocks of the trunk: those on patches, if there are any, then those of `config.dilations`."""

    def __init__(self, config: DGCNNConfig) -> None:
        super().__init__(config, config.dilations)
        self.patches = PatchBlocks(config) if config.patch_dilations else None

    def forward(self, hidden: Tensor, mask: Tensor | None, states: list[Tensor] | None = None) -> Tensor:
        """As of `DGCNNStack`; the blocks on patches together give one of the states."""
        if self.patches is not None:
            hidden = collected(hidden, states)
            hidden = self.patches(hidden, mask)
        return super().forward(hidden, mask, states)
