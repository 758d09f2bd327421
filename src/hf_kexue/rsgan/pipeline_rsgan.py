"""Images from the generator of a GAN: one network pass, no loop.

Sources: kexue.fm archives/6110; arXiv 2501.05441.
Shapes: B batch, Z latent width, C channels, H W rows and columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline, ImagePipelineOutput
from diffusers.utils import make_image_grid
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch import Tensor

from .modeling_rsgan import RSGANGenerator
from .pipeline_from_hub import PipelineFromHub


class RSGANPipeline(PipelineFromHub, DiffusionPipeline):
    r"""Unconditional or class-conditional images from a `RSGANGenerator`.

    Args:
        generator ([`RSGANGenerator`]): the network.
        id2label (`dict[int, str]`, optional): names of the classes.

    The network is put into evaluation mode here, once; calls leave the mode alone, so that threads may share it.
    """

    _own_classes = (RSGANGenerator,)
    model_cpu_offload_seq = "generator"

    def __init__(self, generator: RSGANGenerator, id2label: dict[int, str] | dict[str, str] | None = None) -> None:
        super().__init__()
        if isinstance(generator, torch.nn.Module):
            generator.eval()
        self.register_modules(generator=generator)
        self.register_to_config(id2label={str(k): v for k, v in id2label.items()} if id2label else None)

    @property
    def class_names(self) -> list[str]:
        """Names of the classes in the order of their indices; empty if the pipeline has none."""
        id2label = self.config.id2label or {}
        return [id2label[key] for key in sorted(id2label, key=int)]

    def label_ids(self, class_labels: Sequence[int | str] | Tensor) -> Tensor:
        """Class names or indices -> (B,) int64.

        Raises:
            ValueError: for a name or an index that this pipeline does not know, or a generator without classes.
        """
        number = self.generator.config.num_class_embeds
        if number is None:
            raise ValueError("class_labels were given, but this model was trained without classes.")
        names = self.class_names
        ids = []
        for value in class_labels.tolist() if isinstance(class_labels, Tensor) else class_labels:
            index = int(value) if isinstance(value, Integral) else None
            if isinstance(value, str):  # the exact name first, then the only one that differs in case alone
                exact = [i for i, name in enumerate(names) if name == value]
                found = exact or [i for i, name in enumerate(names) if name.lower() == value.lower()]
                index = found[0] if len(found) == 1 else None
            if index is None or not 0 <= index < number:
                known = ", ".join(names) or f"0 to {number - 1}"
                raise ValueError(f"Unknown class {value!r}; this model knows {known}.")
            ids.append(int(index))
        return torch.tensor(ids, dtype=torch.int64)

    @torch.no_grad()
    def __call__(
        self,
        batch_size: int = 1,
        class_labels: int | str | Sequence[int | str] | Tensor | None = None,
        truncation: float | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        num_images_per_label: int = 1,
    ) -> Any:
        """Generate images.

        Args:
            batch_size: how many; the number of `class_labels` or `latents` where those are given.
            class_labels: one name or index per image, or one for all; a name is matched exactly, else without regard
                to case. A model with classes draws a random class for each image where there are none.
            truncation: in (0, 1]: latents are drawn towards their mean, zero, by this factor, which trades variety for
                typical images; None is 1. It acts on given `latents` too.
            generator: one, or one per image: makes latents and chosen classes reproducible. With one per image, each
                image depends on its own alone (to rounding); with one for all, also on `batch_size`.
            latents: (B, Z) instead of drawn ones.
            output_type: `"pil"`, `"np"` (B, H, W, C) in [0, 1], or `"pt"` (B, C, H, W) in [0, 1].
            return_dict: False returns a plain tuple.
            num_images_per_label: images for each of the `batch_size` or `class_labels`, next to each other.

        Returns:
            `ImagePipelineOutput` with `.images`.

        Raises:
            ValueError: for invalid arguments.
        """
        if not isinstance(num_images_per_label, Integral) or num_images_per_label < 1:
            raise ValueError(f"num_images_per_label must be a positive integer, got {num_images_per_label!r}.")
        if isinstance(class_labels, Tensor | np.ndarray):
            class_labels = class_labels.tolist()
        if isinstance(class_labels, Integral | str):
            count = batch_size if latents is None else len(latents) // num_images_per_label
            class_labels = [class_labels] * count
        if class_labels is not None:
            batch_size = len(class_labels)
        elif latents is not None:
            batch_size, num_images_per_label = len(latents), 1
        batch_size *= num_images_per_label
        self._check_inputs(batch_size, truncation, generator, latents, output_type)
        device, width = self._execution_device, self.generator.config.latent_dim
        if latents is None:
            latents = randn_tensor((batch_size, width), generator=generator, device=device, dtype=torch.float32)
        labels = None
        if class_labels is not None:
            labels = self.label_ids(class_labels).repeat_interleave(num_images_per_label).to(device)
        elif self.generator.config.num_class_embeds is not None:
            labels = self._random_labels(batch_size, generator).to(device)
        samples = self.generator(latents.to(device) * (truncation or 1.0), labels).sample.float()
        images: Any = (samples / 2 + 0.5).clamp(0, 1)
        if output_type != "pt":
            images = images.permute(0, 2, 3, 1).cpu().numpy().astype(np.float32)  # (B, H, W, C)
        if output_type == "pil":
            images = self.numpy_to_pil(images)
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(images=images) if return_dict else (images,)

    def grid(
        self,
        rows: int = 4,
        columns: int = 8,
        class_labels: int | str | Sequence[int | str] | Tensor | None = None,
        truncation: float | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
    ) -> Image.Image:
        """One picture of many images, without gaps.

        Args:
            rows: of a generator without classes; one with classes has a row for each of `class_labels`.
            columns: images in a row.
            class_labels: names or indices; None is all classes.
            truncation, generator: as those of a call.

        Returns:
            An RGB picture, `columns * sample_size` wide.

        Raises:
            ValueError: for less than one row or column, or what a call refuses.
        """
        labels: list[int | str] | None = None
        if isinstance(class_labels, (int, str)):
            class_labels = [class_labels]
        if class_labels is not None:
            labels = class_labels.tolist() if isinstance(class_labels, Tensor) else list(class_labels)
        elif self.generator.config.num_class_embeds is not None:
            labels = list(range(self.generator.config.num_class_embeds))
        rows = rows if labels is None else len(labels)
        if rows < 1 or columns < 1:
            raise ValueError(f"A grid needs at least one row and one column, got {rows} and {columns}.")
        labels_per_image = None if labels is None else [label for label in labels for _ in range(columns)]
        images = self(rows * columns, labels_per_image, truncation, generator).images
        return make_image_grid(images, rows, columns)

    def interpolate(
        self,
        first: Tensor,
        last: Tensor,
        steps: int = 8,
        class_labels: int | str | None = None,
        output_type: str = "pil",
    ) -> ImagePipelineOutput:
        """The way from one latent to another: on the arc between their directions, lengths in between.

        Args:
            first: (Z,), the latent of the first image.
            last: (Z,), that of the last one. Where it points the same or the opposite way, the way is straight.
            steps: images, at least 2.
            class_labels: one class for all of them; needed by a model with classes.
            output_type: as that of a call.

        Returns:
            `ImagePipelineOutput` with `steps` images.

        Raises:
            ValueError: for latents of another shape, fewer than 2 steps, or a class missing.
        """
        width = (self.generator.config.latent_dim,)
        if tuple(first.shape) != width or tuple(last.shape) != width or steps < 2:
            raise ValueError(
                f"An interpolation needs two latents of shape {width} and at least 2 steps, got "
                f"{tuple(first.shape)}, {tuple(last.shape)} and {steps}."
            )
        if class_labels is None and self.generator.config.num_class_embeds is not None:
            raise ValueError("This model has classes: name the one of the interpolation in class_labels.")
        return self(latents=spherical(first, last, steps), class_labels=class_labels, output_type=output_type)

    def _check_inputs(
        self, batch_size: int, truncation: float | None, generator: Any, latents: Tensor | None, output_type: str
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        if output_type not in ("pil", "np", "pt"):
            raise ValueError(f'output_type must be "pil", "np" or "pt", got {output_type!r}.')
        if truncation is not None and not 0 < truncation <= 1:
            raise ValueError(f"truncation must be above 0 and at most 1, got {truncation}.")
        if isinstance(generator, list) and len(generator) not in (1, batch_size):
            raise ValueError(f"{len(generator)} generators for {batch_size} images were given; give one, or one each.")
        shape = (batch_size, self.generator.config.latent_dim)
        if latents is not None and tuple(latents.shape) != shape:
            raise ValueError(f"latents must have the shape {shape}, got {tuple(latents.shape)}.")

    def _random_labels(self, batch_size: int, generator: Any) -> Tensor:
        """(B,) classes, each as likely as another; with one generator per image each draws its own."""
        number = self.generator.config.num_class_embeds
        if isinstance(generator, list) and len(generator) == 1:
            generator = generator[0]
        if isinstance(generator, list):
            return torch.cat([self._random_labels(1, one) for one in generator])
        return torch.randint(
            number, (batch_size,), generator=generator, device=generator.device if generator else "cpu"
        )


def spherical(first: Tensor, last: Tensor, steps: int) -> Tensor:
    """(Z,), (Z,) -> (steps, Z) from `first` to `last`, both exactly: sin((1 - t) w) / sin w and sin(t w) / sin w times
    them, w the angle between them; a straight line where that is 0 or pi."""
    share = torch.linspace(0, 1, steps, dtype=first.dtype, device=first.device)[:, None]
    angle = torch.arccos(torch.nn.functional.cosine_similarity(first, last, dim=0).clamp(-1, 1))
    if angle.sin() < 1e-3:
        path = torch.lerp(first[None], last[None], share)
    else:
        path = (torch.sin((1 - share) * angle) * first + torch.sin(share * angle) * last) / angle.sin()
    path[0], path[-1] = first, last
    return path
