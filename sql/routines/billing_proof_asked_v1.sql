-- What the buyer of a domain has to do to prove that it is theirs; null: nothing.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_proof_asked_v1(of_domain uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'recordName', '_mpanel-verification.' || d.name,
        'recordType', 'TXT',
        'recordValue', 'mpanel-verification=' || p.token,
        'nameservers', to_jsonb(p.nameservers),
        'checkedAt', p.checked_at,
        'nextCheckAt', p.check_at,
        'expiresAt', p.expires_at,
        'missing', p.last_error
    )
    FROM billing_domain_proofs AS p
    JOIN billing_domains AS d
        ON d.id = p.domain_id
    WHERE p.domain_id = of_domain
      AND p.token IS NOT NULL
$$;
COMMENT ON FUNCTION billing_proof_asked_v1(uuid) IS 'What the buyer of a domain has to do to prove that it is theirs; null: nothing';
