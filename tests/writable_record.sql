-- For tests alone: past nights can be written through the views of the record, which say what holds
-- now, instead of into each of the logs below them.
CREATE FUNCTION public.write_for_tests() RETURNS trigger
LANGUAGE plpgsql
AS $function$
DECLARE
    v_event bigint;
BEGIN
    IF TG_TABLE_NAME = 'run' THEN
        INSERT INTO feature_store_audit.run_log
            (dag_id, run_id, run_type, as_of_day, zone, prepared_at, server_version)
        VALUES (NEW.dag_id, NEW.run_id, NEW.run_type, NEW.as_of_day, NEW.zone,
            coalesce(NEW.prepared_at, now()), coalesce(NEW.server_version, '18'));
        IF NEW.verdict IS NOT NULL THEN
            INSERT INTO feature_store_audit.verdict_log (dag_id, run_id, verdict, problem, verdict_at)
            VALUES (NEW.dag_id, NEW.run_id, NEW.verdict, NEW.problem, coalesce(NEW.verdict_at, now()));
        END IF;
        RETURN NEW;
    ELSIF TG_TABLE_NAME = 'reuse' THEN
        INSERT INTO feature_store_audit.reuse_log (dag_id, run_id, relation, refresh_id, reason, reused_at)
        VALUES (NEW.dag_id, NEW.run_id, NEW.relation, NEW.refresh_id, NEW.reason, coalesce(NEW.reused_at, now()));
        RETURN NEW;
    ELSIF TG_TABLE_NAME = 'history_finding' THEN
        INSERT INTO feature_store_audit.history_finding_log
            (kind, layer, relation, day, dag_id, run_id, found_at)
        VALUES (NEW.kind, NEW.layer, NEW.relation, NEW.day, NEW.dag_id, NEW.run_id,
            coalesce(NEW.found_at, now()))
        RETURNING finding_id INTO NEW.finding_id;
        INSERT INTO feature_store_audit.history_sighting_log
            (finding_id, rows_came, rows_went, rows_changed, changed_columns, examples, reaches,
            details, row_count, fingerprint, dag_id, run_id)
        VALUES (NEW.finding_id, coalesce(NEW.rows_came, 0), coalesce(NEW.rows_went, 0),
            coalesce(NEW.rows_changed, 0), coalesce(NEW.changed_columns, '{}'),
            coalesce(NEW.examples, '[]'), coalesce(NEW.reaches, '[]'), coalesce(NEW.details, ''),
            coalesce(NEW.row_count, 0), NEW.fingerprint, NEW.latest_dag_id, NEW.latest_run_id)
        RETURNING event_id INTO NEW.sighting_event;
        IF NEW.outcome IN ('accepted', 'undone', 'redefined') THEN
            INSERT INTO feature_store_audit.history_closing_log
                (finding_id, outcome, closed_at, closed_by, reason)
            VALUES (NEW.finding_id, NEW.outcome, coalesce(NEW.closed_at, now()),
                CASE WHEN NEW.outcome = 'accepted' THEN NEW.closed_by END,
                CASE WHEN NEW.outcome = 'accepted' THEN NEW.reason END);
        END IF;
        RETURN NEW;
    END IF;
    -- What a suite found: of its latest try, or of a first one.
    SELECT s.event_id INTO v_event
    FROM feature_store_audit.latest_suite AS s
    WHERE s.dag_id = NEW.dag_id AND s.run_id = NEW.run_id
        AND s.suite = CASE WHEN TG_TABLE_NAME = 'expectation' THEN to_jsonb(NEW) ->> 'suite' ELSE 'as_of_counts' END;
    IF v_event IS NULL THEN
        INSERT INTO feature_store_audit.suite_log (dag_id, run_id, suite)
        VALUES (NEW.dag_id, NEW.run_id,
            CASE WHEN TG_TABLE_NAME = 'expectation' THEN to_jsonb(NEW) ->> 'suite' ELSE 'as_of_counts' END)
        RETURNING event_id INTO v_event;
    END IF;
    IF TG_TABLE_NAME = 'expectation' THEN
        INSERT INTO feature_store_audit.expectation_log
            (suite_event, expectation, relation, severity, outcome, expected, observed, sample, seconds, checked_at,
            breaching)
        VALUES (v_event, NEW.expectation, NEW.relation, NEW.severity, NEW.outcome, NEW.expected,
            NEW.observed, coalesce(NEW.sample, '[]'), NEW.seconds, coalesce(NEW.checked_at, now()), NEW.breaching);
    ELSIF TG_TABLE_NAME = 'proof' THEN
        INSERT INTO feature_store_audit.proof_log
            (suite_event, proof, compared, broken, sample, seconds, proven_at)
        VALUES (v_event, NEW.proof, NEW.compared, NEW.broken, NEW.sample, NEW.seconds,
            coalesce(NEW.proven_at, now()));
    ELSE
        INSERT INTO feature_store_audit.feature_nulls_log
            (suite_event, feature_set, feature, row_count, null_count)
        VALUES (v_event, NEW.feature_set, NEW.feature, NEW.row_count, NEW.null_count);
    END IF;
    RETURN NEW;
END;
$function$;

CREATE TRIGGER write_for_tests INSTEAD OF INSERT ON feature_store_audit.run
FOR EACH ROW EXECUTE FUNCTION public.write_for_tests();
CREATE TRIGGER write_for_tests INSTEAD OF INSERT ON feature_store_audit.reuse
FOR EACH ROW EXECUTE FUNCTION public.write_for_tests();
CREATE TRIGGER write_for_tests INSTEAD OF INSERT ON feature_store_audit.history_finding
FOR EACH ROW EXECUTE FUNCTION public.write_for_tests();
CREATE TRIGGER write_for_tests INSTEAD OF INSERT ON feature_store_audit.expectation
FOR EACH ROW EXECUTE FUNCTION public.write_for_tests();
CREATE TRIGGER write_for_tests INSTEAD OF INSERT ON feature_store_audit.proof
FOR EACH ROW EXECUTE FUNCTION public.write_for_tests();
CREATE TRIGGER write_for_tests INSTEAD OF INSERT ON feature_store_audit.feature_nulls
FOR EACH ROW EXECUTE FUNCTION public.write_for_tests();
