"""Generated names differ between regions.

AWS: a resource without a name gets one with a random suffix, so the same stack in two regions never
meets itself in a global service (IAM roles, buckets).
Stock: the suffix is a hash of stack name and logical id. The second region's role overwrites the
first region's, and the first region's functions then run with rights on the second region's
resources.
Here: the hash covers the region too. It stays the same on every run.
"""

from __future__ import annotations

import hashlib

from ministack.core.responses import get_region
from ministack.services.cloudformation import provisioners

SUFFIX_LENGTH = 13


def apply() -> None:
    stock = provisioners._physical_name

    def physical_name(
        stack_name: str,
        logical_id: str,
        *,
        lowercase: bool = False,
        max_len: int = 128,
        seeded: bool = True,
    ) -> str:
        name = stock(stack_name, logical_id, lowercase=False, max_len=max_len, seeded=seeded)
        kept, suffix = name[:-SUFFIX_LENGTH], name[-SUFFIX_LENGTH:]
        digest = hashlib.sha256(f"{get_region()}:{suffix}".encode()).hexdigest()
        regional = kept + digest[:SUFFIX_LENGTH].upper()
        return regional.lower() if lowercase else regional

    provisioners._physical_name = physical_name
