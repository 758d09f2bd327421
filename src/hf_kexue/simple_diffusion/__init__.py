"""Simple diffusion: images straight in pixel space, at any resolution.

Noise schedules = `scheduling_shifted_cosine` and `scheduling_shifted_flow`, networks = `modeling_uvit` and
`modeling_vit`, training loss = `losses_simple_diffusion`, guidance = `guidance_simple_diffusion`, sampling =
`pipeline_drawing`, with the classes of diffusers through `schedulers_simple_diffusion`, classes =
`pipeline_simple_diffusion`, prompts = `pipeline_prompted` and `pipeline_text_to_image`, editing =
`pipeline_image_to_image`, `pipeline_inpaint` and `pipeline_upscale`.
"""

from .conversions_jit import convert_jit
from .losses_simple_diffusion import simple_diffusion_loss
from .modeling_uvit import SimpleDiffusionUViT2DModel
from .modeling_vit import SimpleDiffusionViT2DModel
from .pipeline_image_to_image import SimpleDiffusionImageToImagePipeline
from .pipeline_inpaint import SimpleDiffusionInpaintPipeline
from .pipeline_simple_diffusion import SimpleDiffusionPipeline
from .pipeline_text_to_image import SimpleDiffusionTextToImagePipeline
from .pipeline_upscale import SimpleDiffusionUpscalePipeline
from .resolution_shift import resolution_shift_of
from .scheduling_shifted_cosine import ShiftedCosineScheduler
from .scheduling_shifted_flow import ShiftedFlowScheduler

__all__ = [
    "ShiftedCosineScheduler",
    "ShiftedFlowScheduler",
    "SimpleDiffusionImageToImagePipeline",
    "SimpleDiffusionInpaintPipeline",
    "SimpleDiffusionPipeline",
    "SimpleDiffusionTextToImagePipeline",
    "SimpleDiffusionUViT2DModel",
    "SimpleDiffusionUpscalePipeline",
    "SimpleDiffusionViT2DModel",
    "convert_jit",
    "resolution_shift_of",
    "simple_diffusion_loss",
]
