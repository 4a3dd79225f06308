"""What a job store keeps as bytes, and how that is read again (layer 5)."""

from __future__ import annotations

from apsched.serializers.base import Serializer, Unstorable

__all__ = ["Serializer", "Unstorable"]
