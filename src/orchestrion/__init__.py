"""Orchestrion: words, a melody or a folder of MIDI in; multi-track music out."""

__version__ = "0.1.0"
