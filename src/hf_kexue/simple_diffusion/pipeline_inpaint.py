"""A part of a picture drawn anew, while the rest comes back bit for bit.

Shapes: B batch, C channels, H W rows and columns.
"""

from __future__ import annotations

from typing import Any, Unpack

from diffusers.pipelines.pipeline_utils import DiffusionPipeline

from .checks_simple_diffusion import require
from .editing_simple_diffusion import Method
from .loop_simple_diffusion import Known
from .observations_simple_diffusion import KeptPixels
from .pictures_simple_diffusion import Pictures, mask_tensor, picture_tensor
from .pipeline_prompted import PromptedPipeline, PromptOptions


class SimpleDiffusionInpaintPipeline(PromptedPipeline, DiffusionPipeline):
    """Holes and borders of pictures, filled. Its arguments, components and folders are those of
    [`SimpleDiffusionPipeline`] or [`SimpleDiffusionTextToImagePipeline`]. For out-painting `with_border` of
    `pictures_simple_diffusion` makes picture and mask.
    """

    def __call__(
        self,
        image: Pictures,
        mask_image: Pictures,
        method: Method = "gradient",
        resampling: int = 1,
        iterations: int = 1,
        **options: Unpack[PromptOptions],
    ) -> Any:
        """Draw where the mask is white; what lies below black is kept.

        Args:
            image: a picture or several, of Pillow, as an array (H, W, C) or a tensor (C, H, W) in [0, 1] or uint8. The
                stride of the network must divide its sides; the images have its size.
            mask_image: of the same size, one or one for each picture: white (1, at least one half) is drawn, black (0)
                is kept, in the values that it came with: uint8 in, the same uint8 out.
            method: how each step keeps what is known, see `editing_simple_diffusion`: "replacement", "projection", or
                "gradient", which needs memory and time of a backward pass, and follows what is known best.
            resampling: how often each step but the last is done; above 1 with schedulers that do not remember steps.
            iterations: of the gradient, each a backward pass.
            **options: of `SimpleDiffusionPipeline`, or of `SimpleDiffusionTextToImagePipeline` with a model of
                prompts, without `height`, `width` and upsampling. One picture serves all `class_labels`, prompts or a
                `batch_size`, and one prompt all pictures; no prompt is the empty one.

        Returns:
            `ImagePipelineOutput` with `.images`. A mask that is white everywhere equals drawing without a picture.

        Raises:
            ValueError: for invalid arguments, a picture or mask of an unfit size or mode, or a scheduler that cannot
                resample.
            TypeError: for what is no picture, or an unknown option.
        """
        pictures = picture_tensor(image, self.unet.config.in_channels, self.total_stride)
        height, width = pictures.shape[-2:]
        kept = mask_tensor(mask_image, (height, width))
        count = max(len(pictures), len(kept))
        fits = {len(pictures), len(kept)} <= {1, count}
        require(fits, f"{len(kept)} masks were given for {len(pictures)} pictures; give one, or one each.")
        settings, device = self._settings(options, count), self._execution_device
        pictures, kept = (settings.repeated(one.to(device)) for one in (pictures, kept))
        known = Known(KeptPixels(pictures, kept), method, resampling, iterations)
        return self._draw(settings, height=height, width=width, known=known)
