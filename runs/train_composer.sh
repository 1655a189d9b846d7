#!/usr/bin/env bash
# The composer's training run: builds the corpus and the plans of its pieces, unless they are there, and trains. Each part
# goes on where it was stopped, so the same line starts and resumes; ^C or a kill loses at most the steps since the last
# checkpoint. On a laptop it takes one thread (THREADS=2 for two) and the recipe small; on a GPU take large or medium.
# START names weights to begin a new run with: those of the package unless it says otherwise, none if it is empty.
#
#     runs/train_composer.sh RECIPE CORPUS OUT [MUSIC ...]     MUSIC: folders of MIDI files, or of datasets known to it
set -euo pipefail
if [ $# -lt 3 ]; then
  echo "usage: $0 RECIPE CORPUS OUT [MUSIC ...]   (a recipe of the composer, where corpus and run go, folders of music)" >&2
  exit 2
fi
recipe=$1 corpus=$2 out=$3
shift 3
python=${PYTHON:-python}
export OMP_NUM_THREADS=${THREADS:-1} OPENBLAS_NUM_THREADS=1
launch=("$python")
if [ "${PROCESSES:-1}" -gt 1 ]; then
  launch=("$python" -m torch.distributed.run --standalone --nproc-per-node "$PROCESSES")
fi
start=()
if [ -n "${START-composer}" ]; then
  start=(--start-from "${START-composer}")
fi

if [ $# -gt 0 ]; then
  "$python" -m orchestrion corpus build "$@" --out "$corpus" --no-embed
fi
exec "${launch[@]}" -m orchestrion train "composer/$recipe" --data "$corpus" --out "$out" "${start[@]}"
