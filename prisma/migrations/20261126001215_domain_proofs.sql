-- Proof that a domain is the buyer's own: what they are asked for, and what was seen. How and why:
-- docs/decisions/0050-proof-of-control.md.

-- migrate:up
CREATE TABLE billing_domain_proofs (
    domain_id uuid PRIMARY KEY REFERENCES billing_domains ON DELETE CASCADE,
    token text UNIQUE CHECK (token ~ '^[0-9a-f]{32}$'),
    nameservers text[] NOT NULL DEFAULT '{}',
    elsewhere_at timestamptz,
    checked_at timestamptz,
    check_at timestamptz,
    expires_at timestamptz NOT NULL,
    last_error text,
    proven_at timestamptz,
    proven_by text CHECK (proven_by IN ('txt', 'nameservers', 'operator')),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- a proof that is closed, one way or the other, has no token that could still be published
    CHECK (token IS NOT NULL OR check_at IS NULL),
    CHECK (proven_at IS NULL OR token IS NULL),
    CHECK ((proven_at IS NULL) = (proven_by IS NULL))
);
CREATE INDEX billing_domain_proofs_due_idx ON billing_domain_proofs (check_at)
WHERE check_at IS NOT NULL;
CREATE INDEX billing_domain_proofs_unproven_idx ON billing_domain_proofs (expires_at)
WHERE token IS NOT NULL AND check_at IS NULL;
COMMENT ON TABLE billing_domain_proofs IS 'What buyers are asked for to prove that a domain is theirs, and how far that is; one row for each domain that had to be proven';
COMMENT ON COLUMN billing_domain_proofs.domain_id IS 'The domain of one customer';
COMMENT ON COLUMN billing_domain_proofs.token IS 'Random, for this row alone: part of the TXT record; null: the proof is closed';
COMMENT ON COLUMN billing_domain_proofs.nameservers IS 'Those of ours that it may be delegated to instead; empty: only the TXT record counts';
COMMENT ON COLUMN billing_domain_proofs.elsewhere_at IS 'When it was first seen to be delegated elsewhere: only a later delegation to ours proves something; null: it was not';
COMMENT ON COLUMN billing_domain_proofs.checked_at IS 'When nameservers were last asked; null: not yet';
COMMENT ON COLUMN billing_domain_proofs.check_at IS 'When the worker asks next; null: no more';
COMMENT ON COLUMN billing_domain_proofs.expires_at IS 'When the worker stops asking';
COMMENT ON COLUMN billing_domain_proofs.last_error IS 'What is missing, as it was last seen';
COMMENT ON COLUMN billing_domain_proofs.proven_at IS 'When it was proven; null: it is not';
COMMENT ON COLUMN billing_domain_proofs.proven_by IS 'txt, nameservers, or operator: one has accepted another proof';
COMMENT ON COLUMN billing_domain_proofs.created_at IS 'When it was asked for';

-- Whatever ends the wait for a proof also ends what could still prove it.
CREATE FUNCTION billing_close_proof() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    UPDATE billing_domain_proofs
    SET token = NULL,
        check_at = NULL
    WHERE domain_id = NEW.id
      AND token IS NOT NULL;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_close_proof() IS 'Forgets the token of a domain that nobody has to prove any more';
CREATE TRIGGER billing_close_proof AFTER UPDATE ON billing_domains
FOR EACH ROW WHEN (OLD.state = 'verifying' AND NEW.state <> 'verifying')
EXECUTE FUNCTION billing_close_proof();

CREATE FUNCTION billing_tell_proof() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    PERFORM billing_record_message(
        'domain.' || told.type, d.id::text, told.type, s.livemode, s.id, d.customer_id, now(),
        jsonb_build_object('domain', jsonb_build_object('id', d.id, 'provenBy', NEW.proven_by))
    )
    FROM (
        VALUES
            ('verification_needed', TG_OP = 'INSERT'),
            ('verified', TG_OP = 'UPDATE' AND NEW.proven_at IS NOT NULL),
            ('verification_expired', TG_OP = 'UPDATE' AND NEW.token IS NOT NULL AND NEW.check_at IS NULL)
    ) AS told (type, happened)
    CROSS JOIN billing_domains AS d
    JOIN subscriptions AS s
        ON s.id = d.subscription_id
    WHERE told.happened
      AND d.id = NEW.domain_id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_proof() IS 'Records that a proof is needed, was given, or was not given in time';
CREATE TRIGGER billing_tell_proof AFTER INSERT OR UPDATE OF proven_at, check_at ON billing_domain_proofs
FOR EACH ROW EXECUTE FUNCTION billing_tell_proof();

-- nobody else may have them as triggers of their own
REVOKE EXECUTE ON FUNCTION billing_close_proof(), billing_tell_proof() FROM PUBLIC;

-- migrate:down
DROP TRIGGER billing_close_proof ON billing_domains;
DROP FUNCTION billing_close_proof();
DROP TABLE billing_domain_proofs;
DROP FUNCTION billing_tell_proof();
