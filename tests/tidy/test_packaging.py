"""What `pip install` brings: every file the program reads, and dependencies at versions written down."""

import re
import tomllib
from importlib.metadata import distributions
from pathlib import PurePosixPath

from packaging.requirements import Requirement

from tests.tidy.repository import ROOT, files, name_of

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONSTRAINTS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
)  # fmt: skip


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_file_of_the_packages_is_in_the_wheel() -> None:
    patterns = {
        package: [PurePosixPath(package, pattern).as_posix() for pattern in patterns]
        for package, patterns in PROJECT["tool"]["setuptools"]["package-data"].items()
    }
    names = [PurePosixPath(name_of(path)) for path in files() if path.suffix != ".py"]
    ours = [name for name in names if name.parts[0] in patterns]
    left_out = [str(name) for name in ours if not any(name.match(p) for p in patterns[name.parts[0]])]
    assert left_out == []


def test_every_folder_with_code_is_a_package() -> None:
    folders = {
        path.parent
        for path in files()
        if name_of(path).split("/")[0] in ("streams", "metrics", "oracle") and path.suffix == ".py"
    }
    assert [name_of(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_every_requirement_has_an_exact_version() -> None:
    project = PROJECT["project"]
    optional = [line for lines in project["optional-dependencies"].values() for line in lines]
    pinned = {_canonical(name) for name in CONSTRAINTS}
    for line in (*project["dependencies"], *optional, *PROJECT["build-system"]["requires"]):
        requirement = Requirement(line)
        assert _canonical(requirement.name) in pinned, line
        version = next(
            v for name, v in CONSTRAINTS.items() if _canonical(name) == _canonical(requirement.name)
        )
        assert requirement.specifier.contains(version, prereleases=True), f"{line} against {version}"


def test_why_each_dependency_is_there_is_written_down() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    project = PROJECT["project"]
    optional = [line for lines in project["optional-dependencies"].values() for line in lines]
    names = [Requirement(line).name.lower() for line in (*project["dependencies"], *optional)]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_the_changelog_knows_the_version() -> None:
    version = PROJECT["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(version)}\b", changelog, re.MULTILINE)


def test_no_two_installed_packages_fight_over_our_import_names() -> None:
    owners = {
        _canonical(distribution.metadata["Name"])
        for distribution in distributions()
        for file in distribution.files or ()
        if file.parts[0] in ("streams", "metrics", "oracle") and file.suffix == ".py"
    }
    assert owners <= {"salesfloor"}
