#!/usr/bin/env bash
# Is it music? 200 pieces from 40 sentences beside the held-out split, the same with the sentences shuffled, and the page
# of results.
#
#     runs/music_report.sh CORPUS [OUT [MODEL]]
#
# OUT keeps the pieces (by default runs/local/music), CORPUS the index for copies; MODEL is a run folder, by default the
# bundled composer. Finished sets are used again; delete OUT for new ones. For a rehearsal: PIECES=1 RESULT=trial.json
set -euo pipefail
if [ $# -lt 1 ] || [ $# -gt 3 ]; then
  echo "usage: $0 CORPUS [OUT [MODEL]]" >&2
  exit 2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "${2:-$root/runs/local/music}"
corpus=$(realpath "$1") out=$(realpath "${2:-$root/runs/local/music}") model=${3:+$(realpath "$3")}
case ${RESULT:-} in "" | /*) result=${RESULT:-} ;; *) result=$PWD/$RESULT ;; esac
python=${PYTHON:-python}
cd "$root"

compose_set() { # name, options: composes beside and renames, so that a set is whole or not there
  local name=$1
  shift
  [ -d "$out/$name" ] && return
  rm -rf "$out/$name.partial"
  "$python" bench/compose_set.py --out "$out/$name.partial" ${model:+--model "$model"} "$@"
  mv "$out/$name.partial" "$out/$name"
}

compose_set composed --pieces "${PIECES:-5}"
compose_set shuffled --pieces "${PIECES:-5}" --shuffle
"$python" bench/music_report.py --corpus "$corpus" --composed "$out/composed" --shuffled "$out/shuffled" \
  --out "${result:-bench/results/music.json}"
[ -n "$result" ] || "$python" bench/tables.py
