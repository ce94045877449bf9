"""What both stages stand on: media, faces, the 3D face model, speech, motion, training, metrics. Imports no stage."""
