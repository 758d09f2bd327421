"""Images and optional class labels as tensors in [-1, 1]."""

from .broken import BrokenImages
from .buckets import image_size
from .captions import CaptionColumns
from .loading import ImageDataset, StreamedImageDataset, collate_images, image_loader
from .pixels import image_to_pixels, image_to_tensor
from .reading import ImageSource, load_captioned_images, load_images

__all__ = [
    "BrokenImages",
    "CaptionColumns",
    "ImageDataset",
    "ImageSource",
    "StreamedImageDataset",
    "collate_images",
    "image_loader",
    "image_size",
    "image_to_pixels",
    "image_to_tensor",
    "load_captioned_images",
    "load_images",
]
