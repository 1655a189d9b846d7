#!/usr/bin/env bash
# Trains the composer on a machine with one GPU that is lent for one command of ten minutes and reaches no network: the
# corpus comes packed into one file, nothing is installed but from wheels that came along, training ends in time whatever
# the pace, its rates fallen to 0, and what is to be taken home is written in small files. Before, and after:
#
#     orchestrion corpus pack CORPUS --out packed --max-mib 28
#     OUT=FOLDER runs/accelerator.sh [--wheels DIR] [--packed FILE] [--recipe NAME] [--seconds N]
#     python runs/ship.py join FOLDER CHECKPOINT && orchestrion compose "..." --model CHECKPOINT
#
# --seconds: from now until training ends, 510; a few more go for writing. WORKERS processes draw batches. The machine
# needs python3 with torch, numpy, safetensors and symusic (with its pySmartDL and platformdirs); matplotlib draws the
# curve where it is. `--tiny` tries all of it out on a CPU in under two minutes, on made pieces or those of CORPUS.
set -euo pipefail
started=$(date +%s)
cd "$(dirname "$0")/.."
python=${PYTHON:-python3} out=${OUT:-out/accelerator}
packed=packed/corpus.packed recipe=medium seconds=510 wheels= tiny=
while [ $# -gt 0 ]; do
  case $1 in
    --tiny) tiny=1; shift; continue ;;
    --wheels) wheels=${2:?} ;;
    --packed) packed=${2:?} ;;
    --recipe) recipe=${2:?} ;;
    --seconds) seconds=${2:?} ;;
    *) echo "usage: OUT=FOLDER $0 [--tiny] [--wheels DIR] [--packed FILE] [--recipe NAME] [--seconds N]" >&2; exit 2 ;;
  esac
  shift 2
done
export PYTHONPATH=$PWD/src${PYTHONPATH:+:$PYTHONPATH} OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONUNBUFFERED=1
if [ -n "$wheels" ]; then
  site=$(mktemp -d /tmp/orchestrion-wheels.XXXXXX)
  trap 'rm -rf "$site"' EXIT
  "$python" -m pip install -q --no-index --no-deps --no-compile --disable-pip-version-check --target "$site" "$wheels"/*.whl
  PYTHONPATH=$PYTHONPATH:$site
fi
missing=$("$python" -c '
from importlib.util import find_spec
print(*(name for name in ("torch", "numpy", "safetensors", "symusic", "pySmartDL", "platformdirs") if not find_spec(name)))')
if [ -n "$missing" ]; then
  echo "missing here: $missing; carry their wheels and name the folder with --wheels" >&2
  exit 1
fi
if [ -n "$tiny" ]; then
  "$python" runs/accelerator.py --tiny --out "$out" --workers "${WORKERS:-1}" ${CORPUS:+--corpus "$CORPUS"}
else
  "$python" runs/accelerator.py --packed "$packed" --out "$out" --recipe "$recipe" --workers "${WORKERS:-15}" \
    --end $((started + seconds))
fi
