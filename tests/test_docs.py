"""The documents say what there is, all of it, and nothing else."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from pydantic import BaseModel

from cli.main import app
from core.gates import Gate
from core.line import Camera, Line
from core.messages import DEAD_LETTERS
from core.settings import PREFIX, Settings, names, read_settings
from ingest.sources import open_source
from ingest.sources.opening import SCHEMES

ROOT = Path(__file__).resolve().parent.parent
OURS = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *(f"docs/{p.name}" for p in sorted((ROOT / "docs").glob("*.md"))),
)
DOCUMENTS = [*OURS, ".env.example"]

# The only places on a disk that an example may name: everybody sees that they stand for another one.
EXAMPLE_ROOTS = {"path", "pictures"}
ROUTES = {"metrics", "healthz", "livez"}  # of a process, not of a disk
STANDARD = {"backups", "data", "dev", "etc", "opt", "run", "var"}  # of every Debian, or of a container

SHELL_LINE = re.compile(r"^(?:FLAWLINE_\w+=\S+ )?flawline (.+)$", re.MULTILINE)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    """The fenced code blocks of one language in a document."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(name), re.MULTILINE | re.DOTALL)


def section(name: str, heading: str) -> str:
    """What stands under a heading, up to the next heading; "" where there is none."""
    found = re.search(rf"^#+ {re.escape(heading)}$\n(.*?)(?=^#+ |\Z)", text_of(name), re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def rows(text: str) -> list[list[str]]:
    """The cells of every table row whose first cell is code, without its backquotes."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return [[cells[0].strip("`"), *cells[1:]] for cells in lines]


def commands() -> Iterator[tuple[str, set[str]]]:
    """Every command that does something, such as `db upgrade`, with the long options that its help shows."""
    waiting = [("", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop()
        if inner := getattr(command, "commands", None):
            waiting += [(f"{name} {word}".strip(), each) for word, each in inner.items()]
        elif not getattr(command, "hidden", False):
            shown = [option for option in command.params if not getattr(option, "hidden", False)]
            yield name, {text for option in shown for text in option.opts if text.startswith("--")}


COMMANDS = dict(commands())


def default_of(setting: str) -> str:
    """A setting's default as a document writes it."""
    path = setting.removeprefix(PREFIX).lower().split("__")
    value: object = Settings.model_construct().model_dump(mode="json")
    for name in path:
        assert isinstance(value, dict)
        value = value[name]
    said = f"{value:g}" if isinstance(value, float) else str(value)
    return {"": "(empty)", "None": "–"}.get(said, f"`{said}`")


@pytest.mark.parametrize("setting", list(names()))
def test_every_setting_is_described_with_its_true_default(setting: str) -> None:
    described = {cells[0]: cells[1:] for cells in rows(text_of("docs/settings.md"))}
    assert setting in described
    default, meaning = described[setting]
    assert default == default_of(setting)
    assert len(meaning) > len("| |")


def test_the_example_environment_names_every_setting_once_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for line in text_of(".env.example").splitlines() if re.match(rf"#?{PREFIX}\w+=", line)]
    named = [line.lstrip("#").partition("=")[0] for line in lines]
    assert sorted(named) == sorted(names())
    for line in lines:
        name, _, value = line.partition("=")
        if not line.startswith("#"):
            monkeypatch.setenv(name, value)
    assert read_settings() == Settings.model_construct()
    unset = {line.lstrip("#").partition("=")[0] for line in lines if line.startswith("#")}
    assert unset == {name for name in names() if default_of(name) == "–"}, "only what has no default is commented out"


def test_documents_name_no_setting_that_is_not_there() -> None:
    owned = set(names())
    found = {(name, word) for name in DOCUMENTS for word in re.findall(rf"{PREFIX}\w*[A-Z]", text_of(name))}
    assert {(name, word) for name, word in found if word not in owned} == set()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_its_section_with_an_example_and_all_its_options(command: str) -> None:
    said = section("docs/commands.md", f"flawline {command}")
    assert f"flawline {command}" in said, "an example of its use"
    assert {option for option in COMMANDS[command] if f"`{option}" not in said} == set()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_stands_in_the_readme(command: str) -> None:
    assert f"flawline {command}" in {cells[0] for cells in rows(text_of("README.md"))}


@pytest.mark.parametrize("name", OURS)
def test_every_example_is_a_command_with_options_that_it_takes(name: str) -> None:
    for line in SHELL_LINE.findall("\n".join(blocks(name, "sh"))):
        words = line.split()
        command = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
        assert command in COMMANDS, line
        assert {word for word in words if word.startswith("--")} <= COMMANDS[command], line


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_name_no_command_that_is_not_there(name: str) -> None:
    known = {word for command in COMMANDS for word in (command, command.split()[0])}
    for first, second in re.findall(r"`flawline ([a-z][a-z-]*)(?: ([a-z][a-z-]*)\b)?", text_of(name)):
        assert first in known, f"flawline {first}"
        if second and first not in COMMANDS:
            assert f"{first} {second}" in COMMANDS, f"flawline {first} {second}"


@pytest.mark.parametrize("name", OURS)
def test_every_json_example_is_json(name: str) -> None:
    assert all(isinstance(json.loads(block), dict) for block in blocks(name, "json"))


def test_the_evaluation_example_shows_every_figure() -> None:
    tree = ast.parse((ROOT / "model/evaluation.py").read_text(encoding="utf-8"))  # read, for importing it takes torch
    (kind,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Evaluation")
    figures = [node.target.id for node in kind.body if isinstance(node, ast.AnnAssign) and hasattr(node.target, "id")]
    (shown,) = (json.loads(block) for block in blocks("docs/commands.md", "json") if "au_pro" in block)
    assert list(shown) == figures


@pytest.mark.parametrize(("heading", "kind"), [("The line", Line), ("A camera", Camera), ("A gate", Gate)])
def test_every_key_of_the_line_file_is_described_with_its_true_default(heading: str, kind: type[BaseModel]) -> None:
    said = {cells[0]: cells[1] for cells in rows(section("docs/line.md", heading))}
    for key, field in kind.model_fields.items():
        assert key in said
        if field.is_required():
            assert said[key] == "required", key
        elif (kind, key) not in {(Line, "camera"), (Line, "gate")}:
            default = field.get_default(call_default_factory=True)
            assert said[key] == ("none" if default is None else f"`{json.dumps(default)}`"), key
    assert set(said) == kind.model_fields.keys()


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_every_option_of_every_source_is_described(scheme: str) -> None:
    headings = re.findall(r"^### (.+)$", text_of("docs/line.md"), re.MULTILINE)
    about = [heading for heading in headings if re.search(rf"\b{scheme}:", heading)]
    assert len(about) == 1
    assert [cells[0] for cells in rows(section("docs/line.md", about[0]))] == list(SCHEMES[scheme])


@pytest.mark.parametrize("name", ["README.md", "docs/line.md"])
def test_every_line_file_in_the_documents_can_be_run(name: str) -> None:
    examples = blocks(name, "toml")
    assert examples
    for example in examples:
        line = Line.model_validate(tomllib.loads(example))
        assert line.camera
        for camera in line.camera:
            open_source(camera.source)  # understood; nothing is opened before its `with`


@pytest.mark.parametrize(
    "view", sorted(p.stem for p in (ROOT / "dashboard/views").glob("*.py") if p.stem != "__init__")
)
def test_every_page_is_described(view: str) -> None:
    assert section("docs/pages.md", view.capitalize()).strip()


@pytest.mark.parametrize("name", OURS)
def test_every_relative_link_leads_to_something(name: str) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", text_of(name))
    local = [target for target in targets if "://" not in target]
    dead = []
    for target in local:
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        if not file.is_file() or (anchor and anchor not in anchors(file)):
            dead.append(target)
    assert dead == []


def anchors(file: Path) -> set[str]:
    """The anchors of a document's headings, as Git hosts make them."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_document_names_a_place_on_somebody_s_disk(name: str) -> None:
    said = text_of(name)
    assert str(ROOT) not in said
    assert set(re.findall(r"(?<![\w./…>)\]*<~-])/([a-z][\w.-]*)", said)) <= EXAMPLE_ROOTS | ROUTES | STANDARD


def test_the_readme_shows_the_demo() -> None:
    picture = re.search(r"^!\[.{20,}\]\((docs/[\w.-]+\.png)\)$", text_of("README.md"), re.MULTILINE)
    assert picture
    assert (ROOT / picture[1]).read_bytes().startswith(b"\x89PNG"), f"{picture[1]} is no picture"


def test_the_architecture_names_every_package_and_every_dead_letter_topic() -> None:
    said = text_of("ARCHITECTURE.md")
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert {name for name in packages if f"| `{name}` |" not in said} == set()
    assert {topic for topic in DEAD_LETTERS.values() if f"`{topic}`" not in said} == set()


def test_the_license_is_apache_2_with_its_owner() -> None:
    said = text_of("LICENSE")
    assert "Version 2.0, January 2004" in said
    assert "END OF TERMS AND CONDITIONS" in said
    assert "Copyright 2026 The flawline authors" in said


def test_the_changelog_knows_this_version() -> None:
    version = tomllib.loads(text_of("pyproject.toml"))["project"]["version"]
    assert f"## [{version}]" in text_of("CHANGELOG.md")
