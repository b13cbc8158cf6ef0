-- History: what every day looked like when it was last judged, row by row, and what was found since.
CREATE TABLE feature_store_audit.history_layer (
    layer text PRIMARY KEY,
    definitions jsonb NOT NULL,
    dag_id text NOT NULL,
    run_id text NOT NULL,
    set_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE feature_store_audit.history_layer IS
'Layers whose history is kept, the definitions (digests) that their baseline stands on, and the run that made it.';

CREATE TABLE feature_store_audit.history_day (
    layer text NOT NULL,
    day date NOT NULL,
    row_count bigint NOT NULL,
    fingerprint bytea NOT NULL,
    dag_id text NOT NULL,
    run_id text NOT NULL,
    set_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (layer, day)
);
COMMENT ON TABLE feature_store_audit.history_day IS
'The baseline: each layer''s days as they were last accepted, with the run that saw them so. A day without a row here is empty.';

CREATE TABLE feature_store_audit.history_row (
    layer text NOT NULL,
    day date NOT NULL,
    copy integer NOT NULL,
    row_key text NOT NULL,
    digest bytea NOT NULL,
    columns bytea NOT NULL
);
-- A key over all that identifies a row would be as large as the table.
CREATE INDEX history_row_idx ON feature_store_audit.history_row (layer, day);
COMMENT ON TABLE feature_store_audit.history_row IS
'The rows of the baseline: key, digest of all values, four bytes of digest per column; copy tells equal rows apart.';

CREATE TABLE feature_store_audit.history_change (
    layer text NOT NULL,
    day date NOT NULL,
    came boolean NOT NULL,
    copy integer NOT NULL,
    row_key text NOT NULL,
    digest bytea NOT NULL,
    columns bytea NOT NULL
);
CREATE INDEX history_change_idx ON feature_store_audit.history_change (layer, day);
COMMENT ON TABLE feature_store_audit.history_change IS
'Of days with an open finding: the rows that came and the rows that went since the baseline. To accept a day is to apply them.';

CREATE TABLE feature_store_audit.history_finding (
    finding_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('review', 'leak', 'definition', 'ai')),
    layer text NOT NULL,
    relation text NOT NULL,
    day date,
    rows_came bigint NOT NULL DEFAULT 0,
    rows_went bigint NOT NULL DEFAULT 0,
    rows_changed bigint NOT NULL DEFAULT 0,
    changed_columns text[] NOT NULL DEFAULT '{}',
    examples json NOT NULL DEFAULT '[]',
    reaches jsonb NOT NULL DEFAULT '[]',
    details text NOT NULL DEFAULT '',
    row_count bigint NOT NULL DEFAULT 0,
    fingerprint bytea,
    dag_id text NOT NULL,
    run_id text NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    latest_dag_id text NOT NULL,
    latest_run_id text NOT NULL,
    outcome text CHECK (outcome IN ('accepted', 'undone', 'redefined', 'reported')),
    closed_at timestamptz,
    closed_by text,
    reason text,
    CHECK ((outcome IS NULL) = (closed_at IS NULL)),
    CHECK (outcome IS DISTINCT FROM 'accepted' OR (closed_by <> '' AND reason <> ''))
);
CREATE UNIQUE INDEX history_finding_open_uq ON feature_store_audit.history_finding (layer, day)
WHERE outcome IS NULL;
CREATE INDEX history_finding_run_idx ON feature_store_audit.history_finding (run_id);
COMMENT ON TABLE feature_store_audit.history_finding IS
'What judgements found, kept for ever. Open while outcome is NULL: one per layer and day, against the baseline, as latest_run_id saw it.';

CREATE TABLE feature_store_audit.history_judgement (
    dag_id text NOT NULL,
    run_id text NOT NULL,
    as_of_day date NOT NULL,
    settled_before date NOT NULL,
    days bigint NOT NULL,
    seconds double precision NOT NULL,
    judged_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (dag_id, run_id)
);
COMMENT ON TABLE feature_store_audit.history_judgement IS
'The runs that judged history: input days before settled_before are reviewed when they change, days is how many days of layers were fingerprinted.';
