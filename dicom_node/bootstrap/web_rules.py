"""What the settings say of sessions, in the words of `dicom_node.users`."""

from datetime import timedelta

from dicom_node.settings_web import WebSettings
from dicom_node.users.entrance import SessionRules


def session_rules(web: WebSettings) -> SessionRules:
    """Return how long sessions last."""
    return SessionRules(
        idle=timedelta(minutes=web.session_idle_min), longest=timedelta(hours=web.session_h)
    )
