#!/usr/bin/env bash
# The bundled composer beside held-out music: 200 pieces of the forty sentences, every part of the report.
#
#     runs/evaluate_composer.sh CORPUS OUT
#
# Writes OUT/report.html and OUT/report.json, and bench/results/evaluation.json from them. About fifteen minutes on two
# cores; composing goes on where it was stopped.
set -euo pipefail
corpus=$1 out=$2
here=$(cd "$(dirname "$0")/.." && pwd)
line=(orchestrion evaluate composer --sentences "$here/bench/sentences.txt" --n 200 --seed 0
      --reference "$corpus" --training "$corpus" --out "$out")
"${line[@]}"
python "$here/bench/evaluation.py" "$out/report.json" --name evaluation --command "${line[*]}"
