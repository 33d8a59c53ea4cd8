"""The endpoints of the API, one module per resource."""

from stripe_sandbox.operations import Operation
from stripe_sandbox.resources import (
    account,
    balance_transactions,
    charges,
    checkout_sessions,
    coupons,
    credit_notes,
    customer_balance_transactions,
    customers,
    disputes,
    empty_lists,
    events,
    invoice_due_dates,
    invoice_items,
    invoices,
    payment_intents,
    payment_methods,
    portal_sessions,
    prices,
    products,
    setup_intents,
    subscription_items,
    subscription_pauses,
    subscription_schedules,
    subscriptions,
    test_clocks,
    webhook_endpoints,
)

OPERATIONS: tuple[Operation, ...] = tuple(
    operation
    for resource in (
        account,
        balance_transactions,
        charges,
        checkout_sessions,
        coupons,
        credit_notes,
        customer_balance_transactions,
        customers,
        disputes,
        empty_lists,
        events,
        invoice_due_dates,
        invoice_items,
        invoices,
        payment_intents,
        payment_methods,
        portal_sessions,
        prices,
        products,
        setup_intents,
        subscription_items,
        subscription_pauses,
        subscription_schedules,
        subscriptions,
        test_clocks,
        webhook_endpoints,
    )
    for operation in resource.OPERATIONS
)
