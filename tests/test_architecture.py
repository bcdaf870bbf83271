"""The house rules that a machine can hold: which way imports point, sizes, and where the environment is read."""

import ast
import subprocess
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

ALLOWED: dict[str, set[str]] = {
    "core": set(), "model": set(), "migrations": {"core"}, "ingest": {"core"}, "dashboard": {"core"},
    "workers": {"core", "model"},
}  # fmt: skip
ALLOWED["cli"] = set(ALLOWED)

# Never imported, at any depth, by the files of a package: what a role must install without.
FORBIDDEN: dict[str, set[str]] = {
    "core": {"torch", "streamlit", "cv2", "openvino"},
    "model": {"sqlalchemy", "redis", "kafka", "streamlit"},
    "ingest": {"torch", "sqlalchemy", "streamlit", "kafka"},
    "workers": {"streamlit", "kafka", "torch"},
    "dashboard": {"torch", "kafka", "openvino"},
    "migrations": {"torch", "streamlit", "kafka", "cv2"},
    "cli": set(),
}
PURE_CORE = {"errors", "verdicts", "messages", "recipes", "line", "times", "statistics", "settings"}
IMPURE = {"sqlalchemy", "redis", "kafka", "sqlite3"}

LONGEST_FILE = 350
LONGEST_FUNCTION = 60
EXCUSED_FILES: dict[str, str] = {
    "core/tables.py": "one table after the other; nothing in it has to be understood together",
}
EXCUSED_FUNCTIONS: dict[str, str] = {}

EXCUSED_ARROWS: dict[tuple[str, str], str] = {
    ("ingest.simulator.laminate", "ingest.simulator.board"): "a type's name only",
    ("model.runtimes", "model.openvino_runtime"): "the opener stands with the contract",
}

SOURCES = sorted(path.relative_to(ROOT) for home in ALLOWED for path in (ROOT / home).rglob("*.py"))


def imported_names(path: Path) -> set[str]:
    """Full names of all modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in SOURCES}


def arrows(path: Path) -> Iterator[str]:
    """Modules of ours that a file imports, wherever in it: neither a lazy import nor one for types breaks a circle."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from inner & MODULES.keys() or {node.module}


def circle_in(house: Mapping[str, set[str]]) -> list[str]:
    """Modules that import one another in a ring, the first again at the end; empty where none do."""
    try:
        TopologicalSorter(house).prepare()
    except CycleError as found:
        return list(reversed(found.args[1]))
    return []


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported_names(path)}


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_imports_point_one_way(path: Path) -> None:
    home = path.parts[0]
    ours = tops(path) & ALLOWED.keys()
    assert ours <= ALLOWED[home] | {home}, f"{path} may import of ours only {sorted(ALLOWED[home])}"


def test_no_modules_import_one_another_in_a_circle() -> None:
    house = {name: set(arrows(path)) for name, path in MODULES.items()}
    for one, other in EXCUSED_ARROWS:
        assert other in house[one], f"{one} no longer imports {other}: strike it from the excuses"
        house[one].remove(other)
    assert not circle_in(house)


def test_a_circle_is_found_and_named_in_the_order_of_its_imports() -> None:
    assert circle_in({"a": {"b", "d"}, "b": {"c"}, "c": {"b"}, "d": set()}) in (["b", "c", "b"], ["c", "b", "c"])
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}})[:2] in (["a", "b"], ["b", "c"], ["c", "a"])
    assert circle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_no_role_needs_what_it_is_installed_without(path: Path) -> None:
    assert not tops(path) & FORBIDDEN[path.parts[0]]


@pytest.mark.parametrize("name", sorted(PURE_CORE))
def test_the_rules_in_core_do_no_io(name: str) -> None:
    assert not tops(Path("core") / f"{name}.py") & IMPURE


def test_only_core_broker_speaks_to_the_log_file() -> None:
    users = {path.parts[:2] for path in SOURCES if "sqlite3" in tops(path)}
    # a folder source keeps notes of the files it took in a small file of its own, a gate its journal
    files = {("core", "broker"), ("ingest", "sources"), ("workers", "gate")}
    assert users <= files | {("core", "database.py"), ("core", "unavailable.py")}  # engine and error codes of the books


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_files_and_functions_stay_small(path: Path) -> None:
    text = (ROOT / path).read_text()
    if str(path) not in EXCUSED_FILES and path.parts[:2] != ("migrations", "versions"):
        assert text.count("\n") <= LONGEST_FILE, f"{path} is longer than {LONGEST_FILE} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and path.parts[:2] != ("migrations", "versions"):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            name = f"{path}:{node.name}"
            assert length <= LONGEST_FUNCTION or name in EXCUSED_FUNCTIONS, f"{name} has {length} lines"


@pytest.mark.parametrize("path", [p for p in SOURCES if p != Path("core/settings.py")], ids=str)
def test_only_the_settings_read_the_environment(path: Path) -> None:
    text = (ROOT / path).read_text()
    assert "os.environ" not in text
    assert "getenv" not in text


def _raises_again(handler: ast.ExceptHandler) -> bool:
    """Cleans up and lets the error go on: nothing is swallowed."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_there_is_one_broad_except() -> None:
    broad = []
    for path in SOURCES:
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.ExceptHandler) and not _raises_again(node):
                caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                names = {getattr(kind, "id", None) for kind in caught}
                if node.type is None or names & {"Exception", "BaseException"}:
                    broad.append(str(path))
    assert broad == ["workers/runtime.py"]


def test_every_package_is_listed_for_installation() -> None:
    listed = (ROOT / "pyproject.toml").read_text()
    packages = {".".join(path.parent.parts) for path in SOURCES if path.name == "__init__.py"}
    assert not {name for name in packages if f'"{name}"' not in listed}


def test_no_file_names_the_machine_it_was_written_on() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    here = str(ROOT)
    named = []
    for name in tracked:
        path = ROOT / name
        readable = path.is_file() and path.suffix in {".py", ".md", ".toml", ".txt", ".yml", ".sh", ""}
        if readable and here in path.read_text(errors="ignore"):
            named.append(name)
    assert named == []
