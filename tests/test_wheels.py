"""The packages: what is in them, that they are the same bytes wherever they are built,
and what is looked at before a release.

Builds a source distribution, and wheels from that, in directories of its own, without
optimising. Whether they work in an empty environment is for `./dev wheel`.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from datetime import date
from pathlib import Path

import pytest
from running import UNCOMPILED

import mood_event

ROOT = Path(__file__).resolve().parent.parent
VERSION = mood_event.__version__

COMMIT_TIME = 1_700_000_000

PACKED = """
.ci .gitignore CHANGELOG.md CONTRIBUTING.md LICENSE MANIFEST.in README.md SECURITY.md
benchmarks build_ffi.py dev docs examples libev mood_event pyproject.toml release
setup.py tests
"""


def load(name):
    """A module of release/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"release/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


artifacts = load("artifacts")
changelog = load("changelog")


def copy_tree(target):
    """A copy of what the repository has, with libev's source."""
    ignored = shutil.ignore_patterns(
        "__pycache__", "*.so", "*.egg-info", ".hypothesis", ".pytest_cache"
    )
    for name in PACKED.split():
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=ignored)
        else:
            shutil.copy(source, target / name)


def build(tree, hook, output, **settings):
    """Call a hook of the build backend in the tree; returns what it made."""
    output.mkdir(parents=True, exist_ok=True)
    result = subprocess.run(
        [
            sys.executable,
            *UNCOMPILED,
            "-c",
            f"import sys; from setuptools.build_meta import {hook} as hook; "
            "print(hook(sys.argv[1]))",
            str(output),
        ],
        cwd=tree,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(COMMIT_TIME), **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    words = result.stdout.decode()
    assert result.returncode == 0, words
    return output / words.splitlines()[-1]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Two directories with little in common."""
    one = tmp_path_factory.mktemp("one")
    return one / "a", tmp_path_factory.mktemp("other") / "much further down/in a place"


@pytest.fixture(scope="module")
def sdists(places):
    """The same source distribution from two copies, of other times and modes."""
    made = []
    for place, mode in zip(places, (0o600, 0o664)):
        tree = place / "tree"
        tree.mkdir(parents=True)
        copy_tree(tree)
        for path in tree.rglob("*"):
            if path.is_file():
                path.chmod(mode | (path.stat().st_mode & 0o100))
                os.utime(path, (mode * 1e6, mode * 1e6))
        made.append(build(tree, "build_sdist", place / "dist"))
    return made


@pytest.fixture(scope="module")
def wheels(places, sdists):
    """The wheel of this interpreter, built from each, in a directory of its own."""
    made = []
    for place, sdist in zip(places, sdists):
        source = place / "unpacked"
        for name, data in artifacts.read_sdist(sdist).items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(data)
        # Whoever wanted the network would not get far.
        pin = source / "libev/PIN"
        pin.write_text(pin.read_text().replace("http://", "file:///nowhere/"))
        settings = {"MOOD_EVENT_LIBEV": "bundled", "CFLAGS": "-O0"}
        made.append(build(source, "build_wheel", place / "dist", **settings))
    return made


@pytest.fixture(scope="module")
def sources(sdists):
    """The files of the source distribution."""
    return artifacts.read_sdist(sdists[0])


def failures(checks):
    """What failed, and why."""
    return {what: problems for what, problems in checks if problems}


# -- the source distribution -----------------------------------------------------------


def test_sdist_is_the_same_bytes_anywhere(sdists):
    one, other = (sdist.read_bytes() for sdist in sdists)
    assert one == other


def test_sdist_tells_nothing_of_who_made_it(sdists):
    with tarfile.open(sdists[0]) as archive:
        members = archive.getmembers()
    assert {member.mtime for member in members} == {COMMIT_TIME}
    assert {(m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, "", "")}
    assert {oct(member.mode) for member in members} == {"0o644", "0o755"}
    assert [
        m.name for m in members if m.isreg() and m.mode & 0o100 and "/dev" in m.name
    ]


def test_sdist_has_all_that_it_should(places, sdists):
    tree = artifacts.read_tree(places[0] / "tree")
    assert failures(artifacts.check_sdist(sdists[0], tree)) == {}
    for name in ("tests/conftest.py", "docs/design.md", "examples/demo.py", "dev"):
        assert name in tree
    assert "libev/libev-4.33/ev.c" in tree


def test_sdist_has_every_file_that_git_has(sources):
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("no git here, or not a git checkout")
    command = [git, "-c", f"safe.directory={ROOT}", "ls-files"]
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    names = {name for name in result.stdout.decode().split("\n") if name}
    assert {name for name in names if (ROOT / name).exists()} - sources.keys() == set()


@pytest.mark.parametrize(
    ("change", "what", "problem"),
    [
        (
            lambda tree: tree.update({"tests/new.py": b""}),
            "has all that is in the repository, and libev",
            "tests/new.py is missing",
        ),
        (
            lambda tree: tree.pop("docs/design.md"),
            "has all that is in the repository, and libev",
            "docs/design.md is too many",
        ),
        (
            lambda tree: tree.update({"libev/libev-4.33/ev.c": b""}),
            "has all that is in the repository, and libev",
            "libev/libev-4.33/ev.c has another content",
        ),
        (
            lambda tree: tree.update({"libev/libev-9.9/LICENSE": b""}),
            "has complete metadata",
            "License-File: libev/libev-9.9/LICENSE is missing",
        ),
        (
            lambda tree: tree.update(
                {"mood_event/_version.py": b'__version__ = "9.9"\n'}
            ),
            "has complete metadata",
            f"it is version {VERSION}, the package is 9.9",
        ),
    ],
)
def test_a_wrong_sdist_is_found(places, sdists, change, what, problem):
    tree = artifacts.read_tree(places[0] / "tree")
    change(tree)
    assert problem in failures(artifacts.check_sdist(sdists[0], tree))[what]


# -- the wheels ------------------------------------------------------------------------


def test_wheel_is_the_same_bytes_anywhere(wheels):
    one, other = wheels
    assert one.name == other.name
    assert artifacts.read_wheel(one) == artifacts.read_wheel(other)
    assert one.read_bytes() == other.read_bytes()


def test_wheel_has_what_it_should_but_for_what_auditwheel_does(wheels, sources, places):
    secrets = [str(ROOT), f"{sys.base_prefix}/lib", *map(str, places)]
    found = failures(artifacts.check_wheel(wheels[0], sources, secrets))
    if sys.platform == "linux":
        assert found.pop("is named after what it is for")
        [symbols] = found.pop("has no debug symbols")
        assert symbols.endswith(".symtab")
    assert found == {}


def test_wheel_has_libevs_license_in_its_metadata(wheels):
    files = artifacts.read_wheel(wheels[0])
    info = f"mood_event_cffi-{VERSION}.dist-info"
    metadata = files[f"{info}/METADATA"].decode().splitlines()
    [name] = [
        line.partition(": ")[2]
        for line in metadata
        if line.startswith("License-File: libev/")
    ]
    text = files[f"{info}/licenses/{name}"].decode()
    assert "Marc Alexander Lehmann" in text
    assert "Redistributions in binary form" in text
    assert b"MIT License" in files[f"{info}/licenses/LICENSE"]


def test_metadata_without_libevs_source_names_our_license_alone(tmp_path):
    for name in ("build_ffi.py", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    ignored = shutil.ignore_patterns("libev-*", "__pycache__", "*.so")
    for name in ("libev", "mood_event"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    info = build(tmp_path, "prepare_metadata_for_build_wheel", tmp_path / "out")
    metadata = (info / "METADATA").read_text().splitlines()
    assert [line for line in metadata if line.startswith("License-File")] == [
        "License-File: LICENSE"
    ]


@pytest.fixture
def remake(wheels, tmp_path):
    """Make a wheel of the one that was built, with other files, and under any name."""

    def make(name="", **changes):
        files = artifacts.read_wheel(wheels[0])
        for pattern, content in changes.items():
            [found] = [file for file in files if re.search(pattern, file)] or [pattern]
            files[found] = content(files.get(found)) if callable(content) else content
            if files[found] is None:
                del files[found]
        wheel = tmp_path / (name or wheels[0].name)
        with zipfile.ZipFile(wheel, "w") as archive:
            for file, data in files.items():
                archive.writestr(file, data)
        return wheel

    return make


@pytest.mark.parametrize(
    ("changes", "what", "problem"),
    [
        (
            {"mood_event/tests.py": b""},
            "has the package's files and no others",
            "mood_event/tests.py is too many",
        ),
        (
            {"build_ffi.py": b""},
            "has the package's files and no others",
            "build_ffi.py is too many",
        ),
        (
            {"mood_event/py.typed": None},
            "has the package's files and no others",
            "mood_event/py.typed is missing",
        ),
        (
            {"mood_event/loop.py": lambda data: data + b"\n"},
            "has the package's files and no others",
            "mood_event/loop.py has another content",
        ),
        (
            {r"mood_event/_ev\..*so": None},
            "has one compiled module",
            "these are: none",
        ),
        (
            {r"licenses/libev/.*/LICENSE": None},
            "brings both licenses",
            "libev/libev-4.33/LICENSE is missing",
        ),
        (
            {r"licenses/LICENSE": b"MIT"},
            "brings both licenses",
            "LICENSE has another content",
        ),
        (
            {r"/METADATA": lambda data: data.replace(b"Keywords", b"Words")},
            "has the source distribution's metadata",
            "it has other",
        ),
    ],
)
def test_a_wrong_wheel_is_found(remake, sources, changes, what, problem):
    wheel = remake(**changes)
    assert problem in failures(artifacts.check_wheel(wheel, sources))[what]


def test_a_large_wheel_is_found(remake, sources):
    wheel = remake(noise=os.urandom(artifacts.MAX_WHEEL))
    [problem] = failures(artifacts.check_wheel(wheel, sources))[
        "is smaller than 300 kB"
    ]
    assert problem == f"it has {wheel.stat().st_size} bytes"


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ("cp39-abi3-manylinux_2_34_x86_64", None),
        ("cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64", None),
        ("cp39-abi3-musllinux_1_2_aarch64", None),
        ("pp39-pypy39_pp73-macosx_11_0_arm64", None),
        ("cp39-abi3-linux_x86_64", "it is for a machine like this one only"),
        ("cp311-cp311-manylinux_2_34_x86_64", "CPython's must be cp39-abi3"),
        ("cp310-abi3-manylinux_2_34_x86_64", "CPython's must be cp39-abi3"),
        ("pp39-pypy310_pp73-manylinux_2_34_x86_64", "the ABI is another PyPy's"),
    ],
)
def test_a_wheels_name_is_checked(tags, problem):
    problems = artifacts.check_name(Path(f"mood_event_cffi-{VERSION}-{tags}.whl"))
    assert [words.partition(": ")[2] for words in problems] == [problem] * bool(problem)


@pytest.fixture(scope="module")
def compiled(wheels):
    """The compiled module in the wheel."""
    files = artifacts.read_wheel(wheels[0])
    [data] = [data for name, data in files.items() if re.search(r"/_ev\..*so$", name)]
    return data


def test_a_secret_is_found(compiled):
    found = failures(artifacts.check_compiled("_ev", compiled, ["ev_run", "/nowhere"]))
    assert found["names nothing of this machine"] == ["_ev has ev_run"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF")
def test_debug_symbols_are_found(compiled, tmp_path):
    module = tmp_path / "_ev.so"
    module.write_bytes(compiled)
    subprocess.run(["strip", str(module)], check=True)
    assert failures(artifacts.check_compiled("_ev", module.read_bytes(), [])) == {}
    program = tmp_path / "a.c"
    program.write_text('const char *f(void) { return "bundled"; }\n')
    for flags, found in (("-g0", {".symtab"}), ("-g", {".symtab", ".debug_info"})):
        command = ["cc", flags, "-shared", "-fPIC", str(program), "-o", str(module)]
        subprocess.run(command, check=True)
        checks = failures(artifacts.check_compiled("_ev", module.read_bytes(), []))
        assert found <= {
            problem.rpartition(" ")[2] for problem in checks["has no debug symbols"]
        }
        assert (".debug_info" in str(checks)) == (flags == "-g")


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF")
def test_a_library_that_is_needed_is_found(tmp_path):
    program = tmp_path / "a.c"
    program.write_text("void f(void) {}\n")
    for name in ("libev.so.4", "_ev.so"):
        command = ["cc", "-shared", "-fPIC", "-s", f"-Wl,-soname,{name}", str(program)]
        if name == "_ev.so":
            command += ["-Wl,--no-as-needed", str(tmp_path / "libev.so.4")]
        subprocess.run([*command, "-o", str(tmp_path / name)], check=True)
    data = (tmp_path / "_ev.so").read_bytes()
    found = failures(artifacts.check_compiled("_ev", data, []))
    assert found["needs the system's C library alone"] == ["_ev needs libev.so.4"]
    assert found["says that libev is compiled in"] == ["_ev does not"]


# -- versions --------------------------------------------------------------------------


def test_a_stale_compiled_module_is_an_error_that_says_what_to_do(
    tmp_path, run_script, monkeypatch
):
    # What is measured is the package, not a copy.
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    package = Path(mood_event.__file__).parent
    shutil.copytree(
        package, tmp_path / "mood_event", ignore=shutil.ignore_patterns("__pycache__")
    )
    version = tmp_path / "mood_event/_version.py"
    version.write_text(version.read_text().replace(VERSION, "99.0"))
    result = run_script(
        """
        import sys
        sys.path.insert(0, sys.argv[1])
        try:
            import mood_event
        except ImportError as error:
            print(error)
        """,
        str(tmp_path),
    )
    assert result.stdout == (
        f"mood_event is version 99.0, its compiled module was built for {VERSION}. "
        "Install it again: python -m pip install --force-reinstall --no-deps "
        "mood-event-cffi\n"
    )


def test_version_is_written_down_once():
    places = [ROOT / "build_ffi.py", ROOT / "setup.py", ROOT / "pyproject.toml"]
    places += [*ROOT.glob("mood_event/**/*.py"), *ROOT.glob("libev/*.[ch]")]
    found = [path.name for path in places if f'"{VERSION}"' in path.read_text()]
    assert found == ["_version.py"]


def test_dev_finds_one_list_for_each_name():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lists = re.search(
        r"^\[project\.optional-dependencies\]\n(.*?)^\[", text, re.MULTILINE | re.DOTALL
    )
    names = re.findall(r"^(\w+) = \[.*\]$", lists[1], re.MULTILINE)
    assert {"test", "lint", "wheel", "package"} <= set(names)
    for name in (*names, "requires"):
        assert len(re.findall(rf"^{name} = \[.*\]$", text, re.MULTILINE)) == 1, name


# -- before a release ------------------------------------------------------------------

ENTRY = "## [1.2.0] - 2026-11-22\n\n### Added\n\n- It.\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (ENTRY, None),
        (f"## [Unreleased]\n\n{ENTRY}", None),
        (
            ENTRY.replace("1.2.0", "1.2.00"),
            "there is no line `## [1.2.0] - YYYY-MM-DD`",
        ),
        (ENTRY.replace("1.2.0", "1x2.0"), "there is no line `## [1.2.0] - YYYY-MM-DD`"),
        (ENTRY.replace(" - 2026-11-22", ""), "there is no line"),
        (ENTRY.replace("2026-11-22", "soon"), "soon is no date"),
        (ENTRY.replace("2026-11-22", "2026-11-24"), "2026-11-24 is still to come"),
        (ENTRY.replace("- It.", ""), "the entry is empty"),
        (
            ENTRY.replace("- It.", "") + ENTRY.replace("1.2.0", "1.1.0"),
            "the entry is empty",
        ),
        (
            f"## [Unreleased]\n\n- More.\n\n{ENTRY}",
            "there is something under Unreleased",
        ),
    ],
)
def test_changelog_is_checked(text, problem):
    problems = changelog.check_changelog(f"# C\n\n{text}", "1.2.0", date(2026, 11, 23))
    assert len(problems) == bool(problem)
    assert all(words.startswith(problem) for words in problems)


@pytest.fixture
def repository(tmp_path):
    """A clean checkout of its own, and git in it."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("no git here")
    copy_tree(tmp_path)

    def run(*arguments):
        subprocess.run([git, *arguments], cwd=tmp_path, check=True, capture_output=True)

    run("init")
    run("add", ".")
    author = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.invalid"]
    run(*author, "commit", "--message", "All of it")
    return tmp_path, run


@pytest.mark.parametrize("what", ["tree", "changelog", "tag"])
def test_release_check_finds_what_is_not_ready(repository, what):
    directory, git = repository
    lines = {
        "tree": "a clean tree",
        "changelog": f"CHANGELOG.md has {VERSION}",
        "tag": f"there is no tag v{VERSION}",
    }
    # Each but one is as it should be; the changelog never: then nothing is built.
    file = directory / "CHANGELOG.md"
    file.write_text(file.read_text().replace(f"## [{VERSION}]", "## [0.0.0]"))
    author = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.invalid"]
    git(*author, "commit", "--allow-empty", "--all", "--message", "No entry")
    if what == "tree":
        (directory / "new.py").touch()
    if what == "tag":
        git("tag", f"v{VERSION}")
    result = subprocess.run(
        ["sh", "dev", "release-check"],
        cwd=directory,
        env={**os.environ, "PYTHON": sys.executable},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    output = result.stdout.decode()
    assert result.returncode == 1, output
    states = {
        name: [line.split()[0] for line in output.splitlines() if name in line]
        for name in lines.values()
    }
    assert states == {
        name: ["failed" if key in (what, "changelog") else "passed"]
        for key, name in lines.items()
    }, output
    assert "not run  libev's source, and the packages" in output
    assert ("?? new.py" in output) == (what == "tree")
    assert not (directory / "dist").exists()
