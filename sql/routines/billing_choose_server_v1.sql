-- The server for an account, of those in `among`: one that the setting names, with all tags that are wanted, which has
-- room and is not emptied; the one with the fewest accounts for its weight. An account that has a place keeps it,
-- if it can. A failing server is chosen only if no other can be, and once it has not failed for five minutes: that
-- shows whether it works again. Null: none can be chosen. Callers hold the lock of the product type (lock_servers), taken by
-- a statement before theirs: what others have placed is seen.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_choose_server_v1(of_type text, among text[], wanted text[], placed_on text)
RETURNS text
LANGUAGE sql
STABLE
AS $$
    SELECT load.server
    FROM billing_server_load AS load
    CROSS JOIN LATERAL (
        SELECT load.accounts - (load.server IS NOT DISTINCT FROM placed_on)::integer AS others
    ) AS besides
    WHERE load.product_type = of_type
      AND load.server = ANY(among)
      AND load.tags @> wanted
      AND load.left_at IS NULL
      AND load.drained_at IS NULL
      AND (load.capacity IS NULL OR besides.others < load.capacity)
      AND (NOT load.is_failing OR load.failed_at < now() - interval '5 minutes')
    ORDER BY
        load.is_failing,
        load.server IS DISTINCT FROM placed_on,
        (besides.others + 1)::numeric / load.weight,
        load.server
    LIMIT 1
$$;
COMMENT ON FUNCTION billing_choose_server_v1(text, text[], text[], text) IS 'The server for an account, of some; null: none has room, the tags, and works';
