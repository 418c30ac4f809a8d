"""The build: fetching libev, reading cdef.h, and what the build says when it cannot.

Runs build_ffi.py and libev/fetch.py from the repository. Makes its own tarballs and
its own copies of the tree; must never reach out to the network nor write into the
repository.
"""

import hashlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from running import UNCOMPILED

ROOT = Path(__file__).resolve().parent.parent

HOW_TO_READ_A_ROW = """
/* A comment, with MOOD_WATCHER(in, it, (), (), ) */
#ifndef SOMETHING
#include <ev.h>
#define MOOD_TEXT "text"
#define MOOD_NUMBER ...
typedef struct mood_loop mood_loop; // and one of these
MOOD_WATCHER(timer, EV_TIMER, (double after, double repeat),
             (after, repeat), double repeat;)
int between(void);
MOOD_WATCHER(pair, EV_PAIR, (int (*f)(int, int)), (f, NULL), int a, b; int c;)
MOOD_WATCHER(idle, EV_IDLE, (), (), )
#endif
int after(void);
"""


def load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fetch():
    return load("libev_fetch_under_test", ROOT / "libev/fetch.py")


@pytest.fixture(scope="module")
def build_ffi():
    return load("build_ffi_under_test", ROOT / "build_ffi.py")


# -- fetching libev --------------------------------------------------------------------


def tarball(path, members):
    """A tarball of (name, text or TarInfo type) members at `path`, and its SHA-256."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.type = content
                member.linkname = "/etc/hostname"
                archive.addfile(member)
            else:
                data = content.encode()
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return hashlib.sha256(path.read_bytes()).hexdigest()


GOOD = [("libev-9.9/ev.c", "int ev;\n"), ("libev-9.9/sub/ev.h", "\n")]


@pytest.fixture
def place(tmp_path):
    """An empty directory to unpack into."""
    directory = tmp_path / "place"
    directory.mkdir()
    return directory


def test_pin_is_libev_4_33(fetch):
    pin = fetch.read_pin()
    assert pin.version == "4.33"
    assert pin.sha256 == (
        "507eb7b8d1015fbec5b935f34ebed15bf346bed04a11ab82b8eee848c4205aea"
    )
    assert all(url.endswith("libev-4.33.tar.gz") for url in pin.urls)
    assert len(pin.urls) == 2


def test_pin_is_read_by_a_shell_alike(fetch):
    script = '. "$1"; printf "%s|%s|%s" "$LIBEV_VERSION" "$LIBEV_SHA256" "$LIBEV_URLS"'
    words = subprocess.run(
        ["sh", "-c", script, "sh", str(ROOT / "libev/PIN")],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout.decode()
    pin = fetch.read_pin()
    assert words == f"{pin.version}|{pin.sha256}|{' '.join(pin.urls)}"


@pytest.mark.parametrize("form", ["path", "url"])
def test_fetch_unpacks_the_right_file(fetch, tmp_path, place, form):
    file = tmp_path / "libev.tar.gz"
    pin = fetch.Pin("9.9", tarball(file, GOOD), ())
    source = str(file) if form == "path" else file.as_uri()
    assert fetch.fetch(source, pin, place) == place / "libev-9.9"
    assert (place / "libev-9.9/ev.c").read_text() == "int ev;\n"
    assert (place / "libev-9.9/sub/ev.h").is_file()
    assert os.listdir(place) == ["libev-9.9"]


def test_fetch_refuses_a_wrong_checksum_and_leaves_nothing(fetch, tmp_path, place):
    file = tmp_path / "libev.tar.gz"
    found = tarball(file, GOOD)
    pin = fetch.Pin("9.9", "0" * 64, ())
    with pytest.raises(fetch.FetchError) as info:
        fetch.fetch(str(file), pin, place)
    assert str(info.value) == (
        f"{file}: this is not libev 9.9: SHA-256 is {found}, must be {'0' * 64}"
    )
    assert os.listdir(place) == []


def test_fetch_checks_a_file_even_if_libev_is_there(fetch, tmp_path, place):
    file = tmp_path / "libev.tar.gz"
    tarball(file, GOOD)
    (place / "libev-9.9").mkdir()
    (place / "libev-9.9/ev.c").touch()
    with pytest.raises(fetch.FetchError, match="this is not libev"):
        fetch.fetch(str(file), fetch.Pin("9.9", "0" * 64, ()), place)
    assert os.listdir(place / "libev-9.9") == ["ev.c"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([*GOOD, ("../outside", "")], "a file outside"),
        ([*GOOD, ("/outside", "")], "a file outside"),
        ([*GOOD, ("libev-9.9/link", tarfile.SYMTYPE)], "a strange member"),
        ([("libev-9.8/ev.c", "")], "has no libev-9.9/ev.c"),
    ],
)
def test_fetch_refuses_a_strange_tarball(fetch, tmp_path, place, members, message):
    file = tmp_path / "libev.tar.gz"
    pin = fetch.Pin("9.9", tarball(file, members), ())
    with pytest.raises(fetch.FetchError, match=message):
        fetch.fetch(str(file), pin, place)
    assert os.listdir(place) == []
    assert not (tmp_path / "outside").exists()


def test_fetch_refuses_what_is_no_tarball(fetch, tmp_path, place):
    file = tmp_path / "libev.tar.gz"
    file.write_bytes(b"no tarball")
    pin = fetch.Pin("9.9", hashlib.sha256(b"no tarball").hexdigest(), ())
    with pytest.raises(fetch.FetchError, match="cannot be unpacked"):
        fetch.fetch(str(file), pin, place)
    assert os.listdir(place) == []


@pytest.mark.parametrize("source", ["nowhere.tar.gz", "file:///nowhere/libev.tar.gz"])
def test_fetch_says_what_is_not_there(fetch, place, source):
    with pytest.raises(fetch.FetchError, match="No such file"):
        fetch.fetch(source, fetch.Pin("9.9", "", ()), place)
    assert os.listdir(place) == []


def test_fetch_keeps_what_is_unpacked(fetch, place):
    (place / "libev-9.9").mkdir()
    (place / "libev-9.9/ev.c").touch()
    assert fetch.fetch(None, fetch.Pin("9.9", "", ()), place) == place / "libev-9.9"


def test_fetch_takes_the_first_url_with_the_right_file(
    fetch, tmp_path, place, monkeypatch
):
    monkeypatch.setenv("PATH", "")  # no apt-get
    wrong, right = tmp_path / "wrong.tar.gz", tmp_path / "right.tar.gz"
    tarball(wrong, GOOD[:1])
    urls = ((tmp_path / "no.tar.gz").as_uri(), wrong.as_uri(), right.as_uri())
    pin = fetch.Pin("9.9", tarball(right, GOOD), urls)
    assert fetch.fetch(None, pin, place) == place / "libev-9.9"
    assert (place / "libev-9.9/sub/ev.h").is_file()


def test_fetch_tells_every_reason(fetch, tmp_path, place, monkeypatch):
    monkeypatch.setenv("PATH", "")
    url = (tmp_path / "no.tar.gz").as_uri()
    with pytest.raises(fetch.FetchError) as info:
        fetch.fetch(None, fetch.Pin("9.9", "", (url,)), place)
    lines = str(info.value).splitlines()
    assert lines[0] == "libev 9.9 cannot be had:"
    assert lines[1] == "  Debian's source package: there is no apt-get here"
    assert lines[2].startswith(f"  {url}: ")
    assert lines[3].endswith("then: python3 libev/fetch.py FILE")


APT_GET = """#!/bin/sh
# Stands for apt-get: writes down what it was asked, and "downloads" a file.
echo "$@" >>"$LOG"
for argument; do
    case $argument in
    -oDir::Etc::sourceparts=*) cat "${argument#*=}"/*.sources >>"$LOG" ;;
    source) cp "$TARBALL" libev_9.9.orig.tar.gz ;;
    esac
done
echo "W: some archive is out of reach" >&2
exit 100
"""


@pytest.fixture
def apt_get(tmp_path, monkeypatch):
    """An apt-get of the test's own, with the file that it delivers and its log."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/apt-get"
    program.write_text(APT_GET)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("TARBALL", str(tmp_path / "orig.tar.gz"))
    return tmp_path


def test_fetch_asks_for_the_source_package(fetch, apt_get, place, monkeypatch):
    monkeypatch.setattr(fetch, "source_entries", lambda: ["Types: deb-src\n"])
    pin = fetch.Pin("9.9", tarball(apt_get / "orig.tar.gz", GOOD), ())
    assert fetch.fetch(None, pin, place) == place / "libev-9.9"
    log = (apt_get / "log").read_text()
    assert "--download-only --tar-only libev" in log
    assert "-oDir::Etc::sourcelist=/dev/null" in log
    assert "Types: deb-src\n" in log


def test_fetch_checks_the_source_package(fetch, apt_get, place, monkeypatch):
    monkeypatch.setattr(fetch, "source_entries", lambda: ["Types: deb-src\n"])
    tarball(apt_get / "orig.tar.gz", GOOD)
    with pytest.raises(fetch.FetchError, match=r"9.9.orig.tar.gz: this is not libev"):
        fetch.fetch(None, fetch.Pin("9.9", "0" * 64, ()), place)
    assert os.listdir(place) == []


def test_fetch_tells_why_apt_get_failed(fetch, apt_get, place, monkeypatch):
    monkeypatch.setattr(fetch, "source_entries", lambda: ["Types: deb-src\n"])
    with pytest.raises(fetch.FetchError, match="W: some archive is out of reach"):
        fetch.fetch(None, fetch.Pin("9.9", "0" * 64, ()), place)


MAIN = "URIs: http://a.example/debian\nSuites: bookworm\nComponents: main\n"


@pytest.mark.parametrize(
    ("file", "text", "entries"),
    [
        (
            "sources.list",
            "deb http://a.example/debian bookworm main contrib # why\n",
            [f"Types: deb-src\n{MAIN}"],
        ),
        (
            "sources.list.d/x.list",
            "deb [arch=amd64 signed-by=/k.gpg] http://a.example/debian bookworm main\n"
            "deb-src http://b.example/debian bookworm main\n"
            "deb cdrom:[Debian]/ bookworm main\n"
            "deb https://c.example/apt bookworm stable\n"
            "deb https://c.example/apt ./\n",
            [f"Types: deb-src\n{MAIN}Signed-By: /k.gpg\n"],
        ),
        (
            "sources.list.d/debian.sources",
            "Types: deb deb-src\n# why\nURIs: http://a.example/debian\n"
            "Suites: bookworm bookworm-updates\nComponents: main non-free\n"
            "Signed-By:\n -----BEGIN\n .\n -----END\n\n"
            "Types: deb\nURIs: http://b.example/node\nSuites: nodistro\n"
            "Components: main\n\n"
            f"Enabled: no\nTypes: deb\n{MAIN}",
            [f"Types: deb-src\n{MAIN}Signed-By: \n -----BEGIN\n .\n -----END\n"],
        ),
        ("sources.list.d/x.sources", f"Types: deb\n{MAIN}\nTypes: deb\n{MAIN}", None),
        ("sources.list.d/x.save", f"Types: deb\n{MAIN}", []),
    ],
)
def test_source_entries_are_the_machines_own(fetch, tmp_path, file, text, entries):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / file).write_text(text)
    release = tmp_path / "os-release"
    release.write_text('NAME="Debian"\nVERSION_CODENAME=bookworm\n')
    wanted = [f"Types: deb-src\n{MAIN}"] if entries is None else entries
    assert fetch.source_entries(tmp_path, release) == wanted


def test_fetch_program_prints_one_line_for_an_error(tmp_path):
    file = tmp_path / "libev.tar.gz"
    tarball(file, GOOD)
    result = subprocess.run(
        [sys.executable, str(ROOT / "libev/fetch.py"), str(file)],
        capture_output=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stdout == b""
    assert result.stderr.startswith(f"libev/fetch.py: {file}: this is not".encode())
    assert result.stderr.count(b"\n") == 1


# -- reading cdef.h --------------------------------------------------------------------


def test_rows_are_read(build_ffi):
    timer, pair, idle = build_ffi.watcher_rows(HOW_TO_READ_A_ROW)
    assert timer == (
        "timer",
        "EV_TIMER",
        "double after, double repeat",
        "after, repeat",
        "double repeat;",
    )
    assert pair.parameters == "int (*f)(int, int)"
    assert pair.arguments == "f, NULL"
    assert pair.fields == "int a, b; int c;"
    assert idle == ("idle", "EV_IDLE", "", "", "")


def test_rows_are_expanded_where_they_stand(build_ffi):
    text = build_ffi.expand_cdef(HOW_TO_READ_A_ROW)
    words = " ".join(text.split())
    assert words.startswith(
        "#define MOOD_NUMBER ... typedef struct mood_loop mood_loop;"
    )
    assert words.endswith("int after(void);")
    for gone in ("MOOD_WATCHER", "MOOD_TEXT", "include", "SOMETHING", "comment", "/"):
        assert gone not in text
    timer, between, pair, idle = (
        words.index(part)
        for part in ("struct ev_timer {", "int between", "ev_pair {", "ev_idle {")
    )
    assert timer < between < pair < idle
    assert "struct ev_timer { double repeat; ...; };" in text
    assert "struct mood_timer { struct ev_timer ev; ...; };" in text
    assert (
        "int mood_timer_set(struct mood_timer *, double after, double repeat);" in text
    )
    assert "mood_idle_set" not in text


@pytest.mark.parametrize(
    "text",
    ["MOOD_WATCHER(timer, EV_TIMER, (int x), (x), ", "MOOD_WATCHER(timer, EV_TIMER)"],
)
def test_a_row_that_is_none_is_an_error(build_ffi, text):
    with pytest.raises(build_ffi.BuildError, match=r"libev/cdef\.h"):
        build_ffi.watcher_rows(text)


def test_cdef_has_the_thirteen_types(build_ffi):
    names = "io timer periodic signal child stat idle prepare check embed fork"
    rows = build_ffi.watcher_rows()
    assert {row.name for row in rows} == {*names.split(), "cleanup", "async"}


# -- what the build says ---------------------------------------------------------------


@pytest.fixture
def tree(tmp_path):
    """A copy of what the build reads, without libev's source."""
    for name in ("build_ffi.py", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    ignored = shutil.ignore_patterns("libev-*", "__pycache__", "*.so")
    for name in ("libev", "mood_event"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    # Upstream must not be asked from a test.
    pin = tmp_path / "libev/PIN"
    pin.write_text(pin.read_text().replace("http://", "file:///nowhere/"))
    return tmp_path


def build(tree, **settings):
    """Run build_ext in the tree: its exit status and its output."""
    environment = {**os.environ, **settings}
    result = subprocess.run(
        [sys.executable, *UNCOMPILED, "setup.py", "--quiet", "build_ext"],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return result.returncode, result.stdout.decode()


@pytest.fixture
def toolbox(tmp_path_factory):
    """Make a directory with some programs of PATH, to be all of PATH."""

    def make(*names):
        directory = tmp_path_factory.mktemp("toolbox")
        for name in names:
            program = shutil.which(name)
            assert program is not None
            (directory / name).symlink_to(program)
        return directory

    return make


def test_no_compiler_is_one_readable_error(tree):
    status, output = build(tree, CC="no-such-compiler")
    assert status == 1
    assert output.splitlines()[-1].startswith(
        "mood_event: error: there is no C compiler (no-such-compiler). Install one: "
    )
    assert "apt-get install gcc libc6-dev" in output
    assert "Traceback" not in output


def test_a_broken_compiler_is_one_readable_error(tree):
    status, output = build(tree, CC="false")
    assert status == 1
    assert "mood_event: error: the C compiler (false) does not work." in output
    assert "Traceback" not in output


@pytest.fixture
def without_ev_h(tree, toolbox):
    """Settings with a compiler for which there is no ev.h, and without apt-get."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    assert compiler is not None
    wrapper = tree / "compiler"
    (tree / "include").mkdir()
    (tree / "include/ev.h").write_text('#error "no ev.h"\n')
    wrapper.write_text(f'#!/bin/sh\nexec {compiler} -I{tree}/include "$@"\n')
    wrapper.chmod(0o755)
    path = toolbox("sh", "as", "ld")
    return {"CC": str(wrapper), "PATH": str(path)}


def test_no_libev_is_one_readable_error(tree, without_ev_h):
    status, output = build(tree, **without_ev_h, MOOD_EVENT_LIBEV="")
    assert status == 1
    assert "mood_event: error: libev 4.33 cannot be had:" in output
    assert "python3 libev/fetch.py FILE" in output
    assert "apt-get install libev-dev" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("choice", ["system", "bundled"])
def test_an_explicit_choice_does_not_fall_back(tree, without_ev_h, choice):
    if choice == "system":
        source = tree / "libev/libev-4.33"
        source.mkdir()
        (source / "ev.c").touch()
    status, output = build(tree, **without_ev_h, MOOD_EVENT_LIBEV=choice)
    assert status == 1
    assert ("libev-dev" in output) == (choice == "system")
    assert ("libev/fetch.py FILE" in output) == (choice == "bundled")
    assert "Traceback" not in output


def test_a_path_without_libev_is_an_error(tree):
    status, output = build(tree, MOOD_EVENT_LIBEV=str(tree))
    assert status == 1
    assert f"error: MOOD_EVENT_LIBEV={tree}: neither a source tree" in output
    assert "Traceback" not in output


def test_a_path_with_another_libev_is_an_error(tree):
    (tree / "ev.c").touch()
    (tree / "ev.h").write_text(
        "#define EV_VERSION_MAJOR 3\n#define EV_VERSION_MINOR 9\n"
    )
    status, output = build(tree, MOOD_EVENT_LIBEV=str(tree))
    assert status == 1
    assert "this is not libev 4.33 or a later 4.x" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("choice", ["", "bundled", "path"])
def test_a_build_says_which_libev_it_took(build_ffi, tree, choice):
    pin = build_ffi.libev_fetch.read_pin()
    source = build_ffi.libev_fetch.unpacked(pin)
    if source is None:
        pytest.skip("libev's source is not unpacked in libev/")
    path = tree / ("elsewhere" if choice == "path" else f"libev/{source.name}")
    path.symlink_to(source)
    settings = {"MOOD_EVENT_LIBEV": str(path) if choice == "path" else choice}
    settings["CFLAGS"] = "-O0"  # libev takes gcc seconds to optimise
    if choice == "bundled":
        settings["MOOD_EVENT_DEBUG"] = "1"
    status, output = build(tree, **settings)
    assert status == 0, output
    says = [line for line in output.splitlines() if line.startswith("mood_event:")]
    assert says == [
        f"mood_event: building with libev {pin.version} "
        + {
            "": f"(bundled, libev/{source.name})",
            "bundled": f"(bundled, libev/{source.name}), with asserts and EV_VERIFY=3",
            "path": f"(path, {source})",
        }[choice]
    ]
    warnings = [line for line in output.splitlines() if "warning:" in line]
    assert [line for line in warnings if "shim" in line or "cdef.h" in line] == []
    built = list((tree / "build").rglob("_ev*.so"))
    assert [file.parent.name for file in built] == ["mood_event"]


def test_git_has_no_file_of_libevs():
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("no git here, or not a git checkout")
    # safe.directory: the checkout may belong to someone else.
    command = [git, "-c", f"safe.directory={ROOT}", "ls-files", "libev"]
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    ours = {"PIN", "README.md", "fetch.py", "config.h", "cdef.h", "shim.h", "shim.c"}
    ours |= {"debug/assert.h"}
    assert {Path(name) for name in result.stdout.decode().split()} <= {
        Path("libev", name) for name in ours
    }
