"""Build mood_event._ev: declare the ffi, and decide which libev goes into it.

Executed by cffi (setup.py: cffi_modules) for every setuptools command, egg_info and
sdist included, and imported by setup.py for the commands below and by the tests. So
importing it reads libev/cdef.h and nothing else: it must never download, compile or
look for a compiler outside of BuildExt.

- `ffibuilder` is libev/cdef.h, with its watcher rows expanded, over libev/shim.c.
- `BuildExt` finds or unpacks libev when the module is really built, and says in one
  line which one it took. MOOD_EVENT_LIBEV=bundled|system|PATH chooses, and an explicit
  choice never falls back; PATH is a directory with libev's sources or a prefix where it
  is installed. MOOD_EVENT_DEBUG=1 keeps libev's asserts and sets EV_VERIFY=3.
- `BdistWheel` tags the wheel of CPython abi3, `EggInfo` names libev's license, and
  `Sdist` brings libev's sources along, in an archive that depends on them alone.
"""

import gzip
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Optional

from cffi import FFI
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.egg_info import egg_info
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
MODULE = "mood_event._ev"

# Relative to the project, as setuptools wants it: its commands run there.
SOURCES = [
    "libev/cdef.h",
    "libev/config.h",
    "libev/debug/assert.h",
    "libev/shim.c",
    "libev/shim.h",
]
DEPENDS = [*SOURCES, "libev/PIN", "build_ffi.py", "mood_event/_version.py"]

# The oldest libev whose header has every constant of the interface
# (EVFLAG_NOTIMERFD came with 4.33).
LIBEV_MINIMUM = (4, 33)
_WANTED = f"libev {LIBEV_MINIMUM[0]}.{LIBEV_MINIMUM[1]} or a later {LIBEV_MINIMUM[0]}.x"

# The module is compiled for the stable ABI of this version and works on all later ones.
ABI3 = (3, 9)


class BuildError(SystemExit):
    """One readable error: setuptools and pip print a SystemExit without a traceback."""

    def __init__(self, message: str, words: str = "") -> None:
        # The compiler's first words tell what is wrong, the rest follows from it.
        self.message = "\n  ".join([message, *words.splitlines()[:4]])
        super().__init__(f"mood_event: error: {self.message}")


def _load_fetch() -> ModuleType:
    """libev/fetch.py as a module: libev/ is no package, nor to be on sys.path."""
    path = HERE / "libev/fetch.py"
    spec = importlib.util.spec_from_file_location("libev_fetch", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


libev_fetch = _load_fetch()


def read_version() -> str:
    """The package's version, read as text: the package cannot be imported yet."""
    text = (HERE / "mood_event/_version.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    assert match is not None
    return match.group(1)


# -- libev/cdef.h ----------------------------------------------------------------------


class WatcherRow(NamedTuple):
    """One MOOD_WATCHER(name, event, (parameters), (arguments), fields) of cdef.h."""

    name: str
    event: str
    parameters: str
    arguments: str
    fields: str

    def cdef(self) -> str:
        """What the row declares to cffi."""
        struct = f"struct mood_{self.name} *"
        more = f", {self.parameters}" if self.parameters else ""
        lines = [
            f"struct ev_{self.name} {{ {self.fields} ...; }};",
            f"struct mood_{self.name} {{ struct ev_{self.name} ev; ...; }};",
            f"int mood_{self.name}_make({struct}, mood_loop *, int slot, int priority"
            f"{more});",
        ]
        if more:
            lines.append(f"int mood_{self.name}_set({struct}{more});")
        return "\n".join(lines)


_ROW = "MOOD_WATCHER("


def _split_row(text: str, start: int) -> tuple[list[str], int]:
    """The five arguments of the row whose `(` ends at `start`, and where it ends."""
    arguments = [""]
    depth = 1
    for position in range(start, len(text)):
        char = text[position]
        depth += {"(": 1, ")": -1}.get(char, 0)
        if depth == 0:
            return [" ".join(argument.split()) for argument in arguments], position + 1
        # The last argument may have commas of its own (`double a, b;`).
        if char == "," and depth == 1 and len(arguments) < 5:
            arguments.append("")
        else:
            arguments[-1] += char
    raise BuildError("libev/cdef.h: a MOOD_WATCHER row is not closed")


def _plain(text: str) -> str:
    """C text without comments, and without the preprocessor lines cffi cannot read."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)
    text = text.replace("\\\n", " ")
    return "\n".join(
        line.rstrip()
        for line in text.splitlines()
        if not line.lstrip().startswith("#") or re.fullmatch(_CONSTANT, line.strip())
    )


# `#define NAME ...`: cffi asks the compiler for the value.
_CONSTANT = r"#\s*define\s+\w+\s+\.\.\."


def _pieces(text: str) -> "Iterator[str | WatcherRow]":
    """The text of cdef.h in its order: stretches of C, and rows."""
    text = _plain(text)
    end = 0
    while True:
        start = text.find(_ROW, end)
        if start < 0:
            yield text[end:]
            return
        yield text[end:start]
        arguments, end = _split_row(text, start + len(_ROW))
        if len(arguments) != 5:
            raise BuildError(f"libev/cdef.h: these are not five arguments: {arguments}")
        name, event, parameters, names, fields = arguments
        yield WatcherRow(
            name, event, parameters[1:-1].strip(), names[1:-1].strip(), fields
        )
        if text[end : end + 1] == ";":
            end += 1


def read_cdef() -> str:
    """The text of libev/cdef.h."""
    return (HERE / "libev/cdef.h").read_text(encoding="utf-8")


def watcher_rows(text: Optional[str] = None) -> list[WatcherRow]:
    """The watcher rows of cdef.h (or of `text`), in their order."""
    pieces = _pieces(read_cdef() if text is None else text)
    return [piece for piece in pieces if isinstance(piece, WatcherRow)]


def expand_cdef(text: Optional[str] = None) -> str:
    """cdef.h (or `text`) as cffi reads it: every row replaced by what it declares."""
    pieces = _pieces(read_cdef() if text is None else text)
    return "".join(
        piece.cdef() if isinstance(piece, WatcherRow) else piece for piece in pieces
    )


def is_abi3() -> bool:
    """Whether this interpreter builds modules for CPython's stable ABI."""
    return (
        sys.implementation.name == "cpython"
        and not hasattr(sys, "gettotalrefcount")
        and not sysconfig.get_config_var("Py_GIL_DISABLED")
    )


ffibuilder = FFI()
ffibuilder.cdef(expand_cdef())
ffibuilder.set_source(
    MODULE,
    '#include "shim.c"\n',
    depends=DEPENDS,
    include_dirs=["libev"],
    py_limited_api=is_abi3(),
)


# -- which libev -----------------------------------------------------------------------


class Libev(NamedTuple):
    """A libev to build with, and what the compiler must be told about it."""

    version: str
    origin: str  # bundled, system, or the path that was asked for
    where: str  # for a person
    source: Optional[Path] = None  # compiled in from here; None: linked with -lev
    include_dirs: tuple[str, ...] = ()
    library_dirs: tuple[str, ...] = ()


_PROBE = f"""
#include <stdio.h>
#include <ev.h>
#if !defined EV_VERSION_MAJOR || !defined EV_VERSION_MINOR
#error this ev.h is not libev's
#endif
#if EV_VERSION_MAJOR != {LIBEV_MINIMUM[0]} || EV_VERSION_MINOR < {LIBEV_MINIMUM[1]}
#error this libev is too old or too new
#endif
int
main (void)
{{
  if (ev_version_major () != EV_VERSION_MAJOR)
    return 1;
  printf ("%d.%d", EV_VERSION_MAJOR, ev_version_minor ());
  return 0;
}}
"""


def debug_wanted() -> bool:
    """Whether MOOD_EVENT_DEBUG asks for libev's asserts."""
    return os.environ.get("MOOD_EVENT_DEBUG", "") not in ("", "0")


def install_command(packages: str) -> str:
    """How to install what is missing."""
    command = f"apt-get install {packages}"
    if shutil.which("apt-get"):
        return command
    return f"your package manager's counterpart of Debian's `{command}`"


class BuildExt(build_ext):  # type: ignore[misc]
    """build_ext that finds or unpacks libev first."""

    # Where the sources are that were compiled in; for BdistWheel.
    libev_source: Optional[Path] = None

    def build_extensions(self) -> None:
        """Decide which libev, say so, tell the compiler, compile."""
        self.require_compiler()
        libev = self.choose_libev()
        self.libev_source = libev.source
        debug = debug_wanted()
        kind = libev.origin if libev.origin in ("bundled", "system") else "path"
        print(
            f"mood_event: building with libev {libev.version} ({kind}, {libev.where})"
            f"{', with asserts and EV_VERIFY=3' if debug else ''}",
            flush=True,
        )
        for extension in self.extensions:
            if extension.name == MODULE:
                self.configure(extension, libev, debug)
        super().build_extensions()

    def configure(self, extension: Any, libev: Libev, debug: bool) -> None:
        """Tell the compiler about libev and about the build's variant."""
        macros = [
            ("MOOD_EVENT_VERSION", f'"{read_version()}"'),
            ("MOOD_LIBEV_ORIGIN", f'"{libev.origin}"'),
        ]
        if is_abi3():
            macros.append(("Py_LIMITED_API", f"0x{ABI3[0]:02x}{ABI3[1]:02x}0000"))
        if libev.source is not None:
            macros.append(("MOOD_LIBEV_BUNDLED", "1"))
            extension.depends += map(str, sorted(libev.source.glob("*.[ch]")))
            # A system directory, so that only our own code is warned about.
            extension.extra_compile_args += ["-isystem", str(libev.source)]
            extension.libraries.append("m")  # ev_periodic's floor
            # libev's watcher types share their head by casts, which strict aliasing
            # does not allow.
            extension.extra_compile_args.append("-fno-strict-aliasing")
            # Nothing is to be found at run time that was here at build time.
            self.compiler.linker_so = [
                argument
                for argument in self.compiler.linker_so
                if not re.match(r"-Wl,(--enable-new-dtags,)?--?rpath[,=]", argument)
            ]
        else:
            extension.libraries.append("ev")
            extension.include_dirs += libev.include_dirs
            extension.library_dirs += libev.library_dirs
            extension.runtime_library_dirs += libev.library_dirs
        if debug:
            macros += [("MOOD_EVENT_DEBUG", "1"), ("EV_VERIFY", "3")]
            # The interpreter's own flags mostly have -DNDEBUG.
            extension.undef_macros.append("NDEBUG")
            # For its assert.h, which comes before the system's.
            extension.include_dirs.insert(0, "libev/debug")
        else:
            macros.append(("NDEBUG", "1"))
            if not re.search(r"(^|\s)-g", os.environ.get("CFLAGS", "")):
                # The interpreter's own flags mostly have -g: several times the size,
                # with the names of this machine's directories in it.
                extension.extra_compile_args.append("-g0")
        extension.define_macros += macros
        extension.extra_compile_args += ["-std=gnu11", "-Wall", "-Wextra"]
        self.forget_other_build(repr((libev, debug, os.environ.get("CFLAGS"))))

    def forget_other_build(self, variant: str) -> None:
        """Compile again if the last build in this directory was another variant.

        setuptools compares files' times, and those do not tell one libev from another.
        """
        stamp = Path(self.build_temp) / "mood_event-variant.txt"
        if not stamp.is_file() or stamp.read_text(encoding="utf-8") != variant:
            self.force = True
            stamp.parent.mkdir(parents=True, exist_ok=True)
            stamp.write_text(variant, encoding="utf-8")

    def require_compiler(self) -> None:
        """One readable error if C cannot be compiled here at all."""
        command = getattr(self.compiler, "compiler_so", None)
        if not command:
            raise BuildError("mood_event builds on POSIX systems alone")
        if shutil.which(command[0]) is None:
            raise BuildError(
                f"there is no C compiler ({command[0]}). Install one: "
                f"{install_command('gcc libc6-dev')}"
            )
        program = "#include <stdio.h>\nint main (void) { return 0; }\n"
        works, words = self.probe(program)
        if not works:
            raise BuildError(
                f"the C compiler ({command[0]}) does not work. This may mend it: "
                f"{install_command('gcc libc6-dev')}",
                words,
            )
        # compiler.include_dirs: where build_ext expects the interpreter's headers.
        includes = [f"-I{directory}" for directory in self.compiler.include_dirs]
        # Not linked: PyPy's header has functions that need the interpreter.
        works, words = self.probe("#include <Python.h>\n", *includes, run=False)
        if not works:
            python = "pypy3" if sys.implementation.name == "pypy" else "python3"
            raise BuildError(
                f"there are no C headers (Python.h) for {sys.executable}. "
                f"Install them: {install_command(python + '-dev')}",
                words,
            )

    def probe(
        self, program: str, *arguments: str, run: bool = True
    ) -> tuple[bool, str]:
        """Compile (link, run) a small program: did it all work, and its words."""
        with tempfile.TemporaryDirectory(prefix="mood-event-probe-") as name:
            source = Path(name, "probe.c")
            source.write_text(program, encoding="utf-8")
            compiler = [*self.compiler.compiler_so, str(source), "-o", f"{name}/probe"]
            flags = shlex.split(os.environ.get("LDFLAGS", "")) if run else ["-c"]
            commands = [[*compiler, *flags, *arguments]]
            if run:
                commands.append([f"{name}/probe"])
            words = ""
            for command in commands:
                result = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
                words = result.stdout.decode("utf-8", "replace").strip()
                if result.returncode:
                    return False, words
        return True, words

    # -- the choice --

    def choose_libev(self) -> Libev:
        """What MOOD_EVENT_LIBEV asks for, or the first that can be had."""
        choice = os.environ.get("MOOD_EVENT_LIBEV", "")
        if choice == "bundled":
            return bundled_libev()
        if choice == "system":
            return self.linked_libev("system", "-lev")
        if choice:
            return self.libev_at(Path(choice).resolve())
        if libev_fetch.unpacked(libev_fetch.read_pin()):
            return bundled_libev()
        try:
            libev = self.linked_libev("system", "-lev")
        except BuildError as no_system:
            try:
                return bundled_libev()
            except BuildError as no_source:
                both = f"{no_source.message}\nAnd {no_system.message}"
                raise BuildError(both) from None
        print(
            "mood_event: notice: libev's source is not unpacked in libev/, so the "
            "system's libev is taken; `python3 libev/fetch.py` gets the source",
            flush=True,
        )
        return libev

    def libev_at(self, path: Path) -> Libev:
        """The libev of MOOD_EVENT_LIBEV=path: a source tree, or an installed prefix."""
        if (path / "ev.c").is_file() and (path / "ev.h").is_file():
            text = (path / "ev.h").read_text(encoding="utf-8", errors="replace")
            found = re.findall(r"#\s*define\s+EV_VERSION_M(?:AJ|IN)OR\s+(\d+)", text)
            version = tuple(map(int, found[:2]))
            if version[:1] != LIBEV_MINIMUM[:1] or version < LIBEV_MINIMUM:
                raise BuildError(f"MOOD_EVENT_LIBEV={path}: this is not {_WANTED}")
            return Libev(".".join(found[:2]), str(path), str(path), source=path)
        names = ("lib", "lib64", f"lib/{sysconfig.get_config_var('MULTIARCH')}")
        libraries = [path / name for name in names]
        libraries = [library for library in libraries if any(library.glob("libev.*"))]
        if (path / "include/ev.h").is_file() and libraries:
            return self.linked_libev(
                str(path), f"-lev of {path}", (str(path / "include"),), libraries
            )
        raise BuildError(
            f"MOOD_EVENT_LIBEV={path}: neither a source tree of libev (ev.c, ev.h) "
            f"nor a prefix where it is installed (include/ev.h, lib/libev.*)"
        )

    def linked_libev(
        self,
        origin: str,
        where: str,
        include_dirs: tuple[str, ...] = (),
        libraries: Iterable[Path] = (),
    ) -> Libev:
        """An installed libev: libev-dev has no .pc file, so the compiler must tell."""
        library_dirs = tuple(map(str, libraries))
        arguments = [f"-I{directory}" for directory in include_dirs]
        for directory in library_dirs:
            arguments += [f"-L{directory}", f"-Wl,-rpath,{directory}"]
        works, words = self.probe(_PROBE, *arguments, "-lev")
        if not works:
            raise BuildError(
                f"there is no {_WANTED} to link with ({where}). "
                f"Install it: {install_command('libev-dev')}",
                words,
            )
        return Libev(
            words, origin, where, include_dirs=include_dirs, library_dirs=library_dirs
        )


def bundled_libev() -> Libev:
    """The pinned source, fetched if it is not unpacked yet."""
    pin = libev_fetch.read_pin()
    try:
        source = libev_fetch.fetch(pin=pin)
    except libev_fetch.FetchError as error:
        raise BuildError(str(error)) from None
    where = source.relative_to(HERE)
    return Libev(pin.version, "bundled", str(where), source=where)


# -- what is packed --------------------------------------------------------------------


class EggInfo(egg_info):  # type: ignore[misc]
    """egg_info that names libev's license, beside ours, where libev is unpacked.

    Not by a pattern in pyproject.toml's license-files: a pattern must match something,
    and in a checkout libev may not be there yet.
    """

    def finalize_options(self) -> None:
        """Add the file to those that setuptools has found."""
        super().finalize_options()
        source = libev_fetch.unpacked(libev_fetch.read_pin())
        if source is not None:
            license_file = (source / "LICENSE").relative_to(HERE).as_posix()
            files = self.distribution.metadata.license_files
            if license_file not in files:
                files.append(license_file)


class BdistWheel(bdist_wheel):  # type: ignore[misc]
    """bdist_wheel that tags CPython's wheels abi3, and ships libev's license."""

    def finalize_options(self) -> None:
        """One wheel for every CPython from ABI3 on; PyPy's is for its own version."""
        if is_abi3():
            self.py_limited_api = f"cp{ABI3[0]}{ABI3[1]}"
        super().finalize_options()

    def run(self) -> None:
        """Unpack libev first where it is asked for: the metadata names its license."""
        if os.environ.get("MOOD_EVENT_LIBEV") == "bundled":
            bundled_libev()
        super().run()

    def write_wheelfile(self, wheelfile_base: str, *args: Any, **kwargs: Any) -> None:
        """See that libev's license is there if libev's code is in the wheel.

        It is not yet if the metadata was made before libev was unpacked, or if
        MOOD_EVENT_LIBEV is a path.
        """
        super().write_wheelfile(wheelfile_base, *args, **kwargs)
        source = self.get_finalized_command("build_ext").libev_source
        if source is not None:
            target = Path(wheelfile_base, "licenses/libev", source.name, "LICENSE")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / "LICENSE", target)


class Sdist(sdist):  # type: ignore[misc]
    """sdist that has libev's sources in it, so that its users need only a compiler."""

    def run(self) -> None:
        """Unpack libev before the files are listed; no sdist without it."""
        bundled_libev()
        super().run()

    def make_archive(self, base_name: str, format: str, **kwargs: Any) -> str:
        """Pack what nothing but the files decides: no owner, no umask, no order.

        The time of all members is SOURCE_DATE_EPOCH, if it is set.
        """
        if format != "gztar":
            return str(super().make_archive(base_name, format, **kwargs))
        seconds = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))

        def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
            executable = member.isdir() or member.mode & 0o100
            member.mode = 0o755 if executable else 0o644
            member.mtime = seconds
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            return member

        path = Path(f"{base_name}.tar.gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            path.open("wb") as file,
            gzip.GzipFile(
                # The name would be in the header, with its directory.
                filename="",
                mode="wb",
                fileobj=file,
                mtime=seconds,
            ) as compressed,
            tarfile.open(fileobj=compressed, mode="w") as archive,
        ):
            # add() takes directories in the order of their names.
            archive.add(kwargs["base_dir"], filter=plain)
        return str(path)


COMMANDS = {
    "bdist_wheel": BdistWheel,
    "build_ext": BuildExt,
    "egg_info": EggInfo,
    "sdist": Sdist,
}
