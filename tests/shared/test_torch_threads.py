"""One thread where it is asked for, and only there."""

import threading

import torch

from shared.torch_threads import one_thread


def test_the_number_of_threads_is_restored():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with one_thread("cpu"):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
        with one_thread("meta"):
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_other_threads_keep_theirs():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    inside, done, found = threading.Event(), threading.Event(), []

    def work():
        with one_thread("cpu"):
            found.append(torch.get_num_threads())
            inside.set()
            done.wait()

    try:
        worker = threading.Thread(target=work)
        worker.start()
        inside.wait()
        assert found == [1] and torch.get_num_threads() == 3
        done.set()
        worker.join()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
