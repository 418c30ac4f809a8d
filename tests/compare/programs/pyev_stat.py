"""A pyev program that watches a file: made, changed, removed."""

import os
import tempfile

import pyev

directory = tempfile.mkdtemp()
path = os.path.join(directory, "watched")


def write(text):
    with open(path, "a") as file:
        file.write(text)


def stat_cb(watcher, revents):
    assert revents == pyev.EV_STAT
    print(watcher.path == path, end=" ")
    print(bool(watcher.prev.st_nlink), "->", bool(watcher.attr.st_nlink))
    if not watcher.attr.st_nlink:
        watcher.loop.stop(pyev.EVBREAK_ALL)
        return
    print(watcher.prev.st_size, "->", watcher.attr.st_size)
    if watcher.attr.st_size < 10:
        write("more text")
    else:
        os.remove(path)


loop = pyev.default_loop()
stat = pyev.Stat(path, 0.1, loop, stat_cb)
stat.start()
timer = loop.timer(0.01, 0.0, lambda watcher, revents: write("text"))
timer.start()
loop.start()
stat.stop()
os.rmdir(directory)
print(loop.start(), stat.active)
