#!/usr/bin/env bash
# Photographs of clothing at 64 pixels, 17 classes: paired logistic loss with R1 and R2 in residual stages.
#     bash benchmarks/runs/gan-64.sh              # CPU_SECONDS=1800 IMAGES=200 OUTPUT=outputs/runs/gan-64
set -euo pipefail
cd "$(dirname "$0")/../.."
output="${OUTPUT:-outputs/runs/gan-64}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
python training/train_rsgan.py --preset r3 --block_out_channels 96 96 64 32 16 --group_size 16 --train_batch_size 32 --gamma 2 --gamma_end 0.2 --ema_half_life 2 --sample_steps 0 --tracker none --seed 0 --max_train_steps 1000000 --max_cpu_seconds "${CPU_SECONDS:-1800}" --output_dir "$output"
hf-kexue evaluate "$output/pipeline" training/data/clothing-64 --images "${IMAGES:-200}" --seed 0 --json > "$output/score.json"
