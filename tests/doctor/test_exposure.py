"""Settings that work, and leave a door open."""

from pathlib import Path
from typing import Any

import pytest

from mpanel_billing.doctor.exposure import find_exposed, is_weak
from mpanel_billing.doctor.finding import Status
from mpanel_billing.settings import HASHED_KEY_PREFIX
from tests.service import make_settings

SOUND: dict[str, Any] = {
    "rate_limit_orders": "30/minute",
    "rate_limit_lookups": "300/minute",
    "rate_limit_wrong_codes": "10/minute",
    "erasures_file": "/var/lib/billing/erasures",
    "admin_api_keys": "k9Qv2mZr8LxT4bWn7YcJ5pHd",
    "provisioning_services": {
        "hosting": {"url": "https://srv1.example", "token": "f3a9", "secret": "b7c2d41e09fa"}
    },
}
TOKEN = "5d1f0b7ea93c42866b1d"


def service(url: str, token: str = TOKEN) -> dict[str, Any]:
    return {"hosting": {"url": url, "token": token, "secret": TOKEN}}


def found(tmp_path: Path, **given: Any) -> dict[str, str]:
    settings = make_settings(**SOUND | {"provisioning_services": {}} | given)
    return {finding.name: finding.detail for finding in find_exposed(settings, tmp_path / ".env")}


def test_sound_settings_are_not_warned_of(tmp_path: Path) -> None:
    (tmp_path / ".env").touch(mode=0o600)
    assert found(tmp_path, provisioning_services=service("https://srv1.example")) == {}


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o604])
def test_an_env_file_that_others_can_open_is_named(tmp_path: Path, mode: int) -> None:
    (tmp_path / ".env").touch()
    (tmp_path / ".env").chmod(mode)
    [(name, detail)] = found(tmp_path).items()
    assert name == str(tmp_path / ".env")
    assert f"mode {mode:04o}" in detail


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"admin_api_keys": "a" * 30}, "ADMIN_API_KEYS"),
        ({"billing_api_keys": "my-own-secret-for-the-panel"}, "BILLING_API_KEYS"),
        ({"person_hash_key": "change-me-change-me-change-me"}, "PERSON_HASH_KEY"),
        (
            {"provisioning_services": service("https://srv1.example", "password")},
            "PROVISIONING_SERVICES: hosting.token",
        ),
        (
            {"provisioning_services": service("http://10.0.0.7/accounts")},
            "PROVISIONING_SERVICES: hosting",
        ),
        ({"rate_limit_orders": "off"}, "rate limits"),
        ({"rate_limit_wrong_keys": "off"}, "rate limits"),
        ({"erasures_file": None}, "ERASURES_FILE"),
    ],
)
def test_each_open_door_is_a_warning_that_shows_no_secret(
    tmp_path: Path, given: dict[str, Any], name: str
) -> None:
    settings = make_settings(**SOUND | {"provisioning_services": {}} | given)
    [finding] = find_exposed(settings, tmp_path / ".env")
    assert (finding.name, finding.status) == (name, Status.WARNING)
    assert finding.advice
    assert not any(secret in finding.detail for secret in ("aaaa", "my-own", TOKEN))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:80", "https://10.0.0.7"]
)
def test_a_service_on_this_machine_needs_no_encryption(tmp_path: Path, url: str) -> None:
    assert found(tmp_path, provisioning_services=service(url)) == {}


def test_a_hashed_key_cannot_be_judged() -> None:
    assert not is_weak(f"{HASHED_KEY_PREFIX}{'0' * 64}")
