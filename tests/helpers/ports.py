"""A number for programs that cannot choose their port themselves."""

import random
import socket


def free_port():
    """A port of this computer that is free, and that no system gives to programs which take any."""
    while True:
        port = random.SystemRandom().randrange(20_000, 30_000)
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
