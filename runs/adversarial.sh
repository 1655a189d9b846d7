#!/usr/bin/env bash
# The adversarial systems of the papers: trains the small recipes, measures them beside held-out songs, and writes
# bench/results/phrase_systems.json and the pictures of docs/adversarial.md. Goes on where it was stopped.
#
#     runs/adversarial.sh BAND ROCK MAESTRO [OUT] [RECIPE]
#
# Three corpora: BAND and ROCK as piano rolls (`orchestrion corpus build FOLDER --out BAND --pianoroll`, and with
# `--genre rock --pieces 1015`), MAESTRO of performances. Runs lie in OUT. SEEDS are those of the systems of tables,
# "0 1" unless set; RECIPE is "small" (about ten minutes of one core a run) or "paper" (as printed; for a GPU).
set -euo pipefail
if [ $# -lt 3 ]; then
  echo "usage: $0 BAND ROCK MAESTRO [OUT] [RECIPE]   (three corpora, where runs are kept, small or paper)" >&2
  exit 2
fi
python=${PYTHON:-python}
root=$(cd "$(dirname "$0")/.." && pwd)
band=$1 rock=$2 maestro=$3 out=${4:-$root/runs/local/adversarial} recipe=${5:-small}
seeds=${SEEDS:-0 1}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
mkdir -p "$out"

learn() { # SYSTEM RECIPE CORPUS SEEDS
  for seed in $4; do
    run=$out/$1-$2-$seed
    [ -f "$run/done" ] || { "$python" -m orchestrion train "$1/$2" --data "$3" --out "$run" --seed "$seed" && touch "$run/done"; }
  done
}

fine=$recipe gates=$recipe-layer
[ "$recipe" = small ] && fine=small-fine gates=small-gates
for system in cnn_lstm_gan bilstm_gan naive_gan; do learn "$system" "$recipe" "$band" "$seeds"; done
learn muse_gan "$fine" "$band" "$seeds"
learn wgan_gp_attention "$gates" "$rock" "$seeds"
learn wgan_gp_attention "$recipe" "$rock" 0
learn wgan_gp_attention "$recipe-layer" "$rock" 0
learn dcgan "$recipe" "$rock" 0
learn dcgan "$recipe-hybrid" "$rock" 0
learn midi_net "$recipe" "$band" 0
learn transformer_gan "$recipe-likelihood" "$maestro" 0
learn transformer_gan "$recipe" "$maestro" 0
if [ "$recipe" = small ]; then
  learn muse_gan small "$band" 0
  learn muse_gan small-piano "$band" 0
  learn midi_net luo "$band" 0
  learn midi_net luo-fine "$band" 0
  learn bilstm_gan small-sgd "$band" 0
fi
"$python" "$root/bench/phrase_systems.py" --runs "$out" --corpus "$band" "$rock" "$maestro"
"$python" "$root/bench/adversarial_pictures.py" --wgan "$out/wgan_gp_attention-$gates-0" \
  --plain "$out/dcgan-$recipe-0" --corpus "$rock"
"$python" "$root/bench/phrase_speed.py" "$band"
"$python" "$root/bench/tables.py"
