#!/usr/bin/env bash
# Weights to land from a run that goes on: a copy of the run at its last checkpoint learns MORE steps in which the
# learning rate falls to 0. The run itself is only read. Afterwards: python runs/ship.py OUT
#
#     runs/decay_composer.sh RUN CORPUS OUT MORE
set -euo pipefail
if [ $# -ne 4 ]; then
  echo "usage: $0 RUN CORPUS OUT MORE   (a run of the composer, its corpus, where the copy goes, how many steps)" >&2
  exit 2
fi
run=$1 corpus=$2 out=$3 more=$4
python=${PYTHON:-python}
export OMP_NUM_THREADS=${THREADS:-1} OPENBLAS_NUM_THREADS=1
if [ ! -d "$out" ]; then
  last=$(ls "$run/checkpoints" | grep -E '^[0-9]+$' | sort -n | tail -n 1)
  mkdir -p "$out.part/checkpoints"
  cp "$run/run.json" "$run/history.jsonl" "$out.part/"
  cp -r "$run/checkpoints/$last" "$out.part/checkpoints/"
  echo $((last + more)) >"$out.part/steps"
  mv "$out.part" "$out"
fi
exec "$python" -m orchestrion train composer/small --data "$corpus" --out "$out" --steps "$(cat "$out/steps")"
