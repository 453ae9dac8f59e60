"""Where fronts and the house meet: the place, the hello, the locks, and starting a house that is nobody's child.

Two fronts at the same moment start one house. A house found, started or refused is found within a bounded time, also
where one is stopped or hangs. What is started inherits nothing: no descriptor, no terminal, and of the environment an
allow-list. Nothing here trusts a folder, a socket or a peer that is not this user's own.

Standard library only, and little of it: every client pays for these imports in milliseconds and megabytes.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import stat
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HELLO = 1  # the number of the hello itself; versions of Roundhouse that share it work together
HELLO_LIMIT = 4096  # bytes in one hello; a whole path fits, and nobody can make the other side hold more
HELLO_TIMEOUT = 5.0  # seconds; a house answers in milliseconds unless it is stopped or hangs
START_LIMIT = 10.0  # seconds from starting a house to its hello; a cold disk and a migration fit
DRAIN = 10.0  # seconds a house that is replaced may take to finish what it has in flight
POLL = 0.003  # seconds between looks at what no event tells of: another process's socket, another process's lock
FAILURES_ALLOWED = 3  # failed starts within `FAILURE_PAUSE`, after which nobody tries for as long
FAILURE_PAUSE = 60.0  # seconds; long enough to stop heating the room, short enough for who has mended it
LONGEST_PATH = 100  # bytes; a socket's address holds 104 on macOS and 108 on Linux, its final zero included
LOG_LIMIT = 5 * 1024 * 1024  # bytes of house.log, above which a new one is begun; one old one is kept
LAST_LINES = 8  # of the log, that an error shows
LAST_BYTES = 4096  # of the log, that are looked at for them
BACKLOG = 128  # connections that may wait to be accepted: as many clients as a desktop could start at once

MARK = "ROUNDHOUSE_MARK"  # the variable by which a house knows what runs inside it (process/table says its form)
# What a house prints to its clients before it leaves because a person said so: their fronts start the next one when
# they need it, not at once. For the front alone; no client ever sees it.
FAREWELL = b'{"jsonrpc":"2.0","method":"roundhouse/leaving"}\n'

# What a house inherits of the environment of whoever happened to start it: as for the servers (process/spawn), and what
# finds the home, the runtime folder and the keyring.
INHERITED = frozenset(
    (
        "HOME", "LOGNAME", "USER", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "DBUS_SESSION_BUS_ADDRESS",
        "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
        "ROUNDHOUSE_HOME",
    )
)  # fmt: skip
INHERITED_PREFIXES = ("LC_", "XDG_", "UV_", "PIP_", "npm_config_", "NPM_CONFIG_")
NOT_INHERITED_MARKS = ("TOKEN", "PASSWORD", "SECRET", "_AUTH", "CREDENTIAL")  # UV_PUBLISH_TOKEN and its kind

# A parent may have set these to be ignored (nohup), and Python itself ignores two of them: a house starts afresh.
_RESET = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ,
)  # fmt: skip


class RendezvousError(Exception):
    """No house can be reached. The message says what happened, where, and what to do next."""

    code = "RH_HOUSE_UNAVAILABLE"


class CannotHouse(RendezvousError):
    """This is no place for a house: a folder that cannot be used, no Unix sockets, no new processes."""


class StartFailed(RendezvousError):
    """A house was started and did not come up, or failed so often just now that it is not tried again."""


class NoAnswer(RendezvousError):
    """A house is there and says nothing, or nothing that makes sense."""


class Refused(RendezvousError):
    """The house does not take this visitor; the message is the house's own."""

    code = "RH_HOUSE_REFUSED"


class Place:
    """The home of a house and the runtime folder that belongs to it, which exists and is private once this is made.

    Args:
        home: need not exist yet; None means `default_home()`.

    Raises: `CannotHouse` when the runtime folder cannot be made, or is not ours alone.
    """

    def __init__(self, home: str | None = None) -> None:
        self.home = os.path.realpath(home or default_home())
        self.folder = _runtime_folder(self.home)
        self.socket = f"{self.folder}/socket"
        self.house_lock = f"{self.folder}/house.lock"
        self.start_lock = f"{self.folder}/start.lock"
        self.pid_file = f"{self.folder}/pid"
        self.failed = f"{self.folder}/failed"
        self.log = f"{self.home}/logs/house.log"
        _make_private(self.folder)


def default_home() -> str:
    """The home where none is named: `ROUNDHOUSE_HOME`, else where this system keeps a program's data."""
    if named := os.environ.get("ROUNDHOUSE_HOME"):
        return os.path.expanduser(named)
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Application Support/roundhouse")
    data = os.environ.get("XDG_DATA_HOME", "")
    return os.path.join(data if os.path.isabs(data) else os.path.expanduser("~/.local/share"), "roundhouse")


# -- meeting


def find_or_start(
    place: Place, kind: str, version: str, *, command: Sequence[str] | None = None
) -> tuple[socket.socket, dict[str, object]]:
    """A connection to the house, started if none runs, replaced if it is older than we are.

    Args:
        kind: what we are: "front", "cli" or "successor".
        version: ours.
        command: what to start instead of `roundhouse house`; `--home HOME` and, for a successor, `--replace` follow.

    Returns: the connected socket, blocking, after the hello, and the house's hello.
    Raises: `CannotHouse`, `StartFailed`, `NoAnswer`, `Refused`.
    """
    met = find(place, kind, version)
    if met and not newer(version, met[1].get("version")):
        return met
    if met:
        met[0].close()
    lock = _hold(place.start_lock, START_LIMIT + DRAIN)
    if lock is None:
        raise StartFailed(
            f"Another process has been starting the house for {START_LIMIT + DRAIN:.0f} s and holds "
            f"{place.start_lock}. End it, then try again."
        )
    try:
        return _start_unless_there(place, kind, version, command)
    finally:
        os.close(lock)


def find(place: Place, kind: str, version: str) -> tuple[socket.socket, dict[str, object]] | None:
    """A connection to the house that runs, after the hello, or None where none does.

    Raises: `NoAnswer`, `Refused`.
    """
    sock = connect(place)
    if sock is None:
        return None
    try:
        return sock, hello(sock, kind, version, within=HELLO_TIMEOUT)
    except ConnectionError:  # it left while we were waiting to be let in
        sock.close()
        return None
    except BaseException:
        sock.close()
        raise


def connect(place: Place) -> socket.socket | None:
    """A connection to whoever listens at this place, None where nobody does.

    Raises: `NoAnswer` when it is not of this user, or has stopped accepting; `CannotHouse` without Unix sockets.
    """
    try:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except (AttributeError, OSError) as bad:
        raise CannotHouse(f"This system has no Unix sockets for us: {bad}.") from None
    deadline = time.monotonic() + HELLO_TIMEOUT
    sock.settimeout(HELLO_TIMEOUT)
    while True:
        try:
            sock.connect(place.socket)
        except (FileNotFoundError, ConnectionRefusedError):
            sock.close()
            return None
        except (BlockingIOError, TimeoutError):  # its queue of connections is full
            if time.monotonic() < deadline:
                time.sleep(POLL)
                continue
            sock.close()
            raise NoAnswer(_says_nothing(place, 0)) from None
        except OSError as bad:
            sock.close()
            raise NoAnswer(f"The house's socket {place.socket} cannot be used: {bad.strerror}.") from None
        break
    uid = peer(sock)[1]
    if uid not in (None, os.getuid()):
        sock.close()
        raise NoAnswer(f"{place.socket} belongs to a process of user {uid}, not of yours. Remove {place.folder}.")
    return sock


def hello(sock: socket.socket, kind: str, version: str, *, within: float = HELLO_TIMEOUT) -> dict[str, object]:
    """Say who we are and hear who the house is. Reads not one byte beyond its hello.

    Args:
        within: seconds.

    Raises: `Refused`; `NoAnswer` when nothing comes in time, or no hello; `ConnectionError` when the house has left.
    """
    ours: dict[str, object] = {"roundhouse": HELLO, "kind": kind, "version": version, "pid": os.getpid()}
    line = json.dumps({**ours, "cwd": _cwd(), "inside": os.environ.get(MARK)}).encode()
    if len(line) >= HELLO_LIMIT:  # a directory deeper than a house needs to know
        line = json.dumps({**ours, "cwd": None, "inside": os.environ.get(MARK)}).encode()
    deadline = time.monotonic() + within
    try:
        sock.settimeout(within)
        try:  # noqa: SIM105 - contextlib is not worth its import here
            sock.sendall(line + b"\n")
        except BrokenPipeError:
            pass  # it has closed already; what it said before may be the reason
        said = _read_line(sock, deadline)
    except TimeoutError:
        raise NoAnswer(_says_nothing(None, peer(sock)[0])) from None
    sock.settimeout(None)
    return _understand(said)


def peer(sock: socket.socket) -> tuple[int, int | None]:
    """The process and the user at the other end: (pid, uid), (0, None) where the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return 0, None
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)  # struct ucred: pid, uid, gid
    return int.from_bytes(credentials[:4], sys.byteorder), int.from_bytes(credentials[4:8], sys.byteorder)


def newer(ours: object, theirs: object) -> bool:
    """Whether version `ours` is above version `theirs`, number by number. One that cannot be read is above nothing."""
    mine, other = _numbers(ours), _numbers(theirs)
    return mine is not None and other is not None and mine > other


def last_lines(place: Place) -> list[str]:
    """The end of the house's log, as far as an error should show it; control characters left out."""
    try:
        with open(place.log, "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - LAST_BYTES))
            text = log.read().decode(errors="replace")
    except OSError:
        return []
    lines = ["".join(filter(str.isprintable, line)).strip() for line in text.split("\n")]
    return [line for line in lines if line][-LAST_LINES:]


# -- starting


class Started:
    """A house we started. It is not our child: that it ended is seen, its exit code is not."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._ended = False
        self._handle = -1
        try:
            if hasattr(os, "pidfd_open"):
                self._handle = os.pidfd_open(pid)
        except ProcessLookupError:
            self._ended = True
        except OSError:  # an old kernel, a strict sandbox: asked by its pid instead
            pass

    def ended(self) -> bool:
        """Whether it has ended, buried or not."""
        if not self._ended and self._handle >= 0:
            waiting = select.poll()
            waiting.register(self._handle, select.POLLIN)
            self._ended = bool(waiting.poll(0))
        elif not self._ended:
            try:
                os.kill(self.pid, 0)
            except OSError:
                self._ended = True
        return self._ended

    def stop(self) -> None:
        """Ask it to leave."""
        try:
            if not self.ended():
                os.kill(self.pid, signal.SIGTERM)
        except OSError:
            pass

    def close(self) -> None:
        """Let go of it."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def start_house(place: Place, *, replace: bool = False, command: Sequence[str] | None = None) -> Started:
    """Start a house that is nobody's child: its parent is the system's first process, or the nearest subreaper.

    Its standard error is appended to the log, which is begun anew where it has grown too long.

    Raises: `CannotHouse` when the home cannot be written or no process be made, `StartFailed` when there is no such
        command.
    """
    argv = [*(command or (sys.executable, "-P", "-m", "roundhouse", "house")), "--home", place.home]
    if replace:
        argv.append("--replace")
    env = environment(place)
    fill_standard_descriptors()
    log = _open_log(place)
    told, tell = os.pipe()
    try:
        child = os.fork()
        if child == 0:
            _become_the_house(argv, env, place.home, log, tell)
        os.close(tell)
        tell = -1
        os.waitpid(child, 0)
        said = b""
        while more := os.read(told, 1024):
            said += more
    except OSError as refused:
        raise CannotHouse(f"The system does not let us start a house: {refused.strerror}.") from None
    finally:
        for fd in (log, told, tell):
            if fd >= 0:
                os.close(fd)
    pid, _, trouble = said.partition(b"\n")
    if not pid.isdigit():
        raise CannotHouse(f"The system does not let us start a house: {said.decode(errors='replace')}.")
    if trouble:
        raise StartFailed(f"The house cannot be started: {argv[0]}: {trouble.decode(errors='replace')}.")
    return Started(int(pid))


def environment(place: Place) -> dict[str, str]:
    """What a house gets of our environment, and the PATH that was recorded at `install`, else ours."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name in INHERITED
        or (name.startswith(INHERITED_PREFIXES) and not any(mark in name.upper() for mark in NOT_INHERITED_MARKS))
    }
    env.update({name: os.environ[name] for name in _passed_on(place) if name in os.environ})
    try:
        with open(f"{place.home}/path", encoding="utf-8", errors="surrogateescape") as recorded:
            path = recorded.readline().strip()
    except OSError:
        path = ""
    env["PATH"] = path or os.environ.get("PATH", os.defpath)
    return env


def _passed_on(place: Place) -> list[str]:
    """The variables that a person has named in `settings.toml` for the house to pass on (`env`)."""
    try:
        with open(f"{place.home}/settings.toml", "rb") as settings:
            import tomllib  # only who starts a house pays for it

            names = tomllib.load(settings).get("env")
    except (OSError, ValueError, RecursionError):  # the house itself says what is wrong with the file
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def fill_standard_descriptors() -> None:
    """Where one of 0, 1 and 2 is closed, a descriptor of ours would take its number and be mistaken for it."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)


# -- the house's side


def hold_house_lock(place: Place, wait: float = 0.0) -> int | None:
    """The lock that one house at a time holds for its life, as a descriptor to keep open; None if another keeps it.

    Args:
        wait: seconds for another one to leave.
    """
    return _hold(place.house_lock, wait)


def write_pid_file(place: Place, version: str) -> None:
    """Leave word of who the house is: its pid, when it started (seconds since 1970) and its version."""
    word = {"pid": os.getpid(), "started": time.time(), "version": version}
    _write(place.pid_file, json.dumps(word))


def bind_socket(place: Place) -> socket.socket:
    """A listening, non-blocking socket at this place. Only for who holds the house's lock: it takes over the address.

    It listens before it has its name, so that nobody finds a socket that refuses.
    """
    unnamed = f"{place.socket}.new"
    try:  # noqa: SIM105 - contextlib is not worth its import here
        os.unlink(unnamed)
    except FileNotFoundError:
        pass
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(unnamed)
        os.chmod(unnamed, 0o600)
        listening.listen(BACKLOG)
        listening.setblocking(False)
        os.rename(unnamed, place.socket)
    except BaseException:
        listening.close()
        raise
    return listening


def address(place: Place) -> tuple[int, int, int] | None:
    """What tells the socket that is at this place now from the next one, None where there is none."""
    try:
        found = os.lstat(place.socket)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def remove_socket(place: Place, ours: tuple[int, int, int] | None) -> None:
    """Remove the socket's file if it is still the one with this `address`."""
    if ours is not None and address(place) == ours:
        os.unlink(place.socket)


# -- below: in calling order


def _runtime_folder(home: str) -> str:
    """Where the socket and the locks of this home live: short enough for a socket, and the same for front and house."""
    name = _short_hash(home)
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    candidates = [f"{runtime}/roundhouse-{name}"] if _is_ours(runtime) else []
    temporary = os.environ.get("TMPDIR", "")
    if os.path.isabs(temporary) and os.path.isdir(temporary):
        candidates.append(f"{temporary.rstrip('/')}/roundhouse-{os.getuid()}-{name}")
    candidates.append(f"/tmp/roundhouse-{os.getuid()}-{name}")  # noqa: S108 - its owner and mode are checked
    return next(path for path in candidates if len(os.fsencode(f"{path}/socket.new")) <= LONGEST_PATH)


def _short_hash(text: str) -> str:
    """Twelve hexadecimal digits of its SHA-256. `hashlib` would load OpenSSL for them: 3 MB and 4 ms in each front."""
    try:
        from _sha2 import sha256  # type: ignore[import-not-found] # Python 3.12 and later; no stubs for private modules
    except ImportError:
        try:
            from _sha256 import sha256  # type: ignore[import-not-found] # Python 3.11
        except ImportError:
            from hashlib import sha256
    return str(sha256(os.fsencode(text)).hexdigest()[:12])


def _is_ours(folder: str) -> bool:
    """Whether `XDG_RUNTIME_DIR` is what its specification promises: after `su` it may be somebody else's, or gone."""
    try:
        found = os.stat(folder)
    except OSError:
        return False
    usable = stat.S_ISDIR(found.st_mode) and os.access(folder, os.W_OK | os.X_OK)
    return os.path.isabs(folder) and usable and found.st_uid == os.getuid()


def _make_private(folder: str) -> None:
    """Create the runtime folder, or check that the one that is there is nobody else's."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except OSError as bad:
        raise CannotHouse(
            f"The runtime folder {folder} cannot be created: {bad.strerror}. Point XDG_RUNTIME_DIR or TMPDIR at a "
            "folder of yours that can be written."
        ) from None
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        what = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "a file"
        raise CannotHouse(f"The runtime folder {folder} is {what}. Remove it: `rm {folder}`.")
    if found.st_uid != os.getuid():
        raise CannotHouse(
            f"The runtime folder {folder} belongs to user {found.st_uid}, not to you ({os.getuid()}). Have it removed, "
            "or point XDG_RUNTIME_DIR or TMPDIR at a folder of yours."
        )
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise CannotHouse(f"The runtime folder {folder} is open to others (mode {mode:04o}): `chmod 700 {folder}`.")


def _start_unless_there(
    place: Place, kind: str, version: str, command: Sequence[str] | None
) -> tuple[socket.socket, dict[str, object]]:
    """What `find_or_start` does while it holds the lock: look again, start, try again, give up."""
    failures = _failures(place)
    if kind == "cli":  # a person who has mended it does not wait; one more try shows whether it is
        failures = failures[-FAILURES_ALLOWED + 1 :]
    for _ in range(FAILURES_ALLOWED + 1):
        met = find(place, kind, version) or _wait_for_the_last(place, kind, version)
        if met and not newer(version, met[1].get("version")):
            return met
        if _too_many(failures):
            if met:
                return met  # older, but it works
            break
        before = address(place)
        if met:
            met[0].close()
        house = start_house(place, replace=bool(met), command=command)
        try:
            limit = START_LIMIT + (DRAIN if met else 0.0)
            came = _wait_for(place, house, kind, version, limit, before if met else None)
            if came:
                _remember(place, [])
                return came
            gave_up = not house.ended()
            house.stop()
        finally:
            house.close()
        failures.append(time.time())
        _remember(place, failures)
        if gave_up:  # slow, not broken: trying again would take as long again
            older = find(place, kind, version)
            if older:
                return older
            raise StartFailed(_does_not_start(place, f"it did not answer within {limit:.0f} s"))
    why = f"{FAILURES_ALLOWED} starts in a row failed; a command tries again at once, a client a minute after the last"
    raise StartFailed(_does_not_start(place, why))


def _wait_for_the_last(place: Place, kind: str, version: str) -> tuple[socket.socket, dict[str, object]] | None:
    """Where a house holds its lock without listening: the house, if it begins to listen; None once it has left."""
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        lock = _hold(place.house_lock, 0.0)
        if lock is not None:
            os.close(lock)
            return None
        time.sleep(POLL)
        if met := find(place, kind, version):
            return met
    raise NoAnswer(
        f"A house holds {place.house_lock} but has not listened for {START_LIMIT:.0f} s: it hangs. End it; "
        f"{place.pid_file} names its process."
    )


def _wait_for(
    place: Place, house: Started, kind: str, version: str, limit: float, older: tuple[int, int, int] | None
) -> tuple[socket.socket, dict[str, object]] | None:
    """The house we started, once it answers; None if it never does.

    Args:
        older: the address of the house that it replaces. Whoever comes after that one must not be older than we are.
    """
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        ended = house.ended()  # looked at first: one that found another house at work has ended, and that one answers
        if older is None or address(place) not in (None, older):
            try:
                met = find(place, kind, version)
            except NoAnswer:
                met = None
            if met and not (older and newer(version, met[1].get("version"))):
                return met
            if met:
                met[0].close()
                older = address(place)
        if ended:
            return None
        time.sleep(POLL)
    return None


def _hold(path: str, wait: float) -> int | None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as bad:
        raise CannotHouse(f"{path} cannot be written: {bad.strerror}. Make its folder writable.") from None
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(fd)
                return None
            time.sleep(POLL)
        except BaseException:
            os.close(fd)
            raise
        else:
            return fd


def _failures(place: Place) -> list[float]:
    """When starts failed, as seconds since 1970; what is too old to count is left out."""
    try:
        with open(place.failed, encoding="ascii", errors="replace") as failed:
            times = [float(line) for line in failed.read(HELLO_LIMIT).split()]
    except (OSError, ValueError):
        return []
    now = time.time()
    return [at for at in times if now - 2 * FAILURE_PAUSE < at <= now]


def _too_many(failures: Sequence[float]) -> bool:
    """Whether the last failures came so close together, and so lately, that it is not tried now."""
    last = failures[-FAILURES_ALLOWED:]
    close = len(last) == FAILURES_ALLOWED and last[-1] - last[0] <= FAILURE_PAUSE
    return close and time.time() - last[-1] < FAILURE_PAUSE


def _remember(place: Place, failures: Sequence[float]) -> None:
    """Leave word for other fronts, where the disk takes it."""
    try:
        if failures:
            _write(place.failed, "".join(f"{at:.3f}\n" for at in failures))
        else:
            os.unlink(place.failed)
    except OSError:
        pass


def _write(path: str, text: str) -> None:
    """Write a file whole or not at all."""
    unfinished = f"{path}.{os.getpid()}"
    fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(unfinished, path)


def _open_log(place: Place) -> int:
    """The house's log, open for appending; makes the home and its folder."""
    try:
        os.makedirs(place.home, 0o700, exist_ok=True)
        if not os.access(place.home, os.W_OK | os.X_OK):
            raise PermissionError(0, "it cannot be written")
        os.makedirs(os.path.dirname(place.log), 0o700, exist_ok=True)
        log = os.open(place.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(log).st_size > LOG_LIMIT:
            os.close(log)
            os.replace(place.log, f"{place.log}.1")
            log = os.open(place.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.fchmod(log, 0o600)
    except OSError as bad:
        raise CannotHouse(
            f"The home {place.home} cannot be used: {bad.strerror}. Make it writable, or name another with --home or "
            "ROUNDHOUSE_HOME."
        ) from None
    return log


def _become_the_house(argv: list[str], env: Mapping[str, str], home: str, log: int, tell: int) -> None:
    """The child's side of `start_house`: fork once more, let go of everything, run the house. Never returns.

    The child in between ends at once, so that the house is an orphan and no session's leader can get a terminal.
    """
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.write(tell, b"%d\n" % os.getpid())
        os.chdir(home)
        os.umask(0o077)
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd, standard in ((nothing, 0), (nothing, 1), (log, 2)):
            os.dup2(fd, standard)
        for fd in _open_descriptors():
            if fd > 2 and fd != tell:
                try:  # noqa: SIM105 - contextlib is not worth its import here
                    os.close(fd)
                except OSError:  # the one the list itself was read through
                    pass
        for number in _RESET:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve(argv[0], argv, env)  # noqa: S606 - no shell is wanted
    except OSError as bad:
        os.write(tell, (bad.strerror or str(bad)).encode())
    finally:
        os._exit(127)


def _open_descriptors() -> Iterable[int]:
    try:
        return [int(name) for name in os.listdir("/dev/fd")]
    except OSError:  # a system without /proc: what a client could have left open by accident has a low number
        return range(1024)


def _read_line(sock: socket.socket, deadline: float) -> bytes:
    """One line of a hello and nothing after it, which is somebody else's to read."""
    line = b""
    while len(line) <= HELLO_LIMIT:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        seen = sock.recv(HELLO_LIMIT, socket.MSG_PEEK)
        if not seen:
            raise ConnectionResetError("the house hung up before its hello")
        end = seen.find(b"\n")
        line += sock.recv(end + 1 if end >= 0 else len(seen))
        if end >= 0:
            break
    return line


def _understand(line: bytes) -> dict[str, object]:
    """The house's hello."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("roundhouse"), int):
        raise NoAnswer("What listens at the house's socket is no Roundhouse: it did not answer the hello.")
    if "refused" in said:
        raise Refused(str(said["refused"]))
    if said["roundhouse"] != HELLO:
        raise Refused(
            f"The house that runs speaks hello {said['roundhouse']} (Roundhouse {said.get('version')}), this one "
            f"{HELLO}. End it with its own `roundhouse down`, then try again."
        )
    return said


def _says_nothing(place: Place | None, pid: int) -> str:
    which = f"The house (process {pid})" if pid else "The house"
    at = f" at {place.socket}" if place else ""
    return (
        f"{which} is there{at} but has not answered for {HELLO_TIMEOUT:.0f} s: it is stopped, or hangs. Let it go on "
        f"(`kill -CONT {pid or 'PID'}`) or end it (`kill -KILL {pid or 'PID'}`), then try again."
    )


def _does_not_start(place: Place, why: str) -> str:
    lines = last_lines(place)
    shown = f" The last lines of {place.log}: {' | '.join(lines)}" if lines else f" Its log is {place.log}."
    return f"The house does not start: {why}. Run `roundhouse doctor`.{shown}"


def _numbers(version: object) -> tuple[int, ...] | None:
    """A version as numbers, 1.0 the same as 1, or None where it is anything but numbers and dots."""
    if not isinstance(version, str) or not version.isascii():
        return None
    try:
        numbers = [int(part) if part.isdigit() else -1 for part in version.split(".")]
    except ValueError:  # more digits than Python turns into a number
        return None
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return None if -1 in numbers else tuple(numbers)


def _cwd() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it has been removed
        return None
