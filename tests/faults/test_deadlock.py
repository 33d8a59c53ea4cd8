"""The database aborts a transaction to end a deadlock: the repeated request succeeds."""

from typing import Any

from tests.service import CREATE_SESSION, Service

VICTIM = """
CREATE FUNCTION be_the_victim() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'deadlock detected' USING ERRCODE = 'deadlock_detected';
END $$;
CREATE TRIGGER victim BEFORE INSERT ON orders EXECUTE FUNCTION be_the_victim()
"""


async def test_an_order_that_fell_victim_to_a_deadlock_can_be_repeated(
    service: Service, order_a: dict[str, Any]
) -> None:
    await service.pool.execute(VICTIM)
    response = await service.client.post(CREATE_SESSION, json=order_a)
    assert (response.status, response.headers["Retry-After"]) == (503, "1")
    await service.pool.execute("DROP FUNCTION be_the_victim CASCADE")
    assert (await service.order(order_a))["url"]
