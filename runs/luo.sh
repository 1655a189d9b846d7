#!/usr/bin/env bash
# Luo's five recurrent networks over melodies, events and piano rolls: trained with three seeds, sampled, and his tables
# made from them beside held-out music.
#
#     runs/luo.sh CORPUS [RUNS]
#
# CORPUS: a corpus of piano music, for the published figures MAESTRO v3. RUNS keeps the networks (by default
# runs/local/luo); what is finished there is used again. Under an hour and a half on one core; SIZE=paper trains the report's own
# sizes, on a GPU. PIECES=500 SECONDS_EACH=60 for as many and as long pieces as the report's melodies.
set -euo pipefail
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  echo "usage: $0 CORPUS [RUNS]" >&2
  exit 2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
corpus=$(realpath "$1")
mkdir -p "${2:-$root/runs/local/luo}"
runs=$(realpath "${2:-$root/runs/local/luo}")
python=${PYTHON:-python}
cd "$root"
"$python" bench/luo_tables.py --corpus "$corpus" --runs "$runs" --size "${SIZE:-small}" \
  --pieces "${PIECES:-200}" --seconds "${SECONDS_EACH:-30}"
"$python" bench/tables.py
