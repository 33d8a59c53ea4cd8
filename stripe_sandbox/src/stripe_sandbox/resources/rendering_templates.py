"""`/v1/invoice_rendering_templates`: two, as if made in the Dashboard; the API makes none."""

from stripe.params import (
    InvoiceRenderingTemplateArchiveParams,
    InvoiceRenderingTemplateListParams,
    InvoiceRenderingTemplateRetrieveParams,
    InvoiceRenderingTemplateUnarchiveParams,
)

from stripe_sandbox import shapes
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import no_such
from stripe_sandbox.operations import Call, Handler, Listing, Operation
from stripe_sandbox.supported import supports
from stripe_sandbox.world import World

KIND = "invoice_rendering_template"
NAMES = {"inrtem_1SandboxStandard0": "Standard", "inrtem_1SandboxDetailed0": "Detailed"}


def _template(world: World, template_id: str) -> ReadOnly:
    if template_id not in NAMES:
        raise no_such("invoice rendering template", template_id)
    blank = {
        "id": template_id,
        "object": KIND,
        "created": 0,
        "livemode": False,
        "metadata": {},
        "nickname": NAMES[template_id],
        "status": "active",
        "version": 1,
    }
    return world.store.peek(KIND, template_id) or shapes.complete(blank)


def list_templates(call: Call) -> Listing:
    """List the templates."""
    wanted = call.get("status")
    found = [_template(call.world, one) for one in NAMES]
    return Listing([one for one in found if wanted in {None, one["status"]}])


def fetch(call: Call) -> Document:
    """Return a template."""
    return dict(_template(call.world, call.id))


def _becomes(status: str) -> Handler:
    return lambda call: call.world.save({**_template(call.world, call.id), "status": status})


PATH = "/invoice_rendering_templates"
ONE = f"{PATH}/{{id}}"

OPERATIONS = (
    Operation("GET", PATH, InvoiceRenderingTemplateListParams, list_templates, supports("status")),
    Operation("GET", ONE, InvoiceRenderingTemplateRetrieveParams, fetch),
    Operation(
        "POST", f"{ONE}/archive", InvoiceRenderingTemplateArchiveParams, _becomes("archived")
    ),
    Operation(
        "POST", f"{ONE}/unarchive", InvoiceRenderingTemplateUnarchiveParams, _becomes("active")
    ),
)
