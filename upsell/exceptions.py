"""What can go wrong, one class per thing a caller can do differently."""

from __future__ import annotations

from datetime import timedelta


class UpsellError(Exception):
    """Anything this app raises on purpose."""


class NotFound(UpsellError):
    """The host's shop does not know this reference."""


class Refused(UpsellError):
    """The host's shop will not carry out a change; ``reason`` is a stable code.

    Raised by ``Shop.hold``, ``Shop.apply`` and ``Shop.revert``. Known reasons:
    ``order_changed``, ``order_released``, ``out_of_stock``,
    ``product_unavailable``, ``already_in_order``.
    """

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.reason = reason


class ConfigurationError(UpsellError):
    """A setting is missing or names something that cannot be used."""


class MissingExtra(ConfigurationError):
    """What was asked for needs a package that is not installed; ``extra`` brings it."""

    def __init__(self, extra: str) -> None:
        super().__init__(f'this needs: python -m pip install "django-upsell[{extra}]"')
        self.extra = extra


class OfferNotAcceptable(UpsellError):
    """This offer cannot be answered like that now; ``code`` says why.

    ``code`` is one of the stable codes that page, API and log share, such as
    ``expired``, ``declined``, ``quote_changed`` or ``login_required``.
    """

    def __init__(
        self, code: str, message: str = "", *, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(message or code)
        self.code = code
        self.retry_after = retry_after
        """How long until it may be tried again, where that is known."""


class OfferNotFound(OfferNotAcceptable):
    """No offer has this token; the same answer whoever asks."""

    def __init__(self) -> None:
        super().__init__("not_found", "no such offer")


class ChargeDeclined(UpsellError):
    """The provider refused for good; the order is as it was."""

    def __init__(self, message: str = "", *, code: str = "payment_declined") -> None:
        super().__init__(message or code)
        self.code = code


class IllegalTransition(UpsellError):
    """An offer was asked to take a state that may not follow the one it has."""
