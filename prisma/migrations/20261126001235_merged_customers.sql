-- Two customer records of one person that were merged, and what it takes to undo that within a day. How and why:
-- docs/decisions/0057-merged-customers.md.

-- migrate:up
CREATE TABLE billing_merges (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id uuid NOT NULL REFERENCES customers ON DELETE CASCADE,
    into_id uuid NOT NULL REFERENCES customers ON DELETE CASCADE,
    former jsonb,
    moved jsonb,
    merged_by text NOT NULL,
    merged_at timestamptz NOT NULL DEFAULT now(),
    undone_by text,
    undone_at timestamptz,
    CHECK (customer_id <> into_id),
    CHECK ((former IS NULL) = (moved IS NULL)),
    CHECK ((undone_by IS NULL) = (undone_at IS NULL)),
    CHECK (undone_at IS NULL OR former IS NULL)
);
CREATE UNIQUE INDEX billing_merges_standing_key ON billing_merges (customer_id)
WHERE undone_at IS NULL;
CREATE INDEX billing_merges_customer_idx ON billing_merges (customer_id);
CREATE INDEX billing_merges_into_idx ON billing_merges (into_id);
CREATE INDEX billing_merges_undoable_idx ON billing_merges (merged_at)
WHERE former IS NOT NULL;
CREATE INDEX billing_merges_merged_idx ON billing_merges (merged_at);
COMMENT ON TABLE billing_merges IS 'Customer records of one person that were merged by command';
COMMENT ON COLUMN billing_merges.id IS 'Our id';
COMMENT ON COLUMN billing_merges.customer_id IS 'The record that has joined the other one';
COMMENT ON COLUMN billing_merges.into_id IS 'The record that has everything now';
COMMENT ON COLUMN billing_merges.former IS 'What both records said before, to undo it; null: undone, a day is over, or erased';
COMMENT ON COLUMN billing_merges.moved IS 'The ids of what was moved, by table, to undo it; null: as above';
COMMENT ON COLUMN billing_merges.merged_by IS 'The key or user that merged them';
COMMENT ON COLUMN billing_merges.merged_at IS 'When they were merged';
COMMENT ON COLUMN billing_merges.undone_by IS 'The key or user that has undone it; null: nobody';
COMMENT ON COLUMN billing_merges.undone_at IS 'When it was undone; null: it stands';

-- migrate:down
DROP TABLE billing_merges;
