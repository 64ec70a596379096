"""The number of threads where the parameter `threads` is None."""

from __future__ import annotations

import os
import threading
from multiprocessing.dummy import DummyProcess
from typing import Any, Optional

from sae import _checks, _sae

# What `threadpool_limits` of threadpoolctl has set.
_limit: Optional[int] = None


def count(threads: Any) -> int:
    """The number of threads of a call.

    The parameter if it is given; or else the limit of ``threadpoolctl.threadpool_limits``; or else
    the environment variable SAE_NUM_THREADS, or OMP_NUM_THREADS, which joblib sets in its worker
    processes; or else the number of cores. In a worker thread of a pool, such as of joblib's
    backend "threading", the cores are divided among the workers.
    """
    if threads is not None:
        return _checks.at_least_1("threads", threads)
    return _default() if _limit is None else _limit


def _default() -> int:
    number = _sae.threads_from_environment()
    if os.environ.get("SAE_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS"):
        return number
    if isinstance(threading.current_thread(), DummyProcess):
        workers = sum(isinstance(thread, DummyProcess) for thread in threading.enumerate())
        return max(1, number // workers)
    return number


def _set_limit(number: int) -> None:
    global _limit
    # When its context ends, threadpoolctl sets the number that there was before.
    _limit = None if number == _default() else max(1, number)


def register() -> None:
    """Have `threadpool_limits` limit this library, too."""
    try:
        from threadpoolctl import LibController, register
    except ImportError:
        # Before threadpoolctl 3.2 there are no libraries but its own.
        return

    class Controller(LibController):
        user_api = "sae"
        internal_api = "sae"
        filename_prefixes = ("_sae",)

        def get_num_threads(self) -> int:
            return count(None)

        def set_num_threads(self, num_threads: int) -> None:
            _set_limit(num_threads)

        def get_version(self) -> None:
            return None

    register(Controller)
