"""What type checkers must refuse: each line with a comment must be an error.

Read by mypy and pyright (`./dev lint`), and never run. Either of them complains of a
comment for it on a line that it finds nothing wrong with.
"""

import mood_event as ev
from mood_event import (
    EV_READ,
    Async,
    Child,
    Embed,
    Idle,
    Io,
    Loop,
    Periodic,
    Scheduler,
    Signal,
    Stat,
    Timer,
    Watcher,
    aio,
    default_loop,
    fatal,
)


def ignore(watcher: Watcher, revents: int) -> None: ...
def for_a_timer(watcher: Timer, revents: int) -> None: ...
def for_an_io(watcher: Io, revents: int) -> None: ...
def of_one_argument(watcher: Watcher) -> None: ...
def of_three_arguments(watcher: Watcher, revents: int, more: int) -> None: ...
def without_a_time(watcher: Scheduler, now: float) -> None: ...


def callbacks(loop: Loop, other: Loop, timer: Timer, scheduler: Scheduler) -> None:
    loop.io(0, EV_READ, for_a_timer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.timer(1.0, 0.0, for_an_io)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.periodic(0.0, 1.0, for_a_timer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.scheduler(without_a_time)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.scheduler(for_a_timer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.signal(2, for_a_timer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.child(0, False, for_a_timer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.stat("path", 0.0, for_a_timer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.idle(for_a_timer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.prepare(for_a_timer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.check(for_a_timer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.embed(other, for_a_timer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.fork(for_a_timer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.cleanup(for_a_timer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.async_(for_a_timer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.timer(1.0, 0.0, of_one_argument)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.timer(1.0, 0.0, of_three_arguments)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.timer(1.0, 0.0, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.timer(1.0, 0.0, fatal(of_one_argument))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Timer(1.0, 0.0, loop, for_an_io)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Idle(loop, for_a_timer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Scheduler(without_a_time, loop)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    timer.callback = for_an_io  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    timer.callback = of_one_argument  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    timer.callback = None  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    scheduler.callback = for_a_timer  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    scheduler.scheduler = without_a_time  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


def arguments(loop: Loop, other: Loop) -> None:
    loop.io("0", EV_READ, ignore)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.io(object(), EV_READ, ignore)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.io(0, "r", ignore)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.io(0, ignore)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
    loop.timer("1.0", 0.0, ignore)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.timer(1.0, ignore)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
    loop.periodic(None, 0.0, ignore)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.signal("SIGINT", ignore)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.child(0, ignore)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
    loop.stat(0, 0.0, ignore)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.embed(ignore)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.idle()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    loop.idle(ignore, None, "high")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.idle(ignore, None, 0, None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Io(0, EV_READ, "loop", ignore)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Timer(1.0, 0.0, ignore)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
    Timer(1.0, 0.0, loop)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Timer(1.0, 0.0, Loop, ignore)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Periodic(0.0, 1.0, None, ignore)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Signal(2, loop, ignore, unknown=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Child(0, False, loop)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Stat(None, 0.0, loop, ignore)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Embed(loop, ignore)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Async(loop)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    loop.timer(1.0, 0.0, ignore).set(1.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    loop.idle(ignore).set()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    loop.idle(ignore).reset()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def positional_only(loop: Loop, timer: Timer) -> None:
    loop.timer(after=1.0, repeat=0.0, callback=ignore)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    loop.timer(1.0, 0.0, callback=ignore)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    loop.timer(1.0, 0.0, ignore, data=None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    loop.idle(ignore, priority=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    loop.start(flags=0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    loop.once(0, EV_READ, None, callback=print)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    timer.set(after=1.0, repeat=0.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    timer.invoke(revents=0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ev.sleep(interval=1.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def read_only(
    loop: Loop, io: Io, child: Child, stat: Stat, embed: Embed, wakeup: Async
) -> None:
    io.loop = loop  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    io.active = True  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    io.pending = True  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    io.fd = 0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    io.events = EV_READ  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    child.pid = 0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    stat.path = "path"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    stat.interval = 1.0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    embed.other = loop  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    wakeup.sent = False  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    loop.default = True  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    loop.backend = 0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    loop.pending = 0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    loop.iteration = 0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    loop.depth = 0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def read_only_times(timer: Timer, periodic: Periodic, signal: Signal) -> None:
    timer.remaining = 1.0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    periodic.at = 1.0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    signal.signum = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def attributes(loop: Loop, timer: Timer) -> None:
    timer.repeat = "1.0"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    timer.priority = 1.0  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    timer.keepalive = None  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    timer.after = 1.0  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    loop.io_interval = None  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    loop.callback = of_three_arguments  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    loop.unknown()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    timer.unknown()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


class Server(Loop):
    """A subclass of Loop."""


def loops(loop: Loop) -> None:
    Loop("epoll")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Loop(callback=of_three_arguments)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Loop(unknown=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Loop(0, None, None, 0.0, 0.0, True)  # type: ignore[misc]  # pyright: ignore[reportCallIssue]
    default_loop(callback=of_three_arguments)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    server: Server = default_loop()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    server.start("now")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    words: str = server.now()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    server.data = words
    loop.once(None, EV_READ, None, print)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    loop.once(0, EV_READ, 1.0, ignore)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    loop.call_soon_threadsafe(of_one_argument)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.call_soon_threadsafe(of_one_argument, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.call_soon_threadsafe(loop.idle(ignore).feed, 1, 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.call_soon_threadsafe(callback=ignore)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def functions() -> None:
    fatal(5)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    fatal()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ev.feed_signal("SIGINT")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ev.time(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ev.sleep("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ev.abi_version().major()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    ev.unknown()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


async def in_asyncio(loop: Loop, timer: Timer) -> None:
    words: str = await aio.event(timer)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    timer.data = words
    await aio.event(loop)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await aio.ev_loop()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    aio.ev_loop(loop)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    aio.run(aio.event)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    aio.run(aio.event(timer), False)  # type: ignore[misc]  # pyright: ignore[reportCallIssue]
    aio.new_event_loop(timer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    aio.Selector().select("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loop.exception_handler = of_one_argument  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    loop.exception_handler = 1  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
