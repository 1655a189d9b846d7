"""What a discriminator makes of how full music is, learned so that it can be set aside."""

from __future__ import annotations

import torch

from orchestrion.models.layers.note_count import Fullness


def phrases_of(notes: torch.Tensor) -> torch.Tensor:
    """(B,) numbers of notes, 1 to 512 -> (B, 2, 48, 16) bool, notes of one step, two of rest behind each."""
    cells = torch.zeros(len(notes), 2, 16, 16, dtype=torch.bool)
    for row, number in enumerate(notes.tolist()):
        cells[row].view(-1)[torch.randperm(512)[:number]] = True
    return torch.stack([cells, *2 * [torch.zeros_like(cells)]], 3).flatten(2, 3)


def followed(coarse: bool = False) -> tuple[Fullness, torch.Tensor, torch.Tensor]:
    """One that has followed marks which fall by 1.5 for each e-fold of notes; the last phrases and their marks."""
    torch.manual_seed(0)
    fullness = Fullness()
    for _ in range(300):
        notes = torch.exp(4.5 + 0.5 * torch.randn(32)).long().clamp(1, 512)
        phrases = phrases_of(notes)
        marks = -1.0 - 1.5 * (torch.log1p(notes.float()) - 4.5) + 0.3 * torch.randn(32)
        with torch.autocast("cpu", torch.bfloat16, enabled=coarse):
            fullness.follow_(phrases, marks.bfloat16() if coarse else marks)
    return fullness, phrases, marks


def test_before_it_has_followed_any_it_says_nothing() -> None:
    assert not Fullness()(phrases_of(torch.tensor([1, 100]))).any()


def test_what_is_left_of_marks_does_not_hang_on_how_full_phrases_are() -> None:
    fullness, phrases, marks = followed()
    left = marks - fullness(phrases)
    notes = phrases.sum((1, 2, 3)).float().log()
    assert torch.corrcoef(torch.stack([marks, notes]))[0, 1] < -0.8
    assert torch.corrcoef(torch.stack([left, notes]))[0, 1].abs() < 0.4
    assert (left.mean() + 1).abs() < 0.3, "the mean of the marks stays"


def test_what_learns_in_coarse_numbers_is_followed_in_fine_ones() -> None:
    (fine, phrases, _), (coarse, _, _) = followed(), followed(coarse=True)
    with torch.autocast("cpu", torch.bfloat16):
        said = coarse(phrases)
    assert said.dtype == torch.float32
    torch.testing.assert_close(said, fine(phrases), rtol=0.02, atol=0.02)


def test_beyond_what_it_has_seen_it_says_no_more() -> None:
    fullness, _, _ = followed()
    few, fewer, fewest = fullness(phrases_of(torch.tensor([33, 3, 1])))
    assert fewer == fewest
    assert few > 1


def test_notes_count_once_however_long_they_are() -> None:
    fullness, phrases, _ = followed()
    held = phrases | torch.roll(phrases, 1, 2)
    assert torch.equal(fullness(phrases), fullness(held))
