-- Tables filled, joined, indexed, grouped, changed and searched, all in one connection.
PRAGMA journal_mode = MEMORY;
DROP TABLE IF EXISTS sales;
DROP TABLE IF EXISTS shops;
DROP TABLE IF EXISTS notes;
CREATE TABLE shops (id INTEGER PRIMARY KEY, city TEXT NOT NULL, opened INTEGER);
CREATE TABLE sales (id INTEGER PRIMARY KEY, shop INTEGER REFERENCES shops, item TEXT, amount REAL, day INTEGER);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
INSERT INTO shops SELECT i, char(65 + i % 26) || char(97 + i * 7 % 26) || 'ville', 1900 + i * 13 % 120 FROM n;
WITH RECURSIVE n(i, r) AS (SELECT 1, 12345 UNION ALL SELECT i + 1, (r * 1103515245 + 12345) & 2147483647 FROM n WHERE i < 60000)
INSERT INTO sales SELECT i, 1 + (r >> 8) % 200, 'item' || ((r >> 4) % 997), ((r >> 6) % 100000) / 100.0, i % 365 FROM n;
COMMIT;
SELECT count(*), round(sum(amount), 2), round(avg(amount), 4), min(day), max(day) FROM sales;
CREATE INDEX by_shop ON sales (shop, day);
CREATE INDEX by_item ON sales (item);
SELECT city, count(*), round(sum(amount), 2) AS total FROM sales JOIN shops ON shops.id = shop
 GROUP BY city ORDER BY total DESC, city LIMIT 10;
SELECT item, count(*) AS times, round(max(amount), 2) FROM sales WHERE item LIKE 'item9%' GROUP BY item
 HAVING times > 50 ORDER BY times DESC, item LIMIT 10;
SELECT day / 30 AS month, round(sum(amount), 1), count(DISTINCT shop) FROM sales GROUP BY month ORDER BY month;
SELECT shop, day, round(total, 2), place FROM (
    SELECT shop, day, sum(amount) AS total, rank() OVER (PARTITION BY shop ORDER BY sum(amount) DESC) AS place
    FROM sales WHERE shop <= 20 GROUP BY shop, day)
 WHERE place = 1 ORDER BY shop, day;
UPDATE sales SET amount = amount * 1.1 WHERE shop IN (SELECT id FROM shops WHERE opened < 1950);
DELETE FROM sales WHERE day % 7 = 0;
SELECT count(*), round(total(amount), 2) FROM sales;
CREATE VIRTUAL TABLE notes USING fts5 (body);
INSERT INTO notes SELECT item || ' sold in ' || city || ' on day ' || day FROM sales JOIN shops ON shops.id = shop WHERE sales.id % 10 = 0;
SELECT count(*) FROM notes WHERE notes MATCH 'item12* AND sold';
SELECT json_group_array(json_object('city', city, 'opened', opened)) FROM (SELECT * FROM shops ORDER BY id LIMIT 5);
SELECT typeof(x'00ff'), x'00ff', NULL, 1e300 * 10, 7 / 2, 7 / 2.0, printf('%.17g', 0.1), hex(zeroblob(4));
