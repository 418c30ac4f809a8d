"""What a source distribution and its wheels must be, before anyone gets them.

Run by `./dev wheel`, in an environment with the list `package` of pyproject.toml, and
loaded by tests/test_wheels.py. It looks at files and says what is wrong with them; it
must never build, install or change anything.

    python release/artifacts.py DIRECTORY SOURCE [SECRET...]

DIRECTORY has the source distribution and the wheels that were built from it, SOURCE is
the tree that the former was made of, with libev's source unpacked. What is built must
not contain a SECRET: the paths of the machine. The exit status is 1 if a check fails.
"""

import email.message
import email.parser
import io
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from packaging.utils import parse_wheel_filename

# Of a wheel, in bytes.
MAX_WHEEL = 300_000

DISTRIBUTION = "mood_event_cffi"
REQUIRED_FIELDS = (
    "Author",
    "Classifier",
    "Description-Content-Type",
    "Keywords",
    "License-Expression",
    "Project-URL",
    "Requires-Python",
    "Summary",
)

# What was looked at, and what is wrong with it.
Check = tuple[str, list[str]]
Files = dict[str, bytes]


def read_sdist(path: Path) -> Files:
    """The files of a source distribution, without the directory that all are in.

    Raises:
        ValueError: there is a file beside that directory.
    """
    files: Files = {}
    root = path.name[: -len(".tar.gz")]
    with tarfile.open(path) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is None:
                continue
            name = PurePosixPath(member.name)
            if name.parts[0] != root:
                raise ValueError(f"{path.name}: {name} is not in {root}/")
            files[name.relative_to(root).as_posix()] = stream.read()
    return files


def read_wheel(path: Path) -> Files:
    """The files of a wheel."""
    with zipfile.ZipFile(path) as archive:
        return {
            name: archive.read(name)
            for name in archive.namelist()
            if not name.endswith("/")
        }


def read_tree(directory: Path) -> Files:
    """The files of a source tree, without what building leaves there."""
    made = re.compile(r"(^|/)(build|dist|__pycache__|[^/]*\.egg-info|\.git)/")
    paths = {
        path.relative_to(directory).as_posix(): path
        for path in directory.rglob("*")
        if path.is_file()
    }
    return {
        name: path.read_bytes()
        for name, path in paths.items()
        if not made.search(name) and not name.endswith((".pyc", ".so"))
    }


def read_version(files: Files) -> str:
    """The version that the sources say they are.

    Raises:
        ValueError: they do not say it.
    """
    text = files["mood_event/_version.py"].decode()
    match = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if match is None:
        raise ValueError("mood_event/_version.py has no version")
    return match.group(1)


def license_names(files: Files) -> list[str]:
    """Where the sources have our license and libev's."""
    pattern = re.compile(r"(libev/libev-[^/]*/)?LICENSE")
    return sorted(name for name in files if pattern.fullmatch(name))


def differences(found: Files, wanted: Files) -> list[str]:
    """How two sets of files differ."""
    return [
        *(f"{name} is missing" for name in sorted(wanted.keys() - found.keys())),
        *(f"{name} is too many" for name in sorted(found.keys() - wanted.keys())),
        *(
            f"{name} has another content"
            for name in sorted(found.keys() & wanted.keys())
            if found[name] != wanted[name]
        ),
    ]


# -- the checks ------------------------------------------------------------------------


def check_metadata(text: bytes, sources: Files) -> list[str]:
    """What is missing in PKG-INFO."""
    parsed: email.message.Message = email.parser.BytesParser().parsebytes(text)
    problems = [f"no {field}" for field in REQUIRED_FIELDS if not parsed.get(field)]
    version = read_version(sources)
    if parsed["Version"] != version:
        problems.append(f"it is version {parsed['Version']}, the package is {version}")
    for name in license_names(sources):
        if name not in parsed.get_all("License-File", []):
            problems.append(f"License-File: {name} is missing")
    return problems


def check_sdist(path: Path, tree: Files) -> Iterator[Check]:
    """Check a source distribution against the tree that it was made of."""
    files = read_sdist(path)
    version = read_version(tree)
    named = f"{DISTRIBUTION}-{version}.tar.gz"
    yield (
        "is named after its version",
        [] if path.name == named else [f"must be {named}"],
    )
    made = {"PKG-INFO", "setup.cfg"}
    packed = {
        name: data
        for name, data in files.items()
        if name not in made and not name.startswith(f"{DISTRIBUTION}.egg-info/")
    }
    yield "has all that is in the repository, and libev", differences(packed, tree)
    yield "brings both licenses", [] if len(license_names(files)) == 2 else ["no"]
    yield "has complete metadata", check_metadata(files.get("PKG-INFO", b""), tree)


def check_name(path: Path) -> list[str]:
    """Whether a wheel's name says that it is for the machines it should be for."""
    tags = parse_wheel_filename(path.name)[3]
    problems = []
    for tag in sorted(tags, key=str):
        pypy = re.fullmatch(r"pp(\d+)", tag.interpreter)
        if pypy:
            if not re.fullmatch(rf"pypy{pypy[1]}_pp\d+", tag.abi):
                problems.append(f"{tag}: the ABI is another PyPy's")
        elif (tag.interpreter, tag.abi) != ("cp39", "abi3"):
            problems.append(f"{tag}: CPython's must be cp39-abi3")
        if not re.match(r"(many|musl)linux\d*_|macosx_", tag.platform):
            problems.append(f"{tag}: it is for a machine like this one only")
    return problems


def check_compiled(name: str, data: bytes, secrets: Iterable[str]) -> Iterator[Check]:
    """Check the compiled module: what is in it, and what must not be."""
    yield (
        "names nothing of this machine",
        [f"{name} has {secret}" for secret in secrets if secret.encode() in data],
    )
    yield (
        "says that libev is compiled in",
        [] if b"\0bundled\0" in data else [f"{name} does not"],
    )
    if not data.startswith(b"\x7fELF"):
        return
    elf = ELFFile(io.BytesIO(data))
    sections = [section.name for section in elf.iter_sections()]
    yield (
        "has no debug symbols",
        [
            f"{name} has {section}"
            for section in sections
            if re.match(r"\.(z?debug|symtab|stab)", section)
        ],
    )
    needed = [
        tag.needed
        for section in elf.iter_sections()
        if isinstance(section, DynamicSection)
        for tag in section.iter_tags("DT_NEEDED")
    ]
    system = r"(libc|libm|libpthread|librt|ld-linux[^.]*|libc\.musl-[^.]*)\.so(\.\d+)?"
    yield (
        "needs the system's C library alone",
        [f"{name} needs {so}" for so in needed if not re.fullmatch(system, so)],
    )


def check_wheel(
    path: Path, sources: Files, secrets: Iterable[str] = ()
) -> Iterator[Check]:
    """Check a wheel against the files of the source distribution it was built from."""
    files = read_wheel(path)
    version = read_version(sources)
    info = f"{DISTRIBUTION}-{version}.dist-info"
    compiled = [name for name in files if re.match(r"mood_event/_ev\..*so$", name)]
    yield "is named after what it is for", check_name(path)
    size = path.stat().st_size
    yield (
        f"is smaller than {MAX_WHEEL // 1000} kB",
        [] if size < MAX_WHEEL else [f"it has {size} bytes"],
    )
    packed = {
        name: data
        for name, data in files.items()
        if not name.startswith(f"{info}/") and name not in compiled
    }
    wanted = {
        name: data
        for name, data in sources.items()
        if re.fullmatch(r"mood_event/(.*\.pyi?|py\.typed)", name)
    }
    yield "has the package's files and no others", differences(packed, wanted)
    yield (
        "has one compiled module",
        [] if len(compiled) == 1 else [f"these are: {' '.join(compiled) or 'none'}"],
    )
    licenses = {
        name[len(f"{info}/licenses/") :]: data
        for name, data in files.items()
        if name.startswith(f"{info}/licenses/")
    }
    yield (
        "brings both licenses",
        differences(licenses, {name: sources[name] for name in license_names(sources)}),
    )
    same = files.get(f"{info}/METADATA") == sources.get("PKG-INFO")
    yield "has the source distribution's metadata", [] if same else ["it has other"]
    for name in compiled:
        yield from check_compiled(name, files[name], secrets)


# -- the command line ------------------------------------------------------------------


def report(subject: str, checks: Iterable[Check]) -> int:
    """Print a line for each check; returns how many failed."""
    failed = 0
    print(subject)
    for what, problems in checks:
        print(f"  {'FAILED' if problems else 'ok':<8} {what}")
        for problem in problems:
            print(f"           {problem}")
        failed += bool(problems)
    return failed


def check(directory: Path, source: Path, secrets: list[str]) -> int:
    """Check all that is in a directory; returns how many checks failed."""
    [sdist] = directory.glob("*.tar.gz")
    wheels = sorted(directory.glob("*.whl"))
    failed = report(sdist.name, check_sdist(sdist, read_tree(source)))
    sources = read_sdist(sdist)
    for wheel in wheels:
        failed += report(wheel.name, check_wheel(wheel, sources, secrets))
    return failed + (not wheels)


def main(arguments: "list[str]") -> int:
    """Returns the exit status."""
    if len(arguments) < 2:
        print(__doc__)
        return 2
    directory, source, *secrets = arguments
    return int(check(Path(directory), Path(source), secrets) > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
