"""Processes that never outlive the harness, and that can be made to wait."""

import glob
import os
import signal
import subprocess
import time

PATIENCE_S = 20


class Failure(Exception):
    """What went wrong, in one sentence for whoever runs this."""


class Processes:
    """All that were started, newest last. Ends each by its id."""

    def __init__(self, folder):
        self.folder = folder
        self.started = []

    def start(self, name, command, **more):
        with open(self.log_of(name), "w", encoding="utf-8") as log:
            # Should the harness be killed, they are too, stopped or not.
            command = ["setpriv", "--pdeathsig", "KILL", "--", *command]
            process = subprocess.Popen(command, stdout=more.pop("stdout", log), stderr=log,
                                       text=True, start_new_session=True, **more)
        self.started.append((name, process))
        return process

    def log_of(self, name):
        return f"{self.folder}/{name}.log"

    def last_words(self, name, n_lines=8):
        with open(self.log_of(name), encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-n_lines:])

    def wait_until(self, what, name, process, is_so):
        """Fails with the process's last words if it ends, or if it takes too long."""
        end = time.monotonic() + PATIENCE_S
        while not is_so():
            if process.poll() is not None or time.monotonic() > end:
                how = "ended" if process.poll() is not None else f"took more than {PATIENCE_S} s"
                raise Failure(f"{name} {how} before {what}:\n{self.last_words(name)}")
            time.sleep(0.02)

    def end(self, process):
        if process.poll() is not None:
            return
        process.send_signal(signal.SIGCONT)  # A stopped one hears nothing else than SIGKILL.
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def end_all(self):
        """The forwarders first: a driver may crash when its peer vanishes while it polls."""
        for _, process in self.started:
            self.end(process)
        self.started = []
        for socket in glob.glob(self.folder + "/memif*"):
            os.unlink(socket)  # Else no server could have that name again.


def pause(process):
    os.kill(process.pid, signal.SIGSTOP)


def resume(process):
    os.kill(process.pid, signal.SIGCONT)
