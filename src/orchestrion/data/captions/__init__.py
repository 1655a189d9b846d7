"""Captions: sentences that are true of a piece or a phrase."""
