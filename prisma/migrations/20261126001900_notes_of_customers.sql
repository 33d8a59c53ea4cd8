-- The other side of notes_of_users: a record without an account, at the address of an account.

-- migrate:up
CREATE FUNCTION billing_note_users_of_customer() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    INSERT INTO billing_noted_users (user_id)
    SELECT u.id
    FROM users AS u
    WHERE lower(u.email) = lower(NEW.email)
      AND u.email_verified
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_note_users_of_customer() IS 'Notes the accounts that a customer record may join, with the rights of its owner';
REVOKE EXECUTE ON FUNCTION billing_note_users_of_customer() FROM PUBLIC;
CREATE TRIGGER billing_note_users_of_customer AFTER INSERT OR UPDATE OF email, user_id, joined_id ON customers
FOR EACH ROW WHEN (NEW.user_id IS NULL AND NEW.joined_id IS NULL AND NEW.email IS NOT NULL)
EXECUTE FUNCTION billing_note_users_of_customer();

-- those that match already
INSERT INTO billing_noted_users (user_id)
SELECT DISTINCT u.id
FROM customers AS c
JOIN users AS u
    ON lower(u.email) = lower(c.email)
    AND u.email_verified
WHERE c.user_id IS NULL
  AND c.joined_id IS NULL
ON CONFLICT DO NOTHING;

-- migrate:down
DROP TRIGGER billing_note_users_of_customer ON customers;
DROP FUNCTION billing_note_users_of_customer;
