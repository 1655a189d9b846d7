"""The page of an evaluation: whole, safe with any text, quiet on the network, and saying what the figures say."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
import zlib
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from conftest import little_song
from orchestrion.core.files import WritingError
from orchestrion.evaluation.page import page, write_page
from orchestrion.evaluation.page.music import MOST_NOTES_SHOWN
from orchestrion.evaluation.report import (
    Comparison,
    Continuations,
    ControlsKept,
    Copied,
    Copying,
    Distance,
    Figure,
    Likelihood,
    Report,
    SentencePairs,
    Shown,
    SideInfo,
    TwoSample,
)
from orchestrion.evaluation.summary import standardised, summary_lines
from orchestrion.metrics.grid import on_grid
from orchestrion.metrics.sets import Interval, difference_interval, mean_interval
from orchestrion.metrics.suite import FEATURES, METRICS, Measured, measure
from orchestrion.rendering import plots
from orchestrion.rendering.numerals import bounds, duration, number, percent, signed, with_bounds

NOWHERE = Interval(np.nan, np.nan, np.nan, 0)
HOSTILE = "<script>alert(1)</script>\"'&amp;.mid"
VOID = {"meta", "link"}


def side(label: str, measured: list[Measured]) -> SideInfo:
    hours, bars = sum(m.seconds for m in measured) / 3600, float(np.median([m.bars for m in measured]))
    return SideInfo(label, "folder", len(measured), sum(m.notes for m in measured), hours, bars, "3f9ac2d1e07b")


def figures(ours: list[Measured], theirs: list[Measured]) -> list[Figure]:
    rng, rows = np.random.default_rng(0), []
    for metric in METRICS:
        a, b = ([m.values[metric.id] for m in measured] for measured in (ours, theirs))
        means = mean_interval(a, rng, resamples=200), mean_interval(b, rng, resamples=200)
        missing = metric.undefined if np.isnan(means[0].mean) else ""
        apart = difference_interval(a, b, rng, resamples=200)
        rows.append(Figure(metric.definition, *means, apart, spread=1.0, missing=missing))
    return rows


def comparison(definition: str, ours: np.ndarray, theirs: np.ndarray) -> Comparison:
    """Of mean features as they are, with densities and figures that are made up."""
    x = np.linspace(0, 12, 1000)
    curves = {name: np.exp(-((x - at) ** 2)) for name, at in (("generated", 3.0), ("reference", 4.0), ("inter", 4.5))}
    sums, means = (
        {"generated": 930.0, "reference": 1021.4, "inter": 2210.0},
        {"generated": 3, "reference": 4, "inter": 4.5},
    )
    found = Interval(0.3, 0.2, 0.4, 30), Interval(0.71, 0.64, 0.79, 30), Interval(0.05, 0.02, 0.09, 30)
    return Comparison(
        definition, ours, theirs, x, curves, sums, means, "standardised", *found, {"kl": 0.02, "oa": 0.96}
    )


def shown(name: str, kind: str, seed: int, bars: int) -> Shown:
    grid = on_grid(little_song(seed, bars=bars))
    onset, end = grid.seconds
    notes = np.column_stack([onset, end - onset, grid.pitch, grid.velocity / 127, grid.track])
    edges = np.linspace(0, end.max(), bars + 1)
    same = np.random.default_rng(seed).random((bars, bars))
    return Shown(name, kind, "near the middle of its set", notes, grid.instruments.tolist(), edges, (same + same.T) / 2)


@cache
def little_report() -> Report:
    ours, theirs = ([measure(little_song(seed, bars=4)) for seed in seeds] for seeds in (range(6), range(6, 14)))
    means = [
        (f.definition, *(np.nanmean([m.features[f.id] for m in measured], axis=0) for measured in (ours, theirs)))
        for f in FEATURES
    ]
    few = Interval(14.2, 9.1, 18.8, 6)
    share = Interval(0.875, 0.75, 1.0, 16)
    kl = np.array([[0.01, 0.8, np.nan], [0.9, 0.02, 0.7], [0.6, 0.5, 0.01]])
    return Report(
        "Little songs against little songs",
        side("GENERATED", ours),
        replace(
            side("REFERENCE", theirs), skipped=[("broken.mid", "it is no MIDI file"), ("b.mid", "it has no notes")]
        ),
        [
            *figures(ours, theirs),
            Figure(
                "no-such/1",
                Interval(2.0, 1.9, 2.1, 6),
                Interval(1.0, 0.9, 1.1, 8),
                Interval(1.0, 0.8, 1.2, 14),
                spread=0.5,
            ),
            Figure("no-value/1", NOWHERE, NOWHERE, NOWHERE, missing="no pitched notes"),
            Figure(
                "old:musegan-v1/1", Interval(3, 2, 4, 6), Interval(3, 2, 4, 8), Interval(0, -1, 1, 14), warning="few"
            ),
        ],
        [
            *(comparison(*row) for row in means),
            comparison("made-up/1", np.array(3.0), np.array(4.0)),
            replace(
                comparison("constant/1", np.array(1.0), np.array(1.0)), x=np.zeros(0), densities={}, missing="all same"
            ),
        ],
        Distance(Interval(4.1, 3.5, 4.8, 6), Interval(0.34, 0.2, 0.5, 6), 6),
        [
            TwoSample("features", Interval(0.83, 0.79, 0.87, 14), 14, 5, [("no-such", 1.2), ("no-value", -0.8)]),
            TwoSample("rolls", Interval(0.52, 0.46, 0.58, 14), 14, 5),
        ],
        Copying("LITTLE", 8, few, few, Interval(0.8, 0.7, 0.9, 6), few, few, None, [Copied("a.mid", 23, 20, "b.mid")]),
        [ControlsKept("key", share, [("a.mid", "C major", "G major")]), ControlsKept("bars", share, [])],
        SentencePairs("pitch classes, a half added", ["I am happy", "I feel good", "he cries"], kl, [5, 5, 5]),
        [Likelihood("composer", 8, few, few, few, few, few, "sliding, half of the context", parts={"pitch": 1.5})],
        Continuations("composer", 8, 8, 8, {"f1": share}, {"f1": share}, [("short.mid", "it has 4 bars")]),
        [shown("a.mid", "generated", 1, 8), shown("b.mid", "reference", 2, 6)],
        ["no rolls were asked for"],
        {"seed": 0, "resamples": 200},
        {"orchestrion": "0.3"},
    )


class Elements(HTMLParser):
    """The elements of a page; fails where they are not nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.said.append(data)


def test_the_page_is_nested_and_every_link_and_label_leads_somewhere() -> None:
    text = page(little_report())
    elements = Elements(text)
    assert elements.open == []
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"] for tag, a in elements.found if tag == "a"} <= {f"#{key}" for key in ids}
    assert {a["aria-labelledby"] for _, a in elements.found if "aria-labelledby" in a} <= set(ids)
    assert all(a.get("aria-label") for tag, a in elements.found if tag == "svg")
    assert all("scope" in a for tag, a in elements.found if tag == "th")
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(svg)


def test_nothing_is_asked_of_the_network() -> None:
    text = page(little_report())
    assert not re.findall(r"""(?:https?:)?//[a-z]|@import|url\(""", re.sub(r"^\s*//.*$| // .*$", "", text, flags=re.M))
    sources = [a[key] for _, a in Elements(text).found for key in ("src", "href") if key in a]
    assert all(source.startswith(("#", "data:")) for source in sources if source is not None)
    assert "default-src 'none'" in text


def test_the_one_script_that_may_run_is_the_player() -> None:
    """Browsers refuse scripts whose sum is not the one that the page allows."""
    text = page(hostile_report())
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{allowed}'\"" in text


def test_all_parts_are_there_and_say_their_figures() -> None:
    text = page(little_report())
    for key in ("figures", "comparisons", "frechet", "two-sample", "copying", "controls", "sentences", "likelihood",
                "continuations", "similarity", "pieces", "left-out", "behind"):  # fmt: skip
        assert f'<section id="{key}"' in text
    said = " ".join(Elements(text).said)
    for words in ("83 % [79, 87]", "no pitched notes", "all same", "it is no MIDI file", "no rolls were asked for",
                  "I feel good", "G major", "23", "sliding, half of the context", "0.34"):  # fmt: skip
        assert words in said
    for metric in METRICS:
        assert metric.definition in said


def test_a_variant_lies_folded_and_a_figure_without_a_value_says_why() -> None:
    text = page(little_report())
    folded = text.index("Other definitions of the same names")
    assert text.index("old:musegan-v1/1", text.index('id="figures"')) > folded > text.index("no-such/1")
    assert re.search(r"no-value/1.*?– no pitched notes", text)


def test_the_scale_of_differences_fits_them() -> None:
    """At a deviation of 2 differences up to 0.6 are 0.3 deviations and up to 2.8 are 1.4."""
    sides = Interval(5, 5 - 0.392, 5 + 0.392, 100), Interval(4, 4 - 0.392, 4 + 0.392, 100)
    for reach, ticks in ((0.6, ["−1", "−0.5", "0", "0.5", "1"]), (2.8, ["−1.5", "−0.75", "0", "0.75", "1.5"])):
        figure = Figure("x/1", *sides, Interval(0.5, 0.4, reach, 200), spread=2.0)
        text = page(replace(little_report(), figures=[figure], shown=[]))
        axis = re.findall(r'<svg class="whisker-plot axis".*?</svg>', text)[0]
        assert re.findall(r"<text[^>]*>(.*?)</text>", axis) == ticks


def test_without_a_reference_and_without_any_part() -> None:
    full = little_report()
    alone = [replace(figure, reference=None, difference=None) for figure in full.figures]
    text = page(Report("Alone", full.generated, None, alone))
    assert Elements(text).open == []
    assert 'id="frechet"' not in text
    assert "<th scope=col>Reference" not in text
    assert "there is no reference" in text
    empty = page(Report("Nothing", replace(full.generated, pieces=0, median_bars=np.nan), None, []))
    assert Elements(empty).open == []
    assert 'id="figures"' not in empty


def hostile_report() -> Report:
    full = little_report()
    return replace(
        full,
        title=HOSTILE,
        generated=replace(
            full.generated, label=HOSTILE, remarks=[HOSTILE], skipped=[(HOSTILE, HOSTILE)], fingerprint=HOSTILE
        ),
        figures=[Figure(HOSTILE, NOWHERE, missing=HOSTILE, warning=HOSTILE)],
        comparisons=[replace(c, warning=HOSTILE, scale=HOSTILE) for c in full.comparisons],
        two_sample=[replace(full.two_sample[0], by=HOSTILE, telling=[(HOSTILE, 1.0)])],
        copying=replace(full.copying, training=HOSTILE, worst=[Copied(HOSTILE, 2, 1, HOSTILE)])
        if full.copying
        else None,
        controls=[ControlsKept(HOSTILE, Interval(0, 0, 0, 1), [(HOSTILE, HOSTILE, HOSTILE)])],
        sentences=SentencePairs(HOSTILE, [HOSTILE, HOSTILE], np.zeros((2, 2)), [1, 1]),
        likelihood=[replace(full.likelihood[0], model=HOSTILE, context=HOSTILE)],
        shown=[replace(piece, piece=HOSTILE, why=HOSTILE) for piece in full.shown],
        remarks=[HOSTILE],
        settings={HOSTILE: [HOSTILE]},
        versions={HOSTILE: HOSTILE},
    )


def test_texts_from_outside_are_texts() -> None:
    usual, hostile = (Elements(page(report)) for report in (little_report(), hostile_report()))
    assert hostile.open == []
    scripts = [sum(tag == "script" for tag, _ in elements.found) for elements in (usual, hostile)]
    assert scripts[0] == scripts[1]
    assert not any(name.startswith("on") or name == "alert(1)" for _, a in hostile.found for name in a)
    assert sum(HOSTILE in words for words in hostile.said) > 15


def test_it_is_written_whole_with_names_that_are_no_text(tmp_path: Path) -> None:
    report = replace(little_report(), title="caf\udce9")  # as Python reads a Latin-1 file name
    write_page(report, tmp_path / "report.html")
    assert "caf\\udce9" in (tmp_path / "report.html").read_text("utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(WritingError):
        write_page(report, tmp_path / "nowhere" / "report.html")


def test_the_notes_to_play_are_the_notes_of_the_piece() -> None:
    piece = little_report().shown[0]
    data = json.loads(re.findall(r'<script type="application/json">(.*?)</script>', page(little_report()))[0])
    rows = np.array(data["notes"]).reshape(-1, 5)
    assert data["programs"] == piece.instruments
    order = np.argsort(piece.notes[:, 0], kind="stable")
    np.testing.assert_allclose(np.cumsum(rows[:, 0]) / 1000, piece.notes[order, 0], atol=0.0006)
    np.testing.assert_array_equal(rows[:, [2, 4]], piece.notes[order][:, [2, 4]])


def test_a_long_piece_is_cut_and_says_so() -> None:
    count = MOST_NOTES_SHOWN + 500
    notes = np.column_stack(
        [np.arange(count) / 10, np.full(count, 0.1), np.full(count, 60), np.ones(count), np.zeros(count)]
    )
    report = replace(little_report(), shown=[Shown("long.mid", "generated", "", notes, [0], np.arange(0, 351, 2.0))])
    assert "the first 3\u202f000 of 3\u202f500 notes" in page(report)


@pytest.mark.parametrize("instruments", [[], [0], [128], [0, 128]])
def test_a_roll_without_notes(instruments: list[int]) -> None:
    svg = plots.piano_roll(np.zeros((0, 5)), instruments, np.zeros(0), "nothing")
    assert ElementTree.fromstring(svg).get("aria-label") == "nothing"


def test_the_page_of_200_pieces_stays_small() -> None:
    """What grows with the pieces: the notes shown, the files left out, the controls not kept."""
    full = little_report()
    piece = replace(full.shown[0], notes=np.tile(full.shown[0].notes, (20, 1)))
    many = replace(
        full,
        shown=[piece] * 12,
        generated=replace(full.generated, skipped=[(f"folder/piece {i}.mid", "it has no notes") for i in range(200)]),
        controls=[ControlsKept("key", Interval(0, 0, 0, 200), [(f"{i}.mid", "C", "D") for i in range(200)])] * 5,
    )
    assert len(page(many).encode()) < 3e6


# Plots ----------------------------------------------------------------------------------------------------------------


def test_whiskers_lie_where_their_figures_are() -> None:
    svg = ElementTree.fromstring(plots.whisker(Interval(0.0, -1.0, 1.0, 9), -1.0, 1.0, kind="alike", mark=0.0))
    (circle,) = svg.iter("circle")
    assert float(circle.get("cx", "")) == plots.WHISKER_WIDTH / 2  # 0 lies in the middle of -1..1
    line = next(p.get("d") for p in svg.iter("path") if p.get("class") == "whisker")
    assert line == f"M{plots.WHISKER_EDGE}.0 10H{plots.WHISKER_WIDTH - plots.WHISKER_EDGE}.0"
    beyond = ElementTree.fromstring(plots.whisker(Interval(5.0, 4.0, np.inf, 9), -1.0, 1.0, kind="differs"))
    assert not list(beyond.iter("circle"))
    assert plots.whisker(NOWHERE, 0, 1, kind="alike") == ""


def test_cells_of_a_heat_map_are_as_strong_as_their_values() -> None:
    values = np.array([[0.0, 2.0], [-1.0, np.nan]])
    svg = ElementTree.fromstring(plots.heat_map(values, ["a", "b"], ["c", "d"], "map", kind="generated", most=2.0))
    cells = [rect for rect in svg.iter("rect") if rect.find("title") is not None]
    assert [rect.get("fill-opacity") for rect in cells if rect.get("fill") != "none"] == ["0", "1", "0.5"]
    assert [rect.findtext("title") for rect in cells][:2] == ["a → c: 0", "a → d: 2.00"]
    assert [rect.get("class") for rect in cells][2] == "reference"  # below zero


def test_a_density_peaks_where_it_does() -> None:
    x = np.linspace(0, 10, 1000)
    svg = ElementTree.fromstring(plots.densities(x, {"generated": np.exp(-((x - 5) ** 2))}, "peak"))
    line = next(p.get("d", "") for p in svg.iter("path") if p.get("class") == "line generated")
    points = np.array([point.split() for point in line[1:].split("L")], float)
    assert abs(points[points[:, 1].argmin(), 0] - 210) < 3  # 5 of 0..10 lies in the middle of 420 pixels
    flat = plots.densities(np.zeros(3), {"inter": np.zeros(3)}, "all at one place")
    assert ElementTree.fromstring(flat).get("class") == "densities"


def test_similarity_is_a_picture_with_a_cell_a_bar() -> None:
    values = np.array([[1.0, 0.5, np.nan], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])
    svg = plots.similarity(values, "three bars", kind="reference")
    found = re.search(r"base64,([^\"]+)", svg)
    assert found
    png = base64.b64decode(found[1])
    assert struct.unpack(">II", png[16:24]) == (3, 3)
    start = png.index(b"IDAT")
    (size,) = struct.unpack(">I", png[start - 4 : start])
    lines = np.frombuffer(zlib.decompress(png[start + 4 : start + 4 + size]), np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(lines[:, 1:], [[255, 128, 0], [128, 255, 0], [0, 0, 255]])


# Words and numbers ----------------------------------------------------------------------------------------------------


def test_numbers_have_three_digits_and_true_signs() -> None:
    values = [0.0, 0.5, 1.23456, 123.4, 12345.6, -0.0213, 1.5e-8, np.nan, np.inf]
    said = ["0", "0.500", "1.23", "123", "12\u202f346", "−0.0213", "1.5 × 10^−8", "–", "∞"]
    assert [number(value) for value in values] == said
    assert signed(0.5) == "+0.50"
    assert signed(-0.5) == "−0.50"
    # A width of 0.0015 asks for 1 - floor(log10(0.0015)) = 4 decimals; 3 digits of 0.5832 for 3.
    assert with_bounds(Interval(0.58321, 0.5824, 0.5839, 9)) == "0.5832 [0.5824, 0.5839]"
    assert bounds(NOWHERE) == ""
    assert [duration(hours) for hours in (0.02, 0.5, 3.652)] == ["72 seconds", "30 minutes", "3.65 hours"]
    assert percent(Interval(0.834, 0.79, 0.871, 9)) == "83 % [79, 87]"


def test_the_standardised_difference_is_in_deviations_between_pieces() -> None:
    sides = Interval(5, 4.6, 5.4, 100), Interval(4, 3.6, 4.4, 100)
    apart = standardised(Figure("x/1", *sides, Interval(1, 0.4, 1.6, 200), spread=2.0))
    assert (apart.mean, apart.low, apart.high) == pytest.approx((0.5, 0.2, 0.8))
    constant = Interval(1, 1, 1, 5), Interval(1, 1, 1, 5)
    assert standardised(Figure("x/1", *constant, Interval(0, 0, 0, 10), spread=0.0)).mean == 0
    assert standardised(Figure("x/1", *constant, Interval(1, 1, 1, 10), spread=0.0)).mean == np.inf
    assert np.isnan(standardised(Figure("x/1", *sides, Interval(1, 0.4, 1.6, 200))).mean)
    assert np.isnan(standardised(Figure("x/1", NOWHERE)).mean)


def test_the_summary_says_what_the_figures_say() -> None:
    lines = summary_lines(little_report())
    length = duration(little_report().generated.hours)
    assert lines[0].startswith(f"6 pieces of GENERATED ({length}) are compared with 8 pieces of REFERENCE (")
    assert lines[1] == (
        "A classifier that sees these measures tells the two sets apart in 83 % [79, 87] of cases; one that sees piano "
        "rolls cannot tell the two sets apart: it is right in 52 % [46, 58] of cases; 50 % would be chance. Generated "
        "music gives itself away by more no-such and less no-value."
    )
    text = "\n".join(lines)
    assert "4.10 [3.50, 4.80]; two halves of the reference lie 0.340 apart, so this is 12.1 times the floor" in text
    assert "the longest is 23 notes, in a.mid out of b.mid" in text
    assert "0.700 nats apart" in text  # the median of 0.5, 0.6, 0.7, 0.8, 0.9
    assert 5 <= len(lines) <= 10


def test_style_is_counted_by_the_intervals() -> None:
    rows = [metric for metric in METRICS if metric.style and not metric.variant]
    same, apart = Interval(0.1, -0.1, 0.3, 80), Interval(1.0, 0.8, 1.2, 80)
    either = Interval(2.0, 1.9, 2.1, 40)
    made = [Figure(row.definition, either, either, apart if i == 0 else same, spread=0.5) for i, row in enumerate(rows)]
    (line,) = (said for said in summary_lines(replace(little_report(), figures=made)) if "style measure" in said)
    assert line.startswith(f"Of {len(rows)} style measures {len(rows) - 1} agree")
    assert line.count("(+") == 1
