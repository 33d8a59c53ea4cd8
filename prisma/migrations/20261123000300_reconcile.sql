-- What a reconcile has to remember: how far it has come, what it has seen, what differs.

-- migrate:up
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
-- One at a time, over all machines.
CREATE UNIQUE INDEX billing_reconcile_runs_unfinished_key ON billing_reconcile_runs ((TRUE))
WHERE finished_at IS NULL;
CREATE INDEX billing_reconcile_runs_started_idx ON billing_reconcile_runs (started_at);
COMMENT ON TABLE billing_reconcile_runs IS 'Comparisons of Stripe with the mirror and the accounts; at most one is unfinished';
COMMENT ON COLUMN billing_reconcile_runs.id IS 'Ours';
COMMENT ON COLUMN billing_reconcile_runs.started_by IS 'schedule: the daily one; api: POST /api/admin/reconcile; command: mpanel-billing reconcile';
COMMENT ON COLUMN billing_reconcile_runs.livemode IS 'Mode of Stripe that it looks at';
COMMENT ON COLUMN billing_reconcile_runs.dry_run IS 'It only reports';
COMMENT ON COLUMN billing_reconcile_runs.since_days IS 'Only what was made in that many days before it began; null: everything';
COMMENT ON COLUMN billing_reconcile_runs.started_at IS 'When it was asked for';
COMMENT ON COLUMN billing_reconcile_runs.finished_at IS 'Null: it is running, or goes on where it was stopped';
COMMENT ON COLUMN billing_reconcile_runs.outcome IS 'clean: nothing differs; repaired: nothing differs any longer; drift: something is left; abandoned: another was begun instead';
COMMENT ON COLUMN billing_reconcile_runs.holder IS 'Token of the process that is at it';
COMMENT ON COLUMN billing_reconcile_runs.leased_until IS 'Until then without a sign of life it is left to its holder';
COMMENT ON COLUMN billing_reconcile_runs.attempts IS 'How often it was taken up';
COMMENT ON COLUMN billing_reconcile_runs.last_error IS 'Why it stopped the latest time';
COMMENT ON COLUMN billing_reconcile_runs.next_attempt_at IS 'When the sweep has it go on; null: a person does';
COMMENT ON COLUMN billing_reconcile_runs.objects IS 'Of Stripe that were compared';
COMMENT ON COLUMN billing_reconcile_runs.events IS 'Of Stripe that the inbox was asked for';
COMMENT ON COLUMN billing_reconcile_runs.accounts IS 'Of the drivers that were looked at';
COMMENT ON COLUMN billing_reconcile_runs.drift IS 'Objects, events and accounts that differed';
COMMENT ON COLUMN billing_reconcile_runs.repaired IS 'Of these, those that do not any longer';

CREATE TABLE billing_reconcile_slices (
    run_id uuid NOT NULL REFERENCES billing_reconcile_runs ON DELETE CASCADE,
    step text NOT NULL CHECK (step IN ('replay', 'compare', 'absent', 'inspect')),
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
COMMENT ON TABLE billing_reconcile_slices IS 'The parts of a run, and how far each has come: what a stopped one goes on from';
COMMENT ON COLUMN billing_reconcile_slices.run_id IS 'The run';
COMMENT ON COLUMN billing_reconcile_slices.step IS 'replay: events that the inbox lacks; compare: Stripe''s objects with ours; absent: ours that Stripe lacks; inspect: accounts at the drivers';
COMMENT ON COLUMN billing_reconcile_slices.subject IS 'What is walked through, such as subscription';
COMMENT ON COLUMN billing_reconcile_slices.part IS 'Number of the stretch of time, from the oldest, 0';
COMMENT ON COLUMN billing_reconcile_slices.created_from IS 'Unix time of Stripe''s from which on objects belong to it; null: from the beginning';
COMMENT ON COLUMN billing_reconcile_slices.created_before IS 'Unix time of Stripe''s before which objects belong to it; null: no end';
COMMENT ON COLUMN billing_reconcile_slices.cursor_id IS 'The last one that was looked at; null: none yet';
COMMENT ON COLUMN billing_reconcile_slices.cursor_created IS 'Unix time of its making at Stripe, for when it is no longer there';
COMMENT ON COLUMN billing_reconcile_slices.marked IS 'How many rows of ours were found at Stripe';
COMMENT ON COLUMN billing_reconcile_slices.done IS 'Walked through to its end';

-- Read by the run itself alone, which begins anew should a crash have emptied it.
CREATE UNLOGGED TABLE billing_reconcile_marks (
    object_id text PRIMARY KEY
);
COMMENT ON TABLE billing_reconcile_marks IS 'What the unfinished run has found at Stripe; what is left of ours is asked for by name';
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
COMMENT ON COLUMN billing_reconcile_drift.object_type IS 'Stripe''s word for what it is, event, or account';
COMMENT ON COLUMN billing_reconcile_drift.object_id IS 'Id at Stripe; of an account, our subscription and the product type';
COMMENT ON COLUMN billing_reconcile_drift.field IS 'Column of the mirror; object: one of the two does not have it at all';
COMMENT ON COLUMN billing_reconcile_drift.ours IS 'What we had; null: nothing';
COMMENT ON COLUMN billing_reconcile_drift.found IS 'What Stripe or the driver had; null: nothing';
COMMENT ON COLUMN billing_reconcile_drift.repaired IS 'It no longer differs';
COMMENT ON COLUMN billing_reconcile_drift.found_at IS 'When it was found';

-- migrate:down
DROP TABLE billing_reconcile_drift;
DROP TABLE billing_reconcile_marks;
DROP TABLE billing_reconcile_slices;
DROP TABLE billing_reconcile_runs;
