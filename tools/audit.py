"""Audit of the dependencies, without a network: the lock, known faults, licences.

python tools/audit.py            print a line for each fault; exit 1 if there is one
python tools/audit.py --notices  write THIRD_PARTY_NOTICES.md again
"""

import argparse
import re
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import av
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LOCKS = tuple(ROOT / f"{name}.lock" for name in ("requirements", "torch", "development", "gguf"))
NOTICES = ROOT / "THIRD_PARTY_NOTICES.md"
PIN = re.compile(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!+_-]+)( \\)?")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
WITHOUT_HASHES = {"torch"}
OPTIONAL = "GGUF"  # section of packages that only `make gguf` installs


@dataclass(frozen=True)
class Lock:
    """The pins of the lock files.

    sections: heading → canonical name → version; malformed: lines without a pin; hashed: names that have a hash
    """

    sections: dict[str, dict[str, Version]]
    malformed: list[str]
    hashed: set[str]

    @property
    def all(self) -> dict[str, Version]:
        """Every pinned package."""
        return {name: version for part in self.sections.values() for name, version in part.items()}

    @property
    def run_time(self) -> dict[str, Version]:
        """The packages that a server needs."""
        return next(iter(self.sections.values()))


def locked() -> str:
    """The text of the lock files."""
    return "".join(path.read_text("utf-8") for path in LOCKS)


def read_lock(text: str) -> Lock:
    """Parse the text of the lock files. The comment above a section is its heading."""
    sections: dict[str, dict[str, Version]] = {}
    malformed, hashed, heading, name = [], set(), "", ""
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line[2:]
        elif pin := PIN.fullmatch(line):
            name = canonicalize_name(pin[1])
            sections.setdefault(heading, {})[name] = Version(pin[2])
        elif HASH.fullmatch(line):
            hashed.add(name)
        elif line:
            malformed.append(line)
    return Lock(sections, malformed, hashed)


def complaints(lock: Lock, advisories: list[dict[str, str]], ffmpeg: Version) -> list[str]:
    """One sentence for each fault that is found."""
    found = [f"The lock has a line that pins no version: {line}" for line in lock.malformed]
    found += [
        f"{name} is pinned without a hash. Run `python -m tools.lock`."
        for name in sorted(lock.all.keys() - lock.hashed - WITHOUT_HASHES)
    ]
    found += _unlocked(lock)
    have = lock.all | {"ffmpeg": ffmpeg}
    for advisory in advisories:
        version = have.get(advisory["package"])
        if version is not None and version < Version(advisory["fixed_in"]):
            found.append(
                f"{advisory['package']} {version} has {advisory['id']} ({advisory['what']})."
                f" It is fixed in {advisory['fixed_in']}."
            )
    return found


def _unlocked(lock: Lock) -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *(r for rs in project["optional-dependencies"].values() for r in rs)]
    found = []
    for requirement in map(Requirement, wanted):
        version = lock.all.get(canonicalize_name(requirement.name))
        if version is None:
            found.append(f"pyproject.toml requires {requirement}, which the lock does not pin.")
        elif not requirement.specifier.contains(version, prereleases=True):
            found.append(f"pyproject.toml requires {requirement}; the lock has {version}.")
    return found


def not_as_locked(lock: Lock) -> list[str]:
    """One sentence for each installed package that differs from the lock. A local build counts as its version.

    Optional packages need not be installed.
    """
    found = []
    for name, version in lock.all.items():
        try:
            installed = Version(distribution(name).version)
        except PackageNotFoundError:
            if name not in lock.sections.get(OPTIONAL, {}):
                found.append(f"{name} {version} is locked but not installed.")
            continue
        if installed.public != version.public:
            found.append(f"{name} {installed} is installed; {version} is locked.")
    return found


def notices(lock: Lock) -> str:
    """The text of THIRD_PARTY_NOTICES.md."""
    rows = [f"| {name} | {version} | {_licence(name)} |" for name, version in sorted(lock.run_time.items())]
    libraries = av._core.library_meta.values()  # PyAV gives the licence and the configuration nowhere else
    ffmpeg = next(iter(libraries))
    return "\n".join(
        [
            "# Third-party notices",
            "",
            "omnireel itself is Apache-2.0. It runs on these packages, which are installed beside it.",
            "Written by `python tools/audit.py --notices` from their own metadata.",
            "",
            "| package | version | licence |",
            "|---|---|---|",
            *rows,
            "",
            "## FFmpeg, inside the wheel of PyAV (av)",
            "",
            f"Version {av.ffmpeg_version_info}, {ffmpeg['license']}; https://ffmpeg.org. The wheel brings it",
            "as shared libraries, which may be replaced; source and build scripts:",
            "https://github.com/PyAV-Org/pyav-ffmpeg.",
            "Its codec libraries, as configured (libx264 and libx265 are under the GPL, version 2 or later):",
            "",
            *[
                f"- {part}"
                for part in sorted(set(re.findall(r"--enable-(lib[\w-]+)", ffmpeg["configuration"])))
            ],
            "",
        ]
    )


def _licence(name: str) -> str:
    facts = distribution(name).metadata
    kinds = [c.rpartition(" :: ")[2] for c in facts.get_all("Classifier") or () if c.startswith("License ::")]
    expression, text = ((facts.get_all(field) or [""])[0] for field in ("License-Expression", "License"))
    return expression or ", ".join(kinds) or text.partition("\n")[0] or "see its metadata"


def main() -> None:
    """Run the audit, or write the notices."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--notices", action="store_true")
    lock = read_lock(locked())
    text = notices(lock)
    if parser.parse_args().notices:
        NOTICES.write_text(text, "utf-8")
        return
    advisories = tomllib.loads((ROOT / "tools" / "advisories.toml").read_text("utf-8"))["advisory"]
    found = complaints(lock, advisories, Version(str(av.ffmpeg_version_info)))
    found += not_as_locked(lock)
    if not NOTICES.exists() or NOTICES.read_text("utf-8") != text:
        found.append("THIRD_PARTY_NOTICES.md is out of date. Run `python tools/audit.py --notices`.")
    for line in found:
        print(line, file=sys.stderr)
    if found:
        sys.exit(1)
    print(f"{len(lock.all)} packages pinned and installed as locked, {len(advisories)} advisories, none open")


if __name__ == "__main__":
    main()
