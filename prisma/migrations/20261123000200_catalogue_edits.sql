-- Which products give something else since their catalogue was edited, and how far their subscribers
-- have been looked at anew.

-- migrate:up
CREATE TABLE catalogue_edits (
    product_id uuid PRIMARY KEY REFERENCES products ON DELETE CASCADE,
    after_subscription_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    edited_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE catalogue_edits IS 'Products whose types or resources were edited, until every subscription to them was looked at anew';
COMMENT ON COLUMN catalogue_edits.product_id IS 'The edited product';
COMMENT ON COLUMN catalogue_edits.after_subscription_id IS 'Subscriptions up to this one have been triggered; the sweep goes on after it';
COMMENT ON COLUMN catalogue_edits.edited_at IS 'When it was last edited';

-- migrate:down
DROP TABLE catalogue_edits;
