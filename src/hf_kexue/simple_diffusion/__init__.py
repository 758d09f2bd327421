"""Simple diffusion: images straight in pixel space, at any resolution.

Noise schedules = `scheduling_shifted_cosine` and `scheduling_shifted_flow`, networks = `modeling_uvit` and
`modeling_vit`, training loss = `losses_simple_diffusion`, guidance = `guidance_simple_diffusion`, sampling =
`pipeline_simple_diffusion`, with the classes of diffusers through `schedulers_simple_diffusion`.
"""

from .conversions_jit import convert_jit
from .losses_simple_diffusion import simple_diffusion_loss
from .modeling_uvit import SimpleDiffusionUViT2DModel
from .modeling_vit import SimpleDiffusionViT2DModel
from .pipeline_simple_diffusion import SimpleDiffusionPipeline
from .resolution_shift import resolution_shift_of
from .scheduling_shifted_cosine import ShiftedCosineScheduler
from .scheduling_shifted_flow import ShiftedFlowScheduler

__all__ = [
    "ShiftedCosineScheduler",
    "ShiftedFlowScheduler",
    "SimpleDiffusionPipeline",
    "SimpleDiffusionUViT2DModel",
    "SimpleDiffusionViT2DModel",
    "convert_jit",
    "resolution_shift_of",
    "simple_diffusion_loss",
]
