"""`/v1/files` and `/v1/file_links`."""

from base64 import b64decode
from typing import Any

from stripe.params import (
    FileCreateParams,
    FileLinkCreateParams,
    FileLinkListParams,
    FileLinkRetrieveParams,
    FileLinkUpdateParams,
    FileListParams,
    FileRetrieveParams,
)

from stripe_sandbox.billing.files import KIND, LINK, has_expired, keep_file, open_link
from stripe_sandbox.documents import Document, ReadOnly, merge_metadata
from stripe_sandbox.errors import invalid
from stripe_sandbox.operations import Call, Listing, Operation, listing, retrieve
from stripe_sandbox.supported import supports


def create(call: Call) -> Document:
    """Store an uploaded file, with a link to it if that is wanted."""
    sent: Any = call.get("file")
    if not isinstance(sent, dict) or sent.keys() != {"content", "filename"}:
        raise invalid("Upload the file as `multipart/form-data`.", param="file")
    content = b64decode(sent["content"])
    file = keep_file(call.world, sent["filename"], content, call.get("purpose"))
    wanted = call.get("file_link_data", {})
    if wanted.get("create"):
        _check_expiry(call, wanted.get("expires_at"), "file_link_data[expires_at]")
        open_link(call.world, file, wanted.get("expires_at"), wanted.get("metadata") or {})
    return call.world.find(KIND, file["id"])


def create_link(call: Call) -> Document:
    """Create a link to a file, which opens it without a key."""
    file = call.world.find(KIND, call.get("file"), "file")
    _check_expiry(call, call.get("expires_at"), "expires_at")
    return open_link(call.world, file, call.get("expires_at"), call.get("metadata", {}))


def _check_expiry(call: Call, moment: int | None, param: str) -> None:
    if moment is not None and moment <= call.world.now():
        raise invalid(f"Invalid {param}: must be a timestamp in the future.", param=param)


def retrieve_link(call: Call) -> Document:
    """Retrieve a link."""
    return _seen(call, call.world.find(LINK, call.id))


def _seen(call: Call, link: ReadOnly) -> Document:
    """Return a link as it is now: it may have expired."""
    return {**link, "expired": has_expired(call.world, link)}


def update_link(call: Call) -> Document:
    """Update when a link expires, and its metadata."""
    link = call.world.find(LINK, call.id)
    if has_expired(call.world, link):
        raise invalid("This file link has expired.", param="id")
    if "expires_at" in call.params:
        given = call.params["expires_at"]
        moment = call.world.now() if given == "now" else given
        if given != "now":
            _check_expiry(call, moment, "expires_at")
        link["expires_at"] = moment
    if "metadata" in call.params:
        link["metadata"] = merge_metadata(link["metadata"], call.params["metadata"])
    return _seen(call, call.world.save(link))


def list_links(call: Call) -> Document | Listing:
    """List links, those that have expired or the others only if wanted."""
    now = call.world.now()

    def has_ended(link: ReadOnly, wanted: bool) -> bool:
        return wanted == (link["expires_at"] is not None and link["expires_at"] <= now)

    return listing(LINK, expired=has_ended)(call)


FILES, LINKS = "/files", "/file_links"

OPERATIONS = (
    Operation(
        "POST",
        FILES,
        FileCreateParams,
        create,
        supports("file", "file_link_data", "purpose"),
    ),
    Operation("GET", FILES, FileListParams, listing(KIND), supports("created", "purpose")),
    Operation("GET", f"{FILES}/{{id}}", FileRetrieveParams, retrieve(KIND)),
    Operation(
        "POST",
        LINKS,
        FileLinkCreateParams,
        create_link,
        supports("expires_at", "file", "metadata"),
    ),
    Operation("GET", LINKS, FileLinkListParams, list_links, supports("created", "expired", "file")),
    Operation("GET", f"{LINKS}/{{id}}", FileLinkRetrieveParams, retrieve_link),
    Operation(
        "POST",
        f"{LINKS}/{{id}}",
        FileLinkUpdateParams,
        update_link,
        supports("expires_at", "metadata"),
    ),
)
