#!/usr/bin/env bash
# APE-GAN with its ablations, and what words, gate and people bring: bench/results/word_groups.json,
# word_meanings.json and active_learning.json, docs/ape-gan.md and its pictures. Goes on where it was stopped.
#
#     runs/ape_gan.sh BAND [OUT] [RECIPE]
#
# BAND is a corpus of piano rolls (`orchestrion corpus build FOLDER --out BAND --pianoroll`). Runs lie in OUT, best beside
# those of runs/adversarial.sh, of which the simulated oracle takes phrases of other systems. RECIPE is "small" (twenty
# minutes of one core a run) or "paper-matching" (for a GPU). SEEDS are "0 1" unless set.
set -euo pipefail
if [ $# -lt 1 ]; then
  echo "usage: $0 BAND [OUT] [RECIPE]   (a corpus, where runs are kept, small or paper-matching)" >&2
  exit 2
fi
python=${PYTHON:-python}
root=$(cd "$(dirname "$0")/.." && pwd)
band=$1 out=${2:-$root/runs/local/adversarial} recipe=${3:-small}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
mkdir -p "$out"

learn() { # RECIPE SEED
  run=$out/ape_gan-$1-$2
  [ -f "$run/done" ] || { "$python" -m orchestrion train "ape_gan/$1" --data "$band" --out "$run" --seed "$2" && touch "$run/done"; }
}

for seed in ${SEEDS:-0 1}; do learn "$recipe" "$seed"; done
if [ "$recipe" = small ]; then
  for name in small-none small-shuffled small-projection small-printed; do learn "$name" 0; done
fi
"$python" "$root/bench/word_groups.py" --runs "$out" --corpus "$band" --work "$out/words" --workers "${WORKERS:-1}"
"$python" "$root/bench/word_meanings.py" --runs "$out" --corpus "$band"
"$python" "$root/bench/gate.py" --runs "$out" --corpus "$band"
"$python" "$root/bench/word_pictures.py" --run "$out/ape_gan-$recipe-0"
"$root/runs/active_learning.sh" "$out" "$out/ape_gan-$recipe-0" "$band"
"$python" "$root/bench/tables.py"
