-- Each change with its latest outcome. Rows of billing_audit_entries are only added.
CREATE OR REPLACE VIEW billing_audit_log AS
SELECT
    e.entry_id AS id,
    e.began_at AS at,
    e.actor,
    e.person,
    e.key_id,
    e.action,
    e.target_type,
    e.target_id,
    e.details,
    e.request_id,
    e.outcome,
    e.error,
    CASE WHEN e.attempt_id IS NOT NULL OR e.outcome <> 'attempted' THEN e.at END AS settled_at
FROM billing_audit_entries AS e
WHERE e.id = (
    SELECT max(later.id)
    FROM billing_audit_entries AS later
    WHERE later.entry_id = e.entry_id
);
COMMENT ON VIEW billing_audit_log IS 'Each change made with a key or a command, with its latest outcome';
COMMENT ON COLUMN billing_audit_log.id IS 'Number of the change; `audit settle` takes it';
COMMENT ON COLUMN billing_audit_log.at IS 'When the change was attempted';
COMMENT ON COLUMN billing_audit_log.actor IS 'Name of the key, settings:admin:1 and the like for one of the settings, or cli:<user>@<host>';
COMMENT ON COLUMN billing_audit_log.person IS 'Who acted in mPanel, as X-Actor says; null: it does not say';
COMMENT ON COLUMN billing_audit_log.key_id IS 'billing_api_keys.id; null: not a key in the database';
COMMENT ON COLUMN billing_audit_log.action IS 'What was done, such as subscription.suspend';
COMMENT ON COLUMN billing_audit_log.target_type IS 'What it was done to: subscription, event, key, ...; null: not one thing';
COMMENT ON COLUMN billing_audit_log.target_id IS 'Its id: ours, or Stripe''s for a Stripe object';
COMMENT ON COLUMN billing_audit_log.details IS 'Parameters and result; never a secret';
COMMENT ON COLUMN billing_audit_log.request_id IS 'X-Request-Id, which the log lines carry; null: no request';
COMMENT ON COLUMN billing_audit_log.outcome IS 'Its latest outcome: attempted (still unknown), succeeded, refused or failed';
COMMENT ON COLUMN billing_audit_log.error IS 'Why it was refused or failed';
COMMENT ON COLUMN billing_audit_log.settled_at IS 'When the outcome was known; null while it is unknown';
