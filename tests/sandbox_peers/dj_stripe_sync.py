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


call_command("migrate", verbosity=0)
command = Command()
models = list(apps.get_app_config("djstripe").get_models())
synced = [one for one in models if command._should_sync_model(one)[0]]
print(
    json.dumps({model.__name__: sync(model) for model in synced if model.__name__ != "AccountV2"})
)
