"""The studio server: one process for the API, one executor beside it, one lock on the data folder."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import structlog
import uvicorn

from stemwright.app._settings_leaves import PREFIX, leaves
from stemwright.app.idle_timeout import IdleTimeoutProtocol
from stemwright.app.log import set_up_logs
from stemwright.app.process import keep_private, prepare_failpoints
from stemwright.app.settings import Settings, door_problems, groups_ignored, settings_model
from stemwright.app.weights import use_weights
from stemwright.app.wiring import is_loopback, open_studio, process_name, web_config, where_it_is
from stemwright.disk import make_private
from stemwright.errors import OptionError, SetupError
from stemwright.studio.work.liveness import KEEPER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from stemwright.doors.door import Door
    from stemwright.studio.studio import Studio
    from stemwright.web.common import State

_STOP: Final = 20.0  # seconds that requests get to end
_AGAIN: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # seconds before an executor that died is started again
_BACKLOG: Final = 2048
_LONG: Final = 10.0  # seconds of life after which earlier deaths are forgotten
_TURN: Final = 0.0005  # seconds of one thread before another may go on: who answers has many others beside it
_HAND_BACK: Final = 12.0  # seconds that the executor gets to end
_EXECUTOR: Final = (sys.executable, "-P", "-m", "stemwright.app.executor")
log = structlog.get_logger("stemwright.serve")


class DataNotPrivateError(SetupError):
    """Others can read the data folder, and this user may not change that."""

    code = "data_not_private"


class OpenServerError(OptionError):
    """The server would be open to other machines, and nobody has to sign in."""

    code = "open_server"


class DataInUseError(SetupError):
    """Another server has the data folder."""

    code = "data_in_use"


def serve(settings: Settings) -> None:
    """Run until SIGTERM or Ctrl-C.

    Raises `DataInUseError`, `DataNotPrivateError`, `SetupError` when a port is taken, and `OpenServerError` for an
    address that other machines reach, unless `http.open` says that this is meant.
    """
    sys.setswitchinterval(_TURN)
    keep_private()
    set_up_logs(form=settings.log.format, level=settings.log.level, process="api")
    prepare_failpoints("api")
    use_weights(settings)
    _private_data(settings.data)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_locked(settings.data))
        ports = {"": settings.port, **settings.door_ports}
        listeners = {
            name: stack.enter_context(_listening(settings.host, port, open=settings.http.open))
            for name, port in ports.items()
        }
        for name in ("incoming", "temp"):  # ours alone: what a killed API left
            shutil.rmtree(settings.data / name, ignore_errors=True)
        studio = open_studio(settings, name=process_name(settings))
        executors = Executors(settings, name=studio.name)
        executors.start()
        try:
            _server(settings, studio, executors, listeners).serve_until_told()
        finally:
            executors.stop()
            studio.queue.close()
            studio.db.close()


def _private_data(data: Path) -> None:
    """Make the data folder, or see that nobody else can enter it. Raises `DataNotPrivateError`."""
    try:
        for path, mode in make_private(data):
            log.warning("others could read this; they no longer can", path=str(path), mode=f"{mode:04o}")
    except PermissionError as error:
        raise DataNotPrivateError(f"others can read {error.filename}: chmod -R go= {data}, as its owner") from error


def _server(
    settings: Settings, studio: Studio, executors: Executors, listeners: Mapping[str, socket.socket]
) -> _Server:
    """The web around a studio: its API at the listener `""`, and all doors, at those of their names too."""
    with _without("aiohttp", "requests", "websocket"):
        from stemwright.app.doors import ByPort, mount, open_doors
        from stemwright.web.app import asgi, create_app
    app = create_app(studio, web_config(settings, executor=executors.are_alive))
    state: State = app.state.stemwright
    for problem in door_problems():
        log.error("a door is not served", reason=problem)
    doors = open_doors(state, settings)
    mount(app, doors)
    for name in listeners.keys() - {"", *doors}:
        listeners[name].close()  # nobody is to wait there, nor to be led to the studio
    listeners = {name: listener for name, listener in listeners.items() if name in {"", *doors}}
    by_port = {listener.getsockname()[1]: doors[name].app for name, listener in listeners.items() if name}
    config = uvicorn.Config(
        asgi(app, beside=lambda main: ByPort(main, by_port), door_ports=by_port.keys()),
        loop="asyncio",  # what was measured, whatever else is installed
        http=IdleTimeoutProtocol,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=int(_STOP),
        server_header=False,
        proxy_headers=False,
        ws_max_size=65_536,
        ws_per_message_deflate=False,  # costs more than it saves: a state is a kilobyte
        lifespan="off",
    )
    return _Server(config, settings, executors, state, doors=doors, listeners=listeners)


class _Server(uvicorn.Server):
    """Says where it listens, once it does; stops the executors while the last requests end."""

    def __init__(
        self,
        config: uvicorn.Config,
        settings: Settings,
        executors: Executors,
        state: State,
        *,
        doors: Mapping[str, Door],
        listeners: Mapping[str, socket.socket],
    ) -> None:
        super().__init__(config)
        self._settings, self._executors, self._state, self._doors = settings, executors, state, doors
        self._listeners = listeners
        self._beside: asyncio.Task[None] | None = None

    def serve_until_told(self) -> None:
        """Run until a signal comes, which is a good end."""
        for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them once more, when it has ended
            signal.signal(number, lambda *_: setattr(self, "should_exit", True))
        self.run(sockets=[*self._listeners.values()])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        from stemwright.app.doors import run_beside

        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_threads(self._state.studio)))
        await super().startup(sockets)
        if self.started and sockets:
            host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
            for name, listener in self._listeners.items():
                if name:
                    print(f"The door {name} is at http://{host}:{listener.getsockname()[1]}", flush=True)  # noqa: T201
            port = sockets[0].getsockname()[1]
            print(f"Stemwright is at http://{host}:{port} ({where_it_is(self._settings)})", flush=True)  # noqa: T201
            self._beside = asyncio.create_task(run_beside(self._doors))
            threading.Thread(target=self._warm, daemon=True).start()

    def _warm(self) -> None:
        """Load what the first job would wait for, then leave all that is loaded to itself.

        The collector looked through it for up to 0.3 s again and again, and nobody was answered meanwhile.
        """
        self._state.studio.queue.warm()
        gc.freeze()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let requests end, streams at once, while the executor hands its work back."""
        self._executors.ask_to_stop()
        if self._beside:
            self._beside.cancel()
        self._state.feed.close()
        await super().shutdown(sockets)


def _threads(studio: Studio) -> int:
    """How many threads work for the answers: one a core, and one more or, where objects are elsewhere, many that wait.

    With more of them on a busy machine the loop waits for its turn: 100 instead of 80 ms at p99, and less is done.
    """
    return (os.cpu_count() or 1) + (1 if studio.store.folder else 8)


class Executors:
    """The processes that work beside the API: one that does it all or, in a fleet, a keeper and a worker for each slot.

    In a fleet each worker takes one run at a time: how many a process takes is stored once for each queue.
    """

    def __init__(self, settings: Settings, *, name: str) -> None:
        """`name` is that of the API's process, which theirs begin with."""
        jobs = settings.jobs
        roles = [KEEPER, *["cpu"] * jobs.cpu_slots, *["gpu"] * jobs.gpu_slots] if settings.database.url else []
        commands: list[Sequence[str]] = [(*_EXECUTOR, role, name) for role in roles] or [_EXECUTOR]
        self._all = [Executor(settings, command=command) for command in commands]

    def start(self) -> None:
        """Start them, and watch over them."""
        for executor in self._all:
            executor.start()

    def are_alive(self) -> bool:
        """Whether all of them run."""
        return all(executor.is_alive() for executor in self._all)

    def ask_to_stop(self) -> None:
        """Let them hand their work back, and not be started again."""
        for executor in self._all:
            executor.ask_to_stop()

    def stop(self) -> None:
        """See to their end."""
        self.ask_to_stop()
        for executor in self._all:
            executor.stop()


class Executor:
    """One such process, started again whenever it dies."""

    def __init__(self, settings: Settings, *, command: Sequence[str] = _EXECUTOR) -> None:
        self._command = [*command]
        self._environment = {**_without_doors_secrets(os.environ), **_as_environment(settings)}
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # of a start, against a stop
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Start it, and watch over it."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def _watch(self) -> None:
        deaths = 0
        while True:
            began = time.monotonic()
            with self._lock:
                if self._stopping.is_set():
                    return
                self._process = process = subprocess.Popen(self._command, stdin=subprocess.PIPE, env=self._environment)
            code = process.wait()
            if process.stdin:
                process.stdin.close()
            if self._stopping.is_set():
                return
            deaths = 1 if time.monotonic() - began > _LONG else deaths + 1
            log.error("the executor died", exit_code=code)
            self._stopping.wait(_AGAIN[min(deaths, len(_AGAIN)) - 1])

    def ask_to_stop(self) -> None:
        """Let it hand its work back, and not be started again."""
        with self._lock:
            self._stopping.set()
            if self.is_alive() and self._process:
                self._process.terminate()

    def stop(self) -> None:
        """See to its end."""
        self.ask_to_stop()
        process = self._process
        if process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_HAND_BACK)
        process.kill()
        process.wait()


@contextlib.contextmanager
def _without(*packages: str) -> Iterator[None]:
    """Keep optional packages from being loaded: Socket.IO takes in HTTP clients that a server never uses (0.25 s)."""
    absent = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: as if they were not installed
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


@contextlib.contextmanager
def _listening(host: str, port: int, *, open: bool) -> Iterator[socket.socket]:  # noqa: A002  (the setting's name)
    """A socket of the server; clients may queue up from now on.

    Raises `SetupError` when it cannot be had, `OpenServerError` when other machines reach it and it is not `open`.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # named as TCP, or asyncio leaves Nagle's algorithm on, and an answer waits 40 ms for the client's acknowledgement
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            if not open and not is_loopback(str(listener.getsockname()[0])):
                raise OpenServerError(
                    f"other machines reach {host}, and nobody has to sign in: anybody there may read, change and "
                    "delete everything; if that is meant, say so: http.open: true (STEMWRIGHT_HTTP_OPEN=true)"
                )
            listener.listen(_BACKLOG)
        except OSError as error:
            raise SetupError(f"{host}:{port} cannot be listened on: {error.strerror}") from error
        yield listener


def _without_doors_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without the secrets that only doors use, and the executor does not.

    Nobody knows which settings of a door that does not work are secret: all of them are left out.
    """
    model = settings_model()
    secret = [leaf for leaf in leaves(model) if leaf.secret and leaf.name.split(".")[0] not in Settings.model_fields]
    names = {name for leaf in secret for name in (leaf.variable, *(alias.name for alias in leaf.aliases))}
    known = {leaf.variable for leaf in leaves(model)}
    broken = tuple(f"{PREFIX}{group.upper()}_" for group in groups_ignored(model))
    return {
        name: value
        for name, value in environ.items()
        if name not in names and (name in known or not name.startswith(broken))
    }


def _as_environment(settings: Settings) -> dict[str, str]:
    """What the command line changed, for child processes that read the environment."""
    file = {"STEMWRIGHT_CONFIG": str(settings.file)} if settings.file else {}
    return {**file, "STEMWRIGHT_DATA": str(settings.data)}


@contextlib.contextmanager
def _locked(data: Path) -> Iterator[None]:
    """Make sure that this is the only server on a data folder. Raises `DataInUseError`."""
    handle = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for _ in range(20):  # one that was killed may still be ending
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield
                return
            time.sleep(0.1)
        raise DataInUseError(f"another server uses {data}")
    finally:
        os.close(handle)
