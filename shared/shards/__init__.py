"""A prepared data set for thousands of hours: few large Parquet files instead of three files for each clip.

FOLDER holds:

    index.parquet           a row per clip, in the order of the prepared folder's index.csv: its columns, and where the
                            clip's arrays are; checksums of the files
    GROUP-00000.parquet ... the arrays: clips (motion, sound, what motion models learn), tracks (tracked points),
                            speech-KEY (features of one speech encoder)
    pictures-KEY/           frames for the diffusion renderer (`stage2_render.training.picture_shards`)
    pairs-KEY/              pairs of frames for the repair networks (`stage2_render.training.repair.pair_shards`)
    portraits.npz           as in the prepared folder

A file of arrays has a row per clip and a binary column per array, uncompressed, without nulls and plainly encoded. So
every Parquet reader can read it, and an array lies in it as it is in memory, in one piece: the index knows where, and
some frames of a clip are one read of the bytes that they take (`Shards.read`).
"""
