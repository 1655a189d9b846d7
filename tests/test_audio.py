"""The real synthesizer on scores of a second or two, listened to by Fourier transform."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from symusic import ControlChange, Note, Pedal, PitchBend, Score, Tempo, Track

from orchestrion.rendering import RenderError
from orchestrion.rendering.audio import MAX_TRACKS, PEAK, SOUNDFONT_VARIABLE, TAIL_SECONDS, synthesize, write_wav

RATE = 22050
FLUTE = 73


def track_of(notes: list[tuple[int, int, int]], program: int = FLUTE, is_drum: bool = False) -> Track:
    """A track of (time, duration, pitch), times in ticks at 480 a quarter note: 960 a second at the default tempo."""
    track = Track("", program, is_drum)
    for time, duration, pitch in notes:
        track.notes.append(Note(time, duration, pitch, 100))
    return track


def score_of(*tracks: Track) -> Score:
    score = Score(480)
    for track in tracks:
        score.tracks.append(track)
    return score


def spectrum(audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz and the power at each."""
    mono = audio.mean(axis=0) * np.hanning(audio.shape[1])
    return np.fft.rfftfreq(len(mono), 1 / RATE), np.abs(np.fft.rfft(mono)) ** 2


def loudness(audio: np.ndarray, first_second: float, last_second: float) -> float:
    return float(np.sqrt(np.mean(audio[:, int(first_second * RATE) : int(last_second * RATE)] ** 2)))


@pytest.mark.parametrize(("pitch", "hertz"), [(69, 440.0), (81, 880.0), (72, 523.25)])
def test_a_note_sounds_at_its_pitch(pitch: int, hertz: float) -> None:
    frequencies, power = spectrum(synthesize(score_of(track_of([(0, 1920, pitch)])), sample_rate=RATE))
    near = np.abs(frequencies - hertz) < hertz * 0.03
    assert abs(frequencies[near][power[near].argmax()] - hertz) < hertz * 0.012  # a fifth of a semitone
    octave_below = np.abs(frequencies - hertz / 2) < hertz * 0.03
    assert power[near].max() > 100 * power[octave_below].max()


def test_a_snare_drum_is_noise_and_a_flute_is_not() -> None:
    def flatness(score: Score) -> float:
        frequencies, power = spectrum(synthesize(score, sample_rate=RATE)[:, : RATE // 4])
        heard = power[(frequencies > 200) & (frequencies < 5000)]
        return float(np.exp(np.log(heard + 1e-12).mean()) / heard.mean())

    snare = flatness(score_of(track_of([(0, 240, 38)], program=0, is_drum=True)))
    assert snare > 10 * flatness(score_of(track_of([(0, 240, 69)])))


def test_shape_peak_and_tail() -> None:
    audio = synthesize(score_of(track_of([(0, 960, 69), (0, 960, 76)])), sample_rate=RATE)
    assert audio.dtype == np.float32
    assert audio.shape[0] == 2
    assert RATE <= audio.shape[1] <= (1 + TAIL_SECONDS) * RATE
    assert np.abs(audio).max() == pytest.approx(PEAK, abs=1e-4)
    assert np.abs(audio[:, -1]).max() < 0.01


def test_onsets_follow_the_tempo_map() -> None:
    score = score_of(track_of([(1920, 240, 38)], program=0, is_drum=True))
    score.tempos.append(Tempo(960, 240))  # two quarters at the standard's 120 a minute, then two at 240: 1.5 seconds
    audio = synthesize(score, sample_rate=RATE)
    onset = np.flatnonzero(np.abs(audio).max(axis=0) > 0.02)[0] / RATE
    assert onset == pytest.approx(1.5, abs=0.01)


def test_pedal_from_controls_and_from_pedals_lets_notes_ring() -> None:
    notes = [(0, 120, 60), (2880, 120, 96)]  # the second note only makes the piece last
    dry, controlled, pedalled = (track_of(notes, program=0) for _ in range(3))
    controlled.controls.append(ControlChange(0, 64, 127))
    pedalled.pedals.append(Pedal(0, 2400))
    dry_tail, controlled_tail, pedalled_tail = (
        loudness(synthesize(score_of(track), sample_rate=RATE), 1.0, 2.0) for track in (dry, controlled, pedalled)
    )
    assert controlled_tail > 5 * dry_tail
    assert pedalled_tail > 5 * dry_tail


def test_pitch_bend_is_played() -> None:
    track = track_of([(0, 1920, 69)])
    track.pitch_bends.append(PitchBend(0, 8191))  # up a whole tone, to 493.9 Hz
    frequencies, power = spectrum(synthesize(score_of(track), sample_rate=RATE))
    near = (frequencies > 400) & (frequencies < 530)
    assert frequencies[near][power[near].argmax()] == pytest.approx(493.9, rel=0.012)


def test_forty_flutes_and_a_drum_among_them_are_all_heard_as_what_they_are() -> None:
    tracks = [track_of([(480 * k, 240, 69)]) for k in range(41)]
    tracks[20] = track_of([(480 * 20, 240, 38)], program=0, is_drum=True)
    audio = synthesize(score_of(*tracks), sample_rate=RATE)
    for k in range(41):
        frequencies, power = spectrum(audio[:, k * RATE // 2 : (k + 1) * RATE // 2])
        at_440, high = (power[part].sum() / power.sum() for part in (abs(frequencies - 440) < 15, frequencies > 3000))
        assert (high > 0.1 and at_440 < 0.3) if k == 20 else (high < 0.01 and at_440 > 0.7), f"track {k}"


def test_a_repeated_note_and_one_without_length_end() -> None:
    score = score_of(track_of([(0, 480, 69), (480, 480, 69), (960, 0, 69), (4800, 1, 20)]))
    assert loudness(synthesize(score, sample_rate=RATE), 2.5, 4.5) < 0.003


def test_same_score_same_bytes_and_nothing_else_left_or_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    score = score_of(track_of([(0, 480, 60)], program=0), track_of([(0, 120, 42)], program=0, is_drum=True))
    write_wav(score, tmp_path / "a.wav", sample_rate=RATE)
    write_wav(score.copy(), tmp_path / "b.wav", sample_rate=RATE)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.wav", "b.wav"]
    about = soundfile.info(tmp_path / "a.wav")
    assert (about.samplerate, about.channels, about.subtype) == (RATE, 2, "PCM_16")
    assert capfd.readouterr() == ("", "")


def test_soundfont_by_argument_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    score = score_of(track_of([(0, 480, 60)]))
    broken = tmp_path / "broken.sf2"
    broken.write_bytes(b"RIFF no sound font")
    with pytest.raises(RenderError, match=r"broken\.sf2 is not a sound font"):
        synthesize(score, soundfont=broken)
    monkeypatch.setenv(SOUNDFONT_VARIABLE, str(tmp_path / "missing.sf2"))
    with pytest.raises(RenderError, match=r"no sound font .*missing\.sf2"):
        synthesize(score)


def test_broken_soundfont_says_nothing_on_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.sf2").write_bytes(b"RIFF")
    with pytest.raises(RenderError):
        synthesize(score_of(track_of([(0, 480, 60)])), soundfont=tmp_path / "broken.sf2")
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_played_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="no notes"):
        write_wav(score_of(Track("", 0, False)), tmp_path / "empty.wav")
    assert not list(tmp_path.iterdir())
    with pytest.raises(RenderError, match="at most 60"):
        synthesize(score_of(track_of([(2**30, 480, 60)])))
    with pytest.raises(RenderError, match="tracks"):
        synthesize(score_of(*[track_of([(0, 1, 60)])] * (MAX_TRACKS + 1)))
    with pytest.raises(RenderError, match="sample rate"):
        synthesize(score_of(track_of([(0, 1, 60)])), sample_rate=1000)
