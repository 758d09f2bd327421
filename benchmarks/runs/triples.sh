#!/usr/bin/env bash
# Triples from a sentence: DuIE 2.0; triples of the training sentences are found wherever both of their ends stand.
#     DATA=path/to/duie2 bash benchmarks/runs/triples.sh          # CPU_SECONDS=1800 OUTPUT=outputs/runs/triples
set -euo pipefail
cd "$(dirname "$0")/../.."
output="${OUTPUT:-outputs/runs/triples}" data="${DATA:?a folder or Hub id of DuIE 2.0, splits train and validation}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
python training/train_dgcnn_triples.py --preset triples-wide --train "$data" --validation "$data" --validation_steps 1000000 --find_known True --train_batch_size 16 --ema_decay 0.998 --tracker none --seed 0 --max_train_steps 1000000 --max_cpu_seconds "${CPU_SECONDS:-1800}" --output_dir "$output"
hf-kexue evaluate "$output/model" "$data" --json > "$output/score.json"
