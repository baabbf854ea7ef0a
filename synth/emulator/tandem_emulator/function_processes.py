"""Function processes end with the emulator and see only a function's environment.

AWS: an execution environment belongs to the service; nothing of it outlives the service.
Stock: function processes are plain children. When the emulator is killed they are left behind until
they notice, and they inherit all of the emulator's variables.
Here: on Linux the kernel kills them when the emulator dies (PR_SET_PDEATHSIG). On other systems
they end by themselves: their Runtime API connection, or their standard input, is closed.

The kernel sends that signal when the *thread* that forked ends, not only the process. Invocations
run on short-lived threads, so one thread that never ends does all the forking.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from typing import Any

from ministack.core import lambda_runtime

from tandem_emulator.process_environment import LAUNCHER_ONLY

PR_SET_PDEATHSIG = 1


def apply() -> None:
    lambda_runtime.subprocess = SubprocessForFunctions(ForkingThread())


class SubprocessForFunctions:
    """The `subprocess` module as the Lambda runtime sees it: only `Popen` differs."""

    def __init__(self, forking_thread: ForkingThread) -> None:
        self._forking_thread = forking_thread

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)

    def Popen(self, *arguments: Any, **options: Any) -> subprocess.Popen[Any]:
        environment = options.get("env")
        if environment is not None:
            options["env"] = {
                name: value for name, value in environment.items() if name not in LAUNCHER_ONLY
            }
        if sys.platform == "linux":
            options["preexec_fn"] = DieWithParent()
        return self._forking_thread.start_process(arguments, options)


class DieWithParent:
    """Runs in the child between fork and exec, so it only makes system calls prepared before."""

    def __init__(self) -> None:
        self._prctl = ctypes.CDLL(None).prctl
        self._parent = os.getpid()

    def __call__(self) -> None:
        self._prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != self._parent:
            os._exit(1)  # the parent died before the request was in force


class ForkingThread:
    """One long-lived thread that starts every function process."""

    def __init__(self) -> None:
        self._requests: queue.SimpleQueue[tuple[Any, Any, Future[Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="fork-functions", daemon=True).start()

    def start_process(self, arguments: Any, options: Any) -> subprocess.Popen[Any]:
        started: Future[subprocess.Popen[Any]] = Future()
        self._requests.put((arguments, options, started))
        return started.result()

    def _run(self) -> None:
        while True:
            arguments, options, started = self._requests.get()
            try:
                started.set_result(subprocess.Popen(*arguments, **options))
            except BaseException as error:  # the caller decides what a failed start means
                started.set_exception(error)
