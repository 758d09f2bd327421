"""The InceptionV3 behind FID and KID, from a weights file that the user brings; no torchvision, no download.

The network of TensorFlow's `inception-2015-12-05` graph, which is not torchvision's `inception_v3`: 1008 outputs,
average pooling that leaves the padding out, and a max pooling in the last block where the paper has an average.
Parameter names are those of the two known conversions, so their files load as they are, without unpickling code:

- torch-fidelity: weights-inception-2015-12-05-6726825d.pth
- pytorch-fid:    pt_inception-2015-12-05-6726825d.pth

Protocol: 8-bit RGB, TensorFlow 1's bilinear resize to 299 x 299 (`resize_tensorflow1`), (x - 128) / 128, float32, mean
over the last 8 x 8 positions: 2048 features. `kernel_distance` and `frechet_distance` over them are KID and FID; the
published FIDs take 50000 samples.

Shapes: B batch, H and W pixels. Longer than the house's aim because the block tables define the network.

Source: Szegedy et al. 2015, "Rethinking the Inception architecture for computer vision"; Heusel et al. 2017 (FID).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .feature_extractors import images_to_bytes

NUM_LOGITS = 1008

# A step of a branch is (name, channels out, kernel) with an optional stride; a list runs its steps in parallel and
# concatenates them; a string names a pooling.
Kernel = int | tuple[int, int]
Step = tuple[str, int, Kernel] | tuple[str, int, Kernel, int]
Branch = tuple["Step | list[Step] | str", ...]


class FIDInceptionV3Features(nn.Module):
    """The 2048 pooled features of FID. Frozen, always in evaluation mode.

    Args:
        weights: path of a `.pth` file with a plain state dict (read with `weights_only=True`) or of a `.safetensors`
            file; or the state dict itself.

    Attributes:
        num_features: 2048, the width; torchmetrics looks for this name.
        kernel_metric_name: "KID".
        frechet_metric_name: "FID".

    Raises:
        FileNotFoundError: no file there.
        ValueError: a state dict of another network, torchvision's InceptionV3 included.

    Relations: equals torch-fidelity's "inception-v3-compat" feature "2048" up to rounding.
    """

    num_features = 2048
    image_size = 299
    kernel_metric_name = "KID"
    frechet_metric_name = "FID"

    def __init__(self, weights: str | Path | Mapping[str, Tensor]) -> None:
        super().__init__()
        self.network = InceptionV3()
        state = dict(weights) if isinstance(weights, Mapping) else _read_state_dict(Path(weights))
        _check_state_dict(state, self.network.state_dict())
        self.network.load_state_dict(state, strict=False)  # the batch counters may lack; all else is checked above
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> FIDInceptionV3Features:
        """Stay in evaluation mode, whatever `mode` says."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Features of a batch.

        Args:
            images: (B, 3, H, W), uint8 or floats in [0, 1].

        Returns:
            (B, 2048) float32, not negative.

        Raises:
            TypeError: no tensor, or neither uint8 nor floating.
            ValueError: another shape, floats outside [0, 1], or NaN.
        """
        x = images_to_bytes(images).to(torch.float32)
        x = (resize_tensorflow1(x, self.image_size) - 128) / 128  # (B, 3, 299, 299)
        with torch.autocast(x.device.type, enabled=False):
            return self.network.features(x)  # (B, 2048)


class InceptionV3(nn.Module):
    """TensorFlow's InceptionV3 of 2015-12-05, with random weights; parameter names as in torchvision."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvNormReLU(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = ConvNormReLU(32, 32, 3)
        self.Conv2d_2b_3x3 = ConvNormReLU(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = ConvNormReLU(64, 80, 1)
        self.Conv2d_4a_3x3 = ConvNormReLU(80, 192, 3)
        self.Mixed_5b = Mixed(192, *_branches_35(32))
        self.Mixed_5c = Mixed(256, *_branches_35(64))
        self.Mixed_5d = Mixed(288, *_branches_35(64))
        self.Mixed_6a = Mixed(
            288,
            (("branch3x3", 384, 3, 2),),
            (("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3, 2)),
            ("halve",),
        )
        self.Mixed_6b = Mixed(768, *_branches_17(128))
        self.Mixed_6c = Mixed(768, *_branches_17(160))
        self.Mixed_6d = Mixed(768, *_branches_17(160))
        self.Mixed_6e = Mixed(768, *_branches_17(192))
        self.Mixed_7a = Mixed(
            768,
            (("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3, 2)),
            (
                ("branch7x7x3_1", 192, 1),
                ("branch7x7x3_2", 192, (1, 7)),
                ("branch7x7x3_3", 192, (7, 1)),
                ("branch7x7x3_4", 192, 3, 2),
            ),
            ("halve",),
        )
        self.Mixed_7b = Mixed(1280, *_branches_8("average"))
        self.Mixed_7c = Mixed(2048, *_branches_8("maximum"))  # the graph's own deviation from the paper
        self.fc = nn.Linear(2048, NUM_LOGITS)

    def features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1], 299 x 299 for FID, to (B, 2048)."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))  # (B, 64, 147, 147)
        x = F.max_pool2d(x, kernel_size=3, stride=2)  # (B, 64, 73, 73)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))  # (B, 192, 71, 71)
        x = F.max_pool2d(x, kernel_size=3, stride=2)  # (B, 192, 35, 35)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))  # (B, 288, 35, 35)
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))  # (B, 768, 17, 17)
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))  # (B, 2048, 8, 8)
        return x.mean(dim=(2, 3))  # (B, 2048)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] to logits (B, 1008)."""
        return self.fc(self.features(x))


class ConvNormReLU(nn.Module):
    """Convolution without bias, batch normalisation (epsilon 1e-3), ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Kernel, stride: int = 1, padding: Kernel = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Parallel branches, concatenated over the channels. Stride 1 keeps the size, stride 2 pads nothing."""

    def __init__(self, in_channels: int, *branches: Branch) -> None:
        super().__init__()
        self.branches = branches
        for branch in branches:
            width = in_channels
            for step in branch:
                parallel = step if isinstance(step, list) else [] if isinstance(step, str) else [step]
                for name, out_channels, kernel, *stride in parallel:
                    self.add_module(name, _same_or_strided(width, out_channels, kernel, *stride))
                width = sum(out for _, out, *_ in parallel) or width

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._run(branch, x) for branch in self.branches], dim=1)

    def _run(self, branch: Branch, x: Tensor) -> Tensor:
        for step in branch:
            if isinstance(step, str):
                x = _POOLINGS[step](x)
            elif isinstance(step, list):
                x = torch.cat([self.get_submodule(name)(x) for name, *_ in step], dim=1)
            else:
                x = self.get_submodule(step[0])(x)
        return x


_POOLINGS = {
    "average": lambda x: F.avg_pool2d(x, kernel_size=3, stride=1, padding=1, count_include_pad=False),
    "maximum": lambda x: F.max_pool2d(x, kernel_size=3, stride=1, padding=1),
    "halve": lambda x: F.max_pool2d(x, kernel_size=3, stride=2),
}


def _same_or_strided(width: int, out_channels: int, kernel: Kernel, stride: int = 1) -> ConvNormReLU:
    height, breadth = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (height // 2, breadth // 2) if stride == 1 else 0
    return ConvNormReLU(width, out_channels, kernel, stride=stride, padding=padding)


def _branches_35(pool_features: int) -> tuple[Branch, ...]:
    """The blocks at 35 x 35."""
    return (
        (("branch1x1", 64, 1),),
        (("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)),
        (("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)),
        ("average", ("branch_pool", pool_features, 1)),
    )


def _branches_17(c: int) -> tuple[Branch, ...]:
    """The blocks at 17 x 17: 7 x 7 convolutions, factored."""
    return (
        (("branch1x1", 192, 1),),
        (("branch7x7_1", c, 1), ("branch7x7_2", c, (1, 7)), ("branch7x7_3", 192, (7, 1))),
        (
            ("branch7x7dbl_1", c, 1),
            ("branch7x7dbl_2", c, (7, 1)),
            ("branch7x7dbl_3", c, (1, 7)),
            ("branch7x7dbl_4", c, (7, 1)),
            ("branch7x7dbl_5", 192, (1, 7)),
        ),
        ("average", ("branch_pool", 192, 1)),
    )


def _branches_8(pooling: str) -> tuple[Branch, ...]:
    """The blocks at 8 x 8: 3 x 3 convolutions split into a row and a column beside each other."""
    return (
        (("branch1x1", 320, 1),),
        (("branch3x3_1", 384, 1), [("branch3x3_2a", 384, (1, 3)), ("branch3x3_2b", 384, (3, 1))]),
        (
            ("branch3x3dbl_1", 448, 1),
            ("branch3x3dbl_2", 384, 3),
            [("branch3x3dbl_3a", 384, (1, 3)), ("branch3x3dbl_3b", 384, (3, 1))],
        ),
        (pooling, ("branch_pool", 192, 1)),
    )


def resize_tensorflow1(images: Tensor, size: int) -> Tensor:
    """Bilinear resize as TensorFlow 1 had it: output pixel i reads at i * (old / new), not antialiased.

    Args:
        images: (B, C, H, W), floating.
        size: new height and width, pixels.

    Returns:
        (B, C, size, size), dtype of the argument.
    """
    for dim in (3, 2):
        old = images.shape[dim]
        position = torch.arange(size, device=images.device, dtype=torch.float32) * (old / size)
        lower = position.floor().long().clamp(max=old - 1)  # (size,)
        upper = (lower + 1).clamp(max=old - 1)
        fraction = (position - lower).to(images.dtype).view((-1, 1) if dim == 2 else (-1,))
        low, high = images.index_select(dim, lower), images.index_select(dim, upper)
        images = low + (high - low) * fraction
    return images


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no InceptionV3 weights file at {path}.")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, Mapping):
        raise ValueError(f"{path} must hold a plain state dict, got {type(state).__name__}.")
    return dict(state)


def _check_state_dict(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Names and shapes; a sentence for the file that is most easily mistaken for the right one."""
    if "fc.weight" in state and tuple(state["fc.weight"].shape) == (1000, 2048):
        raise ValueError(
            "These are InceptionV3 weights with 1000 classes, as torchvision has them. FID is defined by TensorFlow's "
            "graph of 2015-12-05 with 1008; bring weights-inception-2015-12-05-6726825d.pth of torch-fidelity or "
            "pt_inception-2015-12-05-6726825d.pth of pytorch-fid."
        )
    wanted = {name for name in expected if not name.endswith("num_batches_tracked")}
    given = {name for name in state if not name.endswith("num_batches_tracked")}
    wrong = sorted(wanted ^ given) or sorted(name for name in wanted if state[name].shape != expected[name].shape)
    if wrong:
        raise ValueError(
            f"The weights are not those of FID's InceptionV3: {len(wrong)} entries are missing, unknown or of another "
            f"shape, where {len(wanted)} are due; the first is {wrong[0]!r}."
        )
