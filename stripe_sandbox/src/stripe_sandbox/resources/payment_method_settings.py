"""`/v1/payment_method_domains` and `/v1/payment_method_configurations`: kept, without effect."""

from stripe.params import (
    PaymentMethodConfigurationCreateParams,
    PaymentMethodConfigurationListParams,
    PaymentMethodConfigurationRetrieveParams,
    PaymentMethodConfigurationUpdateParams,
    PaymentMethodDomainCreateParams,
    PaymentMethodDomainListParams,
    PaymentMethodDomainRetrieveParams,
    PaymentMethodDomainUpdateParams,
    PaymentMethodDomainValidateParams,
)

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.operations import Call, Operation, retrieve
from stripe_sandbox.resources.records import Records
from stripe_sandbox.supported import supports

WALLETS = ("amazon_pay", "apple_pay", "google_pay", "klarna", "link", "paypal")
DOMAIN, CONFIGURATION = "payment_method_domain", "payment_method_configuration"


def _domain_fields(call: Call) -> Document:
    return {
        "enabled": call.get("enabled", True),
        **{wallet: {"status": "active"} for wallet in WALLETS},
    }


def _configuration_fields(call: Call) -> Document:
    return {
        "active": True,
        "card": _shown(call.get("card", {})),
        "is_default": False,
        "name": call.get("name", "Configuration"),
    }


def _shown(card: ReadOnly) -> Document:
    preference = card.get("display_preference", {}).get("preference", "none")
    return {
        "available": preference != "off",
        "display_preference": {
            "overridable": None,
            "preference": preference,
            "value": "off" if preference == "off" else "on",
        },
    }


def update_configuration(call: Call) -> Document:
    """Update what a configuration says of cards, the only method that it has."""
    configuration = call.world.find(CONFIGURATION, call.id)
    configuration |= call.pick("active", "name")
    if call.get("card"):
        configuration["card"] = _shown(call.get("card"))
    return call.world.save(configuration)


DOMAINS = Records(DOMAIN, "/payment_method_domains", "pmd", _domain_fields)
CONFIGURATIONS = Records(
    CONFIGURATION, "/payment_method_configurations", "pmc", _configuration_fields
)
SAID = supports("card", "name")

OPERATIONS = (
    DOMAINS.creating(PaymentMethodDomainCreateParams, supports("domain_name", "enabled")),
    DOMAINS.updating(PaymentMethodDomainUpdateParams, supports("enabled")),
    *DOMAINS.reading(
        PaymentMethodDomainRetrieveParams,
        PaymentMethodDomainListParams,
        supports("domain_name", "enabled"),
    ),
    Operation(
        "POST", f"{DOMAINS.one}/validate", PaymentMethodDomainValidateParams, retrieve(DOMAIN)
    ),
    CONFIGURATIONS.creating(PaymentMethodConfigurationCreateParams, SAID),
    Operation(
        "POST",
        CONFIGURATIONS.one,
        PaymentMethodConfigurationUpdateParams,
        update_configuration,
        supports("active", base=SAID),
    ),
    *CONFIGURATIONS.reading(
        PaymentMethodConfigurationRetrieveParams, PaymentMethodConfigurationListParams
    ),
)
