#!/usr/bin/env bash
# The training-data rows that papers printed, computed again, and the page that tells why they differ.
#
#     runs/published_rows.sh BAND BAND_CSV MAESTRO
#
# BAND: folder of the band files, BAND_CSV: their table band_core.csv, MAESTRO: folder with maestro-v3.0.0.csv.
# Two minutes on one core.
set -euo pipefail
if [ $# -ne 3 ]; then
  echo "usage: $0 BAND BAND_CSV MAESTRO" >&2
  exit 2
fi
band=$(realpath "$1") table=$(realpath "$2") maestro=$(realpath "$3")
python=${PYTHON:-python}
cd "$(dirname "$0")/.."
"$python" bench/published_rows.py --band "$band" --band-csv "$table" --maestro "$maestro"
"$python" bench/tables.py
