"""What type checkers must accept, and the types that they must find.

Read by mypy and pyright (`./dev lint`), and never run: what a program does is tested
elsewhere, and stubtest compares the signatures.
"""

import asyncio
import os
import selectors
import socket
from pathlib import Path
from typing import Any, Callable, Optional, Union

from typing_extensions import assert_type

import mood_event as ev
from mood_event import (
    EV_READ,
    EVFLAG_AUTO,
    Async,
    Check,
    Child,
    Cleanup,
    Embed,
    Error,
    Fork,
    Idle,
    Io,
    Loop,
    Periodic,
    Prepare,
    Scheduler,
    Signal,
    Stat,
    Timer,
    Watcher,
    aio,
    default_loop,
    fatal,
)


def ignore(watcher: Watcher, revents: int) -> None:
    """A callback for every type of watcher."""


def in_an_hour(watcher: Scheduler, now: float) -> float:
    """A callable for a Scheduler."""
    return now + 3600


# -- making watchers ------------------------------------------------------------------


def factories(loop: Loop, sock: socket.socket, other: Loop) -> None:
    assert_type(loop.io(sock, EV_READ, ignore), Io)
    assert_type(loop.io(0, EV_READ, ignore, "data", 1), Io)
    assert_type(loop.timer(1.0, 0.0, ignore), Timer)
    assert_type(loop.timer(1, 0, ignore), Timer)
    assert_type(loop.periodic(0.0, 60.0, ignore), Periodic)
    assert_type(loop.scheduler(in_an_hour), Scheduler)
    assert_type(loop.scheduler(in_an_hour, None), Scheduler)
    assert_type(loop.scheduler(in_an_hour, ignore), Scheduler)
    assert_type(loop.signal(2, ignore), Signal)
    assert_type(loop.child(0, False, ignore), Child)
    assert_type(loop.stat("path", 0.0, ignore), Stat)
    assert_type(loop.stat(b"path", 0.0, ignore), Stat)
    assert_type(loop.stat(Path("path"), 0.0, ignore), Stat)
    assert_type(loop.idle(ignore), Idle)
    assert_type(loop.prepare(ignore), Prepare)
    assert_type(loop.check(ignore), Check)
    assert_type(loop.embed(other), Embed)
    assert_type(loop.embed(other, ignore), Embed)
    assert_type(loop.fork(ignore), Fork)
    assert_type(loop.cleanup(ignore), Cleanup)
    assert_type(loop.async_(ignore), Async)


def classes(loop: Loop, sock: socket.socket, other: Loop) -> None:
    Io(sock, EV_READ, loop, ignore)
    Io(fd=0, events=EV_READ, loop=loop, callback=ignore, data="data", priority=1)
    Timer(after=1.0, repeat=0.0, loop=loop, callback=ignore)
    Periodic(offset=0.0, interval=60.0, loop=loop, callback=ignore)
    Scheduler(scheduler=in_an_hour, loop=loop)
    Scheduler(in_an_hour, loop, None, "data")
    Signal(signum=2, loop=loop, callback=ignore)
    Child(pid=0, trace=False, loop=loop, callback=ignore)
    Stat(path="path", interval=0.0, loop=loop, callback=ignore)
    Idle(loop=loop, callback=ignore)
    Prepare(loop, ignore)
    Check(loop, ignore, "data")
    Embed(other=other, loop=loop)
    Embed(other, loop, None, "data", 1)
    Fork(loop, ignore, None, 1)
    Cleanup(loop, callback=ignore)
    Async(loop, ignore)


# -- each callback receives its own type ----------------------------------------------


def inferred(loop: Loop, other: Loop) -> None:
    loop.io(0, EV_READ, lambda watcher, revents: assert_type(watcher, Io))
    loop.timer(1.0, 0.0, lambda watcher, revents: assert_type(watcher, Timer))
    loop.timer(1.0, 0.0, lambda watcher, revents: assert_type(revents, int))
    loop.periodic(0.0, 1.0, lambda watcher, revents: assert_type(watcher, Periodic))
    loop.scheduler(lambda watcher, now: assert_type(watcher, Scheduler).at)
    loop.scheduler(lambda watcher, now: assert_type(now, float))
    loop.signal(2, lambda watcher, revents: assert_type(watcher, Signal))
    loop.child(0, True, lambda watcher, revents: assert_type(watcher, Child))
    loop.stat("path", 0.0, lambda watcher, revents: assert_type(watcher, Stat))
    loop.idle(lambda watcher, revents: assert_type(watcher, Idle))
    loop.prepare(lambda watcher, revents: assert_type(watcher, Prepare))
    loop.check(lambda watcher, revents: assert_type(watcher, Check))
    loop.embed(other, lambda watcher, revents: assert_type(watcher, Embed))
    loop.fork(lambda watcher, revents: assert_type(watcher, Fork))
    loop.cleanup(lambda watcher, revents: assert_type(watcher, Cleanup))
    loop.async_(lambda watcher, revents: assert_type(watcher, Async))
    Timer(1.0, 0.0, loop, lambda watcher, revents: assert_type(watcher, Timer))
    Async(loop, lambda watcher, revents: assert_type(watcher, Async))


def callbacks(timer: Timer, scheduler: Scheduler, embed: Embed, base: Watcher) -> None:
    assert_type(timer.callback, Callable[[Timer, int], object])
    timer.callback = ignore
    timer.callback = lambda watcher, revents: watcher.stop()
    assert_type(base.callback, Callable[[Watcher, int], object])
    assert_type(scheduler.callback, Optional[Callable[[Scheduler, int], object]])
    scheduler.callback = None
    assert_type(scheduler.scheduler, Callable[[Scheduler, float], float])
    assert_type(scheduler.reschedule, Callable[[Scheduler, float], float])
    scheduler.scheduler = in_an_hour
    assert_type(embed.callback, Optional[Callable[[Embed, int], object]])
    embed.callback = None


class Connection(Io):
    """A subclass: its callback receives the subclass."""

    received = b""

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        super().__init__(sock, EV_READ, loop, self.readable)

    def readable(self, watcher: "Connection", revents: int) -> None:
        watcher.received += os.read(self.fd, 1024)


class Ticker(Timer):
    """A subclass with the constructor of its base."""

    ticks = 0


def subclasses(loop: Loop, sock: socket.socket) -> None:
    connection = Connection(loop, sock)
    assert_type(connection.callback, Callable[[Connection, int], object])
    assert_type(Ticker(1.0, 1.0, loop, ignore), Ticker)
    Ticker(1.0, 1.0, loop, lambda watcher, revents: assert_type(watcher, Ticker))


# -- attributes -----------------------------------------------------------------------


def attributes(loop: Loop, other: Loop) -> None:
    timer = loop.timer(1.0, 0.0, ignore)
    assert_type(timer.loop, Loop)
    assert_type(timer.data, Any)
    timer.data = 1
    timer.data = "text"
    assert_type(timer.priority, int)
    timer.priority = 1
    assert_type(timer.active, bool)
    assert_type(timer.pending, bool)
    assert_type(timer.keepalive, bool)
    timer.keepalive = False
    assert_type(timer.repeat, float)
    timer.repeat = 1
    assert_type(timer.remaining, float)
    assert_type(timer.clear(), int)

    io = loop.io(0, EV_READ, ignore)
    assert_type(io.fd, int)
    assert_type(io.events, int)
    io.set(socket.socket(), EV_READ)

    periodic = loop.periodic(0.0, 1.0, ignore)
    assert_type(periodic.offset, float)
    assert_type(periodic.interval, float)
    assert_type(periodic.at, float)
    periodic.offset = 0.5
    periodic.interval = 2

    child = loop.child(0, False, ignore)
    assert_type(child.pid, int)
    assert_type(os.WEXITSTATUS(child.rstatus), int)
    child.rpid = child.rstatus = 0

    stat = loop.stat("path", 0.0, ignore)
    assert_type(stat.path, Union[str, bytes])
    assert_type(stat.interval, float)
    assert_type(stat.attr, os.stat_result)
    assert_type(stat.prev.st_mtime, float)

    assert_type(loop.signal(2, ignore).signum, int)
    assert_type(loop.embed(other).other, Loop)
    assert_type(loop.async_(ignore).sent, bool)


def attributes_of_a_loop(loop: Loop) -> None:
    assert_type(loop.callback, Optional[Callable[[Loop], object]])
    loop.callback = None
    loop.callback = lambda loop: loop.invoke()
    assert_type(
        loop.exception_handler,
        Optional[Callable[[Loop, Exception, Callable[..., object]], object]],
    )
    loop.exception_handler = None
    loop.exception_handler = lambda loop, error, callback: loop.stop()
    assert_type(loop.data, Any)
    assert_type(loop.debug, bool)
    loop.debug = True
    assert_type(loop.io_interval, float)
    loop.io_interval = 0.1
    loop.timeout_interval = 1
    assert_type(loop.default, bool)
    assert_type(loop.backend, int)
    assert_type(loop.pending, int)
    assert_type(loop.iteration, int)
    assert_type(loop.depth, int)
    assert_type(loop.start(), bool)
    assert_type(loop.start(ev.EVRUN_NOWAIT), bool)
    assert_type(loop.now(), float)


# -- loops ----------------------------------------------------------------------------


class Server(Loop):
    """A subclass of Loop."""

    connections = 0


def loops() -> None:
    with Loop() as loop:
        assert_type(loop, Loop)
    with Server(callback=lambda loop: assert_type(loop, Server).invoke()) as server:
        assert_type(server, Server)
        assert_type(server.callback, Optional[Callable[[Server], object]])
        assert_type(server.timer(1.0, 0.0, ignore).loop, Loop)
    with default_loop() as loop:
        assert_type(loop, Loop)
    default_loop(EVFLAG_AUTO, lambda loop: loop.invoke(), "data", 0.1, 0, debug=True)


def calls(loop: Loop, fd: Optional[int], timeout: Optional[float]) -> None:
    def after(first: int, second: str = "") -> None: ...
    def once(revents: int) -> None: ...

    loop.call_soon_threadsafe(after, 1)
    loop.call_soon_threadsafe(after, 1, "two")
    loop.call_soon_threadsafe(print, 1, "two", None)
    loop.call_soon_threadsafe(loop.stop)
    loop.once(0, EV_READ, None, once)
    loop.once(socket.socket(), EV_READ, timeout, once)
    loop.once(fd, EV_READ, 1.0, once)
    loop.once(None, 0, 1, once)


# -- the module -----------------------------------------------------------------------


@fatal
def marked(watcher: Timer, revents: int) -> str:
    """A callback that keeps its type."""
    return ""


class Handler:
    """Callbacks that are methods."""

    @fatal
    def expired(self, watcher: Timer, revents: int) -> None: ...


def functions(loop: Loop) -> None:
    assert_type(marked(loop.timer(1.0, 0.0, marked), 0), str)
    loop.timer(1.0, 0.0, Handler().expired)
    loop.timer(1.0, 0.0, fatal(Handler().expired))
    assert_type(ev.time(), float)
    assert_type(ev.sleep(1), None)
    assert_type(ev.abi_version(), tuple[int, int])
    assert_type(ev.supported_backends(), int)
    assert_type(ev.recommended_backends(), int)
    assert_type(ev.embeddable_backends(), int)
    assert_type(ev.feed_signal(2), None)
    assert_type(ev.__version__, str)
    assert_type(ev.EV_READ | ev.EV_WRITE, int)
    assert_type(ev.EVBACKEND_EPOLL, int)
    try:
        loop.close()
    except Error as error:
        assert_type(error.args, tuple[Any, ...])


# -- asyncio --------------------------------------------------------------------------


async def seven() -> int:
    """A coroutine function."""
    return 7


async def in_asyncio(watcher: Watcher) -> None:
    assert_type(aio.ev_loop(), Loop)
    assert_type(aio.ev_loop(asyncio.get_running_loop()), Loop)
    assert_type(await aio.event(watcher), int)
    assert_type(await aio.event(aio.ev_loop().timer(0.0, 0.0, aio.ignore)), int)


def asyncio_on_libev(loop: Loop, sock: socket.socket) -> None:
    assert_type(aio.run(seven()), int)
    assert_type(aio.run(seven(), debug=True, loop=loop), int)
    assert_type(aio.new_event_loop(), aio.EventLoop)
    assert_type(aio.new_event_loop(loop).ev_loop, Loop)
    asyncio_loop: asyncio.AbstractEventLoop = aio.EventLoop()
    assert_type(asyncio_loop.run_until_complete(seven()), int)
    aio.install()

    selector: selectors.BaseSelector = aio.Selector(loop)
    assert_type(aio.Selector().loop, Loop)
    assert_type(selector.register(sock, selectors.EVENT_READ), selectors.SelectorKey)
    assert_type(selector.select(0), "list[tuple[selectors.SelectorKey, int]]")
    asyncio.SelectorEventLoop(selector)
