"""What users see who may not see the *Feature store* page: one small page without other files."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from html import escape

_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0; background: light-dark(#fff, #0b1220); color: light-dark(#1e293b, #f1f5f9);
  font: 14px/1.5 Inter, -apple-system, BlinkMacSystemFont, "Segoe UI", Helvetica, Arial, sans-serif; }
main { padding: 2rem 1rem; max-width: 40rem; }
h1 { font-size: 1.5rem; line-height: 2rem; font-weight: 600; margin: 0 0 .5rem; }
p { margin: 0; }
"""


@dataclass(frozen=True)
class Refusal:
    """What is wrong and what to do."""

    title: str
    remedy: str


_REFUSALS = {
    401: Refusal("Signed out", "Sign in to Airflow, then open this page again."),
    403: Refusal("Access denied", "Ask an Airflow administrator for the permission to view plugins."),
}


def refused(status: int, detail: str) -> Refusal:
    """Return the message for a status code."""
    return _REFUSALS.get(status, Refusal(detail, ""))


def refusal_page(refusal: Refusal) -> tuple[str, str]:
    """Return the page, and the source of its style for the Content-Security-Policy."""
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(refusal.title)} · Feature store</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(refusal.title)}</h1><p>{escape(refusal.remedy)}</p></main></body></html>"
    )
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return page, f"'sha256-{digest}'"
