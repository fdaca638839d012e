"""The schema 0012 on PostgreSQL, where catalogs begin with it; later migrations run on both.

SQLite's triggers call Python. Here they only note which images have changed, in `words_due`;
`imgsearch.catalog.server_words` writes the words and labels of these at the end of the transaction.
A label may be longer than a key of a B-tree takes, so `labels` has a hash index instead of a
primary key.
"""

BASELINE = "0012"
OWN = (
    "alembic_version", "words", "words_due", "writer", "ix_labels_key", "ix_words_doc",
    "ix_images_root_id_path_start", "ix_skipped_root_id_path_start",
)  # fmt: skip
"""Tables and indexes that SQLite does not have, or has in another form."""

TABLES = """
CREATE TABLE commits (
  revision BIGINT NOT NULL,
  token TEXT COLLATE "C" NOT NULL,
  CONSTRAINT pk_commits PRIMARY KEY (revision)
);

CREATE TABLE measures (
  content_hash TEXT COLLATE "C" NOT NULL,
  sharpness DOUBLE PRECISION NOT NULL,
  brightness DOUBLE PRECISION NOT NULL,
  shadows DOUBLE PRECISION NOT NULL,
  highlights DOUBLE PRECISION NOT NULL,
  contrast DOUBLE PRECISION NOT NULL,
  colourfulness DOUBLE PRECISION NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  CONSTRAINT pk_measures PRIMARY KEY (content_hash)
);

CREATE TABLE roots (
  id BIGSERIAL NOT NULL,
  path TEXT COLLATE "C" NOT NULL,
  exclude TEXT COLLATE "C" NOT NULL,
  hidden BOOLEAN NOT NULL,
  mounts TEXT COLLATE "C" NOT NULL,
  added_at TEXT COLLATE "C" NOT NULL,
  scanned_at TEXT COLLATE "C",
  CONSTRAINT pk_roots PRIMARY KEY (id),
  CONSTRAINT uq_roots_path UNIQUE (path)
);

CREATE TABLE saved_searches (
  id BIGSERIAL NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  name_key TEXT COLLATE "C" NOT NULL,
  request TEXT COLLATE "C" NOT NULL,
  saved_at TEXT COLLATE "C" NOT NULL,
  CONSTRAINT pk_saved_searches PRIMARY KEY (id),
  CONSTRAINT uq_saved_searches_name_key UNIQUE (name_key)
);

CREATE TABLE spaces (
  id BIGSERIAL NOT NULL,
  key TEXT COLLATE "C" NOT NULL,
  model TEXT COLLATE "C" NOT NULL,
  revision TEXT COLLATE "C" NOT NULL,
  preprocessing TEXT COLLATE "C" NOT NULL,
  dimension BIGINT NOT NULL,
  created_at TEXT COLLATE "C" NOT NULL,
  instruction TEXT COLLATE "C" DEFAULT '' NOT NULL,
  CONSTRAINT pk_spaces PRIMARY KEY (id),
  CONSTRAINT uq_spaces_key UNIQUE (key)
);

CREATE TABLE texts (
  content_hash TEXT COLLATE "C" NOT NULL,
  engine TEXT COLLATE "C" NOT NULL,
  text TEXT COLLATE "C" NOT NULL,
  reason TEXT COLLATE "C" NOT NULL,
  CONSTRAINT pk_texts PRIMARY KEY (content_hash)
);

CREATE TABLE clusterings (
  space_id BIGINT NOT NULL,
  revision BIGINT NOT NULL,
  pictures BIGINT NOT NULL,
  threshold DOUBLE PRECISION NOT NULL,
  words_digest TEXT COLLATE "C" NOT NULL,
  words BYTEA NOT NULL,
  CONSTRAINT pk_clusterings PRIMARY KEY (space_id),
  CONSTRAINT fk_clusterings_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id)
);

CREATE TABLE clusters (
  id BIGSERIAL NOT NULL,
  space_id BIGINT NOT NULL,
  parent_id BIGINT,
  name TEXT COLLATE "C" NOT NULL,
  name_key TEXT COLLATE "C" NOT NULL,
  medoid_id BIGINT NOT NULL,
  mean BYTEA NOT NULL,
  CONSTRAINT pk_clusters PRIMARY KEY (id),
  CONSTRAINT fk_clusters_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id),
  CONSTRAINT fk_clusters_parent_id_clusters FOREIGN KEY(parent_id) REFERENCES clusters (id)
);
CREATE INDEX ix_clusters_name_key ON clusters (name_key);
CREATE INDEX ix_clusters_parent_id ON clusters (parent_id);

CREATE TABLE images (
  id BIGSERIAL NOT NULL,
  root_id BIGINT NOT NULL,
  path TEXT COLLATE "C" NOT NULL,
  size BIGINT NOT NULL,
  mtime_ns BIGINT NOT NULL,
  ctime_ns BIGINT DEFAULT '0' NOT NULL,
  inode BIGINT DEFAULT '0' NOT NULL,
  sidecar_stamp BIGINT DEFAULT '0' NOT NULL,
  content_hash TEXT COLLATE "C" NOT NULL,
  width BIGINT NOT NULL,
  height BIGINT NOT NULL,
  format TEXT COLLATE "C" NOT NULL,
  orientation BIGINT NOT NULL,
  taken_at TEXT COLLATE "C",
  taken_precision TEXT COLLATE "C",
  taken_source TEXT COLLATE "C",
  utc_offset_minutes BIGINT,
  camera_make TEXT COLLATE "C",
  camera_model TEXT COLLATE "C",
  latitude DOUBLE PRECISION,
  longitude DOUBLE PRECISION,
  title TEXT COLLATE "C",
  description TEXT COLLATE "C",
  keywords TEXT COLLATE "C",
  people TEXT COLLATE "C",
  city TEXT COLLATE "C",
  state TEXT COLLATE "C",
  country TEXT COLLATE "C",
  rating BIGINT,
  note TEXT COLLATE "C",
  metadata_version BIGINT DEFAULT '0' NOT NULL,
  name_key TEXT COLLATE "C" NOT NULL,
  camera_key TEXT COLLATE "C",
  status TEXT COLLATE "C" NOT NULL,
  added_at TEXT COLLATE "C" NOT NULL,
  gone_at TEXT COLLATE "C",
  CONSTRAINT pk_images PRIMARY KEY (id),
  CONSTRAINT uq_images_root_id_path UNIQUE (root_id, path),
  CONSTRAINT ck_images_status CHECK (status IN ('present', 'gone', 'unreadable')),
  CONSTRAINT fk_images_root_id_roots FOREIGN KEY(root_id) REFERENCES roots (id)
);
CREATE INDEX ix_images_content_hash_status ON images (content_hash, status);
CREATE INDEX ix_images_size ON images (size);
CREATE INDEX ix_images_status_camera_key ON images (status, camera_key);
CREATE INDEX ix_images_status_format ON images (status, format);
CREATE INDEX ix_images_status_gone_at ON images (status, gone_at);
CREATE INDEX ix_images_status_latitude_longitude ON images (status, latitude, longitude);
CREATE INDEX ix_images_status_name_key ON images (status, name_key);
CREATE INDEX ix_images_status_rating ON images (status, rating);
CREATE INDEX ix_images_status_taken_at ON images (status, taken_at, mtime_ns);
CREATE INDEX ix_images_status_width_height ON images (status, width, height);

CREATE TABLE library (
  id BIGINT NOT NULL,
  uuid TEXT COLLATE "C" NOT NULL,
  revision BIGINT NOT NULL,
  purge_floor BIGINT NOT NULL,
  default_space_id BIGINT,
  created_at TEXT COLLATE "C" NOT NULL,
  reads_texts BOOLEAN DEFAULT '0' NOT NULL,
  CONSTRAINT pk_library PRIMARY KEY (id),
  CONSTRAINT ck_library_one_row CHECK (id = 1),
  CONSTRAINT fk_library_default_space_id_spaces FOREIGN KEY(default_space_id) REFERENCES spaces (id)
);

CREATE TABLE reference_scores (
  space_id BIGINT NOT NULL,
  modality TEXT COLLATE "C" NOT NULL,
  location DOUBLE PRECISION NOT NULL,
  scale DOUBLE PRECISION NOT NULL,
  pictures BIGINT NOT NULL,
  CONSTRAINT pk_reference_scores PRIMARY KEY (space_id, modality),
  CONSTRAINT fk_reference_scores_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id)
);

CREATE TABLE reference_texts (
  space_id BIGINT NOT NULL,
  digest TEXT COLLATE "C" NOT NULL,
  vectors BYTEA NOT NULL,
  CONSTRAINT pk_reference_texts PRIMARY KEY (space_id),
  CONSTRAINT fk_reference_texts_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id)
);

CREATE TABLE runs (
  id BIGSERIAL NOT NULL,
  space_id BIGINT NOT NULL,
  precision TEXT COLLATE "C" NOT NULL,
  started_at TEXT COLLATE "C" NOT NULL,
  finished_at TEXT COLLATE "C",
  outcome TEXT COLLATE "C" NOT NULL,
  counts TEXT COLLATE "C" NOT NULL,
  CONSTRAINT pk_runs PRIMARY KEY (id),
  CONSTRAINT fk_runs_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id)
);

CREATE TABLE tombstones (
  space_id BIGINT NOT NULL,
  image_id BIGINT NOT NULL,
  revision BIGINT NOT NULL,
  CONSTRAINT pk_tombstones PRIMARY KEY (space_id, image_id),
  CONSTRAINT fk_tombstones_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id)
);
CREATE INDEX ix_tombstones_space_id_revision ON tombstones (space_id, revision);

CREATE TABLE cluster_members (
  space_id BIGINT NOT NULL,
  image_id BIGINT NOT NULL,
  cluster_id BIGINT,
  CONSTRAINT pk_cluster_members PRIMARY KEY (space_id, image_id),
  CONSTRAINT fk_cluster_members_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id),
  CONSTRAINT fk_cluster_members_image_id_images FOREIGN KEY(image_id)
    REFERENCES images (id) ON DELETE CASCADE,
  CONSTRAINT fk_cluster_members_cluster_id_clusters FOREIGN KEY(cluster_id) REFERENCES clusters (id)
);
CREATE INDEX ix_cluster_members_cluster_id ON cluster_members (cluster_id);
CREATE INDEX ix_cluster_members_image_id ON cluster_members (image_id);

CREATE TABLE embeddings (
  id BIGSERIAL NOT NULL,
  space_id BIGINT NOT NULL,
  image_id BIGINT NOT NULL,
  revision BIGINT NOT NULL,
  vector BYTEA NOT NULL,
  CONSTRAINT pk_embeddings PRIMARY KEY (id),
  CONSTRAINT uq_embeddings_image_id_space_id UNIQUE (image_id, space_id),
  CONSTRAINT fk_embeddings_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id),
  CONSTRAINT fk_embeddings_image_id_images FOREIGN KEY(image_id)
    REFERENCES images (id) ON DELETE CASCADE
);
CREATE INDEX ix_embeddings_space_id_revision ON embeddings (space_id, revision);

CREATE TABLE labels (
  field TEXT COLLATE "C" NOT NULL,
  key TEXT COLLATE "C" NOT NULL,
  image_id BIGINT NOT NULL,
  CONSTRAINT fk_labels_image_id_images FOREIGN KEY(image_id)
    REFERENCES images (id) ON DELETE CASCADE
);
CREATE INDEX ix_labels_image_id ON labels (image_id);

CREATE TABLE skipped (
  id BIGSERIAL NOT NULL,
  root_id BIGINT NOT NULL,
  path TEXT COLLATE "C" NOT NULL,
  size BIGINT NOT NULL,
  mtime_ns BIGINT NOT NULL,
  ctime_ns BIGINT DEFAULT '0' NOT NULL,
  inode BIGINT DEFAULT '0' NOT NULL,
  reason TEXT COLLATE "C" NOT NULL,
  transient BOOLEAN NOT NULL,
  decoder TEXT COLLATE "C" NOT NULL,
  run_id BIGINT NOT NULL,
  CONSTRAINT pk_skipped PRIMARY KEY (id),
  CONSTRAINT uq_skipped_root_id_path UNIQUE (root_id, path),
  CONSTRAINT fk_skipped_root_id_roots FOREIGN KEY(root_id) REFERENCES roots (id),
  CONSTRAINT fk_skipped_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE INDEX ix_labels_key ON labels USING hash (key);
ALTER TABLE embeddings ALTER COLUMN vector SET STORAGE EXTERNAL;

CREATE TABLE writer (
  epoch BIGINT NOT NULL,
  holder TEXT NOT NULL
);
INSERT INTO writer VALUES (0, '');

CREATE TABLE words (
  id BIGINT PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE,
  doc TSVECTOR NOT NULL
);
CREATE INDEX ix_words_doc ON words USING gin (doc);
CREATE TABLE words_due (
  id BIGINT PRIMARY KEY
);

CREATE VIEW searchable AS
SELECT images.id, images.content_hash, path, camera_make, camera_model, title, description,
  keywords, people, city, state, country, texts.text AS text
FROM images LEFT JOIN texts ON texts.content_hash = images.content_hash;

CREATE FUNCTION distance_km(a FLOAT8, b FLOAT8, c FLOAT8, d FLOAT8) RETURNS FLOAT8
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT 2 * 6371.0088 * asin(sqrt(least(1,
    sin(radians(c - a) / 2) ^ 2
    + cos(radians(a)) * cos(radians(c)) * sin(radians(d - b) / 2) ^ 2)))
$$;
"""

TRIGGERS = """
CREATE FUNCTION image_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO words_due VALUES (NEW.id) ON CONFLICT DO NOTHING;
  -- The next id follows from the sequence: one is never used again.
  PERFORM setval('images_id_seq', NEW.id) FROM images_id_seq WHERE last_value < NEW.id
    OR NOT is_called;
  RETURN NULL;
END $$;
CREATE TRIGGER images_insert AFTER INSERT ON images
FOR EACH ROW EXECUTE FUNCTION image_added();

CREATE FUNCTION content_left() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM images WHERE content_hash = OLD.content_hash) THEN
    DELETE FROM texts WHERE content_hash = OLD.content_hash;
    DELETE FROM measures WHERE content_hash = OLD.content_hash;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER images_delete AFTER DELETE ON images
FOR EACH ROW EXECUTE FUNCTION content_left();
CREATE TRIGGER images_content AFTER UPDATE OF content_hash ON images
FOR EACH ROW WHEN (OLD.content_hash IS DISTINCT FROM NEW.content_hash)
EXECUTE FUNCTION content_left();

CREATE FUNCTION image_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO words_due VALUES (NEW.id) ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER images_update AFTER UPDATE OF path, camera_make, camera_model, title, description,
  keywords, people, city, state, country, content_hash ON images
FOR EACH ROW WHEN (
  (OLD.path, OLD.camera_make, OLD.camera_model, OLD.title, OLD.description, OLD.keywords,
   OLD.people, OLD.city, OLD.state, OLD.country, OLD.content_hash)
  IS DISTINCT FROM
  (NEW.path, NEW.camera_make, NEW.camera_model, NEW.title, NEW.description, NEW.keywords,
   NEW.people, NEW.city, NEW.state, NEW.country, NEW.content_hash)
) EXECUTE FUNCTION image_changed();

CREATE FUNCTION text_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO words_due SELECT id FROM images
  WHERE content_hash = CASE TG_OP WHEN 'DELETE' THEN OLD.content_hash ELSE NEW.content_hash END
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER texts_change AFTER INSERT OR DELETE OR UPDATE OF text ON texts
FOR EACH ROW EXECUTE FUNCTION text_changed();
"""
