"""Names of servers in the form in which the proxy compares them."""

from moat.spec.hosts import canonical_host, is_address

__all__ = ["canonical_host", "is_address"]
