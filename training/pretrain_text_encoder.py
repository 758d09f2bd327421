"""Pre-train the text encoder of a text-to-image model: captions of one picture close together, others apart.

Model     `DGCNNModel` over characters, so that one small network reads Chinese and English
Losses    hf_kexue.training.contrastive: captions against captions, captions against pictures, a coarse picture; at the
          end --picture_steps of the last one alone for the perceptrons behind the pooling
Data      pictures with several captions, such as names and tags in two languages
Command   accelerate launch training/pretrain_text_encoder.py --dataset FOLDER --caption_column name_en name_zh tags_en
          tags_zh --caption_prefix style --validation_split unseen_pair
          (again resumes); then training/train_simple_diffusion.py --text_encoder outputs/text-encoder/model
Traps     Captions that several pictures of a batch share pull each way: keep words of no one picture out.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hf_kexue.data.images import ImageDataset, collate_images
from hf_kexue.data.whole_files import write_whole
from hf_kexue.simple_diffusion.prompts_simple_diffusion import encode_tokens, tokenize_prompts
from hf_kexue.training.arguments import RunArguments, option, parse_arguments
from hf_kexue.training.contrastive import ContrastiveModel, coarse_pictures, learn_pictures, retrieval_share
from hf_kexue.training.fine_tuning import fit_steps_to_data
from hf_kexue.training.image_data import CaptionArguments, ImageArguments, all_captions, open_images
from hf_kexue.training.interruption import script_main
from hf_kexue.training.loop import TrainingRun
from hf_kexue.training.processes import finish
from hf_kexue.training.setup import run_manifest, start, training_loader
from hf_kexue.training.sharding import keep_first_row, zero_first_row
from hf_kexue.training.text_conditioning import new_text_encoder

HERE = Path(__file__).resolve().parent
EMBEDDED = HERE / "data" / "emoji"
logger = logging.getLogger("pretrain_text_encoder")


@dataclass
class Arguments(CaptionArguments, ImageArguments, RunArguments):
    output_dir: str = option("outputs/text-encoder", "Folder for checkpoints, figures and the model.")
    preset: str = option("text-encoder", "Name in training/presets or path of a YAML file.")
    resolution: int = option(32, "Side of the pictures that captions are compared with.")
    random_flip: bool = option(False, "Mirror half of the images.")
    # tokenizer
    max_prompt_tokens: int = option(48, "Longer prompts are cut.")
    min_count: int = option(1, "Rarer characters become [UNK].")
    # network
    hidden_size: int = option(256, "Width.")
    dilations: list[int] = option([1, 2, 4], "Of the blocks.")
    pooler_layers: int = option(4, "Residual perceptrons behind the pooling; 0: none.")
    pooler_size: int = option(512, "Width of the vector of a prompt behind them.")
    picture_steps: int = option(
        6000, "Steps at the end, behind any time limit, in which the perceptrons alone learn coarse pictures; 0: none."
    )
    gate_dropout: float = option(0.0, "On the gates.")
    hidden_dropout: float = option(0.1, "On the embeddings.")


def pooled(text_encoder: Any, columns: Any) -> torch.Tensor:
    vectors = encode_tokens(text_encoder, columns).pooled
    assert vectors is not None
    return vectors


def perceptrons_alone(run: TrainingRun, tokenizer: Any) -> float:
    """Train what lies behind the pooling on coarse pictures of all captions; the mean of the last hundred losses. The
    time that it takes is counted as that of training steps."""
    started, busy, args = time.perf_counter(), time.process_time(), run.args
    device = run.network.log_scale.device
    texts: list[str] = []
    owners: list[int] = []
    pictures: list[torch.Tensor] = []
    dataset = ImageDataset(run.dataset.source, args.resolution)  # upright pictures, whatever epoch the run is in
    for place, captions in enumerate(all_captions(dataset.source)):
        pixels = collate_images(dataset.__getitems__([place]))["pixel_values"]
        if len(pixels):  # is not broken
            owners += [len(pictures)] * len(captions)
            texts += captions
            pictures.append(coarse_pictures(pixels))
    columns = (
        {name: column.to(device) for name, column in tokenize_prompts(tokenizer, part, warn=False).items()}
        for part in (texts[i : i + args.train_batch_size] for i in range(0, len(texts), args.train_batch_size))
    )
    places, coarse = torch.tensor(owners, device=device), torch.cat(pictures).to(device)
    losses = learn_pictures(run.network, columns, places, coarse, args.picture_steps, args.seed)[-100:]
    run.state.seconds += time.perf_counter() - started
    run.state.cpu_seconds += time.process_time() - busy
    return sum(losses) / len(losses)


@torch.no_grad()
def validation_figures(model: ContrastiveModel, dataset: ImageDataset, tokenizer: Any) -> dict[str, float]:
    """Of the held-out pictures: how often the first caption finds its picture, and the second the first caption."""
    captions = all_captions(dataset.source)
    examples = collate_images(dataset.__getitems__(list(range(len(dataset)))))
    pictures = model.of_pictures(examples["pixel_values"].to(model.log_scale.device))
    first, sketch = model.vectors(tokenize_prompts(tokenizer, [texts[0] for texts in captions], warn=False))
    second, _ = model.vectors(tokenize_prompts(tokenizer, [texts[1 % len(texts)] for texts in captions], warn=False))
    coarse = coarse_pictures(examples["pixel_values"]).to(sketch.device)
    return {
        "validation/caption_to_picture": retrieval_share(first, pictures),
        "validation/second_to_picture": retrieval_share(second, pictures),
        "validation/second_to_first": retrieval_share(second, first),
        "validation/sketch_loss": float((sketch - coarse).square().mean() / coarse.var()),
    }


def main(argv: list[str] | None = None) -> dict[str, Any]:
    # 1. Data, network, manifest
    args = parse_arguments(Arguments, HERE / "presets", argv, pattern="text-encoder*")
    output_dir, accelerator = Path(args.output_dir), start(args)
    if not args.caption_column:
        raise ValueError("--caption_column is missing: name the columns of the captions.")
    if args.picture_steps < 0:
        raise ValueError(f"--picture_steps must be at least 0, got {args.picture_steps}.")
    source, held_out = open_images(args, EMBEDDED)
    captions = [text for texts in all_captions(source) for text in texts]
    fields = ("hidden_size", "dilations", "pooler_layers", "pooler_size", "gate_dropout", "hidden_dropout")
    shape = {key: getattr(args, key) for key in fields}
    shape |= {"pooler_size": args.pooler_size if args.pooler_layers else 0}
    text_encoder, tokenizer = new_text_encoder(captions, args.max_prompt_tokens, args.min_count, **shape)
    model = ContrastiveModel(text_encoder, text_encoder.config.pooler_size or args.hidden_size, pooled)
    memory = args.decoded_megabytes * 2**20
    dataset = ImageDataset(source, args.resolution, args.random_flip, args.seed, memory, captions_each=2)
    held: Any = ImageDataset(held_out, args.resolution, memory=memory) if held_out else None
    loader = training_loader(args, dataset, collate_images, processes=accelerator.num_processes)
    fit_steps_to_data(args, loader, accelerator.num_processes)
    manifest = run_manifest(args, accelerator, text_encoder, images=len(source.rows), characters=len(tokenizer))

    def validate() -> tuple[dict[str, float], float]:
        figures = validation_figures(run.network, held, tokenizer)
        return figures, figures["validation/caption_to_picture"]

    # 2. Prepare and resume, with optimizer, schedule and EMA
    run = TrainingRun(
        args, accelerator, model, loader, manifest, "text_encoder", "pictures", validate if held else None
    )
    characters = run.trained.text_encoder.get_input_embeddings().weight
    keep_first_row(characters)

    # 3. The loop
    for batch in run.batches():
        pairs = [text for place in (0, 1) for text in (captions[place] for captions in batch["captions"])]
        columns = {
            name: c.to(accelerator.device) for name, c in tokenize_prompts(tokenizer, pairs, warn=False).items()
        }
        with accelerator.accumulate(run.model):
            with accelerator.autocast():
                losses = run.model(batch["pixel_values"], columns)
            run.descend(losses["loss"], None, lambda: zero_first_row(characters))
        run.after_step(len(batch["pixel_values"]))
    if args.dry_run:
        return run.estimate()

    # 4. The perceptrons alone, final evaluation, save
    figures: dict[str, float] = {}
    with run.averaged():
        if args.pooler_layers and args.picture_steps:
            figures["picture_loss"] = perceptrons_alone(run, tokenizer)
        if held:
            figures |= validate()[0]
            run.history.log(run.state.step, **figures)
        results = manifest | {"pictures_seen": run.state.samples, **run.costs(), **figures}
        if accelerator.is_main_process:
            write_whole(output_dir / "results.json", json.dumps(results, indent=1, ensure_ascii=False))
            run.network.text_encoder.save_pretrained(output_dir / "model")
            tokenizer.save_pretrained(output_dir / "model")
            logger.info("Saved %s", output_dir / "model")
    finish(accelerator)
    return results


if __name__ == "__main__":
    script_main(main)
