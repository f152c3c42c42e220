"""Services to be killed, forked from one process that has imported everything, with runners that cost little.

As a script it reads a line of JSON for each service to fork and answers with its process id. In a test, ``Home`` holds
such a process, and the broker that speaks to the records for the runners: they are small scripts without imports, whose
process ids, starts and ends are as real as any.
"""

from __future__ import annotations

import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

FIRST = datetime(2026, 1, 5, 12, tzinfo=UTC)

# What a runner does, without the three seconds that its imports cost: begin, one effect, its outcome, the end.
RUNNER = """
import json, os, signal, socket, sys, time
address, effects, run, n, token = sys.argv[1:]

def ask(**words):
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(address)
        line.sendall(json.dumps({"run": run, "n": int(n), "token": token, "pid": os.getpid(), **words}).encode())
        line.shutdown(socket.SHUT_WR)
        return json.loads(line.makefile().read())

def die_at(place):
    if told["die"] == place:
        os.kill(os.getpid(), signal.SIGKILL)

told = ask(what="begin")
if not told["mine"]:
    sys.exit()
die_at("started")
time.sleep(told["pause"])
handle = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(handle, f"{run} {n} {time.time()}\\n".encode())
path = os.path.join(told["folder"], "outcome.json")
with open(path + ".part", "w") as file:
    file.write(told["outcome"])
os.replace(path + ".part", path)
die_at("effect done")
ask(what="finish")
"""

POINTS = ("claimed", "started", "effect done", "recorded")


def clock_of(start: float, speed: float):
    """A clock that runs ``speed`` times as fast, the same in each process."""
    return lambda: FIRST + timedelta(seconds=(time.time() - start) * speed)


# ---------------------------------------------------------------- the process that forks services


def main() -> None:
    import dbos  # noqa: F401
    import pg8000  # noqa: F401

    from workbench.jobs import driver, service
    from workbench.jobs.claims import Claims
    from workbench.jobs.driver import Driver

    def die_after(owner, name, wanted=bool):
        method = getattr(owner, name)

        def deadly(*arguments, **options):
            answer = method(*arguments, **options)
            if wanted(answer):
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        setattr(owner, name, deadly)

    places = {
        "claimed": lambda: die_after(Claims, "claim"),
        "started": lambda: die_after(Driver, "_process"),
        "effect done": lambda: die_after(driver, "read_outcome"),
        "recorded": lambda: die_after(Driver, "see_through", lambda _: True),
    }
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        process = os.fork()
        if process == 0:
            if order["die"]:
                places[order["die"]]()
            _serve(order, service)
        print(process, flush=True)


def _serve(order, service) -> None:
    from workbench.core.database import open_database
    from workbench.core.settings import load_settings

    settings = load_settings()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = 0
    try:
        head = [sys.executable, "-I", "-S", order["script"], order["address"], order["effects"]]
        options = {} if order["real"] else {"runner": lambda run, n, token: [*head, run, str(n), token]}
        clock = clock_of(order["start"], order["speed"])
        one = service.Service(settings, open_database(settings), clock=clock, **options)
        signal.signal(signal.SIGTERM, lambda *_: one.stop())
        one.run()
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    os._exit(code)


# ---------------------------------------------------------------- what a test holds


@dataclass
class Home:
    """A home with services.

    Its clock is ``begun`` seconds past ``FIRST`` at first; ``die`` is where each new runner is killed by itself, and
    ``pause`` how long it works.
    """

    settings: object
    folder: Path
    speed: float = 1.0
    begun: float = 0.0
    pause: float = 0.1
    die: str = ""

    def __post_init__(self):
        from workbench.core.database import open_database
        from workbench.jobs.attempts import Attempts
        from workbench.jobs.claims import Claims
        from workbench.jobs.identity import own_identity
        from workbench.jobs.ledger import Ledger

        self.folder.mkdir(parents=True, exist_ok=True)
        self.start = time.time() - self.begun / self.speed
        self.clock = clock_of(self.start, self.speed)
        self.database = open_database(self.settings)
        self.ledger, self.claims, self.attempts = (
            part(self.database, self.clock) for part in (Ledger, Claims, Attempts)
        )
        self.machine = own_identity()
        self.effects, self.script = self.folder / "effects", self.folder / "runner.py"
        self.script.write_text(RUNNER)
        self.up: list[int] = []
        self.begins: list[float] = []

    def real(self, instant):
        """When an instant of this home's clock was, by the machine's."""
        return self.start + (instant - FIRST).total_seconds() / self.speed

    @contextmanager
    def serving(self):
        """Listen to runners, and be able to fork services."""
        broker = _Broker(str(self.folder / "broker"), _Answer)
        broker.home = self
        threading.Thread(target=broker.serve_forever, daemon=True).start()
        environment = {**os.environ, **self.settings.environment()}
        command = [sys.executable, __file__]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, env=environment, **pipes) as self.forks:
            try:
                assert self.forks.stdout.readline() == "ready\n"
                yield self
            finally:
                for process in self.up:
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                self.forks.stdin.close()
                self.forks.kill()
                broker.shutdown()
                broker.server_close()
                self.database.close()

    def fork(self, die="", real=False):
        """Start a service that dies by itself after passing a place, or does not."""
        order = {
            "die": die,
            "real": real,
            "script": str(self.script),
            "address": str(self.folder / "broker"),
            "effects": str(self.effects),
            "log": str(self.folder / "services.log"),
            "start": self.start,
            "speed": self.speed,
        }
        self.forks.stdin.write(f"{json.dumps(order)}\n")
        self.forks.stdin.flush()
        self.up.append(int(self.forks.stdout.readline()))
        return self.up[-1]

    def is_up(self, process):
        from workbench.jobs.identity import started_ticks

        return started_ticks(process) is not None

    def kill(self, process):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        if process in self.up:
            self.up.remove(process)

    def patiently(self, ask, *words):
        """Ask the records as a runner does: again and again while they do not answer."""
        from workbench.core.errors import StoreError

        until = time.monotonic() + 60
        while True:
            try:
                return ask(*words)
            except StoreError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def open_runs(self):
        return self.ledger.runs(states=("waiting", "due", "claimed", "running"), most=100_000)

    def wait_until_done(self, seconds):
        """Wait until no run is open; return whether that is so, or ``False`` after so long without a run that ended."""
        left, until = -1, time.monotonic() + seconds
        while time.monotonic() < until:
            open_now = len(self.open_runs())
            if open_now == 0:
                return True
            if open_now != left:
                left, until = open_now, time.monotonic() + seconds
            time.sleep(0.25)
        return False

    def kill_randomly(self, kills, choose, services=2):
        """Kill services and runners at random, with ``services`` of them up; return when which runner was killed."""
        killed = {}
        for _ in range(kills):
            while len(self.up) < services:
                self.fork()
            time.sleep(choose.uniform(0.1, 1.6))
            victim = self.runner_at_work() if choose.random() < 0.15 else None
            if victim is not None:
                killed[victim.run, victim.n] = time.time()
                self.kill(victim.pid)
            else:
                self.kill(choose.choice(self.up))
        return killed

    def runner_at_work(self):
        """An attempt that has begun and not ended, as soon as there is one."""
        until = time.monotonic() + 3
        while time.monotonic() < until:
            for each in self.attempts.at_work():
                if each.pid and self.is_up(each.pid):
                    return each
            time.sleep(0.02)
        return None

    def kill_at(self, place, kills):
        """Let two services die at a place until that has happened so often."""
        # Services that are up already die nowhere, and would claim what those are to claim that do.
        for process in [*self.up]:
            self.kill(process)
        deaths, until = 0, time.monotonic() + 30 + 10 * kills
        self.die = place if place == "effect done" else ""
        while deaths < kills and time.monotonic() < until:
            while len(self.up) < 2:
                self.fork(place)
            time.sleep(0.05)
            gone = [each for each in self.up if not self.is_up(each)]
            deaths += len(gone)
            self.up = [each for each in self.up if each not in gone]
        self.die = ""
        for process in [*self.up]:
            self.kill(process)
        return deaths


class _Broker(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 128
    home: Home


class _Answer(socketserver.StreamRequestHandler):
    """Does for a runner what it does itself where it has the imports."""

    def handle(self):
        from workbench.jobs.identity import started_ticks
        from workbench.jobs.records import Identity

        home, words = self.server.home, json.loads(self.rfile.read())
        run, n, pid = words["run"], words["n"], words["pid"]
        if words["what"] == "finish":
            answer = {"state": home.patiently(home.attempts.finish, run, n, "succeeded")}
        else:
            who = Identity(home.machine.host, home.machine.boot, pid, started_ticks(pid) or 0)
            home.begins.append(time.time())
            mine = home.patiently(home.attempts.begin, run, n, words["token"], who, "0" * 64)
            folder = home.patiently(home.attempts.one, run, n).folder
            answer = {
                "mine": mine,
                "folder": folder,
                "pause": home.pause,
                "die": home.die,
                "outcome": json.dumps({"run": run, "n": n, "outcome": "succeeded", "reason": None}),
            }
        with suppress(OSError):
            self.wfile.write(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
