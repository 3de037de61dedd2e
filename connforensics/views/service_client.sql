-- One row is one service of pool numbers or worker counts and the client of the server's evidence that bears its name
-- (equal but for case and punctuation, else one contains the other): a guess by name, and said to be one.
WITH service AS (
  SELECT DISTINCT service FROM pool_pressure WHERE service IS NOT NULL
  UNION
  SELECT DISTINCT service FROM worker_count WHERE service IS NOT NULL
),
client AS (
  SELECT DISTINCT client, user_name FROM client_backend
  UNION
  SELECT DISTINCT client, user_name FROM session WHERE outcome = 'admitted'
),
folded AS (
  SELECT
    service,
    client,
    regexp_replace(lower(service), '[^a-z0-9]', '', 'g') AS service_word,
    regexp_replace(lower(client), '[^a-z0-9]', '', 'g') AS client_word,
    regexp_replace(lower(coalesce(user_name, '')), '[^a-z0-9]', '', 'g') AS user_word
  FROM service
  CROSS JOIN client
),
matched AS (
  SELECT
    service,
    client,
    CASE
      WHEN client_word = service_word THEN 1
      WHEN user_word = service_word THEN 2
      WHEN length(service_word) >= 3 AND contains(client_word, service_word) THEN 3
      WHEN length(client_word) >= 3 AND contains(service_word, client_word) THEN 4
      WHEN length(service_word) >= 3 AND contains(user_word, service_word) THEN 5
    END AS likeness
  FROM folded
)
SELECT service, client
FROM matched
WHERE likeness IS NOT NULL
QUALIFY rank() OVER (PARTITION BY service ORDER BY likeness) = 1
