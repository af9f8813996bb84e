"""One name per "what to do next", and the one place that turns a name into a sentence for a person."""

from datetime import datetime


class IntegrationError(Exception):
    """Something at a provider's border went wrong. Carries what a report needs, never a secret or personal data."""

    code = "integration_error"
    retriable = False
    """Whether the same request may succeed a little later."""
    counts_for_breaker = False

    def __init__(
        self,
        message: str = "",
        *,
        provider: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        record_id: str = "",
    ) -> None:
        super().__init__(message or self.code)
        self.provider = provider
        self.status = status
        self.retry_after = retry_after
        """Seconds that the provider asked to wait, already bounded."""
        self.record_id = record_id


class CredentialRejected(IntegrationError):
    """Ask for a new key; no retry."""

    code = "credential_rejected"


class CredentialDamaged(CredentialRejected):
    """What is stored cannot be decrypted with any of our keys; nothing was sent. Enter the credentials again."""

    code = "credential_damaged"


class AccessDenied(IntegrationError):
    """The key is known but lacks the right, or the address is blocked; no retry."""

    code = "access_denied"


class NotConfigured(IntegrationError):
    """Address or key is missing or leads nowhere (404): a person has to correct the settings."""

    code = "not_configured"


class RateLimited(IntegrationError):
    """Wait `retry_after` seconds, then ask again. Not a failure of the provider."""

    code = "rate_limited"


class ProviderUnavailable(IntegrationError):
    """Retry later; counts for the breaker."""

    code = "provider_unavailable"
    retriable = True
    counts_for_breaker = True


class CertificateRefused(ProviderUnavailable):
    """TLS did not prove who answers; not retried and never turned off."""

    code = "certificate_refused"
    retriable = False


class InvalidPayload(IntegrationError):
    """The answer, or one item of it, cannot be read; skip it and report which."""

    code = "invalid_payload"


class IncompletePayload(InvalidPayload):
    """The answer is known to be only a part (paging, total); nothing of it may be used."""

    code = "incomplete_payload"


class PayloadTooLarge(InvalidPayload):
    """The body passed its limit and was not read further."""

    code = "payload_too_large"


class CursorExpired(IntegrationError):
    """Start over with a full sync."""

    code = "cursor_expired"


class PreconditionFailed(IntegrationError):
    """The record changed meanwhile: fetch again, plan again."""

    code = "precondition_failed"


class NotSupported(IntegrationError):
    """A programming error: the adapter's capabilities said so."""

    code = "not_supported"


class AddressRefused(IntegrationError):
    """The address is private, of a forbidden scheme, or a redirect left the allowed origins; nothing was sent there."""

    code = "address_refused"


class CircuitOpen(IntegrationError):
    """Not even tried: the breaker is open until `until`."""

    code = "circuit_open"

    def __init__(self, message: str = "", *, until: datetime | None = None, provider: str = "") -> None:
        super().__init__(message, provider=provider)
        self.until = until


class RequestRejected(IntegrationError):
    """The provider calls our request wrong (400, 405, 422): a defect on our side; no retry."""

    code = "request_rejected"


_KEPT = "The timetable keeps showing the last good data."


def explain_try(error: IntegrationError, provider_name: str) -> str:
    """Return what happened when an address and key were only tried: nothing was paused, nothing is served from it."""
    return explain(error, provider_name).partition(_KEPT)[0].strip()


def explain(error: IntegrationError, provider_name: str) -> str:
    """Return a sentence or two for a person: what happened, what Callboard did about it, what to do now."""
    kept = _KEPT
    match error:
        case CredentialDamaged():
            return (
                f"The stored key for {provider_name} cannot be read with Callboard's encryption keys. {kept} Enter the key "
                "again on the connection's page, or put the missing encryption key back."
            )
        case CredentialRejected():
            return (
                f"{provider_name} refused the key. {kept} Syncing is paused; enter a new key on the connection's page "
                "to start it again."
            )
        case AccessDenied():
            return (
                f"{provider_name} knows the key but does not let it read the schedule. {kept} Ask {provider_name} to give "
                "the key that right, then save it again on the connection's page."
            )
        case NotConfigured():
            return f"{provider_name} cannot be reached as configured: {error}. {kept} Check the connection's address and key."
        case RateLimited():
            return f"{provider_name} asked for a pause. {kept} The next try follows by itself."
        case CertificateRefused():
            return f"{provider_name} could not prove its identity (TLS). Nothing was sent. {kept} Check the address."
        case ProviderUnavailable():
            return f"{provider_name} is not answering properly: {error}. {kept} Callboard tries again by itself."
        case CircuitOpen():
            return f"{provider_name} failed repeatedly, so calls pause for a moment. {kept} One trial call follows by itself."
        case IncompletePayload():
            return f"{provider_name} sent only a part of its schedule: {error}. Nothing of it was used. {kept}"
        case PayloadTooLarge():
            return f"{provider_name} sent far more data than a schedule has. Nothing of it was used. {kept}"
        case InvalidPayload():
            return f"{provider_name} sent something that is not a schedule: {error}. Nothing of it was used. {kept}"
        case AddressRefused():
            return f"The address of {provider_name} is not allowed: {error}. Nothing was sent. Correct the connection's address."
        case RequestRejected():
            return f"{provider_name} did not understand Callboard's request ({error}). {kept} Please report this."
        case _:
            return f"Syncing with {provider_name} failed: {error}. {kept}"
