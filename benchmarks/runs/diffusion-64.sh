#!/usr/bin/env bash
# Photographs of clothing at 64 pixels, 17 classes: a small U-ViT on patches of 8 that predicts the image.
#     bash benchmarks/runs/diffusion-64.sh        # CPU_SECONDS=1800 IMAGES=200 OUTPUT=outputs/runs/diffusion-64
set -euo pipefail
cd "$(dirname "$0")/../.."
output="${OUTPUT:-outputs/runs/diffusion-64}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
python training/train_simple_diffusion.py --resolution 64 --preset 64-fast --validation_steps 1000000 --sample_steps 0 --tracker none --seed 0 --max_train_steps 1000000 --max_cpu_seconds "${CPU_SECONDS:-1800}" --output_dir "$output"
hf-kexue evaluate "$output/pipeline" training/data/clothing-64 --images "${IMAGES:-200}" --steps 20 --seed 0 --json > "$output/score.json"
