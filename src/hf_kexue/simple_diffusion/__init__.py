"""Simple diffusion: images straight in pixel space, at any resolution.

Noise schedules = `scheduling_shifted_cosine` and `scheduling_shifted_flow`, network = `modeling_uvit`, training loss =
`losses_simple_diffusion`, guidance = `guidance_simple_diffusion`, sampling = `pipeline_simple_diffusion`, with the
classes of diffusers through `schedulers_simple_diffusion`.
"""

from .losses_simple_diffusion import simple_diffusion_loss
from .modeling_uvit import SimpleDiffusionUViT2DModel
from .pipeline_simple_diffusion import SimpleDiffusionPipeline
from .pipeline_text_to_image import SimpleDiffusionTextToImagePipeline
from .resolution_shift import resolution_shift_of
from .scheduling_shifted_cosine import ShiftedCosineScheduler
from .scheduling_shifted_flow import ShiftedFlowScheduler

__all__ = [
    "ShiftedCosineScheduler",
    "ShiftedFlowScheduler",
    "SimpleDiffusionPipeline",
    "SimpleDiffusionTextToImagePipeline",
    "SimpleDiffusionUViT2DModel",
    "resolution_shift_of",
    "simple_diffusion_loss",
]
