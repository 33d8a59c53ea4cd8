-- Whether its customer may choose another name in place of a domain: it could not be obtained, the order still names it,
-- and no other one is to take its place.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_is_replaceable_v1(of_domain uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT 1
        FROM billing_domains AS lost
        JOIN subscriptions AS s
            ON s.id = lost.subscription_id
        WHERE lost.id = of_domain
          AND lost.state = 'failed'
          AND s.status IN ('pending', 'active')
          AND (lost.name = s.metadata ->> 'domainValue' OR s.metadata -> 'furtherDomains' ? lost.name)
          AND NOT EXISTS (
              SELECT 1
              FROM billing_domains AS chosen
              WHERE chosen.replaces_id = lost.id
                AND chosen.state NOT IN ('released', 'failed')
          )
    )
$$;
COMMENT ON FUNCTION billing_is_replaceable_v1(uuid) IS 'Whether its customer may choose another name in place of a domain that could not be obtained';
