"""A setting that is missing or wrong stops the start with a line that names it."""

import pytest

from mpanel_billing.errors import SettingsError
from mpanel_billing.settings import Settings, load_database_settings, load_settings

GOOD = {
    "DATABASE_URL": "postgresql://panel@127.0.0.1/panel",
    "STRIPE_SECRET_KEY": "sk_test_of_the_tests",
    "STRIPE_WEBHOOK_SECRET": "whsec_of_the_tests",
    "APP_URL": "https://billing.example.com",
}


def complaint(monkeypatch, tmp_path, **changes):
    monkeypatch.chdir(tmp_path)
    for name, value in (GOOD | changes).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return str(caught.value)


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_setting_is_named(monkeypatch, tmp_path, name):
    assert complaint(monkeypatch, tmp_path, **{name: None}) == (
        f"{name}: is missing; see .env.example"
    )


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("DATABASE_URL", "mysql://x:hunter2@y/z", "must start with postgresql://"),
        ("DATABASE_DIRECT_URL", "mysql://x:hunter2@y/z", "must start with postgresql://"),
        ("DATABASE_URL", "postgresql://x:hunter2#@y/z", "is not a valid URL"),
        ("DATABASE_URL", "postgresql://x:hunter2/@y/z", "is not a valid URL"),
        ("DATABASE_URL", "postgresql://x:hunter2?@y/z", "is not a valid URL"),
        ("DATABASE_URL", "postgresql://x:hunter2@[::1/z", "is not a valid URL"),
        ("DATABASE_URL", "postgresql://x:hunter2@y:port/z", "is not a valid URL"),
        ("DATABASE_URL", "postgresql://x:hunter2@y:99999/z", "is not a valid URL"),
        ("STRIPE_SECRET_KEY", "pk_test_hunter2", "must be a Stripe secret key"),
        ("STRIPE_SECRET_KEY", "sk_test_replace_me", "is still the example value"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_a,hunter2", "must start with whsec_"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_replace_me", "is still the example value"),
        ("STRIPE_WEBHOOK_SECRET", ",", "needs at least one secret"),
        ("APP_URL", "hunter2", "URL"),
        ("PORT", "hunter2", "integer"),
        ("CORS_ORIGIN", "not an origin", "is not an origin"),
        ("ADMIN_API_KEYS", "hunter2", "at least 24 characters"),
        ("CHECKOUT_PAYMENT_METHODS", ",", "at least 1 item"),
        ("PROVISIONING_SERVICES", "{hunter2", "is not valid JSON"),
        ("PROVISIONING_SERVICES", '{"hosting": {"concurrency": "hunter2"}}', "hosting.concurrency"),
    ],
)
def test_a_wrong_setting_is_named_but_its_value_is_not_repeated(
    monkeypatch, tmp_path, name, value, problem
):
    text = complaint(monkeypatch, tmp_path, **{name: value})
    assert text.startswith(f"{name}: ")
    assert problem in text
    assert "hunter2" not in text


def test_all_problems_are_named_at_once(monkeypatch, tmp_path):
    text = complaint(monkeypatch, tmp_path, APP_URL=None, PORT="x", DATABASE_POOL_MAX="0")
    named = {line.partition(":")[0] for line in text.splitlines()}
    assert named == {"APP_URL", "PORT", "DATABASE_POOL_MAX"}


@pytest.mark.parametrize(
    "url",
    [
        "postgres://y/z",
        "postgresql://x:hunter%232@db1:5432,db2:5432/z?target_session_attrs=read-write",
        "postgresql://x@[::1]:5432/z",
        "postgresql:///z?host=/run/postgresql&user=x",
        "postgresql://x@%2Frun%2Fpostgresql/z",
    ],
)
def test_an_address_of_a_database_may_be_written_in_every_way(monkeypatch, tmp_path, url):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", url)
    assert load_database_settings().database_url.get_secret_value() == url


LISTS = {
    "STRIPE_WEBHOOK_SECRET": ("whsec_a", "whsec_b"),
    "ENCRYPTION_KEYS": ("A" * 43 + "=", "B" * 43 + "="),
    "CHECKOUT_PAYMENT_METHODS": ("card", "sepa_debit"),
    "ADMIN_API_KEYS": ("a" * 24, "b" * 24),
    "BILLING_API_KEYS": ("a" * 24, "b" * 24),
    "CORS_ORIGIN": ("https://a.example", "https://b.example"),
    "TRUSTED_PROXIES": ("10.0.0.0/8", "::1"),
    "DOMAIN_NAMESERVERS": ("ns1.example.net", "ns2.example.net"),
    "DOMAIN_DNS_ROOTS": ("127.0.0.1", "127.0.0.2"),
}


def test_every_list_is_separated_by_commas(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name, value in (GOOD | {name: ", ".join(of) for name, of in LISTS.items()}).items():
        monkeypatch.setenv(name, value)
    tuples = {
        name.upper() for name, field in Settings.model_fields.items() if "tuple" in str(field)
    }
    assert tuples == LISTS.keys()
    settings = load_settings()
    for name, parts in LISTS.items():
        read = [
            getattr(part, "get_secret_value", lambda part=part: part)()
            for part in getattr(settings, name.lower())
        ]
        assert tuple(read) == parts


def test_no_check_of_a_group_of_settings_replaces_one_of_another():
    found = Settings.__pydantic_decorators__
    checks = {*found.field_validators, *found.model_validators}
    names = [name for kind in Settings.__mro__ for name in vars(kind) if name in checks]
    assert sorted(names) == sorted(checks)
