-- What is remembered of an erased person's e-mail address.
CREATE OR REPLACE FUNCTION billing_email_hash_v1(email text)
RETURNS text
LANGUAGE sql
STABLE
AS $$
    SELECT encode(sha256(k.key || sha256(k.key || convert_to(lower(email), 'UTF8'))), 'hex')
    FROM billing_erasure_key AS k
$$;
COMMENT ON FUNCTION billing_email_hash_v1(text) IS 'Keyed SHA-256 of an e-mail address in lower case; null for none';
