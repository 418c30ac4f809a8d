"""Watchers that are subclasses: a pool of workers, a heartbeat, a retry."""

import os
import threading

import mood.event as event


class Inbox(event.Async):
    def __init__(self, loop, handle):
        super().__init__(loop, self.wake, data=[], priority=1)
        self.handle = handle
        self.lock = threading.Lock()

    def put(self, item):
        with self.lock:
            self.data.append(item)
        self.send()

    def wake(self, watcher, revents):
        with self.lock:
            items, self.data = self.data, []
        for item in items:
            self.handle(item)


class Heartbeat(event.Timer):
    def __init__(self, loop, interval, limit):
        event.Timer.__init__(self, interval, interval, loop, self.beat, 0)
        self.limit = limit

    def beat(self, watcher, revents):
        self.data += 1
        if self.data == self.limit:
            self.stop()

    def stop(self):
        report.append(f"heartbeat stops at {self.data}")
        super().stop()


class Line(event.Io):
    """Lines from a descriptor."""

    def __init__(self, fd, loop):
        super().__init__(fd, event.EV_READ, loop, self.ready)
        self.rest = b""
        self.lines = []

    def ready(self, watcher, revents):
        data = os.read(self.fd, 7)
        if not data:
            self.stop()
            os.close(self.fd)
            return
        *lines, self.rest = (self.rest + data).split(b"\n")
        self.lines += lines


class Supervisor(event.Child):
    def __init__(self, pid, loop):
        super().__init__(pid, False, loop, self.ended)

    def ended(self, watcher, revents):
        report.append(f"child {os.WEXITSTATUS(self.rstatus)} {self.rpid == self.pid}")
        self.stop()


def handle(item):
    results.append(item)
    if len(results) == 20:
        inbox.stop()


report = []
results = []
loop = event.default_loop(data="shared")
pid = os.fork()
if not pid:
    os._exit(9)
reader, writer = os.pipe()
os.write(writer, b"first line\nsecond line\nthird\n")
os.close(writer)
inbox = Inbox(loop, handle)
lines = Line(reader, loop)
watchers = [inbox, Heartbeat(loop, 0.002, 3), lines, Supervisor(pid, loop)]
for watcher in watchers:
    watcher.start()
workers = [
    threading.Thread(target=lambda n=n: [inbox.put(10 * n + i) for i in range(10)])
    for n in range(2)
]
for worker in workers:
    worker.start()
print("left", loop.start())
for worker in workers:
    worker.join()
print(sorted(report))
print(sorted(results) == list(range(20)), lines.lines, [w.active for w in watchers])
print({type(watcher).__name__: watcher.loop.data for watcher in watchers})
