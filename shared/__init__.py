"""Modules used by both stages: media, faces, face model, speech, motion, diffusion, metrics; imports no stage."""
