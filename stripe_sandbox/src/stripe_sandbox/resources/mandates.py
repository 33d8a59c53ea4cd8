"""`/v1/mandates`."""

from stripe.params import MandateRetrieveParams

from stripe_sandbox.billing.mandates import KIND
from stripe_sandbox.operations import Operation, retrieve

OPERATIONS = (Operation("GET", "/mandates/{id}", MandateRetrieveParams, retrieve(KIND)),)
