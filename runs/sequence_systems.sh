#!/usr/bin/env bash
# The published sequence systems side by side: attention grids, dilated convolution and Performance RNN on MAESTRO's
# performance events, Lookback RNN, Attention RNN and dilated convolution on POP909's melodies. Trains each small recipe,
# reads whole test pieces and writes bench/results/sequence_systems.json. Goes on where it was stopped.
#
#     runs/sequence_systems.sh MAESTRO POP909 [OUT]
#
# MAESTRO and POP909 are the unpacked datasets; corpora and runs lie in OUT. About five minutes of one core a system.
set -euo pipefail
if [ $# -lt 2 ]; then
  echo "usage: $0 MAESTRO POP909 [OUT]   (two datasets, and where corpora and runs are kept)" >&2
  exit 2
fi
python=${PYTHON:-python}
root=$(cd "$(dirname "$0")/.." && pwd)
out=${3:-$root/runs/local/sequence_systems}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
mkdir -p "$out"
[ -f "$out/performances/corpus.json" ] || "$python" -m orchestrion corpus build "$1" --out "$out/performances"
[ -f "$out/melodies/corpus.json" ] ||
  "$python" "$root/bench/sequence_systems.py" --pop909 "$2" --melodies "$out/melodies"
"$python" "$root/bench/sequence_systems.py" --performances "$out/performances" --melodies "$out/melodies" --runs "$out/runs"
"$python" "$root/bench/tables.py"
