"""A diffusion network and the text encoder of its prompts, as one module to train, average and save.

text = open_text_encoder(args, captions)                  # a folder, a Hub id, or a new one
model = TextConditionedModel(unet, text.encoder, trained=True)
columns = text.columns(captions, device)                  # its last row is the empty prompt
model(x_t, logsnr, labels, columns).sample
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..dgcnn import DGCNNConfig, DGCNNModel, DGCNNTokenizer
from ..simple_diffusion.prompts_simple_diffusion import encode_tokens, tokenize_prompts
from .arguments import option

logger = logging.getLogger(__name__)
Columns = dict[str, Tensor]


@dataclass
class PromptArguments:
    """Arguments of a run on captions, beside `CaptionArguments`."""

    text_encoder: str | None = option(None, "Of the captions: folder or Hub id of an encoder with its tokenizer, or "
                                      "of a pipeline; or 'new', a small one over characters.")  # fmt: skip
    train_text_encoder: bool = option(False, "Train it along; a new one always is.")
    max_prompt_tokens: int = option(48, "Of a new encoder: longer prompts are cut.")
    cross_attention: bool = option(True, "The transformer attends to the words of a prompt, beside the one vector "
                                   "that stands for all of it.")  # fmt: skip
    caption_dropout: float = option(0.1, "Share of captions replaced by the empty prompt, for guidance.")


@dataclass
class TextEncoder:
    """An encoder with its tokenizer.

    Args:
        encoder: of transformers.
        tokenizer: of transformers.
        state_dim: width of the states of tokens.
        pooled_dim: width of the vector of a prompt.
    """

    encoder: nn.Module
    tokenizer: Any
    state_dim: int
    pooled_dim: int

    def columns(self, captions: Sequence[str], device: torch.device) -> Columns:
        """Tokens of B captions and, as row B, of the empty prompt: (B + 1, S) each."""
        columns = tokenize_prompts(self.tokenizer, [*captions, ""], warn=False)
        return {name: column.to(device) for name, column in columns.items()}

    def dimensions(self, cross_attention: bool) -> dict[str, int | None]:
        """Arguments of the network that takes its outputs."""
        return {
            "pooled_projection_dim": self.pooled_dim,
            "cross_attention_dim": self.state_dim if cross_attention else None,
        }


class TextConditionedModel(nn.Module):
    """Images, logSNR, labels and tokens in, prediction out.

    Args:
        unet: `SimpleDiffusionUViT2DModel` with `pooled_projection_dim`.
        text_encoder: of transformers.
        trained: whether the encoder learns; else it stays in evaluation mode.
    """

    def __init__(self, unet: Any, text_encoder: nn.Module, trained: bool) -> None:
        super().__init__()
        self.unet, self.text_encoder, self.trained_encoder = unet, text_encoder, trained
        text_encoder.requires_grad_(trained)
        self.train()

    @property
    def device(self) -> torch.device:
        device: torch.device = self.unet.device
        return device

    def train(self, mode: bool = True) -> TextConditionedModel:
        super().train(mode)
        self.text_encoder.train(mode and self.trained_encoder)
        return self

    def forward(self, x_t: Tensor, logsnr: Tensor, labels: Tensor | None, columns: Columns, **options: Any) -> Any:
        """Predict.

        Args:
            x_t (B, C, H, W), logsnr (B,), labels (B,) or None: of the network.
            columns: of the tokenizer, (B, S) each.
            **options: of the network.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.trained_encoder):
            text = encode_tokens(self.text_encoder, columns)
        words: dict[str, Any] = {"pooled_projections": text.pooled}
        if self.unet.config.cross_attention_dim is not None:
            words |= {"encoder_hidden_states": text.states, "encoder_attention_mask": text.mask}
        return self.unet(x_t, logsnr, labels, **words, **options)


def kept_captions(columns: Columns, kept: Tensor) -> Columns:
    """Columns (B + 1, S) of `TextEncoder.columns` -> (B, S), the empty prompt where `kept` (B,) is False."""
    return {name: torch.where(kept[:, None], column[:-1], column[-1:]) for name, column in columns.items()}


def new_text_encoder(
    captions: Sequence[str], max_tokens: int, min_count: int = 1, **shape: Any
) -> tuple[DGCNNModel, DGCNNTokenizer]:
    """A newly initialised `DGCNNModel`, and the tokenizer of the characters of the captions.

    Args:
        captions: that the characters come from.
        max_tokens: where prompts are cut.
        min_count: rarer characters become [UNK].
        shape: fields of `DGCNNConfig`.
    """
    tokenizer = DGCNNTokenizer.from_texts(captions, min_count=min_count, segmenter="none", model_max_length=max_tokens)
    config = DGCNNConfig(vocab_size=len(tokenizer), initializer_range=0.1, **shape)
    return DGCNNModel(config), tokenizer


def check_prompt_arguments(args: Any, accelerator: Any) -> None:
    """Raise for arguments that contradict each other or that captions do not go with.

    Raises:
        ValueError: naming them.
    """
    if bool(args.caption_column) != bool(args.text_encoder):
        raise ValueError(
            "--caption_column and --text_encoder go together: captions need an encoder, 'new' or a trained one."
        )
    if not args.text_encoder:
        return
    if not 0 <= args.caption_dropout < 1:
        raise ValueError(f"--caption_dropout must be at least 0 and below 1, got {args.caption_dropout:g}.")
    if args.label_column not in ("auto", "none"):
        raise ValueError(f"--label_column {args.label_column}: a model of prompts takes no classes beside them.")
    if args.lora_rank:
        raise ValueError("--lora_rank trains adapters of models without prompts: leave out --text_encoder.")
    kind = str(accelerator.distributed_type).rpartition(".")[2]
    if kind in ("FSDP", "DEEPSPEED"):
        raise ValueError(f"{kind} shards one network, --text_encoder adds another: use accelerate_configs/ddp.yaml.")


def open_text_encoder(args: Any, captions: Callable[[], list[str]]) -> TextEncoder | None:
    """The encoder of the arguments, or None for a run without captions.

    Args:
        args: `PromptArguments` and `CaptionArguments`.
        captions: read for a new encoder alone.

    Raises:
        ValueError: for a folder that holds none.
    """
    name = args.text_encoder
    if name is None:
        return None
    if name == "new":
        encoder: Any
        encoder, tokenizer = new_text_encoder(
            captions(), args.max_prompt_tokens, hidden_size=256, dilations=[1, 2, 4], gate_dropout=0.0
        )
    else:
        encoder, tokenizer = _load(name)
    return TextEncoder(encoder, tokenizer, *_widths(encoder, tokenizer))


def _load(name: str) -> tuple[Any, Any]:
    """Encoder and tokenizer of a folder or Hub id, or of a pipeline's folder."""
    import transformers as hf

    folder = Path(name).expanduser()
    parts = ("text_encoder", "tokenizer") if (folder / "model_index.json").is_file() else ("", "")
    source = str(folder) if folder.is_dir() else name
    try:
        config = hf.AutoConfig.from_pretrained(source, subfolder=parts[0])
        tokenizer = hf.AutoTokenizer.from_pretrained(source, subfolder=parts[1])
    except (OSError, ValueError) as error:
        raise ValueError(
            f"--text_encoder {name} is no encoder of transformers with its tokenizer: {' '.join(str(error).split())}"
        ) from error
    encoders = hf.models.auto.modeling_auto.MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES
    auto = hf.AutoModelForTextEncoding if config.model_type in encoders else hf.AutoModel
    return auto.from_pretrained(source, subfolder=parts[0]), tokenizer


@torch.no_grad()
def _widths(encoder: nn.Module, tokenizer: Any) -> tuple[int, int]:
    """Width of states and vector, from the empty prompt."""
    was_training = encoder.training
    text = encode_tokens(encoder.eval(), tokenize_prompts(tokenizer, [""], warn=False))
    encoder.train(was_training)
    assert text.states is not None
    assert text.pooled is not None
    return text.states.shape[-1], text.pooled.shape[-1]
