"""Work that commands share among processes, each of which takes seconds to start, done in this one."""

from __future__ import annotations

from concurrent.futures import Executor, Future

from fd2talk.progress import progress
from shared.errors import Fd2TalkError


def in_this_process(work, jobs, workers, what, unit, *, start=None, given=(), failed=None):
    """As `fd2talk.processes.in_processes`, one job after the other."""
    jobs, results = list(jobs), []
    if jobs and start:
        start(*given)
    with progress(len(jobs), what, unit) as bar:
        for index, job in enumerate(jobs):
            try:
                results.append(work(*job))
            except Fd2TalkError as error:
                results.append(None)
                bar.tell(f"left out: {error}")
                if failed:
                    failed(index, error)
            bar.update()
    return results


class HereExecutor(Executor):
    """As `ProcessPoolExecutor`; what processes would be given to begin with is ignored."""

    def __init__(self, *_, **__):
        pass

    def submit(self, work, /, *arguments, **named):
        """Call `work` at once."""
        future = Future()
        try:
            future.set_result(work(*arguments, **named))
        except Exception as error:
            future.set_exception(error)
        return future
