from mpanel_billing.database.migrations import expected_version
from tests.service import Service


async def test_it_is_ready_when_database_and_schema_are(service: Service) -> None:
    answer = await service.client.get("/api/health/ready")
    assert (answer.status, await answer.json()) == (200, {"status": "ok"})


async def test_it_is_not_ready_on_an_older_schema(service: Service) -> None:
    await service.pool.execute(
        "DELETE FROM billing_schema_migrations WHERE version = $1", expected_version()
    )
    answer = await service.client.get("/api/health/ready")
    assert answer.status == 503
    assert "migrate" in (await answer.json())["reason"]


async def test_health_has_what_the_marketing_site_reads(service: Service) -> None:
    answer = await service.client.get("/api/health")
    content = await answer.json()
    assert (answer.status, content["status"]) == (200, "ok")
    assert content["timestamp"].endswith("Z")
    assert content["oldestUnappliedEventSeconds"] is None


async def test_health_is_degraded_while_an_event_waits_too_long(service: Service) -> None:
    await service.pool.execute(
        """INSERT INTO stripe_events (id, type, livemode, payload, status, last_error, received_at)
           VALUES ('evt_1', 'invoice.paid', FALSE, '{}', 'failed', 'x', now() - interval '1 hour')
        """
    )
    answer = await service.client.get("/api/health")
    content = await answer.json()
    assert (answer.status, content["status"]) == (200, "degraded")
    assert content["oldestUnappliedEventSeconds"] >= 3600
    assert (await service.client.get("/api/health/ready")).status == 200
