-- Beside a mail a notice may go out, to a channel of a chat or a webhook: told once, like a mail.
ALTER TABLE feature_store_audit.mail_log
DROP CONSTRAINT mail_log_kind_check,
ADD CONSTRAINT mail_log_kind_check CHECK (
    kind IN ('failure', 'review', 'warning', 'failure notice', 'review notice', 'warning notice')
);
COMMENT ON COLUMN feature_store_audit.mail_log.kind IS
'What it is about. A notice went to the connection of FEATURE_STORE_NOTIFY_CONN_ID, all else by mail.';
