"""Find out which features of the kernel are missing, by entering sandboxes in processes that end at once."""

from __future__ import annotations

from feature_ops.sandbox.confine import confine
from feature_ops.sandbox.containment import prepare
from feature_ops.sandbox.features import Feature
from feature_ops.sandbox.profile import Limits, Profile
from feature_ops.sandbox.trial import try_out


def check_machine() -> list[Feature]:
    """Return the features that are missing for any kind of profile."""
    client = Profile(processes=True, ports=(443,), limits=Limits(threads=None))
    found = {
        *try_out(lambda parent: list(confine(Profile(), parent=parent))),
        *try_out(lambda parent: list(confine(client, parent=parent))),
        *try_out(lambda _: list(prepare())),
    }
    return [feature for feature in Feature if feature in found]
