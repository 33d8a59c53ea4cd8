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
