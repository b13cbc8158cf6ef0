-- The logins of a new feature-store database, with the passwords of .env. PostgreSQL's image runs
-- this file once, on an empty data volume, and never again.

\getenv owner_password STORE_OWNER_PASSWORD
\getenv refresher_password STORE_PASSWORD
\getenv page_password STORE_PAGE_PASSWORD

-- What each may do is said in include/roles.sql, which runs after this.
CREATE ROLE feature_store_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE feature_store_refresher LOGIN PASSWORD :'refresher_password';
CREATE ROLE feature_store_page LOGIN PASSWORD :'page_password';
-- Nobody can log in as this one before you give it a password.
CREATE ROLE feature_store_reader LOGIN;
