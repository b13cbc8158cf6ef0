-- The city's own tables: what is there before the store. In your own database these are yours.
CREATE SCHEMA city;

CREATE TABLE city.counts (
    count_id bigint PRIMARY KEY,
    station_id integer NOT NULL,
    counted_at timestamptz NOT NULL,
    bikes integer,
    docks integer,
    flag text,
    emptied_at timestamptz
);

CREATE TABLE city.weather (
    day timestamp PRIMARY KEY,
    rain_mm numeric
);
