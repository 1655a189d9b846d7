"""The sustain pedal written out as note lengths, for representations that know no pedal."""

from __future__ import annotations

import numpy as np
from symusic import Score

from orchestrion.music.edit import notes_of
from orchestrion.music.extent import last_end

SUSTAIN = 64  # the controller's number; and its values from 64 up mean that the pedal is down


def apply_sustain(score: Score) -> Score:
    """The Score with every note that ends under a held pedal lengthened to the release, or to the next onset of its
    pitch if that comes first; a pedal never released holds to the end of the last note. The pedal's own events are then
    left out, so that nothing lengthens twice. Drums stay as they are. Other controllers, half pedal included, are kept.
    """
    result = score.copy()
    for track in result.tracks:
        controls = track.controls.numpy()
        pedal = controls["number"] == SUSTAIN
        if track.is_drum or not pedal.any():
            continue
        order = np.argsort(controls["time"][pedal], kind="stable")
        times, down = controls["time"][pedal][order].astype(np.int64), controls["value"][pedal][order] >= 64
        releases = np.append(times[~down], last_end(score))

        notes = track.notes.numpy()
        start = notes["time"].astype(np.int64)
        end = start + notes["duration"]
        state = np.append(False, down)
        # a pedal that goes down at the very tick where a note ends is too late to hold it
        held = state[np.searchsorted(times, end, side="left")] & state[np.searchsorted(times, end, side="right")]
        release = releases[np.minimum(np.searchsorted(times[~down], end, side="left"), len(releases) - 1)]

        by_pitch = np.lexsort((start, notes["pitch"]))
        again = np.full(len(start), np.iinfo(np.int64).max)
        same = notes["pitch"][by_pitch][1:] == notes["pitch"][by_pitch][:-1]
        again[by_pitch[:-1][same]] = start[by_pitch[1:][same]]
        sustained = np.where(held, np.maximum(end, np.minimum(release, again)), end)

        track.notes = notes_of({**notes, "duration": sustained - start})
        track.controls = track.controls.filter(lambda control: control.number != SUSTAIN, inplace=False)
        track.pedals.clear()
    return result
