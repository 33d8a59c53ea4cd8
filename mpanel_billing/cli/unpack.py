"""`mpanel-billing unpack`: the files for operators that the package carries."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from mpanel_billing.errors import BillingError
from mpanel_billing.resources import FOR_OPERATORS, ROOT


class UnpackError(BillingError):
    """A file cannot be written."""

    code = "unpack_failed"


def unpack(
    folder: Annotated[Path, typer.Argument(help="Where to write; created if missing.")] = Path(),
    *,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also replace files that differ.")
    ] = False,
) -> None:
    """Write the example settings, catalogue, systemd units, documents and others to a folder."""
    written, kept = 0, []
    for source in _files():
        target = folder / source.relative_to(ROOT)
        text = source.read_bytes()
        try:
            found = target.read_bytes() if target.exists() else None
            if found is not None and found != text and not overwrite:
                kept.append(target)
            elif found != text:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(text)
                written += 1
        except OSError as error:
            raise UnpackError(f"cannot write {target}: {error.strerror}") from error
    typer.echo(f"{written} files written to {folder.resolve()}")
    for target in kept:
        typer.echo(f"kept {target}, which differs from that of this release")


def _files() -> Iterator[Path]:
    for name in FOR_OPERATORS:
        path = ROOT / name
        yield from [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
