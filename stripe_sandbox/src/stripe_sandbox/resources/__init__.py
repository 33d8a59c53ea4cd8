"""The endpoints of the API, one module per resource."""

from stripe_sandbox.operations import Operation
from stripe_sandbox.resources import (
    account,
    checkout_sessions,
    coupons,
    customers,
    empty_lists,
    events,
    invoice_items,
    invoices,
    payments,
    portal_sessions,
    prices,
    products,
    subscription_schedules,
    subscriptions,
    test_clocks,
    webhook_endpoints,
)

OPERATIONS: tuple[Operation, ...] = tuple(
    operation
    for resource in (
        account,
        checkout_sessions,
        coupons,
        customers,
        empty_lists,
        events,
        invoice_items,
        invoices,
        payments,
        portal_sessions,
        prices,
        products,
        subscription_schedules,
        subscriptions,
        test_clocks,
        webhook_endpoints,
    )
    for operation in resource.OPERATIONS
)
