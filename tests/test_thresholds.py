"""What of a generator's logits sounds, by two thresholds that follow real phrases."""

from __future__ import annotations

import torch

from orchestrion.models.layers.hysteresis import Thresholds


def test_before_they_have_moved_what_is_above_0_sounds() -> None:
    logits = torch.randn(2, 3, 8, 12)
    assert torch.equal(Thresholds(torch.ones(3, dtype=torch.bool))(logits), logits > 0)


def test_what_is_weak_sounds_beside_what_is_strong_in_time_and_not_in_pitch() -> None:
    thresholds = Thresholds(torch.tensor([True]))
    thresholds.low.fill_(-1.0)
    thresholds.high.fill_(1.0)
    thresholds.moves.fill_(1)
    weak, strong, silent = -0.5, 1.5, -2.0
    note = [silent, weak, strong, weak, weak, silent, weak, silent, strong, strong]
    beside = [silent, silent, weak, silent, silent, silent, silent, silent, silent, silent]
    sounds = thresholds(torch.tensor([note, beside]).T.view(1, 1, 10, 2))[0, 0].T
    assert sounds.tolist() == [
        [False, True, True, True, False, False, False, False, True, True],
        [False] * 10,
    ]


def test_they_move_to_where_as_many_cells_and_notes_sound_as_in_real_phrases_but_for_tracks_that_hold_none() -> None:
    torch.manual_seed(0)

    def held_noise(steps: int) -> torch.Tensor:
        noise = torch.randn(32, 3, 96 + steps, 12)
        return torch.stack([noise[:, :, shift : shift + 96] for shift in range(steps)]).sum(0) / steps**0.5

    real = held_noise(8) > 1.5
    thresholds = Thresholds(torch.tensor([False, True, True]))
    for _ in range(300):
        logits = held_noise(4) - 1.0 + 0.3 * torch.randn(32, 3, 96, 12)
        thresholds.follow_(thresholds(logits), real)
    sounds = thresholds(logits)

    def notes(phrases: torch.Tensor) -> torch.Tensor:
        return (phrases[:, :, 1:] & ~phrases[:, :, :-1]).sum((0, 2, 3)).float()

    for of in (notes, lambda phrases: phrases.sum((0, 2, 3)).float()):
        share, before = of(sounds) / of(real), of(logits > 0) / of(real)
        assert torch.allclose(share[1:], torch.ones(2), atol=0.1)
        assert not torch.allclose(before[1:], torch.ones(2), atol=0.3)
    assert thresholds.low[0] == thresholds.high[0] == 0
    assert (thresholds.high >= thresholds.low).all()
