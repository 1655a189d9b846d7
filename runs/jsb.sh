#!/usr/bin/env bash
# The Music Transformer on Bach's chorales in sixteenths: without relative attention, with it, with pitch and time as
# well, and ours. FOLDER holds Jsb16thSeparated.json.xz. Each row is trained on one core in RUNS and goes on where it was
# stopped; then bench/results/jsb_chorales.json is written. ROWS="jsb_voices" trains those alone, SEEDS="0 1 2" with so
# many seeds, whose networks are measured together as well.
#
#     runs/jsb.sh FOLDER RUNS
set -euo pipefail
if [ $# -ne 2 ]; then
  echo "usage: $0 FOLDER RUNS   (the folder with Jsb16thSeparated.json.xz, and where the runs go)" >&2
  exit 2
fi
here=$(cd "$(dirname "$0")/.." && pwd)
rows=()
if [ -n "${ROWS:-}" ]; then
  read -ra names <<<"$ROWS"
  rows=(--rows "${names[@]}")
fi
read -ra seeds <<<"${SEEDS:-0}"
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} "${PYTHON:-python}" "$here/bench/jsb_chorales.py" \
  --data "$1" --out "$2" --seeds "${seeds[@]}" ${rows[@]+"${rows[@]}"}
