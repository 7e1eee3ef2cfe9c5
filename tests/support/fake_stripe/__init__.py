"""A small Stripe with a memory, for tests: `FakeStripe`.

Under the real stripe library (its HTTP client is ours), so that what is tested is what is shipped. It holds what the
product relies on: idempotency keys (the same key with another body is 400), whole yen, drafts that can still change and
open invoices that cannot, invoices that no transfer part-pays, credit notes, refunds, disputes, Checkout, and events,
signed, in whatever order a test delivers them. Each request is checked against the library's published parameter types.
"""

from tests.support.fake_stripe.house import FakeStripe
from tests.support.fake_stripe.transport import Killed

__all__ = ["FakeStripe", "Killed"]
