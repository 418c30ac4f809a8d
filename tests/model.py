"""libev's semantics in pure Python, behind the classes of mood_event.

Who is active, who is pending, who is invoked next, and which exception comes out: a
model to compare the package with, written from libev's ev.c and from docs/design.md.
It delivers every event singly, straight from libev's pending lists, where the package
delivers batches. Only for what libev does itself (`Own`), which the package has it do
when it collects a batch, does the model collect one too.

There is no time and there are no descriptors. A time is due (negative: the lowest
first), at once (`NOW`: after all that are due) or far; what a descriptor is ready for
is in `System.ready`. A `System` is a process: it stands for the module mood_event.

Imported by test_model.py. What it takes from mood_event are numbers and Error.
"""

import signal
from collections import deque

from mood_event import (
    EV_ASYNC,
    EV_CHECK,
    EV_CLEANUP,
    EV_CUSTOM,
    EV_EMBED,
    EV_ERROR,
    EV_FORK,
    EV_IDLE,
    EV_MAXPRI,
    EV_MINPRI,
    EV_PERIODIC,
    EV_PREPARE,
    EV_READ,
    EV_SIGNAL,
    EV_TIMER,
    EVBACKEND_EPOLL,
    EVBREAK_ALL,
    EVBREAK_ONE,
    Error,
)

# Between what was due before and what is due later.
NOW = -0.5


def clamp(priority):
    """A priority that libev takes."""
    return min(max(priority, EV_MINPRI), EV_MAXPRI)


class Entry:
    """An event that waits for its watcher to be invoked; watcher None: cleared."""

    __slots__ = ("revents", "watcher")

    def __init__(self, watcher, revents):
        self.watcher = watcher
        self.revents = revents


class Own:
    """A watcher of libev's own, which the package never sees."""

    entry = None
    events = EV_READ

    def __init__(self, run, priority, in_order=False):
        self.run = run
        self.priority = priority
        # Whether its turn is after the callbacks of what comes before it.
        self.in_order = in_order


class SignalUse:
    """One signal: who watches it."""

    def __init__(self):
        self.loop = None
        self.watchers = []
        self.pending = False


class System:
    """What the loops of a process share, and the names that mood_event has."""

    def __init__(self, report):
        self.report = report
        self.ready = {}
        self.signals = {}
        self.collecting = None
        self.default = None

    def signal_use(self, signum):
        """The state of a signal."""
        return self.signals.setdefault(signum, SignalUse())

    def Loop(self, flags, fd=None):
        """mood_event.Loop; `fd` is the descriptor of an epoll."""
        return Loop(self, flags, fd)

    def default_loop(self, flags):
        """mood_event.default_loop."""
        if self.default is None:
            self.default = Loop(self, flags, None)
        return self.default

    def feed_signal(self, signum):
        """mood_event.feed_signal."""
        use = self.signal_use(signum)
        if use.loop is not None:
            use.pending = True
            use.loop.write_pipe("sig_pending")

    @staticmethod
    def fatal(callback):
        """mood_event.fatal."""
        callback.fatal = True
        return callback


class Knock:
    """The package's own async watcher, for call_soon_threadsafe."""

    priority = 0
    keepalive = True
    active = False
    sent = False
    entry = ready = None
    is_child = False

    def __init__(self, loop):
        self.callback = loop.make_calls


class Loop:
    """A loop: struct ev_loop and mood_event.Loop in one."""

    def __init__(self, system, flags, fd):
        self.system = system
        self.backend = flags
        self.fd = fd
        self.is_open = True
        self.debug = False
        self.callback = None
        # The pending lists, by priority.
        self.pendings = [[] for _ in range(EV_MAXPRI - EV_MINPRI + 1)]
        # What a batch still has, when one was collected.
        self.ready = []
        # Whether libev has handed out all that is pending.
        self.handed_out = False
        self.is_collecting = False
        self.watchers = []
        self.balance = 0
        self.advanced = 0
        self.fds = {}
        self.fd_changes = []
        self.polled = {}
        self.timers = []
        self.periodics = []
        self.idles = {}
        self.prepares = []
        self.checks = []
        self.forks = []
        self.cleanups = []
        self.asyncs = []
        self.children = 0
        self.sigchld = Own(self.reap, EV_MAXPRI)
        self.reap_later = False
        self.pipe = Own(self.read_pipe, EV_MAXPRI)
        self.has_pipe = self.may_send = self.has_inotify = False
        self.pipe_written = self.sig_pending = self.async_pending = False
        self.knock = Knock(self)
        self.knocked = False
        self.calls = deque()
        self.embeds = []
        self.postfork = False
        self.suspended = False
        self.rescheduling = 0
        self.failed = []
        self.broken = 0
        self.depth = self.iteration = 0
        self.running = self.invoking = 0
        self.kept = self.raising = None

    def refuse(self):
        """Raise where nothing may be done to the loop."""
        if not self.is_open or self.rescheduling:
            raise Error("refused")

    # -- pending events

    def feed_event(self, watcher, revents):
        """ev_feed_event."""
        if watcher.entry is not None:
            watcher.entry.revents |= revents
        else:
            watcher.entry = Entry(watcher, revents)
            self.pendings[watcher.priority - EV_MINPRI].append(watcher.entry)

    def clear_pending(self, watcher):
        """ev_clear_pending. A cleared entry stays, and is counted by libev."""
        revents = 0
        entry = watcher.entry
        if entry is not None:
            revents = entry.revents
            watcher.entry = entry.watcher = None
            if self.handed_out:
                self.pendings[watcher.priority - EV_MINPRI].remove(entry)
        return revents

    def forget(self, watcher):
        """Take a watcher's event out of the batch, if it has one there."""
        entry, watcher.ready = watcher.ready, None
        if entry is None:
            return 0
        self.ready.remove(entry)
        return entry.revents

    def spill(self):
        """Give the rest of the batch back to libev."""
        self.handed_out = False
        rest, self.ready = self.ready, []
        for entry in reversed(rest):
            entry.watcher.ready = None
            self.feed_event(entry.watcher, entry.revents)

    def pop(self):
        """The next entry that libev would invoke, cleared or not; None: no more."""
        for entries in reversed(self.pendings):
            if entries:
                entry = entries.pop()
                if entry.watcher is not None:
                    entry.watcher.entry = None
                return entry
        return None

    @property
    def pending(self):
        """How many watchers are pending."""
        if not self.is_open:
            return 0
        watchers = [*self.watchers, self.knock]
        return sum(w.entry is not None for w in watchers) + len(self.ready)

    # -- invoking

    def on_invoke_pending(self):
        """Where libev would invoke what is pending."""
        outer = self.system.collecting
        if outer is not None and outer is not self:
            if not outer.broken:
                outer.flush()
            if outer.broken:
                return
        if self.broken:
            return
        if self.callback is None:
            self.invoke_pending()
        else:
            try:
                self.callback(self)
            except BaseException as exc:
                self.keep(exc, self)
        self.advance_references()

    def invoke_pending(self):
        """Invoke all that is pending."""
        self.settle_failed()
        self.spill()
        while not self.broken and any(self.pendings):
            if self.has_own_pending():
                self.collect()
                self.deliver()
                continue
            entry = self.pop()
            self.handed_out = True
            if entry.watcher is None:
                continue
            if entry.revents & EV_ERROR:
                self.fail_watcher(entry.watcher)
            else:
                self.call(entry.watcher, entry.revents)
        self.handed_out = False

    def has_own_pending(self):
        """Whether libev has something to do itself."""
        return any(
            isinstance(entry.watcher, Own)
            for entries in self.pendings
            for entry in entries
        )

    def collect(self):
        """Collect what is pending: libev's own things are done on the way."""
        outer, self.system.collecting = self.system.collecting, self
        self.is_collecting, was_collecting = True, self.is_collecting
        while True:
            entry = self.pop()
            if entry is None:
                break
            watcher = entry.watcher
            if watcher is None:
                continue
            if isinstance(watcher, Own):
                if watcher.in_order:
                    self.flush()
                watcher.run(entry.revents)
            else:
                self.collect_event(watcher, entry)
        self.is_collecting = was_collecting
        self.system.collecting = outer

    def collect_event(self, watcher, entry):
        """Put an event into the batch."""
        if self.broken:
            if watcher.ready is not None:
                watcher.ready.revents |= entry.revents
                return
        elif watcher.ready is not None or (entry.revents & EV_ERROR and self.ready):
            # Pending until what was collected before it has been delivered.
            self.feed_event(watcher, entry.revents)
            self.flush()
            return
        elif entry.revents & EV_ERROR:
            self.fail_watcher(watcher)
            return
        watcher.ready = entry
        self.ready.append(entry)
        if watcher.is_child and not self.broken:
            self.flush()

    def flush(self):
        """Deliver what has been collected so far."""
        outer, self.system.collecting = self.system.collecting, None
        self.is_collecting, was_collecting = False, self.is_collecting
        self.deliver()
        self.is_collecting = was_collecting
        self.system.collecting = outer

    def deliver(self):
        """Deliver the batch."""
        if self.broken:
            self.spill()
        while self.ready:
            entry = self.ready.pop(0)
            entry.watcher.ready = None
            self.call(entry.watcher, entry.revents)

    def call(self, watcher, revents):
        """Call a watcher's callback."""
        if watcher is self.knock:
            self.make_calls()
            return
        self.attempt(watcher.callback, watcher, revents)

    def attempt(self, callback, *args):
        """Call with the fate of exceptions that callbacks have."""
        try:
            callback(*args)
        except BaseException as exc:
            self.fail(exc, callback)

    def make_calls(self):
        """Make the calls that call_soon_threadsafe was asked for by now."""
        for _ in range(len(self.calls)):
            if not self.calls:
                # A run within one of the calls has made the others.
                break
            callback, args = self.calls.popleft()
            self.attempt(callback, *args)
            if self.kept is not None:
                break
        if self.calls:
            self.send_knock()

    # -- exceptions

    def fail(self, exc, callback):
        """An exception has left a callback."""
        if (
            not isinstance(exc, Exception)
            or exc is self.raising
            or self.callback is not None
            or getattr(callback, "fatal", False)
            or self.debug
        ):
            self.keep(exc, callback)
        else:
            self.system.report(exc, callback)

    @property
    def entered(self):
        """Whether the program is inside a run or an invocation of the loop."""
        return bool(self.running or self.invoking)

    def keep(self, exc, where):
        """End all runs, for start to raise the exception."""
        if self.kept is not None:
            if exc is not self.kept:
                self.system.report(exc, where)
            return
        self.kept = exc
        self.loop_done = EVBREAK_ALL
        self.broken = 1
        self.spill()
        if not self.entered:
            for embed in self.embeds:
                if embed.active:
                    embed.loop.keep(exc, where)

    def take_kept(self):
        """The exception to raise, which is no longer kept then."""
        exc = self.kept
        if not self.entered:
            self.raising = None
        elif exc is not None:
            self.raising = exc
        if exc is not None:
            self.kept = None
            self.broken = 0
            for watcher in list(self.watchers):
                if (
                    isinstance(watcher, Embed)
                    and watcher.is_held
                    and watcher.other.kept is exc
                ):
                    watcher.other.take_kept()
            for embed in self.embeds:
                if embed.loop.kept is exc:
                    embed.loop.take_kept()
        return exc

    def raise_kept(self):
        """Raise the exception that is kept, if there is one."""
        exc = self.take_kept()
        if exc is not None:
            raise exc

    def fail_watcher(self, watcher):
        """An EV_ERROR: stop the watcher, and all runs."""
        self.keep(Error("EV_ERROR"), watcher)
        watcher.halt()

    def settle_failed(self):
        """Stop the Schedulers that have failed; what is due stays pending."""
        failed, self.failed = self.failed, []
        for watcher in failed:
            if not watcher.has_failed:
                continue
            watcher.has_failed = False
            self.spill()
            revents = self.clear_pending(watcher)
            if watcher.active:
                watcher.deactivate()
            if revents:
                self.feed_event(watcher, revents)

    # -- running

    def run(self):
        """ev_run with EVRUN_NOWAIT."""
        self.depth += 1
        self.loop_done = 0
        self.on_invoke_pending()
        if self.postfork:
            self.queue(self.forks, EV_FORK)
        if self.prepares:
            self.queue(self.prepares, EV_PREPARE)
        if not self.loop_done:
            if self.postfork:
                self.fork()
            self.reify_fds()
            self.iteration += 1
            self.poll()
            if self.pipe_written:
                self.feed_event(self.pipe, EV_CUSTOM)
            self.reify_timers()
            self.reify_periodics()
            self.reify_idles()
            for watcher in self.checks:
                self.feed_event(watcher, EV_CHECK)
            self.on_invoke_pending()
        if self.loop_done == EVBREAK_ONE:
            self.loop_done = 0
        self.depth -= 1
        return self.references() != 0

    loop_done = 0

    def queue(self, watchers, revents):
        """Make watchers pending, and invoke them."""
        if watchers:
            for watcher in watchers:
                self.feed_event(watcher, revents)
            self.on_invoke_pending()

    def fork(self):
        """loop_fork: what the kernel knows is told again."""
        if self.backend == EVBACKEND_EPOLL:
            for fd in self.polled:
                self.change_fd(fd)
            self.polled = {}
        if self.has_inotify:
            self.change_fd("inotify")
        if self.has_pipe:
            self.clear_pending(self.pipe)
            self.feed_event(self.pipe, EV_CUSTOM)
            self.change_fd("pipe")
        self.postfork = False

    def references(self):
        """ev_run's answer."""
        return self.balance + sum(
            watcher.references
            for watcher in self.watchers
            if watcher.active and (watcher.keepalive or watcher.is_renewed)
        )

    def change_fd(self, fd):
        """fd_change."""
        if fd not in self.fd_changes:
            self.fd_changes.append(fd)

    def reify_fds(self):
        """fd_reify: tell the kernel what is wanted of each descriptor."""
        for fd in self.fd_changes:
            wanted = self.wanted(fd)
            # What nobody wants any more an epoll keeps, until it is ready.
            if wanted or self.backend != EVBACKEND_EPOLL:
                self.polled[fd] = wanted
        self.fd_changes = []

    def wanted(self, fd):
        """The events that the Io watchers of a descriptor are for."""
        events = 0
        for io in self.fds.get(fd, ()):
            events |= io.events
        return events

    def is_ready(self):
        """Whether an epoll is readable, and so is worth a run."""
        return any(self.readiness(fd) & self.polled[fd] for fd in self.polled)

    def readiness(self, fd):
        """What a descriptor is ready for; of a loop, its epoll is meant."""
        if isinstance(fd, Loop):
            return EV_READ if fd.is_open and fd.is_ready() else 0
        return self.system.ready.get(fd, 0)

    def poll(self):
        """The backend: the descriptors from the highest to the lowest, as select."""

        def number(fd):
            return fd.fd if isinstance(fd, Loop) else fd if isinstance(fd, int) else -1

        for fd in sorted(self.polled, key=number, reverse=True):
            got = self.readiness(fd) & self.polled[fd]
            if not got:
                continue
            wanted = self.wanted(fd)
            if got & ~wanted:
                if wanted:
                    self.polled[fd] = wanted
                else:
                    del self.polled[fd]
            self.feed_fd(fd, got)

    def feed_fd(self, fd, revents):
        """fd_event: the watcher that was started last is fed first."""
        for io in self.fds.get(fd, ()):
            if io.events & revents:
                self.feed_event(io, io.events & revents)

    def reify_timers(self):
        """timers_reify: the one that was due first is invoked first."""
        due = sorted((w for w in self.timers if w.at < 0), key=lambda w: w.at)
        for watcher in due:
            if watcher.repeat:
                watcher.at = max(watcher.at + watcher.repeat, NOW)
            else:
                self.clear_pending(watcher)
                watcher.deactivate()
        for watcher in reversed(due):
            self.feed_event(watcher, EV_TIMER)

    def reify_periodics(self):
        """periodics_reify."""
        due = sorted((w for w in self.periodics if w.at < 0), key=lambda w: w.at)
        for watcher in due:
            if not watcher.reschedule():
                self.clear_pending(watcher)
                watcher.deactivate()
        for watcher in reversed(due):
            self.feed_event(watcher, EV_PERIODIC)

    def reify_idles(self):
        """idle_reify: unless something of their priority or a higher is pending."""
        for priority in range(EV_MAXPRI, EV_MINPRI - 1, -1):
            if self.pendings[priority - EV_MINPRI]:
                break
            if self.idles.get(priority):
                for watcher in self.idles[priority]:
                    self.feed_event(watcher, EV_IDLE)
                break

    # -- libev's pipe

    def open_pipe(self):
        """evpipe_init."""
        if not self.has_pipe:
            self.has_pipe = True
            self.change_fd("pipe")

    def write_pipe(self, flag):
        """evpipe_write."""
        if not getattr(self, flag):
            setattr(self, flag, True)
            self.pipe_written = True

    def read_pipe(self, revents):
        """pipecb."""
        self.pipe_written = False
        if self.sig_pending:
            self.sig_pending = False
            for signum in sorted(self.system.signals, reverse=True):
                if self.system.signals[signum].pending:
                    self.feed_signal(signum)
        if self.async_pending:
            self.async_pending = False
            for watcher in reversed(self.asyncs):
                if watcher.sent:
                    watcher.sent = False
                    self.feed_event(watcher, EV_ASYNC)

    def feed_signal(self, signum):
        """ev_feed_signal_event."""
        use = self.system.signal_use(signum)
        if use.loop is self:
            use.pending = False
            for watcher in use.watchers:
                self.feed_event(watcher, EV_SIGNAL)

    def reap(self, revents):
        """on_sigchld, to which no child has ended."""
        if self.broken:
            self.reap_later = True

    def attach_signal(self, signum, watcher):
        """Be told of a signal, which no other loop is."""
        use = self.system.signal_use(signum)
        if use.loop not in (None, self):
            raise Error("another loop watches this signal")
        use.loop = self
        use.watchers.insert(0, watcher)
        self.open_pipe()

    def detach_signal(self, signum, watcher):
        """The reverse."""
        use = self.system.signal_use(signum)
        self.clear_pending(watcher)
        use.watchers.remove(watcher)
        if not use.watchers:
            use.loop = None

    def send_knock(self):
        """Deliver the calls in the next run."""
        if self.knock.active:
            self.knock.sent = True
            self.write_pipe("async_pending")
        else:
            self.knocked = True

    # -- methods and attributes of mood_event.Loop

    def start(self, flags):
        """Run."""
        active = self.run_by_program()
        self.raise_kept()
        return active

    def run_by_program(self):
        """Loop._run."""
        if not self.is_open:
            raise Error("closed")
        if self.kept is not None and not self.entered:
            return True
        self.refuse()
        self.running += 1
        if not self.knock.active:
            self.open_pipe()
            self.knock.active = self.may_send = True
            self.asyncs.append(self.knock)
            if self.knocked:
                self.send_knock()
        self.spill()
        if self.reap_later:
            self.reap_later = False
            if self.children:
                self.system.feed_signal(signal.SIGCHLD)
        outer, self.system.collecting = self.system.collecting, None
        self.advance_references()
        active = self.run()
        self.system.collecting = outer
        self.running -= 1
        self.settle_failed()
        return active

    def invoke(self):
        """Invoke what is pending."""
        self.refuse()
        self.invoking += 1
        self.invoke_pending()
        self.invoking -= 1
        self.raise_kept()

    def stop(self, how):
        """ev_break."""
        if not self.is_open:
            raise Error("closed")
        self.loop_done = how

    def close(self):
        """Call the Cleanup watchers, stop all and be gone."""
        if not self.is_open:
            return
        if self.entered or self.depth or self.rescheduling:
            raise Error("running")
        error = self.take_kept()
        if self.cleanups:
            for watcher in list(self.watchers):
                if not isinstance(watcher, Cleanup):
                    watcher.halt()
            for watcher in self.cleanups:
                self.feed_event(watcher, EV_CLEANUP)
            while self.pending:
                self.invoking += 1
                self.invoke_pending()
                self.invoking -= 1
                raised = self.take_kept()
                error = raised if error is None else error
        for watcher in [*self.embeds, *self.watchers]:
            watcher.halt()
        self.is_open = False
        self.backend = 0
        if self.system.default is self:
            self.system.default = None
        if error is not None:
            raise error

    def reset(self):
        """ev_loop_fork."""
        self.refuse()
        self.postfork = True

    def update(self):
        """ev_now_update."""
        self.refuse()

    def verify(self):
        """ev_verify."""
        self.refuse()
        self.advance_references()

    def suspend(self):
        """ev_suspend."""
        self.refuse()
        if self.suspended:
            raise Error("suspended")
        self.suspended = True

    def resume(self):
        """ev_resume: Periodics are rescheduled."""
        self.refuse()
        if not self.suspended:
            raise Error("not suspended")
        self.suspended = False
        for watcher in list(self.periodics):
            watcher.reschedule()

    def ref(self):
        """ev_ref."""
        self.refuse()
        if self.advanced:
            self.advanced -= 1
        else:
            self.balance += 1

    def advance_references(self):
        """Have no fewer than none."""
        while self.references() < 0:
            self.balance += 1
            self.advanced += 1

    def unref(self):
        """ev_unref."""
        self.refuse()
        if self.references() <= 0:
            raise Error("no reference left")
        self.balance -= 1

    def feed_fd_event(self, fd, revents):
        """ev_feed_fd_event."""
        self.refuse()
        self.spill()
        self.feed_fd(fd, revents)

    def feed_signal_event(self, signum):
        """ev_feed_signal_event."""
        self.refuse()
        self.spill()
        self.feed_signal(signum)

    def call_soon_threadsafe(self, callback, *args):
        """Have the loop call back."""
        if not self.is_open:
            raise Error("closed")
        self.calls.append((callback, args))
        self.send_knock()


class Watcher:
    """What all watchers have in common."""

    references = 1
    is_child = False
    is_renewed = False
    active = False

    def __init__(self, *args):
        *parameters, loop, callback, priority = args
        self.check(loop, *parameters)
        if not loop.is_open:
            raise Error("closed")
        if self.is_initialised:
            self.check_inactive()
            if self.pending:
                raise Error("pending")
            self.loop.watchers.remove(self)
        self.is_initialised = True
        self.loop = loop
        self.callback = callback
        self.priority = clamp(priority)
        self.keepalive = True
        self.entry = self.ready = None
        self.configure(*parameters)
        loop.watchers.append(self)

    is_initialised = False

    def check(self, loop, *parameters):
        """Raise where the parameters are none for that loop."""

    def configure(self, *parameters):
        """Take the parameters."""

    def check_inactive(self):
        """Raise where it is active."""
        if self.active:
            raise Error("active")

    @property
    def pending(self):
        """Whether an event waits for the callback to be called."""
        return self.entry is not None or self.ready is not None

    @property
    def is_held(self):
        """Whether the loop keeps it alive."""
        return self.active or self.pending

    def start(self):
        """Start, if it is not active."""
        self.loop.refuse()
        if not self.active:
            self.activate()
            self.active = True

    def stop(self):
        """Stop, and clear the pending event."""
        self.loop.refuse()
        self.halt()

    def halt(self):
        """The same, whatever the loop says."""
        self.loop.forget(self)
        self.loop.clear_pending(self)
        if self.active:
            self.deactivate()

    def activate(self):
        """Add it to libev's lists."""
        self.list().append(self)

    def deactivate(self):
        """Remove it from libev's lists: the last one takes its place."""
        self.active = False
        watchers = self.list()
        index = watchers.index(self)
        watchers[index] = watchers[-1]
        watchers.pop()

    def feed(self, revents):
        """ev_feed_event."""
        self.loop.refuse()
        self.loop.spill()
        self.loop.feed_event(self, revents)

    def clear(self):
        """ev_clear_pending."""
        self.loop.refuse()
        return self.loop.clear_pending(self) | self.loop.forget(self)

    def invoke(self, revents):
        """ev_invoke."""
        loop = self.loop
        if not loop.is_open:
            raise Error("closed")
        kept = loop.kept
        if revents & EV_ERROR:
            loop.keep(Error("EV_ERROR"), self)
            if not loop.rescheduling:
                self.halt()
        else:
            loop.attempt(self.callback, self, revents)
        if kept is None:
            loop.raise_kept()

    def set(self, *parameters):
        """ev_TYPE_set."""
        self.check(self.loop, *parameters)
        self.check_inactive()
        self.configure(*parameters)

    def set_priority(self, priority):
        """ev_set_priority."""
        self.check_inactive()
        self.loop.refuse()
        if self.pending:
            raise Error("pending")
        self.priority = clamp(priority)

    def set_keepalive(self, keepalive):
        """Whether it keeps the loop running."""
        self.loop.refuse()
        self.keepalive = keepalive
        self.is_renewed = False


class Io(Watcher):
    """ev_io."""

    def configure(self, fd, events):
        self.fd = fd
        self.events = events

    def activate(self):
        self.loop.fds.setdefault(self.fd, []).insert(0, self)
        self.loop.change_fd(self.fd)

    def deactivate(self):
        self.active = False
        self.loop.fds[self.fd].remove(self)
        self.loop.change_fd(self.fd)


class Timer(Watcher):
    """ev_timer."""

    def configure(self, after, repeat):
        self.at = after
        self.repeat = repeat

    def list(self):
        return self.loop.timers

    def reset(self):
        """ev_timer_again."""
        self.loop.refuse()
        self.loop.forget(self)
        self.loop.clear_pending(self)
        if self.repeat:
            self.at = self.repeat if self.repeat >= 1 else NOW
            self.start()
        elif self.active:
            self.deactivate()


class AbsoluteTimer(Watcher):
    """ev_periodic."""

    def list(self):
        return self.loop.periodics

    def reset(self):
        """ev_periodic_again."""
        self.stop()
        self.start()


class Periodic(AbsoluteTimer):
    """ev_periodic without a callable; an interval is far."""

    def configure(self, offset, interval):
        self.offset = offset
        self.interval = interval

    def activate(self):
        self.at = self.interval or self.offset
        super().activate()

    def reschedule(self):
        """Find the next time; False: there is none."""
        if self.interval:
            self.at = self.interval
        return bool(self.interval)


class Scheduler(AbsoluteTimer):
    """ev_periodic with a callable, which says NOW, or is far, or fails."""

    has_failed = False

    def configure(self, scheduler):
        self.scheduler = scheduler
        self.has_failed = False

    def activate(self):
        self.has_failed = False
        self.reschedule()
        super().activate()

    def reschedule(self):
        """Ask for the next time."""
        loop = self.loop
        self.at = 1e30
        if self.has_failed:
            return True
        loop.rescheduling += 1
        try:
            self.at = self.scheduler(self, NOW)
            if self.at != self.at or self.at < NOW:
                raise (ValueError if self.at != self.at else Error)("no time")
        except BaseException as exc:
            self.at = 1e30
            self.has_failed = True
            loop.failed.append(self)
            loop.fail(exc, self.scheduler)
        loop.rescheduling -= 1
        return True

    def start(self):
        super().start()
        self.settle()

    def reset(self):
        self.loop.refuse()
        self.halt()
        Watcher.start(self)
        self.settle()

    def settle(self):
        """Stop what has failed, and raise what is fatal outside of a run."""
        loop = self.loop
        if loop.failed:
            loop.settle_failed()
            if loop.kept is not None and not loop.entered:
                loop.raise_kept()


class Signal(Watcher):
    """ev_signal."""

    def configure(self, signum):
        self.signum = signum

    def activate(self):
        self.loop.attach_signal(self.signum, self)

    def deactivate(self):
        self.active = False
        self.loop.detach_signal(self.signum, self)


class Async(Watcher):
    """ev_async."""

    sent = False

    def configure(self):
        self.sent = False

    def list(self):
        return self.loop.asyncs

    def activate(self):
        self.sent = False
        self.loop.open_pipe()
        self.loop.may_send = True
        super().activate()

    def send(self):
        """ev_async_send."""
        if not self.loop.is_open or not self.loop.may_send:
            raise Error("silent")
        self.sent = True
        self.loop.write_pipe("async_pending")


class Child(Watcher):
    """ev_child, of a process that does not end."""

    is_child = True
    sent = False

    def __init__(self, pid, trace, loop, *args):
        if loop is not loop.system.default:
            raise Error("not the default loop")
        super().__init__(pid, trace, loop, *args)

    def list(self):
        return self.loop.asyncs

    def activate(self):
        loop = self.loop
        if not loop.children:
            loop.attach_signal(signal.SIGCHLD, loop.sigchld)
        loop.children += 1
        # One may have ended already.
        loop.system.feed_signal(signal.SIGCHLD)
        loop.open_pipe()
        super().activate()

    def deactivate(self):
        super().deactivate()
        loop = self.loop
        loop.children -= 1
        if not loop.children:
            loop.detach_signal(signal.SIGCHLD, loop.sigchld)


class Stat(Watcher):
    """ev_stat, of a path to which nothing happens."""

    def activate(self):
        """There is no list of them that shows, but libev's inotify does."""
        if not self.loop.has_inotify:
            self.loop.has_inotify = True
            self.loop.change_fd("inotify")

    def deactivate(self):
        self.active = False

    def stat(self):
        """ev_stat_stat."""
        self.loop.refuse()


class Idle(Watcher):
    """ev_idle."""

    def list(self):
        return self.loop.idles.setdefault(self.priority, [])


class Prepare(Watcher):
    """ev_prepare."""

    def list(self):
        return self.loop.prepares


class Check(Watcher):
    """ev_check."""

    def list(self):
        return self.loop.checks


class Fork(Watcher):
    """ev_fork."""

    def list(self):
        return self.loop.forks


class Cleanup(Watcher):
    """ev_cleanup."""

    references = 0

    def list(self):
        return self.loop.cleanups


class Embed(Watcher):
    """ev_embed, with the watchers of libev's own that it starts."""

    references = 4

    def check(self, loop, other):
        if not other.is_open or other.backend != EVBACKEND_EPOLL:
            raise Error("not embeddable")
        if embeds(other, loop):
            raise Error("a loop cannot be embedded in itself")

    def configure(self, other):
        self.other = other
        if self.callback is None:
            self.callback = sweep
        self.io = Own(self.on_io, self.priority)
        self.prepare = Own(self.on_prepare, EV_MINPRI, in_order=True)
        self.fork = Own(self.on_fork, 0, in_order=True)

    def start(self):
        if not self.active:
            self.check(self.loop, self.other)
        super().start()
        if self not in self.other.embeds:
            self.other.embeds.append(self)

    def activate(self):
        loop = self.loop
        self.io.priority = self.priority
        loop.fds.setdefault(self.other, []).insert(0, self.io)
        loop.change_fd(self.other)
        loop.prepares.append(self.prepare)
        loop.forks.append(self.fork)

    def deactivate(self):
        loop = self.loop
        self.active = False
        self.stop_io()
        for own in (self.prepare, self.fork):
            loop.clear_pending(own)
        for owns, own in ((loop.prepares, self.prepare), (loop.forks, self.fork)):
            index = owns.index(own)
            owns[index] = owns[-1]
            owns.pop()
        self.other.embeds.remove(self)

    def stop_io(self):
        """Stop watching the embedded loop's epoll."""
        loop = self.loop
        loop.clear_pending(self.io)
        if self.io in loop.fds[self.other]:
            loop.fds[self.other].remove(self.io)
            loop.change_fd(self.other)

    def on_io(self, revents):
        """embed_io_cb."""
        self.loop.feed_event(self, EV_EMBED)

    def on_prepare(self, revents):
        """embed_prepare_cb."""
        if self.active and not self.loop.broken:
            while self.other.fd_changes:
                self.other.reify_fds()
                self.other.run()

    def on_fork(self, revents):
        """embed_fork_cb: the embedded loop forks, and then has another epoll."""
        if not self.active:
            return
        self.stop_io()
        self.other.postfork = True
        # Meanwhile it counts.
        self.is_renewed = True
        self.other.run()
        self.is_renewed = False
        if self.active:
            revents = self.loop.clear_pending(self)
            self.deactivate()
            self.activate()
            self.active = True
            self.other.embeds.append(self)
            if revents:
                self.loop.feed_event(self, revents)

    def sweep(self):
        """ev_embed_sweep."""
        self.other.run_by_program()
        self.other.raise_kept()


def sweep(watcher, revents):
    """The callback of an Embed that has none."""
    watcher.sweep()


sweep.fatal = True


def embeds(loop, sought):
    """Whether `loop` is `sought`, or embeds it, however deeply."""
    return loop is sought or any(
        embeds(watcher.other, sought)
        for watcher in loop.watchers
        if isinstance(watcher, Embed) and watcher.is_held
    )


for _kind in Watcher.__subclasses__() + AbsoluteTimer.__subclasses__():
    if _kind is not AbsoluteTimer:
        setattr(System, _kind.__name__, _kind)
