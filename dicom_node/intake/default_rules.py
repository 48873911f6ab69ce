"""Selection rules for plain head CT of the usual vendors; a site replaces what does not fit."""

from dicom_node.intake.selection import Preference, SelectionRules, SeriesAttribute, TextRule


def _rule(attribute: SeriesAttribute, pattern: str) -> TextRule:
    return TextRule(attribute=attribute, pattern=pattern)


#: Bone and sinus series, reformats and angiography out; soft kernels and 2.5 to 5 mm ahead.
DEFAULT_RULES = SelectionRules(
    exclude=(
        _rule(
            SeriesAttribute.IMAGE_TYPE,
            r"LOCALIZER|DOSE|SCREEN|PROJECTION|\bMIP\b|MINIP|VOLUME.?REND|PERFUSION|MONOENERGETIC",
        ),
        _rule(
            SeriesAttribute.DESCRIPTION,
            r"scout|topogram|surview|locali[sz]er|dose|protocol|angio|\bCTA\b|perfusion|\bMIP\b"
            r"|\bVRT?\b|\b3D\b|sinus|orbit|temporal|mastoid|facial|neck|spine",
        ),
        _rule(
            SeriesAttribute.BODY_PART,
            r"CHEST|THORAX|ABDOMEN|PELVIS|SPINE|NECK|EXTREMITY|KNEE|HIP|SHOULDER|HEART",
        ),
    ),
    prefer=(
        Preference(rule=_rule(SeriesAttribute.BODY_PART, r"HEAD|BRAIN|SKULL"), points=30),
        Preference(
            rule=_rule(SeriesAttribute.DESCRIPTION, r"head|brain|crani|schaedel|sch.del|kopf|sdr"),
            points=20,
        ),
        # Soft kernels: Siemens H20-H45 and J/Hr/Qr 30-45, GE STANDARD and SOFT, Philips UA-UC and
        # B, Canon FC20-FC29 and FC60-FC69; sharp ones of the same vendors.
        Preference(
            rule=_rule(
                SeriesAttribute.KERNEL,
                r"^[HJQ]r?[2-4]\d|STANDARD|STND|SOFT|^U[ABC]$|^B$|FC2\d|FC6\d",
            ),
            points=30,
        ),
        Preference(
            rule=_rule(
                SeriesAttribute.KERNEL,
                r"^[HJQBU]r?[5-9]\d|BONE|EDGE|LUNG|DETAIL|^[DEY][A-D]?$|FC3\d|FC8\d",
            ),
            points=-40,
        ),
        Preference(
            rule=_rule(SeriesAttribute.DESCRIPTION, r"bone|knochen|sharp|lung"), points=-40
        ),
        Preference(rule=_rule(SeriesAttribute.IMAGE_TYPE, r"ORIGINAL.*AXIAL"), points=20),
    ),
)
