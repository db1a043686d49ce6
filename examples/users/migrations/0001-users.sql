-- E-mail addresses are unique whatever their case; the address is kept as its owner wrote it.
CREATE TABLE users (
  id          uuid PRIMARY KEY,
  email       text NOT NULL,
  username    text NOT NULL,
  name        text NOT NULL,
  version     integer NOT NULL DEFAULT 1,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX users_email_key ON users (lower(email));
CREATE UNIQUE INDEX users_username_key ON users (username);
