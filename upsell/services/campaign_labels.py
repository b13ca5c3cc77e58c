"""Words on the button that takes the money: what EU law refuses, and what somebody should check."""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.utils.translation import gettext as _

from upsell import conf
from upsell.engine.campaigns import RuleKind
from upsell.services.campaign_shapes import LABEL, Finding, Values, decimal_of

EU = frozenset(
    {
        "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT",
        "LV", "LT", "LU", "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE",
    }
)  # fmt: skip
# Directive 2011/83/EU, article 8(2): the button must say that pressing it obliges to pay.
REFUSED_WORDS = frozenset(
    {
        "add", "yes", "ok", "okay", "continue", "confirm", "next", "submit", "accept", "go", "get",
        "want", "upgrade", "proceed", "done", "agree", "register", "complete", "finish", "sure",
        "ja", "weiter", "bestätigen", "hinzufügen", "anmelden", "fertig", "abschließen",
        "oui", "continuer", "confirmer", "ajouter", "valider", "terminer",
        "sí", "si", "continuar", "confirmar", "añadir", "sì", "continua", "conferma", "aggiungi",
    }
)  # fmt: skip
"""A label with one of these says yes, or go on, and not that it costs money; unless it says so
with a word of ``SAFE_WORDS`` that is not "order", which is what the add-on is put into."""
SAFE_WORDS = (
    "pay", "buy", "purchase", "zahlungspflichtig", "kaufen", "kostenpflichtig", "payer",
    "paiement", "acheter", "pagar", "pago", "comprar", "pagare", "paga", "acquista", "betalen",
    "kopen", "zapłac", "kupuj", "betala", "köp",
)  # fmt: skip


def label_findings(values: Values) -> tuple[list[Finding], list[Finding]]:
    """Return (errors, warnings) about the accept button, in each language."""
    errors: list[Finding] = []
    warnings: list[Finding] = []
    countries = set(values.get("countries", []))
    in_eu = not countries or bool(countries & EU)
    if not conf.get("UPSELL_EU_LABELS") or not in_eu or _is_free(values):
        return errors, warnings
    for language, words in values.get("copy", {}).items():
        label = " ".join((words.get("accept_label") or "").split())
        words_in_it = frozenset(re.findall(r"\w+", label.casefold()))
        if not words_in_it or len(label) > LABEL:
            continue  # nothing to say of it, or its length is said already
        if words_in_it & REFUSED_WORDS and not _says_pay(words_in_it):
            errors.append(
                Finding(
                    code="label_refused",
                    field="copy",
                    language=language,
                    part="accept_label",
                    message=_("%(language)s: “%(label)s” does not say that pressing it costs "
                              "money, which EU law demands. Write “Pay now” or leave it empty.")
                    % {"language": language, "label": label},
                )
            )  # fmt: skip
        elif not _says_pay(words_in_it) and "order" not in words_in_it:
            warnings.append(
                Finding(
                    code="label_unusual",
                    field="copy",
                    language=language,
                    part="accept_label",
                    message=_("%(language)s: have somebody check whether “%(label)s” says "
                              "clearly enough that pressing it costs money.")
                    % {"language": language, "label": label},
                )
            )  # fmt: skip
    return errors, warnings


def _says_pay(words: Iterable[str]) -> bool:
    """Whether a word is one of paying or buying, whatever its ending."""
    return any(word.startswith(SAFE_WORDS) for word in words)


def _is_free(values: Values) -> bool:
    if values.get("rule") == RuleKind.PERCENT:
        return decimal_of(values.get("percent")) == 100
    if values.get("rule") == RuleKind.FIXED:
        amounts = values.get("amounts", {}).values()
        return bool(amounts) and all(decimal_of(amount) == 0 for amount in amounts)
    return False
