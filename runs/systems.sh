#!/usr/bin/env bash
# Every system beside held-out music: bench/results/systems.json, docs/systems.md and docs/samples.
#
#     runs/systems.sh ADVERSARIAL SEQUENCE LUO BAND ROCK MAESTRO MELODIES JSB COMPOSER [OUT]
#
# ADVERSARIAL holds the runs of runs/adversarial.sh and runs/ape_gan.sh, SEQUENCE and LUO those of
# runs/sequence_systems.sh and runs/luo.sh; the other six are corpora: of the bands, of rock, of MAESTRO, of POP909's melodies (runs/sequence_systems.sh makes it), of the
# chorales and of the composer. frame_rnn is trained here for 400 steps. Composer and pianist are the bundled weights.
# What lies in OUT already is not made again. About half an hour of one core.
set -euo pipefail
if [ $# -lt 9 ]; then
  sed -n '4p' "$0" >&2
  exit 2
fi
python=${PYTHON:-python}
root=$(cd "$(dirname "$0")/.." && pwd)
gans=$1 sequence=$2 luo=$3 band=$4 rock=$5 maestro=$6 melodies=$7 jsb=$8 composer=$9
out=${10:-$root/runs/local/systems}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
mkdir -p "$out"
"$python" -m orchestrion train frame_rnn/small --data "$jsb" --out "$out/frame_rnn-small-0" --steps 400

shown=()
show() { shown+=(--run "$1=$2@$3"); } # SYSTEM/RECIPE RUN CORPUS
show composer/small composer "$composer"
show music_transformer/pianist music_transformer "$maestro"
show frame_rnn/small "$out/frame_rnn-small-0" "$jsb"
for name in lookback_rnn/small attention_rnn/small; do show $name "$sequence/${name/\//-}" "$melodies"; done
for name in performance_rnn/small attention_grid/small-1x1 dilated_convolution/small; do
  show $name "$sequence/${name/\//-}" "$maestro"
done
for name in luo_rnn/poly-small-attention-residual-embedding luo_roll_rnn/small-basic; do
  show $name "$luo/${name/\//-}-0" "$maestro"
done
for name in muse_gan/small-fine ape_gan/small cnn_lstm_gan/small bilstm_gan/small naive_gan/small midi_net/small; do
  show $name "$gans/${name/\//-}-0" "$band"
done
for name in wgan_gp_attention/small-gates wgan_gp_attention/small dcgan/small dcgan/small-hybrid; do
  show $name "$gans/${name/\//-}-0" "$rock"
done
show transformer_gan/small "$gans/transformer_gan-small-0" "$maestro"
"$python" "$root/bench/systems.py" "${shown[@]}" --work "$out/work"
"$python" "$root/bench/tables.py"
