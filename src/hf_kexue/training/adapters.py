"""Low-rank adapters (LoRA) of a diffusion network: a frozen base, small matrices beside its layers, and a merged copy.

    adapters = Adapters(model, rank=8, alpha=8, fresh=["class_embedding"])    # changes the model in place
    ...                                                                       # train what requires a gradient
    adapters.save(folder)                                                     # adapter_config.json, safetensors
    plain = adapters.merged()                                                 # the same network without adapters

A layer W x becomes W x + alpha / rank B A x, of which only A and B are trained; B starts at zero. Adapted are

- attention (to_q, to_kv, to_out) and MLP (linear_1, linear_2) of the transformer, which decides what is drawn where;
- the 3x3 convolutions (conv1, conv2) and the 1x1 shortcut of the residual blocks, because a network of pixels draws
  edges and textures there, without an autoencoder that does it for all pictures alike.

Frozen stay the first and the last convolution and the changes of resolution, which hardly depend on the subject,
and the projections of the embeddings (logSNR, modulation), which all classes share. What starts afresh, such as
the table of other classes, has nothing to stay close to and is trained in full.

Source: Hu et al. 2021, arXiv 2106.09685.
"""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

logger = logging.getLogger(__name__)

ADAPTED = (
    r"transformer_blocks\.\d+\.((cross_)?attn\.(to_q|to_kv|to_out)|linear_1|linear_2)"
    r"|(down|up)_blocks\.\d+\.resnets\.\d+\.(conv1|conv2|shortcut)"
)


def check_adapter_arguments(args: Any, accelerator: Any) -> None:
    """Refuse what adapters cannot do, before anything is loaded.

    Args:
        args: with `lora_rank`, `lora_alpha`, `init_from` and `compile`.
        accelerator: of the run.

    Raises:
        ValueError: for a negative rank, an alpha that is not above 0 or without a rank, a run that begins with no
            model, --compile, and FSDP or DeepSpeed.
        ImportError: where peft is not installed.
    """
    if args.lora_rank < 0:
        raise ValueError(f"--lora_rank must be at least 0, got {args.lora_rank}.")
    if args.lora_alpha is not None and (not args.lora_rank or not args.lora_alpha > 0):
        raise ValueError(f"--lora_alpha must be above 0 and goes with --lora_rank, got {args.lora_alpha:g}.")
    if not args.lora_rank:
        return
    if not args.init_from:
        raise ValueError("--lora_rank adapts a trained network: give its folder with --init_from.")
    if args.compile:
        raise ValueError("--lora_rank and --compile have not been tried together: leave one of them out.")
    kind = str(accelerator.distributed_type).rpartition(".")[2]
    if kind in ("FSDP", "DEEPSPEED"):
        raise ValueError(
            f"--lora_rank goes with one process or DDP, not with {kind}: use accelerate_configs/ddp.yaml."
        )
    _peft()


class Adapters:
    """Low-rank adapters in a network.

    Args:
        model: a `SimpleDiffusionUViT2DModel`; its layers are replaced in place, and only what is trained requires a
            gradient afterwards.
        rank: of the adapters, at least 1.
        alpha: their outputs are multiplied by alpha / rank.
        fresh: names of modules that are trained in full.

    Attributes:
        trained_parameters: how many numbers are trained.
    """

    def __init__(self, model: nn.Module, rank: int, alpha: float, fresh: Sequence[str] = ()) -> None:
        before = sum(p.numel() for p in model.parameters())
        targets = [  # a shortcut that changes no width is an Identity
            name for name, module in model.named_modules()
            if re.fullmatch(ADAPTED, name) and isinstance(module, nn.Linear | nn.Conv2d)
        ]  # fmt: skip
        config = _peft().LoraConfig(
            r=rank, lora_alpha=alpha, target_modules=targets, modules_to_save=list(fresh) or None
        )
        self._model = _peft().get_peft_model(model, config)
        self.trained_parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
        logger.info(
            "LoRA of rank %d in %d layers: %d numbers are trained, %.1f %% of %d%s.", rank, len(targets),
            self.trained_parameters, 100 * self.trained_parameters / before, before,
            f"; {', '.join(fresh)} in full" if fresh else "",
        )  # fmt: skip

    def save(self, folder: Path) -> None:
        """Write the adapters with the weights that they have now: `PeftModel.from_pretrained(network, folder)` of
        peft puts them on the network that they were trained on."""
        self._model.save_pretrained(str(folder), safe_serialization=True)
        (folder / "README.md").unlink(missing_ok=True)  # a card of peft without any content

    def merged(self) -> Any:
        """A copy of the network with the adapters added into its weights: plain layers, no peft."""
        merged = copy.deepcopy(self._model).merge_and_unload()
        return merged.requires_grad_(True)


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise ImportError("--lora_rank needs peft: pip install 'hf-kexue[lora]'.") from error
    return peft
