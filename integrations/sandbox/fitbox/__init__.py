"""The sandbox's stand-in for Fitbox, the class schedule of a gym: contract and occurrence list."""

from integrations.sandbox.fitbox.access import EXPIRED_KEY, FORBIDDEN_KEY, SANDBOX_FITBOX_KEY, Switches
from integrations.sandbox.fitbox.provider import Fitbox

__all__ = ["EXPIRED_KEY", "FORBIDDEN_KEY", "SANDBOX_FITBOX_KEY", "Fitbox", "Switches"]
