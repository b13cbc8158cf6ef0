-- A mail that its server refused did not arrive: later runs send it again. Of mails that nobody knows of there are
-- two at most, which the package counts, as no row can see the results of others.
ALTER TABLE feature_store_audit.mail_log
DROP CONSTRAINT mail_log_nth_check,
ADD CHECK (nth >= 1);
COMMENT ON TABLE feature_store_audit.mail_log IS
'A row before the mail server is given a mail, after it has taken sender and recipients. What a server refuses is sent again.';
