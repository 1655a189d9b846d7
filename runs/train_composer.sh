#!/usr/bin/env bash
# From a folder of music to a trained composer: builds the corpus, unless it is there, and trains; both go on where they
# were stopped. The same line on a laptop and on a GPU but for the recipe: small, or large. MUSIC is a folder of MIDI files
# or of datasets that the builder knows. PROCESSES=2 shares each step among as many processes, one a GPU where there are.
#
#     runs/train_composer.sh RECIPE MUSIC CORPUS OUT
set -euo pipefail
if [ $# -ne 4 ]; then
  echo "usage: $0 RECIPE MUSIC CORPUS OUT   (a recipe of the composer, a folder of music, where corpus and run go)" >&2
  exit 2
fi
recipe=$1 music=$2 corpus=$3 out=$4
python=${PYTHON:-python}
launch=("$python")
if [ "${PROCESSES:-1}" -gt 1 ]; then
  launch=("$python" -m torch.distributed.run --standalone --nproc-per-node "$PROCESSES")
fi

"$python" -m orchestrion corpus build "$music" --out "$corpus"
"$python" -m orchestrion corpus info "$corpus"
"${launch[@]}" -m orchestrion train "composer/$recipe" --data "$corpus" --out "$out"
"$python" -m orchestrion compose "a calm piano waltz in D minor, 16 bars" --seed 7 --model "$out" --out "$out/waltz"
