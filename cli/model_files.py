"""`flawline model`: a checkpoint of the authors' code made a model file, and what a model file says of itself."""

from dataclasses import dataclass
from pathlib import Path

from cli.console import escape, out, progress, write_json
from cli.teach import plain_refusals, print_findings
from core.errors import SettingsInvalid
from core.settings import read_settings
from model.architecture import Skip
from model.card import card
from model.card_document import card_document
from model.model_file import SUFFIX, load
from model.urd_import import Imported, ImportOptions, import_urd


@dataclass(frozen=True, slots=True)
class Request:
    """What import-urd was asked for; target, skip and pictures as they were left out or given."""

    checkpoint: Path
    target: Path | None
    size: int
    skip: str | None
    pictures: Path | None


def import_checkpoint(request: Request, *, json_file: Path | None) -> int:
    """Write the model file; print what it is. Returns the exit code.

    Raises ModelUnusable for a file that is no such checkpoint, SettingsInvalid for options that cannot be meant.
    """
    settings = read_settings()
    target = request.target or request.checkpoint.with_suffix(SUFFIX)
    if target.resolve() == request.checkpoint.resolve():
        raise SettingsInvalid(f"{target} is the checkpoint itself; name another file with --out")
    try:
        options = ImportOptions(
            size=request.size,
            skip=Skip(request.skip) if request.skip else None,
            pictures=request.pictures,
            runtime=settings.worker.runtime,
            threads=settings.worker.threads or None,
        )
    except ValueError as problem:
        raise SettingsInvalid(str(problem)) from problem
    with plain_refusals(), progress() as tell:
        done = import_urd(request.checkpoint, target, options=options, progress=tell)
    write_json(_values(done), json_file)
    if str(json_file) != "-":
        _print(done, request.checkpoint)
    return 0


def show_card(path: Path, *, json_file: Path | None) -> int:
    """Print a model file's card. Returns the exit code. Raises ModelUnusable for what is no whole model file."""
    with plain_refusals():
        file = load(path)
    size = path.stat().st_size
    document = card_document(file.manifest, sha256=file.sha256, size=size)
    manifest = file.manifest.model_dump(mode="json")
    told = {"model": str(path), "bytes": size, "sha256": file.sha256, "manifest": manifest, "card": document}
    write_json(told, json_file)
    if str(json_file) == "-":
        return 0
    out.print(f"[bold]{escape(str(path))}[/]", soft_wrap=True)
    sections = card(file.manifest, sha256=file.sha256, size=size)
    width = max(len(name) for section in sections for name, _ in section.rows)
    for section in sections:
        out.print(f"\n[bold]{section.title}[/]")
        for name, value in section.rows:
            out.print(f"  {name:<{width}}  {escape(value)}", soft_wrap=True)
    return 0


def _values(done: Imported) -> dict[str, object]:
    calibration = done.calibration
    limits = {"t_lo": calibration.pass_limit, "t_hi": calibration.fail_limit} if calibration else None
    return {
        "model": str(done.path), "sha256": done.sha256, "bytes": done.path.stat().st_size,
        "skip": done.manifest.architecture["skip"], "size": done.manifest.height, "limits": limits,
        "message": calibration.message if calibration else None,
        "findings": [{"path": str(f.path), "kind": f.kind, "message": f.message, "left_out": f.left_out}
                     for f in done.findings],
    }  # fmt: skip


def _print(done: Imported, checkpoint: Path) -> None:
    print_findings(done.findings)
    manifest = done.manifest
    out.print(
        f"[bold]{escape(str(done.path))}[/]: {manifest.architecture['backbone']} with the skip "
        f"{manifest.architecture['skip']} from {escape(checkpoint.name)}, for {manifest.width}x{manifest.height} px",
        soft_wrap=True)  # fmt: skip
    if done.calibration:
        out.print(escape(done.calibration.message), soft_wrap=True)
    else:
        out.print("It is not calibrated and judges nothing yet: import it again with --pictures.", soft_wrap=True)
