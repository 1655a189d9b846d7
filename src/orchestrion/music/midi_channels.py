"""Channels for more tracks than MIDI has channels.

symusic deals channels to tracks in turn, so that from the sixteenth track on two instruments meet on one channel and a
player sounds both with the program that was set last. Here tracks share a channel only with their own program as long
as that is possible, and where it is not, every note is preceded by its program.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from symusic import Track

PITCHED_CHANNELS = tuple(channel for channel in range(16) if channel != 9)
DRUM_CHANNEL = 9
_PROGRAM, _NOTE_ON = 0xC0, 0x90


def assign_channels(tracks: Sequence[Track]) -> list[int]:
    """A channel 0..15 for each track: its own while there are enough, else one for each program, else in turn."""
    pitched = [index for index, track in enumerate(tracks) if not track.is_drum]
    programs = sorted({tracks[index].program for index in pitched})
    few = len(pitched) <= len(PITCHED_CHANNELS)
    seats = {index: seat if few else programs.index(tracks[index].program) for seat, index in enumerate(pitched)}
    count = len(PITCHED_CHANNELS)
    return [PITCHED_CHANNELS[seats[i] % count] if i in seats else DRUM_CHANNEL for i in range(len(tracks))]


def rechannel(data: bytes, tracks: Sequence[Track]) -> bytes:
    """MIDI data as symusic writes it, one chunk a track, with the channels of assign_channels."""
    channels = assign_channels(tracks)
    users: dict[int, set[int]] = {}
    for track, channel in zip(tracks, channels, strict=True):
        users.setdefault(channel, set()).add(track.program)
    result, position = [data[:14]], 14
    for track, channel in zip(tracks, channels, strict=True):
        length = int.from_bytes(data[position + 4 : position + 8])
        chunk = data[position + 8 : position + 8 + length]
        program = track.program if channel != DRUM_CHANNEL and len(users[channel]) > 1 else None
        body = b"".join(_moved(chunk, channel, program))
        result += [b"MTrk", len(body).to_bytes(4), body]
        position += 8 + length
    return b"".join(result)


def _moved(chunk: bytes, channel: int, program: int | None) -> Iterator[bytes]:
    """The events of a track on `channel`, each note-on preceded by `program` unless that is None."""
    position = status = 0
    while position < len(chunk):
        start = position
        _, position = _variable_length(chunk, position)
        delta = chunk[start:position]
        if chunk[position] >= 0x80:  # else it is running status: the one before still holds
            status = chunk[position]
            position += 1
        body = position
        if status >= 0xF0:  # a text, tempo or other event without a channel
            length, position = _variable_length(chunk, position + (status == 0xFF))
            position += length
            yield delta + chunk[body - 1 : position]
            continue
        kind = status & 0xF0
        position += 1 if kind in (_PROGRAM, 0xD0) else 2
        if program is not None and kind == _NOTE_ON:
            yield delta + bytes((_PROGRAM | channel, program))
            delta = b"\x00"
        yield delta + bytes((kind | channel,)) + chunk[body:position]


def _variable_length(chunk: bytes, position: int) -> tuple[int, int]:
    """(value, position behind it) of a MIDI variable-length quantity."""
    value = 0
    while True:
        byte = chunk[position]
        position += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, position
