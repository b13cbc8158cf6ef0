-- All that ever becomes known of the sample, and when: the sources as they are known at one moment are made
-- from it (known_*.sql). Each delay is drawn from the listing's number, so that all runs are alike.
CREATE SCHEMA life;

CREATE FUNCTION life.draw(p_listing bigint, p_what bigint) RETURNS double precision
LANGUAGE sql IMMUTABLE
AS $function$
SELECT (hashint8extended(p_listing, p_what) & 1048575) / 1048576.0
$function$;
COMMENT ON FUNCTION life.draw(bigint, bigint) IS 'A number from 0 to 1, always the same for the same listing and purpose.';

CREATE TABLE life.clock (moment timestamptz NOT NULL);

CREATE TABLE life.listings AS TABLE "iPhone".iphone_listings;
ALTER TABLE life.listings
ADD COLUMN scraped_at timestamptz,
ADD COLUMN sale_known_at timestamptz,
ADD COLUMN flagged_at timestamptz,
ADD COLUMN rescraped_at timestamptz;
UPDATE life.listings AS l SET scraped_at = coalesce(l.edited_date, l.last_seen, '2000-01-01');
UPDATE life.listings AS l
SET
    -- A version is scraped within hours.
    scraped_at = l.scraped_at + life.draw(l.listing_id, 1) * interval '4 hours',
    -- A sale is reported up to a week late, mostly soon.
    sale_known_at = coalesce(l.sold_date, l.last_seen, l.scraped_at) + life.draw(l.listing_id, 2) ^ 2 * interval '7 days',
    -- A flag is set by people, within five days.
    flagged_at = l.scraped_at + life.draw(l.listing_id, 3) * interval '5 days',
    -- The seller's figures are overwritten by a second scrape, one to twenty days after the first.
    rescraped_at = l.scraped_at + (1 + 19 * life.draw(l.listing_id, 4)) * interval '1 day';

CREATE TABLE life.born AS
SELECT
    l.listing_id,
    min(l.scraped_at) AS born_at
FROM life.listings AS l
GROUP BY l.listing_id;
CREATE UNIQUE INDEX born_uq ON life.born (listing_id);

CREATE TABLE life.ai AS TABLE "iPhone".iphone_ai_enrich;
ALTER TABLE life.ai ADD COLUMN first_read_at timestamptz;
-- Read first within a day, and once more, by another prompt, when updated_at says so.
UPDATE life.ai AS a SET first_read_at = least(b.born_at + life.draw(a.listing_id, 5) * interval '1 day', a.updated_at)
FROM life.born AS b
WHERE a.listing_id = b.listing_id;

CREATE TABLE life.images AS TABLE feature_store.device_image_features_unified_v1;
ALTER TABLE life.images ADD COLUMN looked_at timestamptz;
-- Pictures are looked at within two days.
UPDATE life.images AS i SET looked_at = b.born_at + life.draw(i.listing_id, 6) * interval '2 days'
FROM life.born AS b
WHERE i.listing_id = b.listing_id;
