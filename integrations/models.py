"""Connections to providers, their encrypted credentials, the audit of their use, and state shared by all workers."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from simple_history.models import HistoricalRecords

from integrations.credentials import EncryptedJSONField


class ConnectionStatus(models.TextChoices):
    ACTIVE = "active", "active"
    REJECTED = "rejected", "credentials rejected"


class Connection(models.Model):
    """An account at a provider. An empty base URL means the address of the environment (`<PROVIDER>_API_URL`)."""

    provider = models.CharField(max_length=20)
    name = models.CharField(max_length=100)
    base_url = models.CharField("address", max_length=500, blank=True)
    profile = models.CharField(max_length=30, blank=True, help_text="Form of the provider's API; empty: its main one")
    credentials = EncryptedJSONField(default=dict, blank=True)
    is_enabled = models.BooleanField("enabled", default=True)
    status = models.CharField(max_length=20, choices=ConnectionStatus, default=ConnectionStatus.ACTIVE)
    status_text = models.CharField(max_length=300, blank=True)
    interval_minutes = models.PositiveIntegerField(
        default=15, validators=[MinValueValidator(5), MaxValueValidator(60)], help_text="5 to 60"
    )
    timeout_seconds = models.PositiveIntegerField(
        default=10, validators=[MinValueValidator(1), MaxValueValidator(30)], help_text="The longest one call may take"
    )
    retries = models.PositiveIntegerField(
        default=3, validators=[MaxValueValidator(5)], help_text="Tries after the first one"
    )
    calls_per_minute = models.PositiveIntegerField(default=60, validators=[MinValueValidator(1)])
    settings = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    history = HistoricalRecords(excluded_fields=["credentials"])

    class Meta:
        ordering = ["provider", "name"]

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> str:
        """The text by which the event table names this connection."""
        return str(self.pk)

    def clean(self) -> None:
        if self.base_url and not self.base_url.startswith(("https://", "http://")):
            raise ValidationError({"base_url": "The address must begin with https:// (or http://)."})


class CredentialUse(models.Model):
    """Audit: one use of a connection's credentials. Never holds the credential."""

    connection = models.ForeignKey(Connection, on_delete=models.SET_NULL, null=True, related_name="credential_uses")
    connection_name = models.CharField(max_length=100)
    action = models.CharField(max_length=20, help_text="read, change, test, rotate or delete")
    actor = models.CharField(max_length=100, help_text="e.g. run:17, user:3, command:rotate_credentials")
    purpose = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor}"


class Breaker(models.Model):
    """The circuit breaker of one provider account, shared by all workers. See integrations.breaker."""

    key = models.CharField(max_length=100, primary_key=True)
    outcomes = models.JSONField(default=list, help_text="The last calls: [seconds since the epoch, succeeded]")
    opened_at = models.DateTimeField(null=True)
    trial_until = models.DateTimeField(null=True, help_text="A trial call holds the half-open state until then")

    def __str__(self) -> str:
        return self.key


class RateWindow(models.Model):
    """The calls of the last window under one rate limit, shared by all workers. See integrations.rates."""

    key = models.CharField(max_length=200, primary_key=True)
    calls = models.JSONField(default=list, help_text="Seconds since the epoch, oldest first")

    def __str__(self) -> str:
        return self.key
