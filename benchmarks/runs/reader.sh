#!/usr/bin/env bash
# Answers from a text: CMRC 2018, half of the questions made of its own passages, blocks on four characters at once.
#     DATA=path/to/cmrc2018 bash benchmarks/runs/reader.sh        # CPU_SECONDS=1800 OUTPUT=outputs/runs/reader
set -euo pipefail
cd "$(dirname "$0")/../.."
output="${OUTPUT:-outputs/runs/reader}" data="${DATA:?a folder or Hub id of CMRC 2018, splits train and validation}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
python training/train_dgcnn_qa.py --preset reader-fast --train "$data" --cloze_share 0.5 --clauses 0.25 --max_characters 256 --zero_ids 0.1 --feature_dropout 0.2 --train_batch_size 16 --learning_rate 1e-3 --lr_warmup_steps 200 --ema_decay 0.998 --tracker none --seed 0 --max_train_steps 1000000 --max_cpu_seconds "${CPU_SECONDS:-1800}" --output_dir "$output"
hf-kexue evaluate "$output/model" "$data" --json > "$output/score.json"
