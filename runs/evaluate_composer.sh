#!/usr/bin/env bash
# The composer beside held-out music: 200 pieces of the forty sentences and every part of the report, then its goals.
#
#     runs/evaluate_composer.sh CORPUS OUT [MODEL]
#
# MODEL is a run, a checkpoint or, without it, the bundled composer. Writes OUT/report.html and OUT/report.json, from
# them bench/results/evaluation.json, then bench/results/composer_goals.json, part by part, and what composing without
# ranking, without a plan and without words comes to. Composing goes on where it was stopped.
set -euo pipefail
corpus=$1 out=$2 model=${3:-composer}
here=$(cd "$(dirname "$0")/.." && pwd)
line=(orchestrion evaluate "$model" --sentences "$here/bench/sentences.txt" --n 200 --seed 0
      --reference "$corpus" --training "$corpus" --out "$out")
"${line[@]}"
python "$here/bench/evaluation.py" "$out/report.json" --name evaluation --command "${line[*]}"

goals() { # NAME PARTS OPTION...: the goals of these parts into bench/results/NAME.json
    local name=$1 parts=$2
    shift 2
    python "$here/bench/composer_goals.py" --model "$model" --corpus "$corpus" --pieces 200 --seed 0 --parts "$parts" \
        --composed "$out/$name" --out "$here/bench/results/$name.json" "$@"
}
for part in style copies controls levels shares chords form mood piano continuations; do
    goals composer_goals "$part"
done
goals composer_goals controls --table
ablated=style,controls,levels,shares,chords,form,mood
goals composer_goals_without_ranking "$ablated" --candidates 1 --table
goals composer_goals_without_plan "$ablated" --no-plan --table
goals composer_goals_without_words "$ablated" --no-sentence --table
