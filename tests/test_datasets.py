from __future__ import annotations

import csv
import io
import json
import lzma
import pickle
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from symusic import Note, Score, Tempo, TimeSignature, Track

from orchestrion.data.captions.sentences import captions, facts_of
from orchestrion.data.dataset import SPLIT_NAMES, Item, unpack
from orchestrion.data.datasets import DATASETS, recognise
from orchestrion.data.datasets.folder import Folder
from orchestrion.data.datasets.pop909 import Pop909
from orchestrion.data.store import SPLITS, CorpusError
from orchestrion.music import ScoreError
from orchestrion.music.bars import bars, instrument, tempo
from orchestrion.music.theory import DRUMS

Notes = Sequence[tuple[int, int, int]]  # (onset in ticks, length in ticks, pitch)
SCALE: Notes = [(480 * beat, 480, 60 + step) for beat, step in enumerate((0, 2, 4, 5, 7, 9, 11, 12))]


def write_score(path: Path, tracks: dict[str, Notes], meter: tuple[int, int] = (4, 4), qpm: float = 120.0) -> None:
    score = Score(480)
    score.tempos, score.time_signatures = [Tempo(0, qpm=qpm)], [TimeSignature(0, *meter)]
    for name, notes in tracks.items():
        track = Track(name, 0, name == "drums")
        track.notes.extend(Note(time, length, pitch, 80) for time, length, pitch in notes)
        score.tracks.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    score.dump_midi(path)


def write_table(path: Path, rows: list[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    data = text.getvalue().encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(data) if path.suffix == ".xz" else data)


def write_band(root: Path) -> None:
    labels = {"genre_folder": "rock", "amg_genre": "Pop_Rock|Jazz", "tagtraum_genre": "", "song_cluster": "7"}
    tags = "awesome|mellow|some singer|jazz"
    rows = [
        {"id": "ums/rock/1.mid", "md5": "a" * 32, "lastfm_tags": tags, "split": "train", **labels},
        {"id": "ums/rock/2.mid", "md5": "b" * 32, "lastfm_tags": "", "split": "valid", **labels},
    ]
    for row in rows:
        row |= {"artist": "Some Singer", "title": "Some Song"}
        write_score(root / row["id"], {"lead": SCALE, "drums": [(0, 120, 36)]})
    write_table(root / "band_core.csv", rows)


def write_commu(root: Path) -> None:
    row = {
        "id": "commu00001", "key_midi": "Am", "time_signature": "3/4", "bpm": "90", "genre": "newage",
        "inst": "string_cello-2", "track_role": "main_melody", "pitch_range": "mid_low", "sample_rhythm": "standard",
        "split_data": "val",
    }  # fmt: skip
    unlabelled = dict.fromkeys(row, "") | {"id": "commu00002", "key_midi": "C", "time_signature": "4/4", "bpm": "60"}
    for entry in (row, unlabelled):
        write_score(root / "midiFiles" / f"{entry['id']}.mid", {"": SCALE}, (3, 4), 90)
    write_table(root / "commu_recovered_meta_all_11144.csv.xz", [row, unlabelled])


def write_emopia(root: Path) -> None:
    for table, clip in (("train", "Q1_abc_1_0"), ("val", "Q3_xyz_0"), ("test", "Q4_uvw_2")):
        write_score(root / "midis" / f"{clip}.mid", {"": SCALE * 4})
        write_table(root / "split" / f"{table}_clip.csv", [{"": "0", "clip_name": f"{clip}.mid"}])


def write_groove(root: Path) -> None:
    common = {"drummer": "drummer1", "session": "s", "time_signature": "6-8", "bpm": "90", "beat_type": "beat"}
    whole = {"id": "drummer1/s/1", "style": "latin/brazilian-samba", "midi_filename": "drummer1/s/1.mid"}
    short = {"id": "drummer1/s/2", "style": "rock", "midi_filename": "drummer1/s/2.mid"}
    rows = [
        common | whole | {"duration": "8.0", "split": "validation"},
        common | short | {"duration": "0.5", "split": "train"},
    ]
    write_table(root / "info.csv", rows)
    for row in rows:
        write_score(root / "groove" / row["midi_filename"], {"kit": [(0, 120, 22), (240, 120, 38)]})
    (root / "groove" / "Icon\r").write_bytes(b"")  # macOS leaves such files in the source


def write_jsb(root: Path) -> None:
    opening = [[67, 62, 59, 43]] * 4  # an upbeat of one beat, then a bar in which the tenor rests
    chorales = {"train": [opening + [[67, 64, -1, 48]] * 16], "valid": [[[60, 57, 53, 41]] * 16], "test": []}
    root.mkdir(parents=True, exist_ok=True)
    (root / "Jsb16thSeparated.json.xz").write_bytes(lzma.compress(json.dumps(chorales).encode()))


def write_asap(root: Path) -> None:
    def row(composer: str, folder: str, title: str, maestro: str, cluster: str) -> dict[str, str]:
        return {
            "composer": composer, "title": title, "folder": folder, "midi_score": f"{folder}/midi_score.mid",
            "official_maestro_v2_split": maestro, "ecomp_cluster_split": cluster,
        }  # fmt: skip

    rows = [
        row("Bach", "Bach/Fugue/bwv_1", "Fugue_bwv_1", "train", "train"),
        row("Bach", "Bach/Fugue/bwv_1", "Fugue_bwv_1", "test", "train"),
        row("Chopin", "Chopin/Etudes_op_10/3", "Etudes_op_10_3", "", "validation"),
        row("Ravel", "Ravel/Miroirs/4", "Miroirs_4", "", ""),
    ]
    for entry in rows:
        write_score(root / entry["midi_score"], {"right": SCALE, "left": SCALE}, (3, 4))
    write_table(root / "asap_metadata_with_splits.csv", rows)


OFFSET_TICKS = 40  # by which the notes of the tiny POP909 lie off the beat
BARS = 8


def write_pop909(root: Path) -> None:
    """A song whose notes lie off the beat, whose corrected file starts one beat late in the bar, with a waltz after."""
    for number, beats, written in (("001", 4, (4, 4)), ("002", 3, (3, 8))):
        melody = [(480 * beat, 240, 60 + beat % 12) for beat in range(beats * BARS)]
        bass = [(480 * beats * bar, 480 * beats, 36 + bar) for bar in range(BARS)]
        early = [(time + 480, length, pitch) for time, length, pitch in (*melody, *bass)]
        chords = [(time + 480, length, pitch + 12) for time, length, pitch in bass]
        late = {
            name: [(time + OFFSET_TICKS, length, pitch) for time, length, pitch in notes]
            for name, notes in (("MELODY", melody), ("PIANO", bass))
        }
        write_score(root / "POP909" / number / f"{number}.mid", late, (1, 4), 60)
        write_score(root / "POP909_CL_processed" / f"{number}.mid", {"piano": early, "chords": chords}, written, 100)
        seconds = OFFSET_TICKS / 480 + np.arange(beats * BARS)  # at 60 quarter notes a minute
        np.savetxt(root / "POP909" / number / "beat_audio.txt", np.c_[seconds, 1 + np.arange(beats * BARS) % beats])


def write_maestro(root: Path) -> None:
    def row(composer: str, title: str, split: str, file: str) -> dict[str, str]:
        return {"canonical_composer": composer, "canonical_title": title, "split": split, "midi_filename": file}

    rows = [
        row("Franz Schubert / Franz Liszt", "Der Doppelgänger", "validation", "2009/R1_02.midi"),
        row("Alban Berg", "Sonata Op. 1", "train", "2008/R2_01.midi"),
        row("Alban Berg", "Sonata Op. 1", "test", "2009/R1_01.midi"),
    ]
    for entry in rows:
        write_score(root / "maestro-v3.0.0" / entry["midi_filename"], {"": SCALE})
    write_table(root / "maestro-v3.0.0.csv", rows)


def write_lpd(root: Path) -> None:
    """Two files of one song and one of each of two others, with lists as they are published and packed."""
    for letter, number, file in (("A", 1, 1), ("A", 1, 2), ("B", 2, 3), ("C", 3, 4)):
        song = f"TR{letter * 5}000000000{letter}{number}"
        write_rolls(root / "lpd_5" / "lpd_5_matched" / letter / letter / letter / song / f"{str(file) * 32}.npz")
    (root / "labels" / "amg").mkdir(parents=True)
    (root / "labels" / "lastfm").mkdir()
    (root / "labels" / "amg" / "id_list_Pop_Rock.txt").write_text("TRAAAAA000000000A1\nTRBBBBB000000000B2\n")
    (root / "labels" / "amg" / "masd_labels.txt").write_text("# msd_id, label_num\nTRAAAAA000000000A1    9\n")
    (root / "labels" / "lastfm" / "id_list_mellow.txt").write_text("TRBBBBB000000000B2\n")
    (root / "mmt_lmdfull_test.txt.xz").write_bytes(lzma.compress(f"2/{'2' * 32}.mid\n5/{'5' * 32}.mid\n".encode()))
    (root / "mmt_lmdfull_valid.txt").write_text(f"3/{'3' * 32}.mid\n")


def write_rolls(path: Path) -> None:
    """An archive as pypianoroll writes them: a stroke a beat, and a scale on the piano."""
    drums, piano = np.zeros((192, 128), np.uint8), np.zeros((192, 128), np.uint8)
    drums[::24, 36] = 90
    for beat, (_, _, pitch) in enumerate(SCALE):
        piano[24 * beat : 24 * beat + 23, pitch] = 80
    arrays: dict[str, np.ndarray] = {"tempo": np.full(192, 96.0), "downbeat": np.arange(192) % 96 == 0}
    for number, one in enumerate((drums, piano)):
        pitch, step = np.nonzero(one.T)
        columns = {"data": one[step, pitch], "indices": step, "indptr": np.searchsorted(pitch, np.arange(129))}
        arrays |= {f"pianoroll_{number}_csc_{name}": np.array(values, np.int32) for name, values in columns.items()}
        arrays[f"pianoroll_{number}_csc_shape"] = np.array(one.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    tracks = {
        "0": {"program": 0, "is_drum": True, "name": "Drums"},
        "1": {"program": 0, "is_drum": False, "name": "Piano"},
    }
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("info.json", json.dumps(tracks | {"beat_resolution": 24, "name": path.stem}))


WRITERS = {
    "lpd": write_lpd,
    "band": write_band, "pop909": write_pop909, "commu": write_commu, "emopia": write_emopia, "groove": write_groove,
    "jsb": write_jsb, "asap": write_asap, "maestro": write_maestro,
}  # fmt: skip


@pytest.fixture(params=WRITERS)
def named(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    WRITERS[request.param](tmp_path)
    return request.param, tmp_path


def load_all(root: Path) -> dict[str, tuple[Item, Score]]:
    dataset = recognise(root)
    return {item.id: (item, dataset.load(root, item)) for item in dataset.items(root)}


def test_every_dataset_is_known_by_its_files_and_keeps_the_contract(named: tuple[str, Path]) -> None:
    name, root = named
    dataset = recognise(root)
    assert dataset.name == name
    assert all((dataset.licence, dataset.source, dataset.defects))
    items = dataset.items(root)
    assert len(items) > 0
    assert list(items) == list(pickle.loads(pickle.dumps(dataset)).items(root))
    assert len({item.id for item in items}) == len(items)
    for item in items:
        assert item.id.startswith(f"{name}/")
        assert item.split is None or item.split in SPLITS
        assert (root / item.path).is_file()
        assert dataset.load(root, item).note_num() > 0


def test_every_dataset_is_read_from_an_archive_as_shipped(named: tuple[str, Path], tmp_path: Path) -> None:
    name, root = named
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    with tarfile.open(shipped / f"{name}.tar.xz", "w:xz") as tar:
        for path in sorted(root.iterdir()):
            if path.is_dir() and path != shipped:
                tar.add(path, path.name)
    for path in root.iterdir():
        if path.is_file() or path.name == "split":
            path.rename(shipped / path.name)
    dataset = recognise(shipped)
    assert dataset.name == name
    unpacked = unpack(dataset, shipped, tmp_path / "cache")
    assert len(dataset.items(unpacked)) > 0
    before = unpacked.stat().st_mtime_ns
    assert unpack(dataset, shipped, tmp_path / "cache") == unpacked
    assert unpacked.stat().st_mtime_ns == before
    assert len(list((tmp_path / "cache").iterdir())) == 1


@pytest.mark.parametrize("member", ["../outside.mid", "/outside.mid", "a/../../outside.mid", "..\\outside.mid"])
def test_an_archive_that_would_write_outside_is_refused(tmp_path: Path, member: str) -> None:
    with tarfile.open(tmp_path / "music.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(member), io.BytesIO())
    with pytest.raises(CorpusError, match="outside"):
        unpack(Folder(), tmp_path, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_archive_with_a_link_that_leads_outside_is_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("song.mid")
    link.type, link.linkname = tarfile.SYMTYPE, "../../../etc/passwd"
    with tarfile.open(tmp_path / "music.tar", "w") as tar:
        tar.addfile(link)
    with pytest.raises(CorpusError, match="cannot unpack"):
        unpack(Folder(), tmp_path, tmp_path / "cache")


def test_a_damaged_archive_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "music.tar.xz").write_bytes(lzma.compress(b"x" * 100_000)[:60])
    with pytest.raises(CorpusError, match="cannot unpack"):
        unpack(Folder(), tmp_path, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_archive_that_changed_is_unpacked_again(tmp_path: Path) -> None:
    roots = []
    for count in (1, 2):
        with tarfile.open(tmp_path / "music.tar", "w") as tar:
            for number in range(count):
                write_score(tmp_path / "made" / f"{number}.mid", {"": SCALE})
                tar.add(tmp_path / "made" / f"{number}.mid", f"{number}.mid")
        roots.append(unpack(Folder(), tmp_path, tmp_path.parent / f"{tmp_path.name}.cache"))
    assert roots[0] != roots[1]
    assert (roots[1] / "1.mid").is_file()


def test_band_tells_genres_and_moods_but_no_artist_and_no_title(tmp_path: Path) -> None:
    write_band(tmp_path)
    first, second = recognise(tmp_path).items(tmp_path)
    assert first.facts["genre"] == ["rock", "pop rock", "jazz"]
    assert first.facts["mood"] == ["mellow"]
    assert first.group == second.group == "7"
    for item in (first, second):
        told = f"{item.id} {item.facts}".lower()
        assert "singer" not in told
        assert "song" not in told


def test_a_table_that_names_a_missing_file_is_refused(tmp_path: Path) -> None:
    write_band(tmp_path)
    (tmp_path / "ums/rock/2.mid").unlink()
    with pytest.raises(CorpusError, match="whole"):
        recognise(tmp_path).items(tmp_path)


def test_pop909_bars_start_where_music_and_audio_say(tmp_path: Path) -> None:
    write_pop909(tmp_path)
    loaded = load_all(tmp_path)
    for number, meter in (("001", "4/4"), ("002", "3/4")):
        _, score = loaded[f"pop909/{number}"]
        assert [track.name for track in score.tracks] == ["MELODY", "PIANO"]
        found = bars(score)
        assert {bar.meter.name for bar in found} == {meter}
        assert len(found) == BARS
        assert [note.time for note in score.tracks[1].notes] == [bar.start for bar in found]
        assert tempo(score) == 60


def test_pop909_refuses_a_song_whose_corrected_file_holds_another(tmp_path: Path) -> None:
    write_pop909(tmp_path)
    write_score(tmp_path / "POP909_CL_processed/001.mid", {"piano": [(480 * n, 240, 90) for n in range(9)]})
    dataset = Pop909()
    with pytest.raises(ScoreError, match="cannot be aligned"):
        dataset.load(tmp_path, dataset.items(tmp_path)[0])
    (tmp_path / "POP909_CL_processed/001.mid").unlink()
    with pytest.raises(ScoreError, match="lacks what aligns it"):
        dataset.load(tmp_path, dataset.items(tmp_path)[0])


def test_commu_plays_the_instrument_of_its_table(tmp_path: Path) -> None:
    write_commu(tmp_path)
    loaded = load_all(tmp_path)
    item, score = loaded["commu/commu00001"]
    assert instrument(score.tracks[0]) == 42
    assert item.facts == {
        "key": "A minor", "meter": "3/4", "tempo": 90.0, "genre": ["new age"], "instrument": "cello",
        "role": "main melody", "range": "mid low", "rhythm": "standard",
    }  # fmt: skip
    assert item.split == SPLIT_NAMES["valid"]
    item, score = loaded["commu/commu00002"]
    assert (instrument(score.tracks[0]), item.split, "genre" in item.facts) == (0, None, False)


def test_emopia_keeps_clips_of_a_song_together_and_tells_the_emotion(tmp_path: Path) -> None:
    write_emopia(tmp_path)
    items = {item.id: item for item in recognise(tmp_path).items(tmp_path)}
    assert {item.facts["emotion"] for item in items.values()} == {"happy", "sad", "calm"}
    assert items["emopia/Q1_abc_1_0"].group == "abc_1"


def test_groove_is_drums_of_general_midi_at_the_tempo_of_the_table(tmp_path: Path) -> None:
    write_groove(tmp_path)
    loaded = load_all(tmp_path)
    item, score = loaded["groove/drummer1/s/1"]
    assert len(loaded) == 1
    assert item.facts["genre"] == ["latin", "brazilian", "samba"]
    assert instrument(score.tracks[0]) == DRUMS
    assert [note.pitch for note in score.tracks[0].notes] == [42, 38]
    assert (tempo(score), bars(score)[0].meter.name) == (90, "6/8")


def test_jsb_joins_held_notes_and_puts_the_upbeat_before_the_bar_line(tmp_path: Path) -> None:
    write_jsb(tmp_path)
    _, score = load_all(tmp_path)["jsb/train/000"]
    assert [track.name for track in score.tracks] == ["soprano", "alto", "tenor", "bass"]
    notes = [[(note.time, note.duration, note.pitch) for note in track.notes] for track in score.tracks]
    beat = 480
    assert notes[0] == [(3 * beat, 5 * beat, 67)]
    assert notes[1] == [(3 * beat, beat, 62), (4 * beat, 4 * beat, 64)]
    assert notes[2] == [(3 * beat, beat, 59)]


def test_asap_keeps_a_piece_held_out_that_any_performance_holds_out(tmp_path: Path) -> None:
    write_asap(tmp_path)
    items = {item.facts["composer"]: item for item in recognise(tmp_path).items(tmp_path)}
    assert [items[name].split for name in ("Bach", "Chopin", "Ravel")] == ["test", SPLIT_NAMES["valid"], None]
    assert items["Chopin"].facts["style"] == "étude"
    assert "style" not in items["Ravel"].facts


@pytest.mark.parametrize("inside", [True, False])  # where the table lies: beside the files, or beside their folder
def test_maestro_tells_the_composer_but_no_title_and_no_beat(tmp_path: Path, inside: bool) -> None:
    write_maestro(tmp_path)
    root = tmp_path / "maestro-v3.0.0" if inside else tmp_path
    (tmp_path / "maestro-v3.0.0.csv").rename(root / "maestro-v3.0.0.csv")
    dataset = recognise(root)
    items = dataset.items(root)
    assert [(item.facts["composer"], item.split) for item in items] == [
        ("Berg", "train"), ("Berg", "test"), ("Schubert", SPLIT_NAMES["valid"]),
    ]  # fmt: skip
    assert items[0].group == items[1].group != items[2].group
    assert not any(word in repr(item) for item in items for word in ("Sonata", "Doppel"))
    told = facts_of(dataset.load(root, items[0]), items[0].facts)
    assert told["composer"] == "Berg"
    assert not {"tempo", "pace", "meter", "feel"} & set(told)
    assert all(captions(told, np.random.default_rng(0), 6))


def test_lpd_is_read_with_the_lists_that_lie_with_it(tmp_path: Path) -> None:
    write_lpd(tmp_path)
    loaded = load_all(tmp_path)
    items = {Path(item.path).stem[0]: item for item, _ in loaded.values()}
    assert items["1"].group == items["2"].group == "TRAAAAA000000000A1"
    assert [items[n].split for n in "1234"] == ["test", "test", SPLIT_NAMES["valid"], "train"]
    assert [items[n].facts for n in "134"] == [{"genre": ["pop rock"]}, {"genre": ["pop rock"], "mood": ["mellow"]}, {}]
    for _, score in loaded.values():
        assert (score.tpq, tempo(score), bars(score)[0].meter.name) == (24, 96, "4/4")
        assert [(instrument(track), len(track.notes)) for track in score.tracks] == [(DRUMS, 8), (0, 8)]

    root = tmp_path / "lpd_5" / "lpd_5_matched"  # without its lists
    assert {(item.group, item.split, not item.facts) for item in recognise(root).items(root)} == {
        (f"TR{letter * 5}000000000{letter}{n}", None, True) for n, letter in enumerate("ABC", 1)
    }
    full = tmp_path / "full" / "lpd_full" / "1"
    write_rolls(full / f"{'1' * 32}.npz")
    (tmp_path / "full" / "cleansed_ids.txt").write_text(f"{'1' * 32}    TRDDDDD000000000D4\n")
    (item,) = recognise(tmp_path / "full").items(tmp_path / "full")
    assert item.group == "TRDDDDD000000000D4"
    (tmp_path / "mmt_lmdfull_valid.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(CorpusError, match="cannot read the list"):
        recognise(tmp_path).items(tmp_path)


def test_a_folder_that_is_only_called_so_is_not_lpd(tmp_path: Path) -> None:
    write_score(tmp_path / "lpd_5" / "one.mid", {"": SCALE})
    assert recognise(tmp_path / "lpd_5").name == recognise(tmp_path).name == "folder"


def test_a_folder_is_read_in_order_with_what_its_owner_writes(tmp_path: Path) -> None:
    for name in ("b/two.MID", "a/one.mid", "b/three.midi"):
        write_score(tmp_path / name, {"": SCALE})
    (tmp_path / "b/._two.mid").write_bytes(b"resource fork")
    (tmp_path / "notes.txt").write_text("no music")
    row = {"path": "b/two.MID", "split": "test", "genre": "Jazz|swing", "tempo": "96", "caption": "smoky"}
    write_table(tmp_path / "metadata.csv", [row])
    items = recognise(tmp_path).items(tmp_path)
    assert [item.path for item in items] == ["a/one.mid", "b/three.midi", "b/two.MID"]
    assert items[2].facts == {"genre": ["jazz", "swing"], "tempo": 96.0, "caption": "smoky"}
    assert [item.split for item in items] == [None, None, "test"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"path": "one.mid", "split": "some"}, "expected train, valid or test"),
        ({"path": "one.mid", "tempo": "fast"}, "tempo of one.mid"),
        ({"path": "one.mid", "key": "H dur"}, "is not a key"),
        ({"path": "../one.mid"}, "whole"),
        ({"file": "one.mid"}, "no column 'path'"),
    ],
)
def test_a_folders_table_that_cannot_be_true_is_refused(tmp_path: Path, row: dict[str, str], message: str) -> None:
    write_score(tmp_path / "one.mid", {"": SCALE})
    write_table(tmp_path / "metadata.csv", [row])
    with pytest.raises(CorpusError, match=message):
        recognise(tmp_path).items(tmp_path)


def test_a_score_without_possible_bars_is_a_score_error(tmp_path: Path) -> None:
    write_score(tmp_path / "one.mid", {"": SCALE}, meter=(65, 4))
    (item,) = Folder().items(tmp_path)
    with pytest.raises(ScoreError, match="65/4"):
        Folder().load(tmp_path, item)


def test_names_of_datasets_differ() -> None:
    assert len({dataset.name for dataset in DATASETS}) == len(DATASETS)
