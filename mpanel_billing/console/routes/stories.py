"""All of a story, page by page: the pages of a customer and of a subscription begin it."""

from mpanel_billing.console.pages import Given, Page, Pages
from mpanel_billing.console.routes.customers import MOST_TOLD
from mpanel_billing.console.stories import read_story
from mpanel_billing.console.visit import Visit
from mpanel_billing.http import keys
from mpanel_billing.search.customer import read_record
from mpanel_billing.subscriptions.lookup import CustomerRef, get_subscription

pages = Pages()


@pages.page("/console/customers/{id}/story", scope="admin:read")
async def show_story_of_customer(visit: Visit, given: Given) -> Page:
    """Show what the latest subscriptions of a customer have been through."""
    shown = await read_record(visit.app[keys.POOL], given.id)
    told = [row["subscription_id"] for row in shown.subscriptions[:MOST_TOLD]]
    story = await read_story(visit, told, given.text("after"))
    values = {"place": f"/console/customers/{given.id}", "story": story}
    return Page("story.html", {**values, "is_told_in_part": len(shown.subscriptions) > MOST_TOLD})


@pages.page("/console/subscriptions/{id}/story", scope="admin:read")
async def show_story(visit: Visit, given: Given) -> Page:
    """Show what a subscription has been through."""
    await get_subscription(visit.app[keys.MIRROR], given.id, CustomerRef())
    story = await read_story(visit, (given.id,), given.text("after"))
    values = {"place": f"/console/subscriptions/{given.id}", "story": story}
    return Page("story.html", {**values, "is_told_in_part": False})
