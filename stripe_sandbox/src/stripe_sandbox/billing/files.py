"""Files that are uploaded, such as evidence of a dispute, and links to them."""

from base64 import b64decode, b64encode
from pathlib import PurePath

from stripe_sandbox.documents import Document, ReadOnly, list_object
from stripe_sandbox.errors import invalid
from stripe_sandbox.world import World

KIND = "file"
LINK = "file_link"
CONTENT = "_file_content"
"""Kind of the content of a file, which the object itself does not show."""

EVIDENCE = "dispute_evidence"
LARGEST_EVIDENCE = 5 * 2**20
PAPERS = frozenset({"jpg", "pdf", "png"})
"""What evidence may be: docs.stripe.com/file-upload."""

BEGINNINGS = {b"%PDF": "pdf", b"\x89PNG": "png", b"\xff\xd8\xff": "jpg"}
LINKED = frozenset(
    {
        "business_icon",
        "business_logo",
        "customer_signature",
        "dispute_evidence",
        "issuing_regulatory_reporting",
        "pci_document",
        "tax_document_user_upload",
        "terminal_android_apk",
        "terminal_reader_splashscreen",
    }
)
"""Purposes of files that a link may point at: API reference, file links."""


def keep_file(world: World, name: str, content: bytes, purpose: str) -> Document:
    """Store a file; raises ApiError for evidence that is too large or no paper."""
    kind = type_of(name, content)
    if purpose == EVIDENCE:
        _check_evidence(content, kind)
    file_id = world.ids.next("file")
    world.store.put(CONTENT, {"id": file_id, "content": b64encode(content).decode()})
    return world.add(
        {
            "id": file_id,
            "object": KIND,
            "created": world.now(),
            "filename": name,
            "links": list_object([], f"/v1/file_links?file={file_id}"),
            "purpose": purpose,
            "size": len(content),
            "type": kind,
            "url": f"{world.base_url}/v1/files/{file_id}/contents",
        }
    )


def type_of(name: str, content: bytes) -> str | None:
    """Return the type of a file, by its first bytes or its name."""
    known = (kind for beginning, kind in BEGINNINGS.items() if content.startswith(beginning))
    return next(known, PurePath(name).suffix.removeprefix(".").lower() or None)


def _check_evidence(content: bytes, kind: str | None) -> None:
    if kind not in PAPERS:
        message = f"Files with purpose `{EVIDENCE}` must be of type: {', '.join(sorted(PAPERS))}."
        raise invalid(message, param="file")
    if len(content) > LARGEST_EVIDENCE:
        raise invalid("The file is too large: evidence has at most 5 MB.", param="file")


def content_of(world: World, file_id: str) -> bytes | None:
    """Return the content of a file, or None."""
    kept = world.store.peek(CONTENT, file_id)
    return b64decode(kept["content"]) if kept else None


def open_link(world: World, file: ReadOnly, expires_at: int | None, metadata: ReadOnly) -> Document:
    """Store a public link to a file; raises ApiError for a purpose that allows none."""
    if file["purpose"] not in LINKED:
        message = f"You cannot create a link to a file with the purpose `{file['purpose']}`."
        raise invalid(message, param="file")
    link_id = world.ids.next("link")
    link = world.add(
        {
            "id": link_id,
            "object": LINK,
            "created": world.now(),
            "expired": False,
            "expires_at": expires_at,
            "file": file["id"],
            "livemode": False,
            "metadata": dict(metadata),
            "url": f"{world.base_url}/links/{link_id}",
        }
    )
    links = {**file["links"], "data": [link, *file["links"]["data"]]}
    world.save({**file, "links": links})
    return link


def has_expired(world: World, link: ReadOnly) -> bool:
    """Return whether a link leads nowhere any more."""
    return link["expires_at"] is not None and link["expires_at"] <= world.now()


def check_papers(world: World, references: dict[str, str]) -> None:
    """Raise ApiError unless each param names a file that was uploaded as evidence."""
    for param, file_id in references.items():
        file = world.find(KIND, file_id, param)
        if file["purpose"] != EVIDENCE:
            message = f"The file `{file_id}` does not have the purpose `{EVIDENCE}`."
            raise invalid(message, param=param)
