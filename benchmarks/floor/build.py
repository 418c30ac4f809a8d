"""Compile the floor for the interpreter that runs this.

Imported by the floor's adapters, which call build() when they are loaded, and by
bench.py for the paths. Building needs cffi and setuptools, as the package does.
"""

import shutil
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILT = ROOT / ".cache" / "bench" / f"floor-{sys.implementation.cache_tag}"
MODULE = "_floor"

CDEF = """
struct ev_loop;
typedef struct { ...; } ev_io;
typedef struct { ...; } ev_timer;
typedef struct { ...; } ev_idle;
typedef struct { ...; } ev_async;

extern int *floor_events;
struct ev_loop *floor_open(int batch);
void floor_init(void *w, int slot, int batch);
void floor_io_set(ev_io *w, int fd, int events);
void floor_timer_set(ev_timer *w, double after, double repeat);

int ev_run(struct ev_loop *, int flags);
void ev_break(struct ev_loop *, int how);
void ev_loop_destroy(struct ev_loop *);
void ev_io_start(struct ev_loop *, ev_io *);
void ev_io_stop(struct ev_loop *, ev_io *);
void ev_timer_start(struct ev_loop *, ev_timer *);
void ev_timer_stop(struct ev_loop *, ev_timer *);
void ev_timer_again(struct ev_loop *, ev_timer *);
void ev_idle_start(struct ev_loop *, ev_idle *);
void ev_idle_stop(struct ev_loop *, ev_idle *);
void ev_async_start(struct ev_loop *, ev_async *);
void ev_async_stop(struct ev_loop *, ev_async *);
void ev_async_send(struct ev_loop *, ev_async *);

#define EV_READ ...
#define EVRUN_NOWAIT ...
#define EVBREAK_ONE ...

extern "Python" void floor_on_event(int slot, int revents);
extern "Python" void floor_on_batch(int count);
"""


def libev_source() -> Path:
    """Where libev was unpacked; `./dev libev` does it."""
    sources = sorted((ROOT / "libev").glob("libev-*/ev.c"))
    if not sources:
        raise SystemExit("libev's source is not in libev/: ./dev libev")
    return sources[-1].parent


def build() -> None:
    """Compile, if what is there is older than its source."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    target = BUILT / (MODULE + suffix)
    sources = [HERE / "floor.c", Path(__file__)]
    if target.exists() and all(
        source.stat().st_mtime < target.stat().st_mtime for source in sources
    ):
        return
    # Not at the top: bench.py runs without it.
    from cffi import FFI

    ffibuilder = FFI()
    ffibuilder.cdef(CDEF)
    ffibuilder.set_source(
        MODULE,
        '#include "floor.c"\n',
        include_dirs=[str(HERE), str(ROOT / "libev"), str(libev_source())],
        define_macros=[("NDEBUG", "1")],
        extra_compile_args=["-std=gnu11", "-fno-strict-aliasing", "-w"],
        libraries=["m"],
        py_limited_api=False,
    )
    shutil.rmtree(BUILT, ignore_errors=True)
    BUILT.mkdir(parents=True)
    ffibuilder.compile(tmpdir=str(BUILT), target=str(target))


if __name__ == "__main__":
    build()
