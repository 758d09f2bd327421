"""A picture at several times its size, whose blocks have the pixels of the small one as their means.

Shapes: B batch, C channels, h w rows and columns of the small picture.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any, Unpack

from diffusers.pipelines.pipeline_utils import DiffusionPipeline

from .checks_simple_diffusion import require
from .editing_simple_diffusion import Method
from .loop_simple_diffusion import Known
from .observations_simple_diffusion import BlockMeans
from .pictures_simple_diffusion import Pictures, picture_tensor
from .pipeline_prompted import PromptedPipeline, PromptOptions


class SimpleDiffusionUpscalePipeline(PromptedPipeline, DiffusionPipeline):
    """Small pictures, enlarged. Its arguments, components and folders are those of [`SimpleDiffusionPipeline`] or
    [`SimpleDiffusionTextToImagePipeline`]."""

    def __call__(
        self,
        image: Pictures,
        factor: int = 2,
        method: Method = "gradient",
        resampling: int = 1,
        iterations: int = 1,
        **options: Unpack[PromptOptions],
    ) -> Any:
        """Draw pictures whose means over `factor` x `factor` blocks are the picture.

        Args:
            image: a picture or several, of Pillow, as an array (h, w, C) or a tensor (C, h, w) in [0, 1] or uint8. The
                stride of the network must divide its sides times the factor.
            factor: 2 or more.
            method, resampling, iterations: as of `SimpleDiffusionInpaintPipeline`.
            **options: of `SimpleDiffusionPipeline`, or of `SimpleDiffusionTextToImagePipeline` with a model of
                prompts, without `height`, `width` and upsampling. One picture serves all `class_labels`, prompts or a
                `batch_size`, and one prompt all pictures; no prompt is the empty one.

        Returns:
            `ImagePipelineOutput` with `.images` of `factor` times the size. The means of their blocks equal the
            picture: of 8-bit pictures exactly with output_type "pil", else to the rounding of float32.

        Raises:
            ValueError, TypeError: as `SimpleDiffusionInpaintPipeline`, and for a factor below 2.
        """
        whole = isinstance(factor, Integral) and not isinstance(factor, bool) and factor >= 2
        require(whole, f"factor is {factor!r}; a whole number of at least 2 is needed.")
        pictures = picture_tensor(image, self.unet.config.in_channels, self.total_stride, factor)
        settings = self._settings(options, len(pictures))
        pictures = settings.repeated(pictures.to(self._execution_device))
        height, width = (factor * side for side in pictures.shape[-2:])
        known = Known(BlockMeans(pictures, factor), method, resampling, iterations)
        return self._draw(settings, height=height, width=width, known=known)
