"""What a site can set of the pages and the interface for programs."""

import re
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from dicom_node.settings.table import SettingsTable
from dicom_node.settings.values import FileName, Host, Port
from dicom_node.web_address import hides_a_secret, web_address

#: What the address of a viewer holds in the place of the study.
STUDY_MARK = "{study_instance_uid}"


def _public_address(value: str) -> str:
    if value and not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+/?", value):
        raise ValueError("an address without a path, for example https://ichnode.hospital.example")
    return value.rstrip("/")


def _viewer_address(value: str) -> str:
    bare = value.replace(STUDY_MARK, "", 1)
    is_address = re.fullmatch(r"https?://[^\s\"'<>{}]+", bare) and STUDY_MARK in value
    if value and not is_address:
        raise ValueError(f"an address that begins with https:// or http:// and has {STUDY_MARK}")
    return value


def _time_zone(value: str) -> str:
    try:
        if value:
            ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("a time zone such as Europe/Berlin or Asia/Shanghai") from None
    return value


def _issuer(value: str) -> str:
    if value and not hides_a_secret(web_address(value)):
        raise ValueError("an address that begins with https://")
    return value


def _scopes(value: str) -> str:
    if "openid" not in value.split(" "):
        raise ValueError('words with a blank between them, "openid" among them')
    return value


class OidcRoles(SettingsTable):
    """The value of the claim that gives each role; empty for a role that it does not give."""

    viewer: str = ""
    operator: str = ""
    admin: str = ""


class WebSettings(SettingsTable):
    """The pages for people, and the same for programs."""

    enabled: bool = True
    host: Host = "127.0.0.1"
    port: Port = 8180
    certificate: FileName = ""
    key: FileName = ""
    public_url: Annotated[str, AfterValidator(_public_address)] = ""
    open_on_loopback: bool = False
    shows_patient: bool = False
    viewer_url: Annotated[str, AfterValidator(_viewer_address)] = ""
    time_zone: Annotated[str, AfterValidator(_time_zone)] = ""
    session_idle_min: Annotated[int, Field(ge=1, le=1440)] = 60
    session_h: Annotated[int, Field(ge=1, le=168)] = 12
    oidc_issuer: Annotated[str, AfterValidator(_issuer)] = ""
    oidc_client_id: str = ""
    oidc_secret_file: FileName = ""
    oidc_trusted: FileName = ""
    oidc_scopes: Annotated[str, AfterValidator(_scopes)] = "openid profile"
    oidc_claim: Annotated[str, Field(min_length=1)] = "groups"
    oidc_roles: OidcRoles = OidcRoles()
    oidc_title: str = ""
