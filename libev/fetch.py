"""Get libev's source and unpack it beside this file, in libev-<version>/.

Run by `./dev libev` and by the build (build_ffi.py) where libev is to be compiled in
and is not there yet. The checksum in libev/PIN decides, wherever the file came from: a
local file, a URL, Debian's or Ubuntu's source package, or upstream. A file with another
checksum is refused and leaves nothing behind. Standard library alone, Python 3.9 or
later, CPython or PyPy. It must never change anything of the machine's configuration:
apt-get runs on sources, lists and caches of its own, in a temporary directory.

    python3 libev/fetch.py        # what is there, else source package, else upstream
    python3 libev/fetch.py FILE
    python3 libev/fetch.py URL
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Optional

HERE = Path(__file__).resolve().parent

# A libev tarball has half a megabyte; what is far beyond that is something else.
MAX_BYTES = 16 * 1024 * 1024
TIMEOUT = 60.0


class FetchError(Exception):
    """libev's source could not be had; the message is meant for a person."""


class Pin(NamedTuple):
    """Which libev: what libev/PIN says."""

    version: str
    sha256: str
    urls: tuple[str, ...]

    @property
    def dirname(self) -> str:
        """The directory in the tarball, and the one that is made here."""
        return f"libev-{self.version}"


def read_pin(path: Path = HERE / "PIN") -> Pin:
    """Read the pin file, which a shell can source as well."""
    values: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        for word in shlex.split(line, comments=True):
            key, _, value = word.partition("=")
            values[key] = value
    return Pin(
        values["LIBEV_VERSION"],
        values["LIBEV_SHA256"],
        tuple(values["LIBEV_URLS"].split()),
    )


def unpacked(pin: Pin, directory: Path = HERE) -> Optional[Path]:
    """The directory of the unpacked source, or None if it is not there."""
    target = directory / pin.dirname
    return target if (target / "ev.c").is_file() else None


# -- where the bytes come from ---------------------------------------------------------


def download(url: str) -> bytes:
    """The bytes behind a URL."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            return bytes(response.read(MAX_BYTES + 1))
    except (OSError, ValueError) as error:
        raise FetchError(f"{url}: {getattr(error, 'reason', error)}") from None


def read_local(path: Path) -> bytes:
    """The bytes of a local file."""
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise FetchError(f"{path}: {error.strerror}") from None


def _deb822_stanzas(text: str) -> Iterator[dict[str, str]]:
    """The stanzas of a *.sources file; names of fields in lower case."""
    for block in text.split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                # A continuation: the lines of an embedded key.
                fields[name] = fields.get(name, "") + "\n" + line
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields:
            yield fields


def _one_line_stanzas(text: str) -> Iterator[dict[str, str]]:
    """The lines of a *.list file (`deb [options] uri suite components`), as stanzas."""
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        kind, _, rest = line.partition(" ")
        options = ""
        rest = rest.strip()
        if rest.startswith("["):
            options, _, rest = rest[1:].partition("]")
        words = rest.split()
        if len(words) < 3:
            continue
        fields = dict(word.split("=", 1) for word in options.split() if "=" in word)
        fields.update(
            types=kind, uris=words[0], suites=words[1], components=" ".join(words[2:])
        )
        yield fields


def _os_release(path: Path) -> str:
    """The code name of this distribution's release, or an empty string."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return ""
    for word in shlex.split(text, comments=True):
        if word.startswith("VERSION_CODENAME="):
            return word.partition("=")[2]
    return ""


# The suites under which a distribution's own archive may be entered, besides its code
# name.
_SUITES = {"oldstable", "stable", "testing", "unstable", "sid"}

# What decides whether the archive is trusted goes over into our sources as it is.
_KEPT_FIELDS = {
    "signed-by": "Signed-By",
    "trusted": "Trusted",
    "check-valid-until": "Check-Valid-Until",
}


def source_entries(
    apt: Path = Path("/etc/apt"), os_release: Path = Path("/etc/os-release")
) -> list[str]:
    """deb-src stanzas derived from the machine's own entries for binary packages.

    Only those of the distribution itself are taken (by the suite and the component): no
    third party's archive has libev's source.
    """
    suites = _SUITES | {_os_release(os_release)}
    stanzas: list[dict[str, str]] = []
    parts = apt / "sources.list.d"
    for path in [apt / "sources.list", *sorted(parts.glob("*.list"))]:
        if path.is_file():
            stanzas += _one_line_stanzas(path.read_text(encoding="utf-8"))
    for path in sorted(parts.glob("*.sources")):
        stanzas += _deb822_stanzas(path.read_text(encoding="utf-8"))
    entries: list[str] = []
    for fields in stanzas:
        ours = {
            "Types": "deb-src",
            "URIs": " ".join(
                uri
                for uri in fields.get("uris", "").split()
                if not uri.startswith("cdrom:")
            ),
            "Suites": " ".join(
                suite for suite in fields.get("suites", "").split() if suite in suites
            ),
            "Components": " ".join(
                component
                for component in fields.get("components", "").split()
                if component in ("main", "universe")
            ),
        }
        if (
            "deb" not in fields.get("types", "").split()
            or fields.get("enabled", "yes").lower() == "no"
            or not all(ours.values())
        ):
            continue
        for field, name in _KEPT_FIELDS.items():
            if field in fields:
                ours[name] = fields[field]
        entry = "".join(f"{name}: {value}\n" for name, value in ours.items())
        if entry not in entries:
            entries.append(entry)
    return entries


_PACKAGE = "Debian's source package"


def from_source_package(pin: Pin) -> bytes:
    """The tarball out of the distribution's source package, by apt-get."""
    apt_get = shutil.which("apt-get")
    if apt_get is None:
        raise FetchError(f"{_PACKAGE}: there is no apt-get here")
    entries = source_entries()
    if not entries:
        raise FetchError(f"{_PACKAGE}: no archive of Debian or Ubuntu is set up")
    with tempfile.TemporaryDirectory(prefix="mood-event-libev-") as name:
        work = Path(name)
        # apt's downloads run as a user of their own, who must get at the directory.
        work.chmod(0o755)
        for directory in ("parts", "lists/partial", "cache/archives/partial", "file"):
            (work / directory).mkdir(parents=True)
        (work / "parts" / "libev.sources").write_text(
            "\n".join(entries), encoding="utf-8"
        )
        command = [
            apt_get,
            "--quiet",
            "-oDir::Etc::sourcelist=/dev/null",
            f"-oDir::Etc::sourceparts={work / 'parts'}",
            f"-oDir::State::Lists={work / 'lists'}",
            f"-oDir::Cache={work / 'cache'}",
            "-oAcquire::Languages=none",
        ]
        # What fails here (one archive of several, a hook that wants more rights than we
        # have) may not matter: the next command tells.
        lines = _run([*command, "update"], work)
        command += ["source", "--only-source", "--download-only", "--tar-only", "libev"]
        lines += _run(command, work / "file")
        # One `*` alone: PyPy 7.3.19's glob finds nothing with two.
        for path in sorted((work / "file").glob("*.orig.tar.gz")):
            data = read_local(path)
            check(data, pin, f"{_PACKAGE}: {path.name}")
            return data
    reasons = [line for line in lines if line.startswith(("E:", "W:"))]
    reason = reasons[-1] if reasons else "apt-get brought no file"
    raise FetchError(f"{_PACKAGE}: {reason}")


def _run(command: list[str], directory: Path) -> list[str]:
    """Run a command; the lines that it printed, whatever became of it."""
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    result = subprocess.run(
        command,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return result.stdout.decode("utf-8", "replace").splitlines()


# -- what becomes of them --------------------------------------------------------------


def check(data: bytes, pin: Pin, origin: str) -> None:
    """Refuse bytes that are not the pinned tarball."""
    found = hashlib.sha256(data).hexdigest()
    if found != pin.sha256:
        raise FetchError(
            f"{origin}: this is not libev {pin.version}: SHA-256 is {found}, "
            f"must be {pin.sha256}"
        )


def unpack(data: bytes, pin: Pin, directory: Path = HERE) -> Path:
    """Unpack a checked tarball into `directory`; all of it or nothing.

    It is unpacked beside the target and renamed, so that nobody ever sees a half of it.
    """
    target = directory / pin.dirname
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=directory) as name:
        tarball = Path(name) / "libev.tar.gz"
        tarball.write_bytes(data)
        try:
            with tarfile.open(tarball) as archive:
                _extract(archive, Path(name))
        except (tarfile.TarError, OSError, EOFError) as error:
            raise FetchError(f"libev's tarball cannot be unpacked: {error}") from None
        source = Path(name) / pin.dirname
        if not (source / "ev.c").is_file():
            raise FetchError(f"libev's tarball has no {pin.dirname}/ev.c")
        try:
            os.rename(source, target)
        except OSError as error:
            # Another build was quicker: what it unpacked had the same checksum.
            if unpacked(pin, directory) is None:
                raise FetchError(f"{target}: {error.strerror}") from None
    return target


def _extract(archive: tarfile.TarFile, directory: Path) -> None:
    """Write the plain files of an archive, none of them outside `directory`.

    tarfile's own filter="data" is not in every Python 3.9.
    """
    for member in archive:
        parts = PurePosixPath(member.name).parts
        if parts[:1] == ("/",) or ".." in parts:
            raise FetchError(f"libev's tarball has a file outside: {member.name}")
        path = directory.joinpath(*parts)
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
        elif member.isreg():
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = archive.extractfile(member)
            assert stream is not None  # it is a plain file
            with stream, path.open("wb") as copy:
                shutil.copyfileobj(stream, copy)
            path.chmod(0o755 if member.mode & 0o100 else 0o644)
            os.utime(path, (member.mtime, member.mtime))
        else:
            raise FetchError(f"libev's tarball has a strange member: {member.name}")


def fetch(
    source: Optional[str] = None,
    pin: Optional[Pin] = None,
    directory: Path = HERE,
) -> Path:
    """Unpack libev's source and return its directory.

    Args:
        source: a path or a URL of the tarball; None: what is unpacked already, else the
            distribution's source package, else upstream's URLs.
        pin: what it must be; None: libev/PIN.
        directory: where `libev-<version>/` is made.

    Raises:
        FetchError: it could not be had, or is not what the pin says.
    """
    pin = pin or read_pin()
    there = unpacked(pin, directory)
    if source is None:
        return there or unpack(_from_anywhere(pin), pin, directory)
    data = download(source) if "://" in source else read_local(Path(source))
    check(data, pin, source)
    # The same bytes are there already: nothing to do, and nothing to replace.
    return there or unpack(data, pin, directory)


def _from_anywhere(pin: Pin) -> bytes:
    """The tarball from the first origin that has the right one."""
    reasons: list[str] = []
    for origin in (None, *pin.urls):
        try:
            if origin is None:
                return from_source_package(pin)
            data = download(origin)
            check(data, pin, origin)
        except FetchError as error:
            reasons.append(f"\n  {error}")
        else:
            return data
    raise FetchError(
        f"libev {pin.version} cannot be had:{''.join(reasons)}\n"
        f"Get libev-{pin.version}.tar.gz by other means, then: "
        f"python3 libev/fetch.py FILE"
    )


def main(arguments: Iterable[str]) -> int:
    """The command line; returns the exit status."""
    arguments = list(arguments)
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 2
    pin = read_pin()
    there = unpacked(pin)
    try:
        target = fetch(arguments[0] if arguments else None, pin)
    except FetchError as error:
        print(f"libev/fetch.py: {error}", file=sys.stderr)
        return 1
    what = "is there already" if there else "unpacked, its checksum is the pinned one"
    print(f"libev {pin.version}: {os.path.relpath(target)} ({what})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
