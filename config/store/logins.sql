-- Gives the roles of include/roles.sql the passwords that .env has now. It runs with every start.
\set ON_ERROR_STOP on
\getenv owner_password STORE_OWNER_PASSWORD
\getenv refresher_password STORE_PASSWORD
\getenv page_password STORE_PAGE_PASSWORD

-- The server's log keeps no statement with a password, not even of one that fails.
SET log_statement = none;
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;

-- Nobody can log in as feature_store_reader before you give it a password.
ALTER ROLE feature_store_owner PASSWORD :'owner_password';
ALTER ROLE feature_store_refresher PASSWORD :'refresher_password';
ALTER ROLE feature_store_page PASSWORD :'page_password';
