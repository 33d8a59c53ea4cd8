-- What the inbox keeps of an event: all of it, or null if it is about a person whose personal data has
-- been erased. Volatile, because each call has to see what was committed while its statement waited
-- for locks.
CREATE OR REPLACE FUNCTION billing_kept_payload_v1(payload jsonb)
RETURNS jsonb
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    about jsonb;
    created jsonb;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM billing_erasures) THEN
        RETURN payload;
    END IF;
    about := payload -> 'data' -> 'object';
    IF EXISTS (
        SELECT 1
        FROM billing_erasures AS e
        WHERE e.identifier IN (
            about ->> 'customer',
            about -> 'customer' ->> 'id',
            CASE WHEN about ->> 'object' = 'customer' THEN about ->> 'id' END
        )
    ) THEN
        RETURN NULL;
    END IF;
    created := coalesce(about -> 'created', payload -> 'created');
    IF EXISTS (
        SELECT 1
        FROM billing_erasures AS e
        WHERE e.identifier IN (
            billing_email_hash_v1(about ->> 'email'),
            billing_email_hash_v1(about ->> 'customer_email'),
            billing_email_hash_v1(about ->> 'receipt_email'),
            billing_email_hash_v1(about -> 'customer_details' ->> 'email'),
            billing_email_hash_v1(about -> 'billing_details' ->> 'email')
        )
          AND (jsonb_typeof(created) = 'number' AND created::numeric < floor(extract(epoch FROM e.erased_at))) IS TRUE
    ) THEN
        RETURN NULL;
    END IF;
    RETURN payload;
END
$$;
COMMENT ON FUNCTION billing_kept_payload_v1(jsonb) IS 'The payload of an event, or null if it is about a person whose personal data has been erased';
