"""The goals of the composer: each measure on music made by hand, and the whole bench at tiny size."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from symusic import Note, Score, Tempo, TimeSignature, Track

from conftest import little_song, repeated
from orchestrion.data.captions.templates import EMOTIONS, things
from orchestrion.data.store import Corpus
from orchestrion.models import checkpoint
from orchestrion.models.loading import load
from orchestrion.models.zoo.composer import RECIPES, Composer
from orchestrion.music.chords import Chord
from orchestrion.music.theory import DRUMS, Key, Meter
from orchestrion.planning.plan import Levels, Part, Plan, Section
from orchestrion.representations.cells import encode
from orchestrion.text.controls import read_controls
from orchestrion.text.lexicon import MOOD_WORDS

BENCH = Path(__file__).resolve().parents[1] / "bench"
if not BENCH.exists():  # an installed package has no bench
    pytest.skip("no bench folder", allow_module_level=True)
sys.path.insert(0, str(BENCH))

import composer_goals as goals  # noqa: E402
import goal_pieces  # noqa: E402
import mood_classifier as moods  # noqa: E402
import plan_goals  # noqa: E402

C = Key(0, "major")
BAR = 1920


def piece(*tracks: tuple[int, list[tuple[int, int, int, int]]]) -> Score:
    """In 4/4: (instrument, [(tick, duration, pitch, velocity)]) a track."""
    score = Score(480)
    score.tempos.append(Tempo(0, 120))
    score.time_signatures.append(TimeSignature(0, 4, 4))
    for instrument, notes in tracks:
        track = Track("", 0 if instrument == DRUMS else instrument, instrument == DRUMS)
        track.notes.extend([Note(*note) for note in notes])
        score.tracks.append(track)
    return score


def line(pitches: list[int], step: int = 480, velocity: int = 80, first: int = 0) -> list[tuple[int, int, int, int]]:
    return [(first + index * step, step, pitch, velocity) for index, pitch in enumerate(pitches)]


def sample(score: Score, **known: object) -> goal_pieces.Sample:
    return replace(goal_pieces.Sample(score, "a", C), **known)


# ---- shares


def test_tracks_with_one_velocity() -> None:
    flat, moving = line([60, 62, 64, 65] * 2), [(t, d, p, 60 + i) for i, (t, d, p, _) in enumerate(line([60] * 8))]
    assert goals.one_velocity(sample(piece((0, flat), (40, moving), (41, flat[:3])))) == (1, 2)


def test_a_silent_opening_is_of_two_bars_and_of_several_tracks() -> None:
    notes = line([60] * 16)
    late = line([60] * 4, first=2 * BAR)
    assert goals.silent_opening(sample(piece((0, notes), (40, late)))) == (1, 1)
    assert goals.silent_opening(sample(piece((0, notes), (40, line([60] * 4, first=BAR))))) == (0, 1)
    assert goals.silent_opening(sample(piece((0, late)))) == (0, 0)


def test_drums_without_snare() -> None:
    kick, snare = line([36] * 8), line([38] * 8)
    rock = frozenset({"rock"})
    assert goals.no_snare(sample(piece((DRUMS, kick), (0, snare)), styles=rock)) == (1, 1)
    assert goals.no_snare(sample(piece((DRUMS, kick), (DRUMS, snare)), styles=rock)) == (0, 1)
    assert goals.no_snare(sample(piece((DRUMS, kick)), styles=frozenset({"ambient"}))) == (0, 0)
    assert goals.no_snare(sample(piece((0, kick)), styles=rock)) == (0, 0)


def test_tracks_that_repeat() -> None:
    loop, new = line([60, 62, 64, 65] * 4), line(list(range(50, 66)))
    assert goals.repeating_tracks(sample(piece((0, loop), (40, new), (DRUMS, loop), (41, new[:8])))) == (1, 2)


def test_lines_that_stay_on_one_pitch() -> None:
    still, moving = line([60] * 30 + [62] * 6, 240), line([60, 62] * 18, 240)
    chords = [note for low, high in zip(still, line([67] * 36, 240), strict=True) for note in (low, high)]
    assert goals.still_lines(sample(piece((0, still), (40, moving), (41, chords), (42, still[:20])))) == (1, 2)


def test_high_solos() -> None:
    assert goals.high_solo(sample(piece((0, line([57, 70]))))) == (1, 1)
    assert goals.high_solo(sample(piece((0, line([56, 70]))))) == (0, 1)
    assert goals.high_solo(sample(piece((0, line([57])), (40, line([57]))))) == (0, 0)
    assert goals.high_solo(sample(piece((DRUMS, line([57]))))) == (0, 0)


def test_endings_on_the_tonic() -> None:
    closing = [(1440, 480, 48, 80), (1440, 480, 55, 80), (1440, 480, 64, 80)]
    assert goals.ends_on_tonic(sample(piece((0, [*line([50] * 3), *closing])))) == (1, 1)
    assert goals.ends_on_tonic(sample(piece((0, [*line([50] * 3), *closing[1:]])))) == (0, 1)
    assert goals.ends_on_tonic(sample(piece((DRUMS, line([36]))))) == (0, 0)


def test_both_hands_of_a_piano() -> None:
    score = piece((0, [*line([48, 60, 64, 67]), *line([60] * 4, first=BAR)]))
    assert goals.both_hands(score) == 0.5
    assert goals.lowest_note(score) == 48
    assert np.isnan(goals.both_hands(piece((DRUMS, line([36])))))


# ---- plans


def plan_of(levels: Levels | None, *, chords: tuple[Chord | None, ...] = (), letters: str = "AB") -> Plan:
    sections = tuple(Section(letter, 2) for letter in letters)
    bars = 2 * len(letters)
    return Plan(((Meter(4, 4), bars),), 120.0, C, sections, (Part(0, "", (levels,) * len(letters)),), chords)


def test_levels_of_cells() -> None:
    cells = encode(piece((0, [*line([60] * 4), *line([60] * 4, first=2 * BAR)])))  # a note a quarter; bar 2 is silent
    kept = plan_goals.levels_kept(plan_of(Levels(density=3)), cells)
    assert (kept.hits, kept.planned, kept.sounding, kept.playing) == (2, 2, 2, 4)
    assert kept.sections == 1
    missed = plan_goals.levels_kept(plan_of(Levels(density=7, register=4)), cells)
    assert (missed.hits, missed.planned, missed.sections) == (2, 4, 0.5)
    assert plan_goals.levels_kept(plan_of(Levels()), cells).planned == 0


def test_levels_of_a_track_that_is_not_there_miss() -> None:
    plan = plan_of(Levels(density=3))
    kept = plan_goals.levels_kept(plan, encode(piece((40, line([60] * 16)))))
    assert (kept.planned, kept.sounding, kept.playing, kept.sections) == (0, 0, 4, 0)


def test_chords_found_again() -> None:
    triads = [(60, 64, 67), (65, 69, 72), (67, 71, 74), (60, 64, 67)]
    score = piece((0, [(bar * BAR, BAR, pitch, 80) for bar, triad in enumerate(triads) for pitch in triad]))
    names = (Chord(0), Chord(5), Chord(7), Chord(0))
    asked = tuple(chord for chord in names for _ in range(2))
    assert plan_goals.chords_found(plan_of(Levels(), chords=asked), encode(score)) == 1
    wrong = (Chord(9, "m"), *asked[1:])
    assert plan_goals.chords_found(plan_of(Levels(), chords=wrong), encode(score)) == 7 / 8
    assert np.isnan(plan_goals.chords_found(plan_of(Levels()), encode(score)))


def test_form_kept() -> None:
    one, other = line([60, 62, 64, 65] * 2), line([67, 65, 69, 71] * 2, first=2 * BAR)
    again = [(tick + 4 * BAR, *rest) for tick, *rest in one]
    score = piece((0, [*one, *other, *again]))
    assert plan_goals.kept_form(plan_of(Levels(), letters="ABA"), score) == (1, 1)
    assert plan_goals.kept_form(plan_of(Levels(), letters="AAA"), score)[0] == 0.5


def test_real_music_keeps_to_the_medians_of_its_own_plan() -> None:
    kept = plan_goals.own_levels(repeated(little_song(0), 2))
    assert kept.sections == 1
    assert 0.8 < kept.hits / kept.planned <= 1
    assert kept.sounding <= kept.playing


def test_sentences_ask_for_chords_and_forms() -> None:
    for sentence in plan_goals.CHORD_SENTENCES:
        plan = plan_goals.sought_plan(read_controls(sentence), 0)
        assert len(plan.chords) == 2 * plan.bars
        assert all(plan.chords)
    for sentence in plan_goals.FORM_SENTENCES:
        plan = plan_goals.sought_plan(read_controls(sentence), 0)
        assert any(plan.takes_up(number) is not None for number in range(len(plan.sections)))
        assert len({section.letter for section in plan.sections}) > 1
    assert all(not read_controls(s).not_understood for s in (*goal_pieces.PIANO_SENTENCES, *plan_goals.FORM_SENTENCES))


# ---- moods


def test_forty_sentences_of_moods_that_no_caption_has() -> None:
    assert set(moods.SENTENCES) == set(EMOTIONS)
    assert all(len(set(sentences)) == 10 for sentences in moods.SENTENCES.values())
    known = {thing for emotion in EMOTIONS for thing in things(emotion)}
    for sentence in moods.MOOD_ASKED:
        assert sentence not in known
        assert not set(sentence.replace(",", "").split()) & set(MOOD_WORDS)
        assert not read_controls(sentence).mood


def heard(pleasant: float, stirred: float, rng: np.random.Generator) -> moods.Heard:
    noise = rng.normal(0, 0.3, 4)
    return moods.Heard(np.array([pleasant, stirred, np.nan, 1.0]) + noise, bool(rng.integers(2)))


def test_the_judge_learns_what_tells_moods_apart_and_lives_with_gaps() -> None:
    rng = np.random.default_rng(0)
    sides = {"happy": (1, 1), "tense": (-1, 1), "sad": (-1, -1), "calm": (1, -1)}
    names = [mood for mood in sides for _ in range(20)]
    music = moods.Labelled(tuple(heard(*sides[mood], rng) for mood in names), tuple(names),
                           tuple(str(index) for index in range(80)), ("made",) * 80)  # fmt: skip
    judges = [moods.learned(music, together, moods.best_ridge(music, together, rng)) for together in (False, True)]
    judge = moods.MoodClassifier(judges[0], judges[1])
    assert moods.right(judge, music).mean() > 0.95


def test_music_of_one_and_of_several_is_heard_apart() -> None:
    alone, band = moods.hear(piece((0, line([60, 64, 67] * 6)))), moods.hear(little_song(0))
    assert not alone.together
    assert band.together
    assert alone.features.shape == band.features.shape


# ---- rows


def interval(mean: float) -> goals.Interval:
    return goals.Interval(mean, mean - 0.1, mean + 0.1, 10)


@pytest.mark.parametrize(
    ("rule", "value", "real", "reach", "aim", "verdict"),
    [
        ("most", 0.70, None, 0.72, 0.60, "reach"), ("most", 0.55, None, 0.72, 0.60, "aim"),
        ("least", 0.50, None, 0.70, 0.75, "no"), ("near", 0.45, 0.5, 0.1, 0.1, "aim"),
        ("near", 0.35, 0.5, 0.1, 0.1, "no"), ("within", 12.0, 10.0, 0.25, 0.10, "reach"),
        ("below", 3.0, 4.0, 0, 0, "aim"), ("above", 3.0, 4.0, 0, 0, "no"), ("", 3.0, 4.0, 0, 0, "–"),
        ("least", float("nan"), None, 0.7, 0.8, "–"),
    ],
)  # fmt: skip
def test_verdicts(rule: str, value: float, real: float | None, reach: float, aim: float, verdict: str) -> None:
    row = goals.Row("x", interval(value), None if real is None else interval(real), rule, reach, aim)
    assert row.verdict == verdict
    assert len(row.cells) == 6


def test_few_pieces_are_of_all_kinds_and_more_pieces_hold_them() -> None:
    few, many = goal_pieces.jobs_of("style", 10), goal_pieces.jobs_of("style", 80)
    assert len({place for place, _ in few}) == 10
    assert many[:10] == few
    assert {number for _, number in many} == {0, 1}
    assert len(goal_pieces.jobs_of("form", 200)) == 50
    first_moods = [moods.MOOD_ASKED[goal_pieces.SETS["mood"][0][place]] for place, _ in goal_pieces.jobs_of("mood", 12)]
    assert all(first_moods.count(mood) == 3 for mood in EMOTIONS)


# ---- the whole


@pytest.fixture
def own_corpus(corpus: Corpus, tmp_path: Path) -> Path:
    """A corpus of this test alone: the benchmark keeps its index of copies there."""
    return Path(shutil.copytree(corpus.path, tmp_path / "corpus"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "best"
    checkpoint.save(folder, "composer", Composer(RECIPES["tiny"].config))
    return folder


def test_the_bench_composes_once_and_keeps_other_parts(
    model: Path, own_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sentences = ("a piano tune, 2 bars", "a flute tune in C major, 2 bars", "a rock song for guitar and drums, 2 bars")
    small = {"style": (sentences, 1.0), "chords": (("piano over C G, 2 bars",), 0.5)}
    for module in (goals, goal_pieces):
        monkeypatch.setattr(module, "SETS", small)
    out = tmp_path / "result.json"
    words = ["--model", str(model), "--corpus", str(own_corpus), "--pieces", "4", "--out", str(out)]
    goals.main([*words, "--parts", "controls,shares"])
    composed = sorted((tmp_path / "result" / "style").glob("*.mid"))
    assert len(composed) == 4
    times = [path.stat().st_mtime_ns for path in composed]
    goals.main([*words, "--parts", "chords,copies", "--table"])
    assert [path.stat().st_mtime_ns for path in composed] == times
    told = json.loads(out.read_text("utf-8"))
    assert set(told["figures"]["parts"]) == {"controls", "shares", "chords", "copies"}
    assert "asked chords found again" in capsys.readouterr().out
    kept = told["figures"]["parts"]["controls"]["rows"][0]
    assert (kept["measure"], kept["value"]["mean"], kept["verdict"]) == ("controls kept", 1.0, "aim")
    with pytest.raises(SystemExit, match="another model, seed or ablation"):
        goals.main([*words, "--parts", "shares", "--seed", "1"])


def test_a_piece_is_the_same_whatever_else_is_composed_and_ablations_tell_what_they_leave_out(model: Path) -> None:
    config = replace(RECIPES["tiny"].config, reads_plan=True)
    torch.manual_seed(0)
    loaded = replace(load(model), system=Composer(config).eval())
    sentence = "a calm piano tune over Am F, 2 bars"
    maker = goal_pieces.Maker(loaded, None, 0, 2, False, False)
    first, again = (maker.make(sentence, 3, 1) for _ in range(2))
    assert first.score.dumps_midi() == again.score.dumps_midi()
    assert first.record["candidates"]["count"] == 2
    assert first.record["sought"]["chords"] == ["Am", "F"]
    wordless = replace(maker, wordless=True, candidates=1).make(sentence, 3, 1).record
    assert wordless["sentence"] == sentence
    assert "calm" in str(first.record["understood"])
    assert "calm" not in str(wordless["understood"])
    assert wordless["plan"]["whole"]["chords"] == ["Am", "F"]
    plain = replace(maker, plain=True).make(sentence, 3, 1).record
    assert plain["plan"]["whole"] == plain["sought"]


def test_a_part_that_is_not_there(model: Path, corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        goals.main(["--model", str(model), "--corpus", str(corpus.path), "--out", str(tmp_path / "r.json"),
                    "--parts", "looks"])  # fmt: skip
