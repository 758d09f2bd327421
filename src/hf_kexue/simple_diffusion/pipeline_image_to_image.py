"""Pictures drawn anew from a noised picture: the more noise, the less of it remains.

Source: arXiv 2108.01073 (SDEdit). Shapes: B batch, C channels, H W rows and columns.
"""

from __future__ import annotations

from numbers import Real
from typing import Any, Unpack

from diffusers.pipelines.pipeline_utils import DiffusionPipeline

from .checks_simple_diffusion import require
from .pictures_simple_diffusion import Pictures, picture_tensor
from .pipeline_prompted import PromptedPipeline, PromptOptions


class SimpleDiffusionImageToImagePipeline(PromptedPipeline, DiffusionPipeline):
    """Variations of a picture, or what a class or a prompt makes of it. Its arguments, components and folders are
    those of [`SimpleDiffusionPipeline`] or [`SimpleDiffusionTextToImagePipeline`]."""

    def __call__(self, image: Pictures, strength: float = 0.6, **options: Unpack[PromptOptions]) -> Any:
        """Noise a picture and draw from there.

        Args:
            image: a picture or several, of Pillow, as an array (H, W, C) or a tensor (C, H, W) in [0, 1] or uint8. The
                stride of the network must divide its sides; the images have its size.
            strength: share of the steps to do, from 0 to 1. 0 gives the picture back, 1 is drawing without it.
            **options: of `SimpleDiffusionPipeline`, or of `SimpleDiffusionTextToImagePipeline` with a model of
                prompts, without `height`, `width` and upsampling. One picture serves all `class_labels`, prompts or a
                `batch_size`, and one prompt all pictures; no prompt is the empty one.

        Returns:
            `ImagePipelineOutput` with `.images`.

        Raises:
            ValueError: for invalid arguments, a picture of an unfit size or mode, or a scheduler that cannot begin
                within its steps (PNDM).
            TypeError: for what is no picture, or an unknown option.
        """
        check_strength(strength)
        pictures = picture_tensor(image, self.unet.config.in_channels, self.total_stride)
        settings = self._settings(options, len(pictures))
        pictures = settings.repeated(pictures.to(self._execution_device))
        height, width = pictures.shape[-2:]
        return self._draw(settings, height=height, width=width, picture=pictures, strength=strength)


def check_strength(strength: Any) -> None:
    """Refuse what does not lie in [0, 1].

    Raises:
        ValueError: with the value.
    """
    number = isinstance(strength, Real) and not isinstance(strength, bool)
    require(number and 0 <= strength <= 1, f"strength is {strength!r}; it must be a number from 0 to 1.")
