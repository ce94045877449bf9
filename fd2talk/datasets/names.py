"""Data sets and splits by name; this file is read by every command line, and imports nothing."""

LAYOUTS = {
    "hdtf": "HDTF",
    "mead": "MEAD",
    "tfhp": "TFHP",
    "vfhq": "VFHQ",
    "vocaset": "VOCASET",
    "voxceleb2": "VoxCeleb2",
}
"""Names on the command line and in print; each is a module of this package with `read` and `EXPECTED`."""

SHARES = {"fd2talk": (70, 10, 20), "diffposetalk": (460, 64, 64), "vocaset": (8, 2, 2)}
"""Training, validation and test: FD2Talk §4.1 in percent, DiffPoseTalk §4.1 and 3DiFACE §5 in people."""

PUBLISHED = "published"
"""The split that a data set itself comes with."""

SPLITS = (*SHARES, PUBLISHED)
