"""Images and optional class labels as tensors in [-1, 1]."""

from .reading import (
    IMAGE_SUFFIXES,
    BrokenImages,
    ImageDataset,
    ImageSource,
    StreamedImageDataset,
    collate_images,
    image_loader,
    image_to_pixels,
    image_to_tensor,
    load_images,
)

__all__ = [
    "IMAGE_SUFFIXES",
    "BrokenImages",
    "ImageDataset",
    "ImageSource",
    "StreamedImageDataset",
    "collate_images",
    "image_loader",
    "image_to_pixels",
    "image_to_tensor",
    "load_images",
]
