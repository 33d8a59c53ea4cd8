-- Which accounts of mPanel may have something to join, so that the sweep need not compare all customers
-- with all users. A note locks nothing of mPanel's and waits for nothing
-- (docs/decisions/0047-what-is-left-of-the-cost.md).

-- migrate:up
CREATE TABLE billing_noted_users (
    user_id uuid,
    noted_in xid8 DEFAULT pg_current_xact_id(),
    noted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, noted_in)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE billing_noted_users IS 'Verified accounts whose address may be that of a customer record without an account';
COMMENT ON COLUMN billing_noted_users.user_id IS 'The account; its row may have been deleted';
COMMENT ON COLUMN billing_noted_users.noted_in IS 'The transaction that changed one of the two: no two share a row, so none waits and none is overlooked';
COMMENT ON COLUMN billing_noted_users.noted_at IS 'A note stays for an hour, and longer while it leads to a record';

-- With the rights of its owner, as billing_note_revenue: mPanel's role need not have rights on our tables.
CREATE FUNCTION billing_note_user() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.email, OLD.email_verified) IS NOT DISTINCT FROM (NEW.email, NEW.email_verified) THEN
        RETURN NULL;
    END IF;
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    INSERT INTO billing_noted_users (user_id) VALUES (NEW.id)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_note_user() IS 'Notes an account whose address was verified, with the rights of its owner';
REVOKE EXECUTE ON FUNCTION billing_note_user() FROM PUBLIC;
CREATE TRIGGER billing_note_user AFTER INSERT OR UPDATE OF email, email_verified ON users
FOR EACH ROW WHEN (NEW.email_verified)
EXECUTE FUNCTION billing_note_user();

-- migrate:down
DROP TRIGGER billing_note_user ON users;
DROP FUNCTION billing_note_user;
DROP TABLE billing_noted_users;
