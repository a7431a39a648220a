"""``dipronn image``."""

from __future__ import annotations

import asyncio
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from dipronn.cli.output import write, write_json, write_table
from dipronn.cli.probe import CACHE
from dipronn.cli.target import Target
from dipronn.v1 import images_pb2 as pb
from vmhost.vm.build import build_image
from vmhost.vm.image import prepare_images

app = typer.Typer(help="Push bundles, kernels and disks to the node.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="For machines.")]
Owner = Annotated[
    str, typer.Option(help="Whose it is. Over TCP the certificate says so; an operator may leave it out.")
]


class Kind(StrEnum):
    BUNDLE = "bundle"
    KERNEL = "kernel"
    DISK = "disk"


class Format(StrEnum):
    RAW = "raw"
    QCOW2 = "qcow2"


_KINDS = {
    Kind.BUNDLE: pb.IMAGE_KIND_BUNDLE,
    Kind.KERNEL: pb.IMAGE_KIND_KERNEL,
    Kind.DISK: pb.IMAGE_KIND_DISK,
}
_FORMATS = {Format.RAW: pb.DISK_FORMAT_RAW, Format.QCOW2: pb.DISK_FORMAT_QCOW2}


@app.command()
def push(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="A file; a folder is packed as a tar file.")],
    name: Annotated[str, typer.Option(help="What sessions call it; the file's name if not stated.")] = "",
    kind: Annotated[Kind, typer.Option(help="What it is.")] = Kind.BUNDLE,
    disk_format: Annotated[Format | None, typer.Option("--format", help="Of a disk: never guessed.")] = None,
    owner: Owner = "",
    as_json: Json = False,
) -> None:
    """Upload an image. One that was broken off goes on where it was."""
    if (kind is Kind.DISK) != (disk_format is not None):
        raise typer.BadParameter("state --format raw or qcow2 for a disk, and for nothing else")
    format_ = _FORMATS[disk_format] if disk_format else pb.DISK_FORMAT_UNSPECIFIED
    name = name or (f"{source.resolve().name}.tar" if source.is_dir() else source.name)
    image = asyncio.run(_push(context.obj, name, source, _KINDS[kind], format_, owner))
    if as_json:
        write_json(image)
    else:
        write(f"image {image.name}: {image.size} bytes, sha256:{image.sha256.hex()}")


async def _push(
    target: Target,
    name: str,
    source: Path,
    kind: pb.ImageKind.ValueType,
    format_: pb.DiskFormat.ValueType,
    owner: str,
) -> pb.Image:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(name, total=None)
        async with target.connect() as node:
            return await node.push_image(
                name,
                source,
                kind,
                format=format_,
                owner=owner,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )


@app.command()
def build(
    folder: Annotated[Path, typer.Argument(help="What the machine has at its root, over our guest's own.")],
    out: Annotated[Path | None, typer.Option("-o", "--output", help="FOLDER.img if not stated.")] = None,
    cache: Annotated[Path, typer.Option(help="Where guests' parts are kept.")] = CACHE,
) -> None:
    """Make a machine's image (kernel and initramfs) from a folder, with our init and guest library in it."""
    out = out or folder.resolve().with_suffix(".img")
    size = build_image(prepare_images(cache), folder, out)
    write(f"{out}: {size} bytes; push it with `dipronn image push {out} --kind kernel`")


@app.command(name="list")
def list_images(context: typer.Context, owner: Owner = "", as_json: Json = False) -> None:
    """The images on the node, who uses them, and how much of each quota is left."""

    async def fetch(target: Target) -> pb.ListImagesResponse:
        async with target.connect() as node:
            return await node.images(owner)

    answer = asyncio.run(fetch(context.obj))
    if as_json:
        write_json(answer)
        return
    write_table(
        ("image", "owner", "kind", "bytes", "sha256", "pushed", "sessions"),
        (
            (
                one.name,
                one.owner,
                _kind(one),
                str(one.size),
                one.sha256.hex(),
                one.created.ToDatetime().strftime("%Y-%m-%d %H:%M:%S"),
                ", ".join(one.sessions),
            )
            for one in answer.images
        ),
    )
    write("")
    write_table(
        ("owner", "used", "quota"),
        ((one.owner or "(operator)", str(one.used_bytes), str(one.limit_bytes)) for one in answer.quotas),
    )


@app.command()
def rm(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The image's name, or sha256:HEX.")],
    owner: Owner = "",
    as_json: Json = False,
) -> None:
    """Remove an image that no session uses."""

    async def remove(target: Target) -> pb.Image:
        async with target.connect() as node:
            return await node.remove_image(name, owner)

    image = asyncio.run(remove(context.obj))
    if as_json:
        write_json(image)
    else:
        write(f"image {image.name}: removed")


def _kind(image: pb.Image) -> str:
    if image.kind == pb.IMAGE_KIND_DISK:
        return f"disk, {pb.DiskFormat.Name(image.format).removeprefix('DISK_FORMAT_').lower()}"
    return pb.ImageKind.Name(image.kind).removeprefix("IMAGE_KIND_").lower()
