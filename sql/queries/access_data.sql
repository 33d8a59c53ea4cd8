-- Access data of accounts: kept encrypted until it is handed out.

-- Tables: billing_access_data
--
-- CREATE TABLE billing_access_data (
--     subscription_id uuid NOT NULL,
--     product_type text NOT NULL,
--     generation bigint NOT NULL,
--     sealed text,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     handed_out_at timestamp with time zone,
--     handed_out_to text,
--     CONSTRAINT billing_access_data_check CHECK (((handed_out_at IS NULL) = (handed_out_to IS NULL))),
--     CONSTRAINT billing_access_data_check1 CHECK (((handed_out_at IS NULL) OR (sealed IS NULL)))
-- );
-- ALTER TABLE ONLY billing_access_data ADD CONSTRAINT billing_access_data_pkey PRIMARY KEY (subscription_id, product_type);
-- ALTER TABLE ONLY billing_access_data ADD CONSTRAINT billing_access_data_subscription_id_product_type_fkey FOREIGN KEY (subscription_id, product_type) REFERENCES tenant_services(subscription_id, product_type) ON UPDATE CASCADE ON DELETE CASCADE;
-- CREATE INDEX billing_access_data_waiting_idx ON billing_access_data USING btree (created_at) WHERE (sealed IS NOT NULL);

-- name: keep(subscription_id, token, product_type, generation, sealed)!
-- Before the result of the create is stored: after a crash in between the service answers the same again. What
-- was handed out meanwhile is not kept a second time.
INSERT INTO billing_access_data AS kept (subscription_id, product_type, generation, sealed)
SELECT
    w.subscription_id,
    :product_type::text,
    :generation::bigint,
    :sealed::text
FROM provisioning_work AS w
WHERE w.subscription_id = :subscription_id::uuid
  AND w.lease_token = :token::uuid
ON CONFLICT (subscription_id, product_type) DO UPDATE
SET generation = excluded.generation,
    sealed = excluded.sealed,
    created_at = now(),
    handed_out_at = NULL,
    handed_out_to = NULL
WHERE kept.generation < excluded.generation;

-- name: hand_out(subscription_id, product_type, handed_out_to)$
-- What was kept; it is not any more. Null: nothing is.
WITH waiting AS MATERIALIZED (
    SELECT
        kept.subscription_id,
        kept.product_type,
        kept.sealed
    FROM billing_access_data AS kept
    WHERE kept.subscription_id = :subscription_id::uuid
      AND kept.product_type = :product_type::text
      AND kept.sealed IS NOT NULL
    FOR UPDATE
)
UPDATE billing_access_data AS kept
SET sealed = NULL,
    handed_out_at = now(),
    handed_out_to = :handed_out_to::text
FROM waiting
WHERE kept.subscription_id = waiting.subscription_id
  AND kept.product_type = waiting.product_type
RETURNING waiting.sealed;

-- name: list_kept(subscription_id)
-- What waits to be handed out.
SELECT kept.product_type
FROM billing_access_data AS kept
WHERE kept.subscription_id = :subscription_id::uuid
  AND kept.sealed IS NOT NULL
ORDER BY kept.product_type;
