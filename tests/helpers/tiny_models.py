"""Saved models of every family, tiny and with random weights, for tests of what uses them from a folder."""

import torch

from hf_kexue.dgcnn import DGCNNConfig, DGCNNForQuestionAnswering, DGCNNForTripleExtraction, DGCNNTokenizer
from hf_kexue.rsgan import RSGANGenerator, RSGANPipeline
from hf_kexue.simple_diffusion import ShiftedCosineScheduler, SimpleDiffusionPipeline, SimpleDiffusionUViT2DModel

RADIUM = "居里夫妇\r\n发现了镭。"


def save_pipeline(folder, labels=None, sample_size=16):
    """Simple diffusion, with pictures that have content and, with labels, differ from class to class."""
    torch.manual_seed(0)
    unet = SimpleDiffusionUViT2DModel(
        sample_size=sample_size, block_out_channels=(8,), layers_per_block=1, hidden_size=32, num_transformer_layers=1,
        num_attention_heads=2, num_class_embeds=len(labels) if labels else None,
    )  # fmt: skip
    torch.nn.init.normal_(unet.conv_out.weight, std=0.1)  # its last layer starts at zero: give the pictures content
    if labels:
        # The modulations start at zero too, so that classes would change nothing.
        torch.nn.init.normal_(unet.transformer_modulation.weight, std=0.5)
        torch.nn.init.normal_(unet.class_embedding.weight)
    scheduler = ShiftedCosineScheduler(sample_size=sample_size)
    guided = {"id2label": dict(enumerate(labels)), "guidance_scale": 2.0} if labels else {}
    SimpleDiffusionPipeline(unet, scheduler, **guided).save_pretrained(folder)
    return unet


def save_gan(folder, labels=None):
    """A generator of 32 x 32 pixels."""
    torch.manual_seed(0)
    generator = RSGANGenerator(
        sample_size=32, latent_dim=16, block_out_channels=(16, 16, 8, 8), group_size=8, class_embedding_dim=4,
        num_class_embeds=len(labels) if labels else None,
    )  # fmt: skip
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    RSGANPipeline(generator, dict(enumerate(labels)) if labels else None).save_pretrained(folder)
    return generator


def save_reader(folder):
    """A reader with match features, whose vocabulary is two sentences."""
    torch.manual_seed(0)
    tokenizer = DGCNNTokenizer.from_texts(["镭是谁发现的？居里夫妇发现了镭。"] * 3, match_features=True)
    tokenizer.save_pretrained(folder)
    config = DGCNNConfig(
        vocab_size=len(tokenizer), hidden_size=16, word_vocab_size=tokenizer.word_vocab_size, num_match_features=8
    )
    model = DGCNNForQuestionAnswering(config)
    model.save_pretrained(folder)
    return model


def save_extractor(folder):
    """A model for the triples of two predicates, which finds some in `RADIUM`."""
    torch.manual_seed(0)
    tokenizer = DGCNNTokenizer.from_texts([RADIUM], min_count=1, segmenter="none")
    tokenizer.save_pretrained(folder)
    config = DGCNNConfig(
        vocab_size=len(tokenizer), hidden_size=16, triple_thresholds=[0.5, 0.45, 0.5, 0.45],
        triple_schema=[{"predicate": name, "subject_types": [], "object_types": []} for name in ("发现", "别名")],
    )  # fmt: skip
    model = DGCNNForTripleExtraction(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    model.save_pretrained(folder)
    return model
