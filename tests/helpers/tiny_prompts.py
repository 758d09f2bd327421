"""A text-to-image pipeline, tiny and with random weights, whose pictures differ from prompt to prompt."""

import torch

from hf_kexue.dgcnn import DGCNNConfig, DGCNNModel, DGCNNTokenizer
from hf_kexue.simple_diffusion import (
    ShiftedCosineScheduler,
    SimpleDiffusionTextToImagePipeline,
    SimpleDiffusionUViT2DModel,
)

WORDS = ["noto: red apple", "noto: 戴墨镜的猫", "blob: blue car"]


def tiny_text_encoder(size=8, longest=20, **options):
    torch.manual_seed(0)
    tokenizer = DGCNNTokenizer.from_texts(WORDS, min_count=1, segmenter="none", model_max_length=longest)
    options = {"hidden_size": size, "dilations": [1, 2], "initializer_range": 1.0, **options}
    config = DGCNNConfig(vocab_size=len(tokenizer), **options)
    return DGCNNModel(config).eval(), tokenizer


def tiny_prompt_pipeline(encoder=None, tokenizer=None, pooled=8, states=8, **options):
    if encoder is None:
        encoder, tokenizer = tiny_text_encoder()
    torch.manual_seed(1)
    unet = SimpleDiffusionUViT2DModel(
        sample_size=16, block_out_channels=(8,), layers_per_block=1, hidden_size=16, num_transformer_layers=1,
        num_attention_heads=2, pooled_projection_dim=pooled, cross_attention_dim=states,
    )  # fmt: skip
    for name, parameter in unet.named_parameters():
        if "norm" not in name:
            torch.nn.init.normal_(parameter, std=0.2)
    pipeline = SimpleDiffusionTextToImagePipeline(
        unet, ShiftedCosineScheduler(sample_size=16), encoder, tokenizer, **options
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def save_prompt_pipeline(folder):
    tiny_prompt_pipeline(guidance_scale=2.0).save_pretrained(folder)
