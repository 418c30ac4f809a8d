"""A server on asyncio that runs a check at times of the clock, and tells how it went.

    python health.py --port 7009 --every 60 -- ping -c 1 example.org
    nc 127.0.0.1 7009

The connections are asyncio's streams. The times of the clock, the end of the check and
the signals are watchers of libev's on the same loop, and awaited. A check that takes
longer than the time between two is not begun again before it has ended. SIGINT and
SIGTERM end the server, and a check that is going on.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import time

from mood_event import Loop, aio, default_loop


class Health:
    """What is known of the checks."""

    def __init__(self, loop: Loop, command: "list[str]", every: float) -> None:
        self.loop = loop
        self.command = command
        self.clock = loop.periodic(0.0, every, aio.ignore)
        self.checks = 0
        self.last = "not checked yet"

    async def watch(self) -> None:
        """Check, again and again."""
        while True:
            await aio.event(self.clock)
            begin = time.strftime("%X")
            try:
                status = await self.check()
            except OSError as error:
                self.last = f"{begin} cannot be run: {error.strerror}"
            else:
                how = f"failed: {status}" if status else "well"
                self.last = f"{begin} {how}"
            self.checks += 1

    async def check(self) -> int:
        """Run the command, and return how it ended."""
        process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        child = self.loop.child(process.pid, False, aio.ignore)
        try:
            await aio.event(child)
        except asyncio.CancelledError:
            process.kill()
            process.wait()
            raise
        # The watcher has waited for it, and Popen need not.
        process.returncode = os.waitstatus_to_exitcode(child.rstatus)
        return process.returncode

    async def tell(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer a connection."""
        writer.write(f"{self.checks} checks, the last one: {self.last}\n".encode())
        # Whether it arrives is the client's affair.
        writer.close()


async def ending(loop: Loop) -> str:
    """Wait for one of the signals that end the server; its name."""
    watchers = [loop.signal(n, aio.ignore) for n in (signal.SIGINT, signal.SIGTERM)]
    waiting = [asyncio.ensure_future(aio.event(watcher)) for watcher in watchers]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    came = [w.signum for w, task in zip(watchers, waiting) if task.done()]
    for task in waiting:
        task.cancel()
    return signal.Signals(came[0]).name


async def serve(host: str, port: int, command: "list[str]", every: float) -> None:
    loop = aio.ev_loop()
    health = Health(loop, command, every)
    watching = asyncio.ensure_future(health.watch())
    ended = asyncio.ensure_future(ending(loop))
    server = await asyncio.start_server(health.tell, host, port)
    address, number = server.sockets[0].getsockname()[:2]
    print(f"listening on {address}:{number}", flush=True)
    async with server:
        await asyncio.wait([ended, watching], return_when=asyncio.FIRST_COMPLETED)
    if watching.done():
        # It does not return: this raises what has gone wrong.
        watching.result()
    watching.cancel()
    await asyncio.wait([watching])
    print(f"ended by {await ended}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="A server that tells of checks.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7009, help="0: any free one")
    parser.add_argument("--every", type=float, default=60.0, help="seconds")
    parser.add_argument("command", nargs="+", help="what is to be run, after --")
    arguments = parser.parse_args()
    # Child watchers need the default loop.
    with default_loop() as loop:
        aio.run(
            serve(arguments.host, arguments.port, arguments.command, arguments.every),
            loop=loop,
        )


if __name__ == "__main__":
    main()
