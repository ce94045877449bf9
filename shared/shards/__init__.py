"""A prepared data set for thousands of hours: few large Parquet files instead of three files per clip.

FOLDER holds:

    index.parquet           a row per clip, in the order of the prepared folder's index.csv: its columns, and where the
                            clip's arrays are; checksums of the files
    GROUP-00000.parquet ... the arrays: clips (motion, sound, what motion models learn), tracks (tracked points),
                            speech-KEY (features of one speech encoder)
    pictures-KEY/           frames for the diffusion renderer (`stage2_render.training.picture_shards`)
    pairs-KEY/              pairs of frames for the repair networks (`stage2_render.training.repair.pair_shards`)
    portraits.npz           as in the prepared folder

A file of arrays has a row per clip and a binary column per array, uncompressed, without nulls, in plain encoding. So
every Parquet reader can read it, and each array is contiguous in it, as in memory. The index has its offset, so that
reading any frames of a clip is a single read of their bytes (`Shards.read`).
"""
