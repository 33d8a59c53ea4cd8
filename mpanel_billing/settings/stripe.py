"""The settings of Stripe."""

from functools import cached_property

from pydantic import AnyHttpUrl, Field, SecretStr, field_validator

from mpanel_billing.settings.environment import EnvironmentSettings, refuse_placeholder


class StripeSettings(EnvironmentSettings):
    """The settings of commands that call Stripe before a webhook endpoint has a secret."""

    stripe_secret_key: SecretStr
    stripe_api_base: AnyHttpUrl | None = None
    stripe_timeout_seconds: float = Field(default=20, gt=0, le=80)
    stripe_portal_configuration: str | None = Field(None, pattern=r"^bpc_[A-Za-z0-9_]+$")

    @field_validator("stripe_secret_key")
    @classmethod
    def _is_secret_key(cls, value: SecretStr) -> SecretStr:
        refuse_placeholder(value)
        if not value.get_secret_value().startswith(
            ("sk_test_", "sk_live_", "rk_test_", "rk_live_")
        ):
            msg = (
                "must be a Stripe secret key (sk_test_..., sk_live_..., or a restricted rk_... one)"
            )
            raise ValueError(msg)
        return value

    @cached_property
    def livemode(self) -> bool:
        """Whether the Stripe key is a live one (rule 14)."""
        return "_live_" in self.stripe_secret_key.get_secret_value()[:8]
