"""The heads of protocol data units, and of the values that P-DATA-TF holds (PS3.8)."""

import struct
from typing import Final

#: Type, reserved, and length of what follows (section 9.3.1).
PDU_HEAD: Final = struct.Struct(">BBL")

#: Length of what follows, presentation context, message control header (sections 9.3.5 and E.2).
PDV_HEAD: Final = struct.Struct(">LBB")

#: Types of PDUs.
ASSOCIATE_RQ, P_DATA = 0x01, 0x04

#: Message control header (section E.2): part of a command set; the last one of its kind.
COMMAND_PART, LAST_PART = 0x01, 0x02
