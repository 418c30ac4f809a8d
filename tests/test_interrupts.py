"""Ctrl-C at random moments, whatever a loop does: `start` raises it, nothing is lost.

What sends real SIGINTs, from a process beside, is in a script. Where an interrupt is
to come between two given steps, the test raises it there.
"""

import pytest
from soak import scaled

from mood_event import EV_CUSTOM, EV_TIMER, EVRUN_NOWAIT, _dispatch
from mood_event.loop import _Once

SEED = 20251

PRELUDE = """
import faulthandler, os, random, signal, struct, sys, threading, time, warnings
# That a Scheduler was stopped, which an interrupt came to.
warnings.simplefilter("ignore", RuntimeWarning)
scenario, companions, place = sys.argv[1:4]
count, seed = map(int, sys.argv[4:])

def busy(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass

# A round is busy for so long, and idle then. The interrupt comes before or after.
BUSY = 1.5e-3
arm_reader, arm = os.pipe()
answer, answer_writer = os.pipe()
data, data_writer = os.pipe()
os.set_blocking(data, False)
target = os.getpid()
helper = os.fork()
if not helper:
    # A byte of data, and the interrupt, at a moment of its own each time.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.close(arm)
    moments = random.Random(seed)
    while os.read(arm_reader, 1):
        busy(moments.uniform(0.0, 1.25 * BUSY))
        os.write(data_writer, b"x")
        busy(moments.choice([0.0, 1e-5, 1e-4]))
        sent = time.monotonic()
        os.kill(target, signal.SIGINT)
        os.write(answer_writer, struct.pack("d", sent))
    os._exit(0)
os.close(arm_reader)

from mood_event import (
    EV_CUSTOM, EV_MAXPRI, EV_READ, EVRUN_NOWAIT, EVRUN_ONCE, Loop
)
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

def kept_as_before():
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    return (
        wakeup,
        signal.getsignal(signal.SIGINT),
        signal.pthread_sigmask(signal.SIG_BLOCK, ()),
    )

# At 0, CPython before 3.11 has done the first instruction. Later that is RESUME, which
# does nothing; and PyPy is about to do it.
BEGUN = sys.implementation.name == "pypy" or sys.version_info >= (3, 11)

def interrupt(run):
    '''Call until the interrupt has come. Returns the functions that it came to, the
    watcher of the callback among them, and the seconds it took.'''
    names, watcher = [], None
    try:
        os.write(arm, b"x")
        while True:
            run()
    except KeyboardInterrupt as error:
        came = time.monotonic()
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_lasti >= BEGUN:
                names.append(trace.tb_frame.f_code.co_name)
                if names[-1] == "callback":
                    watcher = trace.tb_frame.f_locals["watcher"]
            trace = trace.tb_next
    sent, = struct.unpack("d", os.read(answer, 8))
    return names, watcher, came - sent

def keep_company():
    '''Threads beside: one computes, one runs a loop of its own, one wakes ours.'''
    sys.setswitchinterval(1e-4)
    end = threading.Event()

    def compute():
        while not end.is_set():
            busy(1e-4)
            time.sleep(0)

    def run():
        with Loop() as own:
            def tick(watcher, revents):
                if end.is_set():
                    own.stop()
            own.timer(0.0, 1e-4, tick).start()
            own.start()

    def wake():
        while not end.wait(3e-4):
            woken.send()

    woken = loop.async_(lambda watcher, revents: None)
    woken.start()
    threads = [threading.Thread(target=each) for each in (compute, run, wake)]
    for thread in threads:
        thread.daemon = True
        thread.start()

    def leave():
        end.set()
        for thread in threads:
            thread.join()
        woken.stop()
    return leave

loop = Loop()
leave = keep_company() if companions == "threads" else lambda: None
received = []
def read(watcher, revents):
    received.append(os.read(data, 100))
io = loop.io(data, EV_READ, read)
io.start()
far = loop.timer(1e6, 0.0, lambda watcher, revents: None)
far.start()

def drain():
    '''Deliver what is left, and the byte that came with the interrupt.'''
    for _ in range(5):
        loop.start(EVRUN_NOWAIT)
"""

BODY = """
SIZE = 40
seen = []
def callback(watcher, revents):
    seen.append(watcher)
    busy(BUSY / SIZE)

# Two priorities: libev's order is that of a stack within each.
watchers = [loop.prepare(callback, number, number % 2) for number in range(SIZE)]
expected = sorted(range(SIZE), key=lambda number: (number % 2, number), reverse=True)

def nest(watcher, revents):
    if armed and loop.depth < 4:
        # What the outer run had left is delivered in here.
        loop.start(EVRUN_ONCE)
        loop.start()

nesting = loop.prepare(nest, None, EV_MAXPRI)

def schedule(watcher, now):
    busy(1e-4)
    return now + 1e-5

scheduler = loop.scheduler(schedule, lambda watcher, revents: None)

def work(watcher, revents):
    # What an interrupt can leave half done must be good for the next round.
    end = time.perf_counter() + BUSY
    while time.perf_counter() < end:
        for timer in timers:
            timer.start()
        for timer in timers:
            timer.reset()
            timer.stop()

timers = [loop.timer(1e5, 1e5, callback) for _ in range(3)]
working = loop.prepare(work, None, EV_MAXPRI)

CALLS = {"calls": 1000, "once": 200}
calls = []
def call(number):
    calls.append(number)
    busy(BUSY / CALLS[scenario])

def check_scheduler():
    if scheduler.active:
        assert scheduler.at < time.time() + 1.0, scheduler
    else:
        scheduler.start()

def prepare():
    del seen[:], calls[:]
    for watcher in watchers:
        watcher.feed(EV_CUSTOM)
    if scenario == "nested":
        nesting.feed(EV_CUSTOM)
    elif scenario == "callback":
        working.feed(EV_CUSTOM)
    elif scenario == "scheduler":
        check_scheduler()
    elif scenario == "loop callback":
        loop.callback = Loop.invoke
    elif scenario == "calls":
        for number in range(CALLS[scenario]):
            loop.call_soon_threadsafe(call, number)
    elif scenario == "once":
        for number in range(CALLS[scenario]):
            loop.once(None, 0, 0.0, lambda revents, number=number: call(number))

if scenario != "batch":
    # The interrupt is to come to something else.
    watchers = [] if scenario == "idle" else watchers[:4]
    expected = [number for number in expected if number < len(watchers)]

before = kept_as_before()
slow = []
places = set()
number = -1
# On a machine with much else to do it may take some more until one hits the place.
while number + 1 < count or (place not in places and number < 50 * count):
    number += 1
    prepare()
    armed = True
    names, interrupted, latency = interrupt(loop.start)
    armed = False
    places.update(names)
    slow.append(latency)
    context = (scenario, seed, number, names)
    assert loop.depth == 0, context
    assert kept_as_before() == before, (context, kept_as_before(), before)
    drain()
    loop.verify()
    # An event whose callback the interrupt came to has been delivered.
    order = [watcher.data for watcher in seen]
    missing = set(watchers) - set(seen)
    assert missing <= {interrupted}, (context, "lost", missing)
    assert len(seen) == len(set(seen)), (context, "twice", order)
    assert order == [n for n in expected if watchers[n] not in missing], context
    assert loop.pending == 0, context
    if scenario in CALLS:
        lost = set(range(CALLS[scenario])) - set(calls)
        assert len(lost) <= bool({"call", "<lambda>"} & set(names)), (context, lost)
        assert len(calls) == len(set(calls)), (context, "twice", calls)
        # Timers that are due at one time have no order.
        assert scenario == "once" or calls == sorted(calls), (context, calls)
    if "read" in names and len(received) <= number:
        # Read, and not noted any more.
        received.append(b"x")
    assert received == [b"x"] * (number + 1), (context, received)
    # It is good for another one, to the end.
    assert io.active and far.active, context

leave()
os.close(arm)
assert os.waitpid(helper, 0)[1] == 0
watchers.clear(); io.stop(); far.stop(); scheduler.stop()
for timer in timers:
    timer.stop()
assert loop.start() is False, loop._queue.held
loop.close()
assert kept_as_before() == before
slow.sort()
assert place in places, places
print(slow[len(slow) // 2])
"""

# A function that some of the interrupts are to come to.
SCENARIOS = {
    "idle": "start",
    "batch": "callback",
    "callback": "work",
    "nested": "nest",
    "scheduler": "schedule",
    "loop callback": "callback",
    "calls": "call",
    "once": "call",
}


# How many when cut down. PyPy looks for signals at fewer places in what it has
# compiled, which takes it a thousand.
SHORT = {(scenario, "alone"): 100 for scenario in SCENARIOS}
SHORT["idle", "alone"] = 1500


@pytest.mark.soak
@pytest.mark.parametrize("companions", ["alone", "threads"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_interrupts_are_raised_by_start_and_lose_nothing(
    run_script, scenario, companions
):
    result = run_script(
        PRELUDE + BODY,
        scenario,
        companions,
        SCENARIOS[scenario],
        str(scaled(2000, SHORT.get((scenario, companions), 40))),
        str(SEED),
        timeout=300.0,
    )
    if scenario == "idle":
        # The median: this is no machine of ours alone.
        assert float(result.stdout) < 0.1


# -- between two given steps ----------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["install", "remove"])
def test_wakeup_descriptor_is_restored_whenever_an_interrupt_comes(
    run_script, step, when
):
    run_script(
        f"""
import os, signal
from mood_event import EVRUN_ONCE, Loop

set_wakeup_fd = signal.set_wakeup_fd
def interrupted(fd, **keywords):
    signal.set_wakeup_fd = set_wakeup_fd
    if "{when}" == "after":
        set_wakeup_fd(fd, **keywords)
    raise KeyboardInterrupt

def interrupt(watcher, revents):
    signal.set_wakeup_fd = interrupted

readers, writers = zip(os.pipe(), os.pipe())
for writer in writers:
    os.set_blocking(writer, False)
with Loop() as loop:
    idle = loop.idle(interrupt)
    idle.start()
    for number in range(2):
        set_wakeup_fd(writers[0])
        if "{step}" == "install":
            # Once it knows what there was: this is one call.
            idle.callback = lambda watcher, revents: None
            loop.start(EVRUN_ONCE)
            interrupt(None, 0)
        try:
            loop.start(EVRUN_ONCE)
        except KeyboardInterrupt:
            pass
        else:
            raise AssertionError
        assert set_wakeup_fd(-1) == writers[0]
        # It was another one's meanwhile.
        set_wakeup_fd(writers[1])
        loop.start(EVRUN_ONCE) if "{step}" == "install" else None
        assert set_wakeup_fd(-1) == writers[1]
"""
    )


def test_call_that_an_interrupt_kept_from_being_made_is_made(loop, monkeypatch):
    made = []

    def call(number):
        made.append(number)
        if len(made) == 2:
            raise KeyboardInterrupt

    for number in range(4):
        loop.call_soon_threadsafe(call, number)
    # As if it had come just before the call.
    monkeypatch.setattr(_dispatch, "_was_called", lambda trace: False)
    with pytest.raises(KeyboardInterrupt):
        loop.start(EVRUN_NOWAIT)
    assert made == [0, 1]
    loop.start(EVRUN_NOWAIT)
    assert made == [0, 1, 1, 2, 3]


def test_calls_are_made_when_an_interrupt_comes_between_two(loop, monkeypatch):
    made = []

    class Calls(type(loop._queue.calls)):
        """What an interrupt comes to when a call is fetched."""

        def popleft(self):
            value = super().popleft()
            if len(made) == 1 and interrupts:
                raise interrupts.pop()
            return value

    interrupts = [KeyboardInterrupt()]
    loop._queue.calls = Calls()
    for number in range(3):
        loop.call_soon_threadsafe(made.append, number)
    with pytest.raises(KeyboardInterrupt):
        loop.start(EVRUN_NOWAIT)
    assert made == [0]
    loop.start(EVRUN_NOWAIT)
    assert made == [0, 1, 2]


@pytest.mark.parametrize("was_called", [False, True])
def test_calls_are_made_when_an_interrupt_comes_before_all(
    loop, monkeypatch, was_called
):
    made = []
    make = _dispatch.Queue._callback

    def interrupted(queue, watcher, revents):
        monkeypatch.setattr(_dispatch.Queue, "_callback", make)
        raise KeyboardInterrupt

    monkeypatch.setattr(_dispatch.Queue, "_callback", interrupted)
    monkeypatch.setattr(_dispatch, "_was_called", lambda trace: was_called)
    loop.call_soon_threadsafe(made.append, 0)
    with pytest.raises(KeyboardInterrupt):
        loop.start(EVRUN_NOWAIT)
    assert made == []
    loop.start(EVRUN_NOWAIT)
    assert made == [0]


def test_calls_that_a_nested_run_makes_are_made_once(loop, unraisable):
    made = []

    def nest():
        made.append("nest")
        loop.call_soon_threadsafe(made.append, "last")
        loop.start(EVRUN_NOWAIT)

    loop.call_soon_threadsafe(nest)
    loop.call_soon_threadsafe(made.append, "second")
    loop.start(EVRUN_NOWAIT)
    assert made == ["nest", "second", "last"]
    assert unraisable == []


@pytest.mark.filterwarnings("ignore:.*has been stopped:RuntimeWarning")
def test_scheduler_that_an_interrupt_keeps_from_being_asked_is_stopped(loop):
    asked = []

    class Held(list):
        """What an interrupt comes to when the Scheduler is looked up."""

        def __getitem__(self, slot):
            if self.armed:
                self.armed = False
                raise KeyboardInterrupt
            return super().__getitem__(slot)

    def schedule(watcher, now):
        asked.append(now)
        return now + 1e4

    queue = loop._queue
    scheduler = loop.scheduler(schedule, lambda watcher, revents: None)
    scheduler.start()
    held, queue.held = queue.held, Held(queue.held)
    queue.held.armed = True
    with pytest.raises(KeyboardInterrupt):
        scheduler.reset()
    queue.held = held
    loop.start(EVRUN_NOWAIT)
    assert not scheduler.active
    scheduler.start()
    assert len(asked) == 2
    assert scheduler.at < 1e10


def test_second_interrupt_does_not_let_the_loop_go_on(loop, monkeypatch):
    seen = []
    halt = _dispatch.Queue.halt

    def interrupted(queue):
        monkeypatch.setattr(_dispatch.Queue, "halt", halt)
        raise KeyboardInterrupt

    def callback(watcher, revents):
        seen.append(watcher)
        if len(seen) == 1:
            raise KeyboardInterrupt

    for _ in range(3):
        loop.prepare(callback).feed(EV_CUSTOM)
    monkeypatch.setattr(_dispatch.Queue, "halt", interrupted)
    with pytest.raises(KeyboardInterrupt):
        loop.start(EVRUN_NOWAIT)
    assert len(seen) == 1
    loop.start(EVRUN_NOWAIT)
    assert len(seen) == len(set(seen)) == 3


def test_once_that_an_interrupt_keeps_from_its_call_is_called_later(loop, monkeypatch):
    seen = []
    stop = _Once._stop

    def interrupted(once, revents):
        monkeypatch.setattr(_Once, "_stop", stop)
        raise KeyboardInterrupt

    monkeypatch.setattr(_Once, "_stop", interrupted)
    loop.once(None, 0, 0.0, seen.append)
    with pytest.raises(KeyboardInterrupt):
        loop.start()
    assert seen == []
    loop.start(EVRUN_NOWAIT)
    assert seen == [EV_TIMER]
    assert loop.watchers() == []
