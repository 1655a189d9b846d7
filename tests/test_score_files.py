import importlib.util
import io
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import mido
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symusic import ControlChange, KeySignature, Note, Score, Tempo, TimeSignature, Track

from orchestrion.core.files import WritingError
from orchestrion.music import ScoreError
from orchestrion.music.bars import bars, tempo
from orchestrion.music.files import Limits, read, write_midi, write_musicxml
from orchestrion.music.theory import Meter

NOTE = b"\x00\x90\x3c\x40\x60\x80\x3c\x40"  # middle C, 96 ticks
END = b"\x00\xff\x2f\x00"


def midi(*tracks: bytes, kind: int = 1, division: int = 96) -> bytes:
    chunks = b"".join(b"MTrk" + struct.pack(">I", len(track)) + track for track in tracks)
    return b"MThd" + struct.pack(">IHHH", 6, kind, len(tracks), division) + chunks


def band(pitched: int, drums: int = 1) -> Score:
    score = Score(480)
    score.tempos.append(Tempo(0, qpm=97.3))
    score.time_signatures.append(TimeSignature(0, 3, 4))
    score.key_signatures.append(KeySignature(0, -1, 1))
    for index in range(pitched + drums):
        track = Track(f"part {index}", index * 7 % 128, index >= pitched)
        for beat in range(6):
            track.notes.append(Note(480 * beat + 40 * (index % 12), 200 + index, 40 + index + beat, 20 + beat * 15))
        score.tracks.append(track)
    return score


def contents(score: Score) -> list[tuple]:
    return [
        (track.name, track.program, track.is_drum, [(n.time, n.duration, n.pitch, n.velocity) for n in track.notes])
        for track in score.tracks
    ]


def put(folder: Path, data: bytes, name: str = "a.mid") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def reason(path: Path, limits: Limits | None = None) -> str:
    with pytest.raises(ScoreError) as caught:
        read(path, limits or Limits())
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("pitched", "drums"), [(1, 0), (4, 1), (15, 1), (16, 1), (40, 3)])
def test_midi_round_trip_keeps_notes_programs_names_and_drums(tmp_path: Path, pitched: int, drums: int) -> None:
    score = band(pitched, drums)
    path = tmp_path / "band.mid"
    write_midi(score, path)
    again = read(path)
    assert contents(again) == contents(score)
    assert tempo(again) == 97.3
    assert bars(again) == bars(score)
    assert bars(again)[0].meter == Meter(3, 4)
    assert again.key_signatures[0].key == -1
    first = path.read_bytes()
    write_midi(score, path)
    assert path.read_bytes() == first
    assert [file.name for file in tmp_path.iterdir()] == ["band.mid"]


def test_drums_and_only_drums_are_written_to_channel_ten(tmp_path: Path) -> None:
    write_midi(band(20, 2), tmp_path / "band.mid")
    for index, track in enumerate(mido.MidiFile(tmp_path / "band.mid").tracks):
        channels = {message.channel for message in track if message.type == "note_on"}
        assert (channels == {9}) == (index >= 20)


@pytest.mark.parametrize(("pitched", "drums"), [(9, 2), (16, 1), (30, 0), (60, 3)])
def test_a_player_hears_every_note_with_the_program_of_its_track(tmp_path: Path, pitched: int, drums: int) -> None:
    score = band(pitched, drums)
    for index in range(0, pitched, 3):
        score.tracks[index].program = 4
    for track in score.tracks:  # a run of one kind of event, which symusic writes with running status
        track.controls.extend([ControlChange(time, 7, time) for time in range(0, 100, 10)])
    write_midi(score, tmp_path / "band.mid")
    programs = [0] * 16  # as a player keeps them, which merges the tracks
    heard = []
    for message in mido.merge_tracks(mido.MidiFile(tmp_path / "band.mid").tracks):
        if message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type == "note_on" and message.velocity:
            heard.append((-1 if message.channel == 9 else programs[message.channel], message.note, message.velocity))
    wanted = [
        (-1 if track.is_drum else track.program, note.pitch, note.velocity)
        for track in score.tracks
        for note in track.notes
    ]
    assert sorted(heard) == sorted(wanted)
    assert contents(read(tmp_path / "band.mid")) == contents(score)
    for old, new in zip(score.tracks, read(tmp_path / "band.mid").tracks, strict=True):
        assert old.controls == new.controls


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([1, 3, 24, 96, 100, 480, 960, 32767]), st.data())
def test_type_0_of_any_resolution_reads_as_mido_wrote_it(tmp_path_factory: pytest.TempPathFactory, tpq, data) -> None:
    # notes one after the other on three channels of a single track
    notes = data.draw(
        st.lists(st.tuples(st.sampled_from([0, 4, 9]), st.integers(0, 127), st.integers(1, 40)), min_size=1)
    )
    file = mido.MidiFile(type=0, ticks_per_beat=tpq)
    track = mido.MidiTrack()
    file.tracks.append(track)
    clock, wanted = 0, []
    for channel, pitch, length in notes:
        track.append(mido.Message("note_on", channel=channel, note=pitch, velocity=70))
        track.append(mido.Message("note_on", channel=channel, note=pitch, velocity=0, time=length))
        wanted.append((clock, length, pitch, channel == 9))
        clock += length
    path = tmp_path_factory.mktemp("type0") / "a.mid"
    file.save(path)
    score = read(path)
    assert score.tpq == tpq
    got = [(n.time, n.duration, n.pitch, track.is_drum) for track in score.tracks for n in track.notes]
    assert sorted(got) == sorted(wanted)


def test_running_status_and_missing_end_of_track(tmp_path: Path) -> None:
    running = b"\x00\x90\x3c\x40\x60\x3c\x00\x00\x3e\x40\x30\x3e\x00"
    for data in (midi(running + END), midi(running), midi(running + END) + b"trailing"):
        score = read(put(tmp_path, data))
        assert [(n.time, n.duration, n.pitch) for n in score.tracks[0].notes] == [(0, 96, 60), (96, 48, 62)]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"hello, I am text", "MThd"),
        (midi(NOTE + END)[:13], "MThd"),
        (midi(NOTE + END)[:-6], "damaged"),
        (midi(NOTE + END, division=0xE728), "SMPTE"),
        (midi(NOTE + END, division=0), "resolution"),
        (midi(NOTE + END, kind=2), "type 2"),
        (midi(END), "no notes"),
        (midi(b"\x00\xff\x51\x03\x00\x00\x00" + NOTE + END), "tempo"),
        (midi(b"\xff\xff\xff\x7f" + NOTE[1:] + END), "quarter notes"),
        (midi(b"\x81\xfd\x80\x00" + NOTE[1:] + END), "hours"),
        (midi(NOTE + b"\xff\xff\xff\x7f\xb0\x01\x01" * 9 + NOTE + END), "outside"),
    ],
)
def test_a_bad_midi_file_is_named_with_its_reason(tmp_path: Path, data: bytes, words: str) -> None:
    assert words in reason(put(tmp_path, data))


def test_missing_folder_unknown_name_and_limits(tmp_path: Path) -> None:
    assert "no such file" in reason(tmp_path / "none.mid")
    assert "not a file" in reason(tmp_path)
    assert ".musicxml" in reason(put(tmp_path, b"x", "a.txt"))
    path = put(tmp_path, midi(*[NOTE * 3 + END] * 3))
    assert len(read(path).tracks) == 3
    assert "MiB" in reason(path, Limits(file_bytes=50))
    assert "9 notes" in reason(path, Limits(notes=8))
    assert "3 tracks" in reason(path, Limits(tracks=2))


def test_unreadable_key_signatures_are_dropped(tmp_path: Path) -> None:
    data = midi(b"\x00\xff\x59\x02\x63\x09" + b"\x00\xff\x59\x02\xfd\x01" + NOTE + END)
    assert [(sign.key, sign.tonality) for sign in read(put(tmp_path, data)).key_signatures] == [(-3, 1)]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=120).map(lambda body: midi(body)),
        st.binary(max_size=120).map(lambda body: midi(NOTE + body + NOTE + END, kind=0)),
    )
)
def test_any_bytes_give_a_score_or_a_score_error(tmp_path: Path, data: bytes) -> None:
    _score_or_reason(put(tmp_path, data))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_mutated_file_gives_a_score_or_a_score_error(tmp_path: Path, data) -> None:
    original = band(3).dumps_midi()
    mutated = bytearray(original)
    for position, value in data.draw(st.lists(st.tuples(st.integers(0, len(original) - 1), st.integers(0, 255)))):
        mutated[position] = value
    _score_or_reason(put(tmp_path, bytes(mutated[: data.draw(st.integers(0, len(original)))])))


def _score_or_reason(path: Path) -> None:
    try:
        score = read(path)
    except ScoreError:
        reason(path)
        return
    assert score.note_num() > 0
    for track in score.tracks:
        assert all(n.time >= 0 and n.duration >= 0 and 0 <= n.pitch <= 127 for n in track.notes)
    write_midi(score, path)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, b"the old file")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(WritingError, match="No space left"):
        write_midi(band(1), path)
    assert path.read_bytes() == b"the old file"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_to_a_missing_folder_is_a_writing_error(tmp_path: Path) -> None:
    with pytest.raises(WritingError, match="cannot write"):
        write_midi(band(1), tmp_path / "none" / "a.mid")


def test_reading_files_does_not_import_torch() -> None:
    code = "import sys, orchestrion.music.files, orchestrion.music.beats, orchestrion.music.analysis as a; "
    code += "raise SystemExit(any(m in sys.modules for m in ('torch', 'partitura', 'matplotlib')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["a.musicxml", "a.mxl"])
def test_musicxml_round_trip_on_its_grid(tmp_path: Path, name: str) -> None:
    _needs_partitura()
    score = band(3)
    score.tempos.append(Tempo(480 * 4, qpm=60))
    path = tmp_path / name
    write_musicxml(score, path)
    first = path.read_bytes()
    write_musicxml(score, path)
    assert path.read_bytes() == first
    again = read(path)
    for old, new in zip(score.tracks, again.tracks, strict=True):
        assert (old.name, old.program, old.is_drum) == (new.name, new.program, new.is_drum)
        assert [(n.time, n.pitch) for n in old.notes] == [(n.time, n.pitch) for n in new.notes]
        ends = [20 * round((n.time + n.duration) / 20) for n in old.notes]  # 24 of a quarter note
        assert ends == [n.time + n.duration for n in new.notes]
    assert [(round(t.qpm, 2), t.time) for t in again.tempos] == [(97.3, 0), (60.0, 1920)]
    assert bars(again) == bars(score)
    assert bars(again)[0].meter == Meter(3, 4)
    assert [(sign.key, sign.tonality) for sign in again.key_signatures] == [(-1, 1)]


def _needs_partitura() -> None:
    if importlib.util.find_spec("partitura") is None:
        pytest.skip("the extra notation is not installed")


PICKUP = """<score-partwise><part-list><score-part id="P1"><part-name>Clarinet</part-name>
<midi-instrument id="I"><midi-channel>2</midi-channel><midi-program>72</midi-program></midi-instrument>
</score-part></part-list><part id="P1">
<measure number="0" implicit="yes"><attributes><divisions>2</divisions><key><fifths>2</fifths></key>
<time><beats>4</beats><beat-type>4</beat-type></time>
<transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose></attributes>
<note><pitch><step>D</step><octave>4</octave></pitch><duration>2</duration></note></measure>
<measure number="1"><note><pitch><step>E</step><octave>4</octave></pitch><duration>8</duration></note></measure>
<measure number="2"><note><pitch><step>E</step><octave>4</octave></pitch><duration>8</duration></note></measure>
</part></score-partwise>"""


def test_musicxml_pickup_bar_and_transposing_instrument(tmp_path: Path) -> None:
    _needs_partitura()
    score = read(put(tmp_path, PICKUP.encode(), "a.xml"))
    assert [(n.time, n.pitch) for n in score.tracks[0].notes] == [(0, 60), (480, 62), (2400, 62)]
    assert score.tracks[0].program == 71
    assert [(bar.start, bar.meter.name) for bar in bars(score)] == [(0, "1/4"), (480, "4/4"), (2400, "4/4")]


def test_hostile_musicxml_is_refused(tmp_path: Path) -> None:
    _needs_partitura()
    laughs = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><score-partwise>&b;</score-partwise>'
    assert "entities" in reason(put(tmp_path, laughs.encode(), "a.xml"))
    assert "well-formed" in reason(put(tmp_path, b"<score-partwise>", "a.xml"))
    assert "<html>" in reason(put(tmp_path, b"<html></html>", "a.xml"))
    assert "no notes" in reason(put(tmp_path, PICKUP.replace("pitch", "p").encode(), "a.xml"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.xml", b" " * 10_000_000)
    path = put(tmp_path, buffer.getvalue(), "a.mxl")
    assert "unpacks" in reason(path, Limits(file_bytes=1_000_000))
    assert "damaged" in reason(put(tmp_path, buffer.getvalue()[:500], "a.mxl"))
