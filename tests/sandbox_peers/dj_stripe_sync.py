"""python dj_stripe_sync.py PORT DATABASE: dj-stripe's own sync of the sandbox, by settings alone.

Prints, for each model, what it says about errors and how many objects it has stored, as JSON.
"""

import io
import json
import sys

import django
from django.conf import settings
from django.core.management import CommandError, call_command

PORT, DATABASE = sys.argv[1:]
settings.configure(
    DEBUG=True,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "djstripe"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    USE_TZ=True,
    STRIPE_API_HOST=f"http://127.0.0.1:{PORT}",
    STRIPE_TEST_SECRET_KEY="sk_test_" + "p" * 24,  # it refuses shorter ones
    STRIPE_LIVE_MODE=False,
    DJSTRIPE_FOREIGN_KEY_TO_FIELD="id",
)
django.setup()

from django.apps import apps  # noqa: E402 - after its settings
from djstripe import models as theirs  # noqa: E402
from djstripe.management.commands.djstripe_sync_models import Command  # noqa: E402


def sync(model: type) -> dict[str, object]:
    """Sync a model as the command does; return how many objects there are, and the errors."""
    told, wrong = io.StringIO(), io.StringIO()
    try:
        name = model.__name__
        command = "djstripe_sync_models"
        call_command(command, name, fail_on_error=True, stdout=told, stderr=wrong)
    except CommandError:
        return {"stored": model.objects.count(), "errors": wrong.getvalue()[:400]}
    return {"stored": model.objects.count(), "errors": ""}


def sync_of_customers(model: type) -> dict[str, object]:
    """Sync a model that its command lists with params that Stripe's API refuses: by customer."""
    for customer in [one for one in theirs.Customer.objects.all() if not one.deleted]:
        for data in model.api_list(**OF_CUSTOMER[model.__name__](customer.id)):
            model.sync_from_stripe_data(data)
    return {"stored": model.objects.count(), "errors": ""}


OF_CUSTOMER = {
    "ActiveEntitlement": lambda customer: {"customer": customer},
    "TaxId": lambda customer: {"owner": {"type": "customer", "customer": customer}},
}

call_command("migrate", verbosity=0)
command = Command()
models = list(apps.get_app_config("djstripe").get_models())
synced = [one for one in models if command._should_sync_model(one)[0]]
outcomes = {
    one.__name__: (sync_of_customers if one.__name__ in OF_CUSTOMER else sync)(one)
    for one in sorted(synced, key=lambda one: one.__name__ in OF_CUSTOMER)
    if one.__name__ != "AccountV2"
}
print(json.dumps(outcomes))
