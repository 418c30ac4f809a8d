"""Timers that count in their data, from names that were imported with a star."""

# ruff: noqa: F403, F405

from signal import SIGUSR1

from mood.event import *


def timer_cb(watcher, revents):
    watcher.data += 1
    print("timer.data:", watcher.data, "event:", revents == EV_TIMER)
    print("loop is busy:", bool(watcher.loop.depth))
    if watcher.data == 3:
        watcher.stop()
        feed_signal(SIGUSR1)


def sig_cb(watcher, revents):
    print("signal:", revents == EV_SIGNAL)
    loop = watcher.loop
    # optional - stop all watchers
    if loop.data:
        print("stopping watchers:", len(loop.data))
        while loop.data:
            loop.data.pop().stop()
    # unloop all nested loop
    loop.stop(EVBREAK_ALL)


def failing_cb(watcher, revents):
    watcher.data.append(len(watcher.data))
    watcher.repeat = 0.001 * len(watcher.data)
    if len(watcher.data) == 3:
        watcher.stop()
    else:
        watcher.reset()


loop = default_loop()
timer = loop.timer(0, 0.002, timer_cb, 0)
timer.start()
sig = loop.signal(SIGUSR1, sig_cb)
sig.start()
growing = loop.timer(0.001, 0.0, failing_cb, [])
growing.start()
idle = loop.idle(lambda watcher, revents: watcher.stop(), None, EV_MINPRI)
idle.start()
loop.data = [timer, sig, growing, idle]
print("start:", loop.start())
print("again:", loop.start(), timer.active, sig.active)
