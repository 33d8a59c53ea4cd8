-- One line per subscription.
CREATE OR REPLACE VIEW billing_overview AS
SELECT
    s.id AS subscription_id,
    s.created_at AT TIME ZONE 'UTC' AS ordered_at,
    c.email,
    coalesce(c.name, c.company_name) AS customer,
    s.metadata ->> 'planId' AS plan,
    s.billing_cycle,
    coalesce(net.amount, s.amount) AS amount,
    s.currency,
    s.status,
    s.stripe_status,
    s.trial_end,
    s.current_period_end,
    s.cancel_at_period_end IS TRUE OR s.cancel_at IS NOT NULL AS will_end,
    coalesce(t.billing_former_domain, t.domain) AS tenant_domain,
    t.status AS tenant_status,
    (
        SELECT string_agg(
            v.product_type || '=' || v.actual
            || CASE WHEN v.actual = v.desired THEN '' ELSE '->' || v.desired END,
            ' '
            ORDER BY v.product_type
        )
        FROM tenant_services AS v
        WHERE v.subscription_id = s.id
    ) AS services,
    (
        SELECT concat_ws(
            ', ',
            i.stripe_status || ' ' || billing_money_v1(i.amount_paid, i.currency) || ' of '
            || billing_money_v1(i.amount_due, i.currency),
            CASE WHEN i.amount_refunded > 0 THEN 'refunded ' || billing_money_v1(i.amount_refunded, i.currency) END,
            CASE WHEN i.amount_credited > 0 THEN 'credited ' || billing_money_v1(i.amount_credited, i.currency) END,
            CASE WHEN i.amount_disputed > 0 THEN 'disputed ' || billing_money_v1(i.amount_disputed, i.currency) END
        )
        FROM invoices AS i
        WHERE i.subscription_id = s.id
        ORDER BY i.stripe_created DESC
        LIMIT 1
    ) AS latest_invoice,
    (
        SELECT string_agg(DISTINCT b.trouble, ' ' ORDER BY b.trouble)
        FROM billing_trouble AS b
        WHERE b.subscription_id = s.id
    ) AS trouble,
    net.discounts,
    CASE
        WHEN s.stripe_status IN ('trialing', 'active', 'past_due')
            AND s.collection_paused IS NOT TRUE
            AND s.cancel_at_period_end IS NOT TRUE
            AND (s.cancel_at IS NULL OR s.cancel_at > coalesce(due.ends_at, s.current_period_end))
            THEN coalesce(planned.amount, net.next_charge, due.subtotal)
    END AS next_charge,
    s.stripe_subscription_id,
    s.stripe_customer_id,
    planned.change AS planned_change,
    (SELECT d.said FROM billing_dunning_v1(s.id) AS d) AS dunning,
    (
        SELECT string_agg(
            concat_ws(
                ', ',
                own.name || ' ' || own.state || coalesce(' until ' || (own.expires_at AT TIME ZONE 'UTC')::date, ''),
                CASE WHEN own.auto_renew THEN billing_money_v1(own.renewal_price, own.currency) || ' a year' END,
                (
                    SELECT r.state
                    FROM billing_domain_renewals AS r
                    WHERE r.domain_id = own.id
                      AND r.state <> 'renewed'
                      AND r.expires_on >= (own.expires_at AT TIME ZONE 'UTC')::date - 300
                    ORDER BY r.expires_on DESC
                    LIMIT 1
                )
            ),
            '; '
            ORDER BY own.name
        )
        FROM billing_domains AS own
        WHERE own.subscription_id = s.id
          AND own.held_at IS NOT NULL
          AND own.state NOT IN ('released', 'failed')
    ) AS domains,
    (
        SELECT string_agg(own.name || coalesce(': ' || proof.last_error, ''), '; ' ORDER BY own.name)
        FROM billing_domains AS own
        JOIN billing_domain_proofs AS proof
            ON proof.domain_id = own.id
        WHERE own.subscription_id = s.id
          AND proof.token IS NOT NULL
    ) AS to_be_proven
FROM subscriptions AS s
LEFT JOIN LATERAL (
    -- items may have different terms: the next invoice has those that end first
    SELECT
        listed.ends_at,
        sum(listed.amount)::bigint AS subtotal,
        array_agg(listed.id) AS item_ids
    FROM (
        SELECT
            i.id,
            coalesce(i.current_period_end, s.current_period_end) AS ends_at,
            coalesce(coming.unit_amount, i.unit_amount, 0)::numeric * coalesce(i.quantity, 0) AS amount
        FROM subscription_items AS i
        LEFT JOIN billing_price_changes AS c
            ON c.subscription_id = i.subscription_id
            AND c.old_price_id = i.price_id
            AND c.made_at IS NULL
            AND c.withdrawn_at IS NULL
            AND c.effective_at <= i.current_period_end
        LEFT JOIN prices AS coming
            ON coming.id = c.new_price_id
        WHERE i.subscription_id = s.id
    ) AS listed
    GROUP BY listed.ends_at
    ORDER BY listed.ends_at
    LIMIT 1
) AS due ON TRUE
LEFT JOIN LATERAL (
    SELECT
        p.plan_code || ' ' || p.billing_cycle || ' from ' || (p.effective_at AT TIME ZONE 'UTC')::date AS change,
        CASE WHEN p.effective_at <= due.ends_at THEN p.amount END AS amount
    FROM billing_planned_changes AS p
    WHERE p.stripe_schedule_id = s.stripe_schedule_id
      AND p.planned_at IS NOT NULL
      AND p.effective_at >= s.current_period_end
) AS planned ON TRUE
LEFT JOIN LATERAL (
    SELECT
        (
            SELECT round(sum(n.amount))::bigint
            FROM billing_net_amounts_v1(s.id, due.item_ids, due.ends_at, TRUE, TRUE) AS n
        ) AS next_charge,
        (
            SELECT round(sum(n.amount))::bigint
            FROM billing_net_amounts_v1(s.id, ARRAY(
                SELECT i.id
                FROM subscription_items AS i
                WHERE i.subscription_id = s.id
            ), now(), FALSE, TRUE) AS n
        ) AS amount,
        string_agg(
            coalesce(d.coupon_name, d.stripe_coupon_id, d.stripe_discount_id)
            || coalesce(' -' || trim_scale(d.percent_off) || '%', ' -' || billing_money_v1(d.amount_off, d.currency), '')
            || CASE WHEN d.duration = 'once' THEN ' once' ELSE coalesce(' until ' || (d.ends_at AT TIME ZONE 'UTC')::date, '') END,
            ', '
            ORDER BY d.position
        ) AS discounts
    FROM subscription_discounts AS d
    WHERE d.subscription_id = s.id
    HAVING count(*) > 0
) AS net ON TRUE
LEFT JOIN customers AS c
    ON c.id = s.customer_id
LEFT JOIN tenants AS t
    ON t.id = s.tenant_id
WHERE s.billing_provider = 'stripe';
COMMENT ON VIEW billing_overview IS 'One line per subscription: customer, plan, amount (minor units per term, after discounts), state, tenant, trouble';
COMMENT ON COLUMN billing_overview.subscription_id IS 'Our id';
COMMENT ON COLUMN billing_overview.ordered_at IS 'When the row was created';
COMMENT ON COLUMN billing_overview.email IS 'The customer''s e-mail address';
COMMENT ON COLUMN billing_overview.customer IS 'The customer''s name, else the company''s';
COMMENT ON COLUMN billing_overview.plan IS 'The planId that was ordered; null: made outside our checkout';
COMMENT ON COLUMN billing_overview.billing_cycle IS 'The term';
COMMENT ON COLUMN billing_overview.amount IS 'Minor units of currency per term, after discounts other than those for one invoice; items of different terms each count once';
COMMENT ON COLUMN billing_overview.currency IS 'ISO 4217';
COMMENT ON COLUMN billing_overview.status IS 'mPanel''s status, or provisional or pending';
COMMENT ON COLUMN billing_overview.stripe_status IS 'Stripe''s status; null: not paid yet';
COMMENT ON COLUMN billing_overview.trial_end IS 'End of the free trial';
COMMENT ON COLUMN billing_overview.current_period_end IS 'Paid until';
COMMENT ON COLUMN billing_overview.will_end IS 'Whether it does not renew';
COMMENT ON COLUMN billing_overview.tenant_domain IS 'Domain of the tenant; of an ended one, the domain that it had';
COMMENT ON COLUMN billing_overview.tenant_status IS 'Status of the tenant';
COMMENT ON COLUMN billing_overview.services IS 'The actual state of each product type and, after an arrow, the desired state if it differs';
COMMENT ON COLUMN billing_overview.latest_invoice IS 'Stripe''s status of the latest invoice, what was paid of what was due, and what was refunded, credited or disputed of it';
COMMENT ON COLUMN billing_overview.trouble IS 'Its kinds of trouble in billing_trouble; null: none';
COMMENT ON COLUMN billing_overview.discounts IS 'Its discounts: coupon, what it takes off, until when; null: none';
COMMENT ON COLUMN billing_overview.next_charge IS 'Minor units of currency that the items whose term ends first cost then, after discounts and a planned change; before taxes, one-off charges and the balance. Null: it does not renew';
COMMENT ON COLUMN billing_overview.stripe_subscription_id IS 'sub_...';
COMMENT ON COLUMN billing_overview.stripe_customer_id IS 'cus_...';
COMMENT ON COLUMN billing_overview.planned_change IS 'Plan and term that it changes to at the end of its term, and from when; null: none';
COMMENT ON COLUMN billing_overview.domains IS 'Its domains: state, when each expires, what a further year costs if it is charged, and how far the next one is';
COMMENT ON COLUMN billing_overview.dunning IS 'Where the attempts to collect its oldest unpaid invoice stand: how many failed, why the last one, when the next is; null: none has failed';
COMMENT ON COLUMN billing_overview.to_be_proven IS 'The domain that its buyer has still to prove, and what is missing; null: none';
