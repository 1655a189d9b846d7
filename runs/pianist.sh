#!/usr/bin/env bash
# From MAESTRO to a Music Transformer that goes on from any piano music: builds the corpus, trains, measures whole test
# pieces. All goes on where it was stopped. The same line on a laptop and on a GPU but for the recipe: pianist, an hour
# and a half of one core, or maestro. MUSIC is the unpacked dataset, or its archive. SHIP=1 puts the weights into the
# package. PROCESSES=2 shares each step among as many processes, one a GPU where there are.
#
#     runs/pianist.sh RECIPE MUSIC CORPUS OUT
set -euo pipefail
if [ $# -ne 4 ]; then
  echo "usage: $0 RECIPE MUSIC CORPUS OUT   (pianist or maestro, MAESTRO's folder, where corpus and run go)" >&2
  exit 2
fi
recipe=$1 music=$2 corpus=$3 out=$4
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python}
launch=("$python")
if [ "${PROCESSES:-1}" -gt 1 ]; then
  launch=("$python" -m torch.distributed.run --standalone --nproc-per-node "$PROCESSES")
fi

[ -f "$corpus/corpus.json" ] || "$python" -m orchestrion corpus build "$music" --out "$corpus"
"${launch[@]}" -m orchestrion train "music_transformer/$recipe" --data "$corpus" --out "$out"
"$python" "$root/bench/maestro.py" --corpus "$corpus" --runs "$out"
[ "${SHIP:-0}" = 0 ] || "$python" "$root/runs/ship.py" "$out"
"$python" "$root/bench/tables.py"
