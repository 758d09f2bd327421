"""One prompt in six styles, in English and in Chinese, drawn by the published text-to-image model from seed 0.

Columns: noto, fluent 3d, fluent flat, openmoji, twemoji, blob. Rows: the prompts `noto: cat face` and so on, and
`noto: 猫脸` and so on. Nothing is selected.

    python examples/prompt_styles.py --output examples/pictures/prompt_styles.png

Source: kexue.fm archives/10047, through `hf_kexue/simple_diffusion/pipeline_text_to_image.py`.
"""

import argparse
from pathlib import Path

from hf_kexue import SimpleDiffusionTextToImagePipeline
from hf_kexue.demo.prompts import styles_strip

MODEL = Path(__file__).resolve().parent.parent / "model_cards" / "simple-diffusion-emoji-64"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("outputs/prompt_styles.png"))
    args = parser.parse_args()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    styles_strip(SimpleDiffusionTextToImagePipeline.from_pretrained(MODEL)).save(args.output, optimize=True)
    print(f"Saved {args.output}.")


if __name__ == "__main__":
    main()
