#!/usr/bin/env bash
# Active learning with a simulated oracle: bench/results/active_learning.json and docs/active-learning.png.
#
#     runs/active_learning.sh ADVERSARIAL APE BAND [OUT]
#
# ADVERSARIAL holds the runs of runs/adversarial.sh; APE is a run of ape_gan/small on BAND, the corpus of the bands.
# Phrases and results so far lie in OUT, and what lies there is not made again. About half an hour of one core.
set -euo pipefail
if [ $# -lt 3 ]; then
  sed -n '4p' "$0" >&2
  exit 2
fi
python=${PYTHON:-python}
root=$(cd "$(dirname "$0")/.." && pwd)
gans=$1 ape=$2 band=$3 out=${4:-$root/runs/local/active_learning}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
mkdir -p "$out"
"$python" "$root/bench/active_learning.py" --start "$ape" --corpus "$band" \
  --made "$ape" "$gans/muse_gan-small-fine-0" "$gans/muse_gan-small-0" "$gans/midi_net-small-0" \
  --held "$ape" "$gans/muse_gan-small-fine-1" --work "$out"
"$python" "$root/bench/tables.py"
