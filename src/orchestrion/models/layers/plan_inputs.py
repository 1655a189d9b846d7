"""What a network that writes notes reads of a plan: at each cell its features, at each note the chord of its place.

All tables start at zero, so that weights trained without a plan go on as they were. Legend: B sequences, T rows, C
cells, F features, D width, M width of the inner decoder.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from orchestrion.music.chords import BASS_CODES, CHORD_CODES
from orchestrion.planning.arrays import BASS, CHORD, FEATURES, HEADER, SECOND_BASS, SECOND_CHORD


class PlanInputs(nn.ModuleDict):  # a holder of tables: `models.layers.sharding` leaves it whole, as it is not called
    """Tables for the features of `planning.arrays`."""

    starts: Tensor
    header_starts: Tensor

    def __init__(self, width: int, inner_width: int) -> None:
        super().__init__()
        self.cells = nn.Embedding(sum(FEATURES.values()), width)
        self.header = nn.Embedding(sum(HEADER.values()), width)
        self.place_chord = nn.Embedding(CHORD_CODES, width)
        self.pitch_chord = nn.Embedding(CHORD_CODES, inner_width)
        self.pitch_bass = nn.Embedding(BASS_CODES, inner_width)
        for name, sizes in (("starts", FEATURES), ("header_starts", HEADER)):
            first = torch.tensor([0, *sizes.values()][:-1]).cumsum(0)
            self.register_buffer(name, first, persistent=False)
        self.reset()

    def reset(self) -> None:
        """Say nothing: every table to zero."""
        for table in self.children():
            nn.init.zeros_(table.weight)  # type: ignore[arg-type]

    def of_cells(self, features: Tensor) -> Tensor:
        """(..., F) -> (..., D)."""
        table: Tensor = self.cells(features + self.starts)  # (..., F, D)
        return table.sum(-2)

    def of_header(self, header: Tensor) -> Tensor:
        """(B, H) -> (B, D)."""
        table: Tensor = self.header(header + self.header_starts)
        return table.sum(-2)

    def of_rows(self, features: Tensor, cell: Tensor, second: Tensor) -> Tensor:
        """Features (B, C, F), of each row its cell (B, T) and whether its note lies in the second half of the bar
        (B, T) -> (B, T, D)."""
        chords = torch.where(second, features[..., SECOND_CHORD].gather(1, cell), features[..., CHORD].gather(1, cell))
        cells = self.of_cells(features)
        own = cells.gather(1, cell.unsqueeze(-1).expand(-1, -1, cells.shape[-1]))
        return own + self.place_chord(chords)

    def of_pitch(self, features: Tensor, second: Tensor) -> Tensor:
        """Features of the cell (..., F) and whether the note to come lies in the second half of the bar (...) -> what
        is added to the inner state from which its pitch is drawn (..., M)."""
        chord = torch.where(second, features[..., SECOND_CHORD], features[..., CHORD])
        bass = torch.where(second, features[..., SECOND_BASS], features[..., BASS])
        return self.pitch_chord(chord) + self.pitch_bass(bass)
