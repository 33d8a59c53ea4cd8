"""The account's balance: what changes it at once is told, and how it is paid out."""

PAYMENT = {"amount": 2000, "currency": "usd", "confirm": True}


async def test_money_that_is_available_at_once_is_told(api):
    await api.v1.payment_intents.create_async({**PAYMENT, "payment_method": "pm_card_visa"})
    assert (await api.v1.events.list_async({"type": "balance.available"})).data == []
    await api.v1.payment_intents.create_async(
        {**PAYMENT, "payment_method": "pm_card_bypassPending"}
    )
    [event] = (await api.v1.events.list_async({"type": "balance.available"})).data
    balance = await api.v1.balance.retrieve_async()
    assert event.data.object.available[0].amount == balance.available[0].amount > 0
    assert event.data.object.pending[0].amount == balance.pending[0].amount > 0


async def test_settings_of_payouts_keep_what_is_said(api):
    settings = api.v1.balance_settings
    assert (await settings.retrieve_async()).payments.settlement_timing.delay_days == 2
    weekly = {"interval": "weekly", "weekly_payout_days": ["monday"]}
    said = {"payouts": {"schedule": weekly}, "settlement_timing": {"delay_days_override": 7}}
    await settings.update_async({"payments": said})
    await settings.update_async({"payments": {"debit_negative_balances": False}})
    kept = (await settings.retrieve_async()).payments
    assert kept.payouts.schedule.weekly_payout_days == ["monday"]
    assert (kept.settlement_timing.delay_days, kept.debit_negative_balances) == (7, False)
    events = (await api.v1.events.list_async({"type": "balance_settings.updated"})).data
    assert len(events) == 2
