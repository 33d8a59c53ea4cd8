-- Access, the audit log, reconcile and retention. Tables that are pruned are vacuumed once a hundredth
-- of them is dead instead of the default fifth: what is pruned is a small part of them.
-- How API keys are hashed, and why: docs/decisions/0009-api-keys.md.

-- migrate:up
CREATE TABLE billing_api_keys (
    id text PRIMARY KEY CHECK (id ~ '^mpb_[0-9A-Za-z]{10}$'),
    name text NOT NULL CHECK (name ~ '^[0-9A-Za-z][0-9A-Za-z._-]{0,62}$' AND name !~ '^mpb_'),
    key_hash bytea NOT NULL CHECK (octet_length(key_hash) = 32),
    scopes text[] NOT NULL CHECK (
        cardinality(scopes) > 0
        AND scopes <@ ARRAY[
            'admin', 'admin:read', 'admin:operate', 'admin:money', 'admin:keys',
            'billing', 'billing:read', 'billing:change', 'billing:refund', 'billing:portal', 'billing:access-data', 'billing:customers',
            'billing:transfer-out', 'billing:usage', 'billing:any-customer'
        ]
    ),
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    networks cidr[] CHECK (cardinality(networks) > 0),
    calls_per_minute bigint CHECK (calls_per_minute > 0),
    refunds_per_day bigint CHECK (refunds_per_day >= 0),
    replaced_by text CHECK (replaced_by <> id)
);
CREATE UNIQUE INDEX billing_api_keys_name_key ON billing_api_keys (name)
WHERE revoked_at IS NULL AND replaced_by IS NULL;
COMMENT ON TABLE billing_api_keys IS 'Keys for /api/admin and /api/billing, in addition to those in the settings';
COMMENT ON COLUMN billing_api_keys.id IS 'The start of the key; not secret';
COMMENT ON COLUMN billing_api_keys.name IS 'Name of its owner, chosen by the operator; free again once the key is revoked or replaced';
COMMENT ON COLUMN billing_api_keys.key_hash IS 'SHA-256 of the whole key, which is not stored';
COMMENT ON COLUMN billing_api_keys.scopes IS 'What it gives access to, as docs/access.md lists it; admin and billing include all that begin with them';
COMMENT ON COLUMN billing_api_keys.created_at IS 'When it was made';
COMMENT ON COLUMN billing_api_keys.created_by IS 'Who made it';
COMMENT ON COLUMN billing_api_keys.expires_at IS 'When it stops working; null: never';
COMMENT ON COLUMN billing_api_keys.revoked_at IS 'When it was revoked; null: not revoked';
COMMENT ON COLUMN billing_api_keys.last_used_at IS 'Last use, to the minute; null: never';
COMMENT ON COLUMN billing_api_keys.networks IS 'Where it may be used from; null: anywhere';
COMMENT ON COLUMN billing_api_keys.calls_per_minute IS 'How many calls it may make in a minute; null: any number';
COMMENT ON COLUMN billing_api_keys.refunds_per_day IS 'Minor units of each currency that it may refund in a day of UTC; null: any amount';
COMMENT ON COLUMN billing_api_keys.replaced_by IS 'billing_api_keys.id of the key that has taken its place and its name, while it runs out; null: none';

-- A row for each ceiling of a key, written in place.
CREATE TABLE billing_key_usage (
    key_id text NOT NULL REFERENCES billing_api_keys ON DELETE CASCADE,
    measure text NOT NULL CHECK (measure ~ '^(calls|refunds:[a-z]{3})$'),
    since timestamptz NOT NULL,
    used bigint NOT NULL CHECK (used >= 0),
    PRIMARY KEY (key_id, measure)
) WITH (fillfactor = 50);
COMMENT ON TABLE billing_key_usage IS 'What keys with ceilings have used of them in the latest minute or day';
COMMENT ON COLUMN billing_key_usage.key_id IS 'The key';
COMMENT ON COLUMN billing_key_usage.measure IS 'calls, or refunds: and the currency';
COMMENT ON COLUMN billing_key_usage.since IS 'The minute or the day of UTC that is counted';
COMMENT ON COLUMN billing_key_usage.used IS 'Calls, or minor units of the currency';

-- A session has the scopes of its key as they are, so it ends with the key. Of a key of the settings only a
-- proof is kept: without the token it says nothing about the key.
CREATE TABLE billing_console_sessions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    key_id text REFERENCES billing_api_keys ON DELETE CASCADE,
    key_proof bytea CHECK (octet_length(key_proof) = 32),
    key_name text NOT NULL,
    person text NOT NULL CHECK (person <> ''),
    by_proxy boolean NOT NULL DEFAULT FALSE,
    language text CHECK (language ~ '^[a-z]{2}$'),
    time_zone text,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    CHECK ((key_id IS NULL) <> (key_proof IS NULL)),
    CHECK (expires_at > created_at)
);
CREATE INDEX billing_console_sessions_key_idx ON billing_console_sessions (key_id);
CREATE INDEX billing_console_sessions_expiry_idx ON billing_console_sessions (expires_at);
COMMENT ON TABLE billing_console_sessions IS 'Who is signed in to the console, and was in the latest month';
COMMENT ON COLUMN billing_console_sessions.id IS 'Its id, not secret';
COMMENT ON COLUMN billing_console_sessions.token_hash IS 'SHA-256 of what the browser has in its cookie, which is not stored';
COMMENT ON COLUMN billing_console_sessions.key_id IS 'The key that was exchanged for it; null: one of the settings';
COMMENT ON COLUMN billing_console_sessions.key_proof IS 'Of a key of the settings: SHA-256 of the token and the hash of the key';
COMMENT ON COLUMN billing_console_sessions.key_name IS 'The name of the key when it began';
COMMENT ON COLUMN billing_console_sessions.person IS 'Who it is, for the audit log';
COMMENT ON COLUMN billing_console_sessions.by_proxy IS 'Whether a proxy said who it is';
COMMENT ON COLUMN billing_console_sessions.language IS 'ISO 639-1; null: what the browser asks for';
COMMENT ON COLUMN billing_console_sessions.time_zone IS 'A zone of the IANA database, in which times are shown; null: UTC';
COMMENT ON COLUMN billing_console_sessions.created_at IS 'When it began';
COMMENT ON COLUMN billing_console_sessions.used_at IS 'Latest use, to the minute';
COMMENT ON COLUMN billing_console_sessions.expires_at IS 'When it ends at the latest';
COMMENT ON COLUMN billing_console_sessions.ended_at IS 'When it was ended by hand; null: it was not';

CREATE TABLE billing_notes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id uuid NOT NULL REFERENCES customers ON DELETE CASCADE,
    body text NOT NULL CHECK (body <> ''),
    written_by text NOT NULL,
    person text,
    written_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX billing_notes_customer_idx ON billing_notes (customer_id, id);
COMMENT ON TABLE billing_notes IS 'What operators have noted about customers';
COMMENT ON COLUMN billing_notes.id IS 'Our id';
COMMENT ON COLUMN billing_notes.customer_id IS 'About whom';
COMMENT ON COLUMN billing_notes.body IS 'What is noted';
COMMENT ON COLUMN billing_notes.written_by IS 'Name of the key or user';
COMMENT ON COLUMN billing_notes.person IS 'Who wrote it, as far as it is known';
COMMENT ON COLUMN billing_notes.written_at IS 'When it was written';

-- Rows are only added, and an attempt and its outcome are two; the view billing_audit_log brings
-- them together. An outcome repeats the attempt, so that each row can be found and read by itself.
CREATE TABLE billing_audit_entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    attempt_id bigint CHECK (attempt_id < id),
    entry_id bigint NOT NULL GENERATED ALWAYS AS (coalesce(attempt_id, id)) STORED,
    began_at timestamptz NOT NULL DEFAULT now(),
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL CHECK (actor <> ''),
    person text CHECK (person <> ''),
    key_id text,
    action text NOT NULL CHECK (action ~ '^[a-z_]+(\.[a-z_]+)+$'),
    target_type text,
    target_id text,
    details jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(details) = 'object'),
    request_id text,
    outcome text NOT NULL CHECK (outcome IN ('attempted', 'done', 'failed')),
    error text,
    CHECK ((target_type IS NULL) = (target_id IS NULL))
);
CREATE INDEX billing_audit_entries_entry_idx ON billing_audit_entries (entry_id, id);
CREATE INDEX billing_audit_entries_target_idx ON billing_audit_entries (target_id, entry_id);
CREATE INDEX billing_audit_entries_actor_idx ON billing_audit_entries (actor, entry_id);
CREATE INDEX billing_audit_entries_person_idx ON billing_audit_entries (person, entry_id) WHERE person IS NOT NULL;
COMMENT ON TABLE billing_audit_entries IS 'Every change made with a key or on a command line, in order: attempts, and outcomes';
COMMENT ON COLUMN billing_audit_entries.id IS 'Our id';
COMMENT ON COLUMN billing_audit_entries.attempt_id IS 'The attempt of which this is the outcome; null: an attempt, or a change that was done at once';
COMMENT ON COLUMN billing_audit_entries.entry_id IS 'The attempt, or this row if it has none: the same for all rows of a change';
COMMENT ON COLUMN billing_audit_entries.began_at IS 'When the change began';
COMMENT ON COLUMN billing_audit_entries.at IS 'When this was recorded';
COMMENT ON COLUMN billing_audit_entries.actor IS 'Name of the key, settings:admin:1 and the like for one of the settings, or cli:<user>@<host>';
COMMENT ON COLUMN billing_audit_entries.person IS 'Who acted in mPanel, as X-Actor says; null: it does not say';
COMMENT ON COLUMN billing_audit_entries.key_id IS 'billing_api_keys.id; null: not a key in the database';
COMMENT ON COLUMN billing_audit_entries.action IS 'What was done, such as subscription.suspend';
COMMENT ON COLUMN billing_audit_entries.target_type IS 'What it was done to: subscription, event, key, ...; null: not one thing';
COMMENT ON COLUMN billing_audit_entries.target_id IS 'Its id: ours, or Stripe''s for a Stripe object';
COMMENT ON COLUMN billing_audit_entries.details IS 'Parameters and result; never a secret';
COMMENT ON COLUMN billing_audit_entries.request_id IS 'X-Request-Id, which the log lines carry; null: no request';
COMMENT ON COLUMN billing_audit_entries.outcome IS 'attempted: begun, outcome unknown; done; failed: refused or aborted';
COMMENT ON COLUMN billing_audit_entries.error IS 'Error code, if it failed or the outcome is unknown';

-- Attempts never leave billing_audit_entries, so those without an outcome have a list of their own.
CREATE TABLE billing_audit_unsettled (
    entry_id bigint PRIMARY KEY,
    since timestamptz NOT NULL
);
COMMENT ON TABLE billing_audit_unsettled IS 'Attempts whose outcome is not recorded, written by a trigger';
COMMENT ON COLUMN billing_audit_unsettled.entry_id IS 'The attempt in billing_audit_entries';
COMMENT ON COLUMN billing_audit_unsettled.since IS 'When it began';

CREATE FUNCTION billing_audit_list_unsettled() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.attempt_id IS NULL AND NEW.outcome = 'attempted' THEN
        INSERT INTO billing_audit_unsettled (entry_id, since) VALUES (NEW.id, NEW.began_at);
    ELSIF NEW.attempt_id IS NOT NULL AND NEW.outcome <> 'attempted' THEN
        DELETE FROM billing_audit_unsettled WHERE entry_id = NEW.attempt_id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER billing_audit_list_unsettled AFTER INSERT ON billing_audit_entries
FOR EACH ROW EXECUTE FUNCTION billing_audit_list_unsettled();

-- The role of `mpanel-billing audit prune` deletes what is old; nobody else deletes, and nobody updates.
-- Grants say the same, but a role that owns the table or is a superuser can have any.
CREATE FUNCTION billing_audit_append_only() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF current_user = 'mpanel_billing_audit' AND OLD.began_at < now() - interval '90 days' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'rows of % are only added: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege', HINT = 'mpanel-billing audit prune deletes old rows';
END
$$;
CREATE TRIGGER billing_audit_append_only BEFORE UPDATE OR DELETE ON billing_audit_entries
FOR EACH ROW EXECUTE FUNCTION billing_audit_append_only();
CREATE TRIGGER billing_audit_no_truncate BEFORE TRUNCATE ON billing_audit_entries
FOR EACH STATEMENT EXECUTE FUNCTION billing_audit_append_only();
REVOKE UPDATE, DELETE, TRUNCATE ON billing_audit_entries FROM PUBLIC, CURRENT_USER;

CREATE TABLE billing_reconcile_runs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    started_by text NOT NULL CHECK (started_by IN ('schedule', 'api', 'command')),
    livemode boolean NOT NULL,
    dry_run boolean NOT NULL,
    since_days integer CHECK (since_days > 0),
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    outcome text CHECK (outcome IN ('clean', 'repaired', 'drift', 'abandoned')),
    holder uuid,
    leased_until timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    next_attempt_at timestamptz,
    objects bigint NOT NULL DEFAULT 0,
    events bigint NOT NULL DEFAULT 0,
    accounts bigint NOT NULL DEFAULT 0,
    drift bigint NOT NULL DEFAULT 0,
    repaired bigint NOT NULL DEFAULT 0,
    CHECK ((finished_at IS NULL) = (outcome IS NULL)),
    CHECK ((holder IS NULL) = (leased_until IS NULL)),
    CHECK (repaired <= drift)
);
-- One at a time, across all machines.
CREATE UNIQUE INDEX billing_reconcile_runs_unfinished_key ON billing_reconcile_runs ((TRUE))
WHERE finished_at IS NULL;
CREATE INDEX billing_reconcile_runs_started_idx ON billing_reconcile_runs (started_at);
COMMENT ON TABLE billing_reconcile_runs IS 'Comparisons of Stripe with the mirror and the accounts; at most one is unfinished';
COMMENT ON COLUMN billing_reconcile_runs.id IS 'Our id';
COMMENT ON COLUMN billing_reconcile_runs.started_by IS 'schedule: the daily one; api: POST /api/admin/reconcile; command: mpanel-billing reconcile';
COMMENT ON COLUMN billing_reconcile_runs.livemode IS 'Mode of Stripe that it compares';
COMMENT ON COLUMN billing_reconcile_runs.dry_run IS 'It only reports';
COMMENT ON COLUMN billing_reconcile_runs.since_days IS 'Only what was created in that many days before it began; null: everything';
COMMENT ON COLUMN billing_reconcile_runs.started_at IS 'When it was requested';
COMMENT ON COLUMN billing_reconcile_runs.finished_at IS 'Null: it is running, or was stopped and will continue';
COMMENT ON COLUMN billing_reconcile_runs.outcome IS 'clean: nothing differs; repaired: nothing differs any more; drift: something still differs; abandoned: replaced by another run';
COMMENT ON COLUMN billing_reconcile_runs.holder IS 'Token of the process that runs it';
COMMENT ON COLUMN billing_reconcile_runs.leased_until IS 'Until then no other process takes it over';
COMMENT ON COLUMN billing_reconcile_runs.attempts IS 'How often it was started or continued';
COMMENT ON COLUMN billing_reconcile_runs.last_error IS 'Why it last stopped';
COMMENT ON COLUMN billing_reconcile_runs.next_attempt_at IS 'When the sweep continues it; null: only a person does';
COMMENT ON COLUMN billing_reconcile_runs.objects IS 'Stripe objects compared';
COMMENT ON COLUMN billing_reconcile_runs.events IS 'Stripe events looked up in the inbox';
COMMENT ON COLUMN billing_reconcile_runs.accounts IS 'Accounts at the drivers inspected';
COMMENT ON COLUMN billing_reconcile_runs.drift IS 'Objects, events and accounts that differed';
COMMENT ON COLUMN billing_reconcile_runs.repaired IS 'How many of these no longer differ';

CREATE TABLE billing_reconcile_slices (
    run_id uuid NOT NULL REFERENCES billing_reconcile_runs ON DELETE CASCADE,
    step text NOT NULL CHECK (step IN ('replay', 'compare', 'absent', 'inspect', 'usage')),
    subject text NOT NULL,
    part smallint NOT NULL,
    created_from bigint,
    created_before bigint,
    cursor_id text,
    cursor_created bigint,
    marked bigint NOT NULL DEFAULT 0,
    done boolean NOT NULL DEFAULT FALSE,
    PRIMARY KEY (run_id, step, subject, part)
);
COMMENT ON TABLE billing_reconcile_slices IS 'The parts of a run and the progress of each: where a stopped run continues';
COMMENT ON COLUMN billing_reconcile_slices.run_id IS 'The run';
COMMENT ON COLUMN billing_reconcile_slices.step IS 'replay: events that the inbox lacks; compare: Stripe''s objects with ours; absent: ours that Stripe lacks; inspect: accounts at the drivers; usage: Stripe''s sums of it';
COMMENT ON COLUMN billing_reconcile_slices.subject IS 'What is processed, such as subscription';
COMMENT ON COLUMN billing_reconcile_slices.part IS 'Number of the period, from the oldest, 0';
COMMENT ON COLUMN billing_reconcile_slices.created_from IS 'Objects created from this Unix time on belong to it; null: from the beginning';
COMMENT ON COLUMN billing_reconcile_slices.created_before IS 'Objects created before this Unix time belong to it; null: no end';
COMMENT ON COLUMN billing_reconcile_slices.cursor_id IS 'The last object processed; null: none yet';
COMMENT ON COLUMN billing_reconcile_slices.cursor_created IS 'Unix time at which it was created, in case it no longer exists';
COMMENT ON COLUMN billing_reconcile_slices.marked IS 'How many of our rows exist at Stripe';
COMMENT ON COLUMN billing_reconcile_slices.done IS 'Processed to the end';

-- Read only by the run itself, which starts again if a crash has emptied the table.
CREATE UNLOGGED TABLE billing_reconcile_marks (
    object_id text PRIMARY KEY
);
COMMENT ON TABLE billing_reconcile_marks IS 'What the unfinished run has found at Stripe; our other objects are fetched by id';
COMMENT ON COLUMN billing_reconcile_marks.object_id IS 'Id at Stripe';

CREATE TABLE billing_reconcile_drift (
    run_id uuid NOT NULL REFERENCES billing_reconcile_runs ON DELETE CASCADE,
    object_type text NOT NULL,
    object_id text NOT NULL,
    field text NOT NULL,
    ours text,
    found text,
    repaired boolean NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, object_id, field)
);
CREATE INDEX billing_reconcile_drift_left_idx ON billing_reconcile_drift (run_id)
WHERE NOT repaired;
COMMENT ON TABLE billing_reconcile_drift IS 'What differed in a run';
COMMENT ON COLUMN billing_reconcile_drift.run_id IS 'The run';
COMMENT ON COLUMN billing_reconcile_drift.object_type IS 'Stripe''s object type, event, or account';
COMMENT ON COLUMN billing_reconcile_drift.object_id IS 'Id at Stripe; of an account, our subscription and the product type';
COMMENT ON COLUMN billing_reconcile_drift.field IS 'Column of the mirror; object: one side does not have it at all';
COMMENT ON COLUMN billing_reconcile_drift.ours IS 'What we had; null: nothing';
COMMENT ON COLUMN billing_reconcile_drift.found IS 'What Stripe or the driver had; null: nothing';
COMMENT ON COLUMN billing_reconcile_drift.repaired IS 'Whether it no longer differs';
COMMENT ON COLUMN billing_reconcile_drift.found_at IS 'When it was found';

CREATE TABLE billing_retention (
    subject text PRIMARY KEY CHECK (subject IN (
        'event_payloads', 'events', 'provisioning_log', 'idempotency_keys', 'job_log', 'messages', 'unpaid_orders',
        'access_data', 'usage', 'meter_events'
    )),
    pruned_until timestamptz NOT NULL DEFAULT '-infinity',
    pruned_rows bigint NOT NULL DEFAULT 0,
    pruned_at timestamptz
);
COMMENT ON TABLE billing_retention IS 'What is pruned by age, and the progress';
COMMENT ON COLUMN billing_retention.subject IS 'What is pruned; how long it is kept is a setting (KEEP_..._DAYS)';
COMMENT ON COLUMN billing_retention.pruned_until IS 'Everything older has been pruned; -infinity: each run begins with the oldest row';
COMMENT ON COLUMN billing_retention.pruned_rows IS 'Rows pruned by all runs together';
COMMENT ON COLUMN billing_retention.pruned_at IS 'When a run last finished';
INSERT INTO billing_retention (subject)
VALUES ('event_payloads'), ('events'), ('provisioning_log'), ('idempotency_keys'), ('job_log'), ('messages'), ('unpaid_orders'),
    ('access_data'), ('usage'), ('meter_events');

-- migrate:down
DROP TABLE billing_retention;
DROP TABLE billing_reconcile_drift;
DROP TABLE billing_reconcile_marks;
DROP TABLE billing_reconcile_slices;
DROP TABLE billing_reconcile_runs;
DROP TABLE billing_audit_unsettled;
DROP TABLE billing_audit_entries;
DROP FUNCTION billing_audit_append_only();
DROP FUNCTION billing_audit_list_unsettled();
DROP TABLE billing_notes;
DROP TABLE billing_console_sessions;
DROP TABLE billing_key_usage;
DROP TABLE billing_api_keys;
