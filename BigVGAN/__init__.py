"""Stage 2: mels in, sound out."""
