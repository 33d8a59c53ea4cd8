"""OpenID Connect: who signs in is who an identity provider says they are."""
