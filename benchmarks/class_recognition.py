"""Share of samples whose class a classifier recognises, against that of held-out photographs.

    python benchmarks/class_recognition.py                 # the published diffusion model and the published GAN
    python benchmarks/class_recognition.py --per_class 6   # a quick look

The classifier is a logistic regression over EfficientNet-Lite0 features of the training photographs, its penalty
chosen by cross-validation among them. Its accuracy on held-out photographs is an upper bound for samples: it often
confuses some classes (a blouse, a top). Samples are drawn from seed 0, equally many of each class, nothing
selected. Writes benchmarks/results/<name>.json.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from PIL import Image
from results import REPOSITORY, write_results
from sample_quality import EMBEDDED, draw, features
from tqdm.auto import tqdm

from hf_kexue import RSGANPipeline, SimpleDiffusionPipeline
from hf_kexue.data.images import load_images
from hf_kexue.inference.drawing import draw_by_gan
from hf_kexue.inference.evaluation import photographs

CARDS = REPOSITORY / "model_cards"
DATA: dict[str, str] = {}  # the embedded photographs serve


def labelled_photographs(dataset: str, split: str, resolution: int) -> tuple[list[Image.Image], np.ndarray, list[str]]:
    """Pictures of a split as the training script sees them, their labels, the names of the classes."""
    source = load_images(dataset, split=split, label_column="auto")
    pictures = photographs(source, resolution)
    return pictures.images, np.asarray(pictures.labels), source.label_names


def fit_classifier(inputs: np.ndarray, labels: np.ndarray) -> Any:
    """A classifier of features (N, D), the penalty with the best five-fold log-likelihood among the same rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    grid = {"logisticregression__C": [1e-4, 1e-3, 1e-2]}
    return GridSearchCV(classifier, grid, scoring="neg_log_loss", cv=5, n_jobs=1).fit(inputs, labels)


def recognised(classifier: Any, inputs: np.ndarray, labels: np.ndarray, classes: int, first: int = 1) -> list[float]:
    """For each class, the share of its rows that have it among the `first` guesses; NaN for a class without rows."""
    order = np.argsort(-classifier.predict_proba(inputs), axis=1)[:, :first]
    hit = (classifier.classes_[order] == labels[:, None]).any(axis=1)
    return [float(hit[labels == c].mean()) if (labels == c).any() else float("nan") for c in range(classes)]


def draw_published(name: str, labels: list[str], guidance: float, steps: int) -> list[Image.Image]:
    """One picture per label from a published model, a diffusion model or a GAN."""
    if (CARDS / name / "unet").is_dir():
        diffusion: Any = SimpleDiffusionPipeline.from_pretrained(CARDS / name)
        return draw(diffusion, labels, sampler="dpm", steps=steps, guidance=guidance, batch_size=34)
    generator = torch.Generator().manual_seed(0)
    return draw_by_gan(RSGANPipeline.from_pretrained(CARDS / name), labels, generator=generator)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["simple-diffusion-clothing-64", "rsgan-clothing-64"])
    parser.add_argument("--per_class", type=int, default=30, help="samples of each class and model")
    parser.add_argument("--guidance", type=float, default=5.0, help="of the diffusion model; 5 is saved with ours")
    parser.add_argument("--steps", type=int, default=20, help="of DPM-Solver++")
    parser.add_argument("--dataset", default=str(EMBEDDED), help="folder or Hub id with classes and both splits")
    parser.add_argument("--held_out_split", default="validation")
    parser.add_argument("--name", default="class_recognition", help="of the results file")
    args = parser.parse_args(argv)

    images, labels, names = labelled_photographs(args.dataset, "train", 64)
    classifier = fit_classifier(features(tqdm(images, desc="training photographs")).numpy(), labels)
    held_out, held_out_labels, _ = labelled_photographs(args.dataset, args.held_out_split, 64)
    requested = np.repeat(np.arange(len(names)), args.per_class)
    columns = {"photographs held out": (features(held_out).numpy(), held_out_labels)}
    for model in args.models:
        samples = draw_published(model, [names[c] for c in requested], args.guidance, args.steps)
        columns[model] = (features(samples).numpy(), requested)

    counts = {"training": np.bincount(labels), "held_out": np.bincount(held_out_labels, minlength=len(names))}
    rows: list[dict[str, Any]] = [
        {"class": name, **{f"{key}_photographs": int(count[c]) for key, count in counts.items()}}
        for c, name in enumerate(names)
    ]
    means: dict[str, dict[str, float]] = {}
    for column, (inputs, truth) in columns.items():
        for first, key in ((1, column), (3, f"{column}, among three guesses")):
            shares = recognised(classifier, inputs, truth, len(names), first)
            for row, share in zip(rows, shares):
                row[key] = None if np.isnan(share) else round(share, 3)
            there = ~np.isnan(shares)
            means[key] = {
                "of_classes": round(float(np.mean(np.array(shares)[there])), 3),
                "as_photographs_are_distributed": round(
                    float(np.average(np.array(shares)[there], weights=counts["training"][there])), 3
                ),
            }
    for key, mean in means.items():
        print(f"{key}: {mean}")
    setting = {"per_class": args.per_class, "guidance": args.guidance, "steps": args.steps}
    penalty = classifier.best_params_["logisticregression__C"]
    write_results(args.name, {"setting": setting, "inverse_penalty": penalty, "rows": rows, "means": means})


if __name__ == "__main__":
    main()
