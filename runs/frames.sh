#!/usr/bin/env bash
# Trains FrameRNN on the four frame-level sets of Boulanger-Lewandowski et al. (2012) with either head, tests each once
# and writes bench/results/frame_likelihood.json. Goes on where it was stopped; what is trained lies in OUT. MATS is the
# folder of the four .mat files. A run is about three minutes of one core; SEEDS="0 1 2" makes three of each.
#
#     runs/frames.sh MATS [OUT]
set -euo pipefail
if [ $# -lt 1 ]; then
  echo "usage: $0 MATS [OUT]   (the folder of JSB_Chorales.mat and the others, where runs are kept)" >&2
  exit 2
fi
python=${PYTHON:-python}
root=$(cd "$(dirname "$0")/.." && pwd)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
"$python" "$root/bench/frame_likelihood.py" --data "$1" --runs "${2:-$root/runs/local/frames}" --seeds ${SEEDS:-0}
