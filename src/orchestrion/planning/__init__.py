"""What a piece is to be before a note is written: form, harmony, parts and their levels; read from a file, planned by a
network, or estimated from any music."""
