"""A module with mood.event's interface, as bare as can be, for _mood.adapt.

Imported by floor.py and floor_batch.py. It has no check, keeps no promise about order,
lifetimes or exceptions, and one loop at a time is all that it can do: it shows what is
left when a binding by cffi is only that.
"""

import importlib.util
from types import SimpleNamespace
from typing import Any

from floor import build


def _load() -> Any:
    build.build()
    (path,) = build.BUILT.glob(f"{build.MODULE}.*.so")
    spec = importlib.util.spec_from_file_location(build.MODULE, path)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


def make(batch: bool) -> Any:
    """The module, with one call into Python per event or one per iteration."""
    module = _load()
    ffi, lib = module.ffi, module.lib
    new, unpack, init = ffi.new, ffi.unpack, lib.floor_init
    slots: list[Any] = []

    @ffi.def_extern()
    def floor_on_event(slot: int, revents: int) -> None:
        ready = slots[slot]
        ready.callback(ready, revents)

    @ffi.def_extern()
    def floor_on_batch(count: int) -> None:
        pairs = iter(unpack(lib.floor_events, 2 * count))
        for slot, revents in zip(pairs, pairs):
            ready = slots[slot]
            ready.callback(ready, revents)

    class Loop:
        def __init__(self) -> None:
            slots.clear()
            self.ev = lib.floor_open(batch)

        def start(self, flags: int = 0) -> None:
            lib.ev_run(self.ev, flags)

        def stop(self) -> None:
            lib.ev_break(self.ev, lib.EVBREAK_ONE)

        def close(self) -> None:
            lib.ev_loop_destroy(self.ev)

        def idle(self, callback: Any) -> Any:
            return Idle(self, callback)

        def io(self, fd: int, mask: int, callback: Any) -> Any:
            return Io(fd, mask, self, callback)

        def timer(self, after: float, repeat: float, callback: Any) -> Any:
            return Timer(after, repeat, self, callback)

    def watcher(name: str) -> Any:
        struct = ffi.typeof(f"ev_{name} *")
        ev_start = getattr(lib, f"ev_{name}_start")
        ev_stop = getattr(lib, f"ev_{name}_stop")

        class Watcher:
            __slots__ = ("callback", "ev", "ptr")

            def __init__(self, loop: Loop, callback: Any) -> None:
                self.ev = loop.ev
                self.callback = callback
                self.ptr = new(struct)
                init(self.ptr, len(slots), batch)
                slots.append(self)

            def start(self) -> None:
                ev_start(self.ev, self.ptr)

            def stop(self) -> None:
                ev_stop(self.ev, self.ptr)

        return Watcher

    timer_set, timer_again = lib.floor_timer_set, lib.ev_timer_again
    io_set, async_send = lib.floor_io_set, lib.ev_async_send
    io, timer, async_ = watcher("io"), watcher("timer"), watcher("async")
    Idle = watcher("idle")

    class Io(io):
        __slots__ = ()

        def __init__(self, fd: int, mask: int, loop: Loop, callback: Any) -> None:
            io.__init__(self, loop, callback)
            io_set(self.ptr, fd, mask)

        def set(self, fd: int, mask: int) -> None:
            io_set(self.ptr, fd, mask)

    class Timer(timer):
        __slots__ = ()

        def __init__(
            self, after: float, repeat: float, loop: Loop, callback: Any
        ) -> None:
            timer.__init__(self, loop, callback)
            timer_set(self.ptr, after, repeat)

        def reset(self) -> None:
            timer_again(self.ev, self.ptr)

    class Async(async_):
        __slots__ = ()

        def send(self) -> None:
            async_send(self.ev, self.ptr)

    return SimpleNamespace(
        Loop=Loop,
        Async=Async,
        EV_READ=lib.EV_READ,
        EVRUN_NOWAIT=lib.EVRUN_NOWAIT,
    )


def version() -> str:
    """There are none."""
    return ""
