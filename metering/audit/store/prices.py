"""Did two persons want every price, promotion and setting, and is each price what they wanted?"""

from __future__ import annotations

from collections.abc import Sequence

from metering.audit.store.questions import Question

_AGREED = """
    SELECT p.id, p.kind, p.content FROM pricing.proposal p JOIN pricing.proposal_decision d ON d.proposal_id = p.id
    WHERE d.approved AND d.decided_by <> p.proposed_by AND d.decided_at < p.expires_at"""

QUESTIONS: Sequence[Question] = (
    Question(
        # What was published before proposals were kept has none.
        check="not-wanted-by-two",
        sql=f"""
            SELECT set_by_two.subject, 'a proposal that another person approved' AS expected,
                   coalesce(set_by_two.proposal_id::text, 'none') AS found
            FROM (SELECT 'price-version:' || id AS subject, proposal_id FROM pricing.price_version
                  WHERE proposal_id IS NOT NULL
                  UNION ALL SELECT 'promotion:' || id, proposal_id FROM pricing.promotion
                  UNION ALL SELECT 'policy:' || name || '@' || effective_at, proposal_id FROM pricing.policy
                  ) AS set_by_two
            LEFT JOIN ({_AGREED}) AS agreed ON agreed.id = set_by_two.proposal_id
            WHERE agreed.id IS NULL""",  # noqa: S608  our own words
    ),
    Question(
        check="price-differs-from-proposal",
        sql=f"""
            WITH wanted AS (
                SELECT (version ->> 'id')::uuid AS id, price ->> 'component' AS component,
                       (price ->> 'price_yen')::numeric * 1000000 AS price,
                       (price ->> 'list_yen')::numeric * 1000000 AS list,
                       (price ->> 'market_reference')::uuid AS reference
                FROM ({_AGREED}) AS agreed, jsonb_array_elements(agreed.content -> 'versions') AS version,
                     jsonb_array_elements(version -> 'prices') AS price
                WHERE agreed.kind = 'price.publish')
            SELECT format('price-version:%s %s', c.price_version_id, c.component) AS subject,
                   format('%s/%s below %s', w.price::bigint, w.list::bigint, w.reference) AS expected,
                   format('%s/%s below %s', c.price_micro_yen, c.list_micro_yen, c.market_reference_id) AS found
            FROM pricing.price_component c JOIN pricing.price_version v ON v.id = c.price_version_id
            LEFT JOIN wanted w ON w.id = c.price_version_id AND w.component = c.component
            WHERE v.proposal_id IS NOT NULL
              AND (w.price, w.list, w.reference)
                  IS DISTINCT FROM (c.price_micro_yen::numeric, c.list_micro_yen::numeric, c.market_reference_id)""",  # noqa: S608
    ),
)
